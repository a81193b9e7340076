//! The request and the response of the opening handshake, for programs that ask for them later.
//!
//! A parsed head is several times as large as its text, and most programs look at the heads of a connection once or never. Thus they
//! are stored as text, and parsed on demand.

use std::fmt;
use std::sync::OnceLock;

use crate::protocol::handshake::http::fields::Fields;
use crate::protocol::handshake::{Request, Response};

/// Both heads, unless the opening handshake was performed elsewhere.
#[derive(Default)]
pub(crate) struct OpeningHeads(Option<(StoredHead<Request>, StoredHead<Response>)>);

/// A head as text. It is parsed when it is needed for the first time.
struct StoredHead<H> {
    text: Box<[u8]>,
    parsed: OnceLock<Option<Box<H>>>,
}

/// A head that can be stored as text.
trait Head: Sized {
    fn encode(&self) -> Vec<u8>;

    fn parse(text: &[u8]) -> Option<Self>;

    /// Whether a program cannot distinguish the two.
    fn is_same(&self, other: &Self) -> bool;
}

impl OpeningHeads {
    pub(crate) fn new(request: Request, response: Response) -> Self {
        Self(Some((StoredHead::new(request), StoredHead::new(response))))
    }

    pub(crate) fn request(&self) -> Option<&Request> {
        self.0.as_ref().and_then(|(request, _)| request.get())
    }

    pub(crate) fn response(&self) -> Option<&Response> {
        self.0.as_ref().and_then(|(_, response)| response.get())
    }
}

impl<H: Head> StoredHead<H> {
    fn new(head: H) -> Self {
        let text = head.encode();
        match H::parse(&text) {
            Some(parsed) if head.is_same(&parsed) => {
                Self { text: text.into_boxed_slice(), parsed: OnceLock::new() }
            }
            // A program can create heads that have no text.
            _ => Self { text: Box::default(), parsed: OnceLock::from(Some(Box::new(head))) },
        }
    }

    fn get(&self) -> Option<&H> {
        self.parsed.get_or_init(|| H::parse(&self.text).map(Box::new)).as_deref()
    }
}

impl Head for Request {
    fn encode(&self) -> Vec<u8> {
        encode(&format!("{} {} HTTP/1.1", self.method(), self.resource()), self.fields())
    }

    fn parse(text: &[u8]) -> Option<Self> {
        Self::parse(text).ok().flatten()
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.method(), self.resource()) == (other.method(), other.resource())
            && self.fields().iter().eq(other.fields().iter())
            && self.is_extended_connect() == other.is_extended_connect()
    }
}

impl Head for Response {
    fn encode(&self) -> Vec<u8> {
        encode(&format!("HTTP/1.1 {:03} {}", self.status(), self.reason()), self.fields())
    }

    fn parse(text: &[u8]) -> Option<Self> {
        Self::parse(text).ok().flatten()
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.status(), self.reason(), self.body()) == (other.status(), other.reason(), other.body())
            && self.fields().iter().eq(other.fields().iter())
    }
}

fn encode(line: &str, fields: &Fields) -> Vec<u8> {
    let mut text = line.as_bytes().to_vec();
    for (name, value) in fields.iter() {
        for part in [b"\r\n", name, b": ", value] {
            text.extend_from_slice(part);
        }
    }
    text.extend_from_slice(b"\r\n\r\n");
    text
}

impl fmt::Debug for OpeningHeads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request().zip(self.response()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads() -> (Request, Response) {
        let mut request = Request::from_url(&"ws://example.com/chat?a=%20b".parse().unwrap()).unwrap();
        request.add_protocol("chat");
        request.set_header("Cookie", "a=b; c=\"d, e\"").unwrap();
        request.add_header("X-Bytes", b"\xff\xfe").unwrap();
        let response = Response::from_request(&request).unwrap();
        (request, response)
    }

    #[test]
    fn heads_are_the_same_when_they_are_parsed_again() {
        let (request, response) = heads();
        let stored = OpeningHeads::new(request.clone(), response.clone());
        assert!(stored.0.as_ref().is_some_and(|(request, response)| {
            request.parsed.get().is_none() && response.parsed.get().is_none()
        }));
        assert!(stored.request().is_some_and(|stored| stored.is_same(&request)));
        assert!(stored.response().is_some_and(|stored| stored.is_same(&response)));
        assert_eq!(format!("{stored:?}"), format!("{:?}", Some((request, response))));
    }

    #[test]
    fn heads_without_a_text_are_stored_unchanged() {
        let (mut request, mut response) = heads();
        request.headers_mut().push(("X".to_owned(), b"a\r\nEvil: yes".to_vec()));
        response.headers_mut().push(("X".to_owned(), b" padded ".to_vec()));
        let stored = OpeningHeads::new(request.clone(), response.clone());
        assert!(stored.request().is_some_and(|stored| stored.is_same(&request)));
        assert!(stored.response().is_some_and(|stored| stored.is_same(&response)));
        assert!(OpeningHeads::default().request().is_none());
    }
}
