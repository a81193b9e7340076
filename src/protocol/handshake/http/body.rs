//! The body of a response that rejects an upgrade (RFC 9112 §6, §7.1).

use super::names::FieldName;
use crate::protocol::handshake::Response;

/// Collects the body of a response, up to a limit.
///
/// The core receives heads only: the bytes after the head of [`Event::Rejected`](crate::protocol::Event::Rejected) remain in the
/// input. A front end that passes the body to its program pushes these bytes, and everything that it receives after them.
///
/// # Examples
///
/// ```
/// use sockeye::Response;
/// use sockeye::protocol::handshake::Body;
///
/// let head = b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n";
/// let response = Response::parse(head)?.expect("the head is complete");
/// let mut body = Body::of(&response, 1024);
/// assert!(!body.push(b"6\r\nno ent"));
/// assert!(body.push(b"ry\r\n0\r\n\r\n"));
/// assert_eq!(body.finish(), b"no ent");
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Body {
    framing: Framing,
    limit: usize,
    /// The bytes so far, including the framing of chunks.
    bytes: Vec<u8>,
}

/// How the end of a body is determined (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
    /// The body ends with the connection.
    End,
}

impl Body {
    /// Prepares for the body of a response, of which up to `limit` bytes are kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Response;
    /// use sockeye::protocol::handshake::Body;
    ///
    /// let head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n";
    /// let response = Response::parse(head)?.expect("the head is complete");
    /// let mut body = Body::of(&response, 1024);
    /// assert!(!body.push(b"go"));
    /// assert!(body.push(b"ne"));
    /// assert_eq!(body.finish(), b"gone");
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn of(response: &Response, limit: usize) -> Self {
        let fields = response.fields();
        let length = fields.single(FieldName::ContentLength).ok().flatten();
        let length = length.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        let framing = match length {
            // §6.3, item 1: these have no body, regardless of their headers.
            _ if response.status() == 204 || response.status() == 304 => Framing::Length(0),
            // §6.3, item 3: the encoding overrides the length.
            _ if fields.has_token(FieldName::TransferEncoding, b"chunked") => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::End,
        };
        Self { framing, limit, bytes: Vec::new() }
    }

    /// Adds bytes that were received. Returns whether the body is complete or has reached the limit.
    ///
    /// See the example of [`of`](Self::of).
    pub fn push(&mut self, input: &[u8]) -> bool {
        let most = match self.framing {
            Framing::Length(length) => length.min(self.limit),
            Framing::Chunked | Framing::End => self.limit,
        };
        let room = most.saturating_sub(self.bytes.len());
        self.bytes.extend(input.iter().take(room));
        let is_whole = matches!(self.framing, Framing::Chunked) && unchunked(&self.bytes).1;
        is_whole || self.bytes.len() >= most
    }

    /// Returns the body, or the part of it that has arrived.
    ///
    /// See the example of [`of`](Self::of).
    pub fn finish(self) -> Vec<u8> {
        match self.framing {
            Framing::Chunked => unchunked(&self.bytes).0,
            Framing::Length(_) | Framing::End => self.bytes,
        }
    }
}

/// Joins the chunks (RFC 9112 §7.1), and returns whether the last one has arrived.
fn unchunked(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((start, len))) = httparse::parse_chunk_size(bytes) else {
            return (body, false);
        };
        if len == 0 {
            return (body, true);
        }
        let chunk = bytes.get(start..).unwrap_or_default();
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        body.extend(chunk.iter().take(len));
        // A line break follows each chunk.
        bytes = chunk.get(len.saturating_add(2)..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(headers: &str, pieces: &[&str], limit: usize) -> (String, bool) {
        let head = format!("HTTP/1.1 403 x\r\n{headers}\r\n");
        let mut body = Body::of(&Response::parse(head.as_bytes()).unwrap().unwrap(), limit);
        let mut is_whole = body.push(b"");
        for piece in pieces {
            is_whole = body.push(piece.as_bytes());
        }
        (String::from_utf8(body.finish()).unwrap(), is_whole)
    }

    #[test]
    fn c10_rfc9112_s6_3_the_end_of_a_body_is_detected() {
        assert_eq!(body("Content-Length: 3\r\n", &["a", "bcd"], 9), ("abc".into(), true));
        assert_eq!(body("Content-Length: 3\r\n", &["a"], 9), ("a".into(), false));
        assert_eq!(body("Content-Length: 0\r\n", &[], 9), ("".into(), true));
        assert_eq!(body("", &["a", "b"], 9), ("ab".into(), false));
        assert_eq!(body("Content-Length: 1\r\nContent-Length: 2\r\n", &["a", "b"], 9), ("ab".into(), false));
    }

    #[test]
    fn c10_rfc9112_s7_1_chunked_bodies_are_decoded() {
        let chunked = "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n";
        assert_eq!(body(chunked, &["3\r\nabc\r", "\n2;x=y\r\nde\r\n0\r\n\r\n"], 99), ("abcde".into(), true));
        assert_eq!(body(chunked, &["3\r\nab"], 99), ("ab".into(), false));
        assert_eq!(body(chunked, &["ffffffffffffffff\r\nab"], 99), ("ab".into(), false));
        assert_eq!(body(chunked, &["nonsense"], 99), ("".into(), false));
    }

    #[test]
    fn c10_a_body_is_truncated_at_the_limit() {
        assert_eq!(body("Content-Length: 70368744177664\r\n", &["abcdef"], 4), ("abcd".into(), true));
        assert_eq!(body("", &["abcdef"], 4), ("abcd".into(), true));
    }
}
