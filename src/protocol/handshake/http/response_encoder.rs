//! Encoding of responses, as complete and correct HTTP/1.1 for any input of the program (RFC 9110, RFC 9112).

use super::names::{self, FieldName};
use super::syntax;
use crate::protocol::ProtocolError;
use crate::protocol::handshake::Response;

/// Headers for persistent connections. Ours is closed after every status except 101.
const HOP_BY_HOP: [&str; 3] = [FieldName::Connection.text(), FieldName::Accept.text(), "Keep-Alive"];

/// The response that accepts a request (§4.2.2, item 5), before and after the value of `Sec-WebSocket-Accept`.
const ACCEPTING: [&[u8]; 2] = [
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    b"\r\nUpgrade: websocket\r\n\r\n",
];

/// What follows the head of a response (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// No body and no length.
    None,
    /// A length of zero.
    Empty,
    /// A length and, except for `HEAD` requests, a body.
    Body,
}

impl Content {
    fn of(status: u16) -> Self {
        match status {
            101 | 204 | 304 => Self::None,
            205 => Self::Empty,
            _ => Self::Body,
        }
    }
}

impl Response {
    /// Appends the head and the body without changes, for programs that send responses themselves.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::UnsendableHead`] if the status does not have three digits, or if the reason, a name or a value contains
    /// invalid bytes, such as a line break. Nothing is appended then.
    ///
    /// See the example of [`Request::encode`](super::super::Request::encode).
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        syntax::all_or_nothing(out, |out| {
            syntax::encode_status_line(self.status(), self.reason(), out)?;
            syntax::encode_fields(self.fields().iter(), out)?;
            out.extend_from_slice(self.body());
            Ok(())
        })
    }

    /// Appends the response to a request. `head_request` is true if the method was `HEAD`.
    ///
    /// With status 101, the headers are sent without changes, and no body follows. With any other status:
    ///
    /// - `Content-Length` is the length of the body, regardless of the headers. It is omitted if the status has no body (204, 304).
    /// - No body is sent for a `HEAD` request or such a status.
    /// - `Connection: close` replaces other values, because nothing after the request is read (H9).
    /// - Headers of a 101 are omitted: `Sec-WebSocket-Accept`, and `Upgrade` except with 426, where RFC 9110 §15.5.22 requires
    ///   it.
    /// - A missing reason becomes the usual one.
    ///
    /// There is no `Date`, because the core has no clock (RFC 9110 §6.6.1).
    ///
    /// # Errors
    ///
    /// [`ProtocolError::UnsendableHead`] as for [`encode`](Self::encode), and for a 1xx status other than 101, which cannot be a
    /// final response. Nothing is appended then.
    ///
    /// See the example of [`set_body`](Self::set_body).
    pub fn encode_for(&self, head_request: bool, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        syntax::all_or_nothing(out, |out| self.encode_answer(head_request, out))
    }

    fn encode_answer(&self, head_request: bool, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        if self.append_unchanged(out) {
            return Ok(());
        }
        if self.status() < 200 && self.status() != 101 {
            return Err(ProtocolError::UnsendableHead);
        }
        syntax::encode_status_line(self.status(), self.reason(), out)?;
        let content = Content::of(self.status());
        let length = self.content_length(content, head_request);
        let kept = self.fields().iter().filter(|(name, _)| !self.is_ours(name));
        let connection = match self.status() {
            101 => None,
            // RFC 9110 §7.8: the sender of Upgrade must list it in Connection.
            426 => Some("close, Upgrade"),
            _ => Some("close"),
        };
        let ours = [(FieldName::Connection, connection), (FieldName::ContentLength, length.as_deref())];
        let ours =
            ours.into_iter().filter_map(|(name, value)| Some((name.text().as_bytes(), value?.as_bytes())));
        syntax::encode_fields(kept.chain(ours), out)?;
        if content == Content::Body && !head_request {
            out.extend_from_slice(self.body());
        }
        Ok(())
    }

    /// Appends the response that accepts a request, if this is that response without changes. Returns whether it is.
    fn append_unchanged(&self, out: &mut Vec<u8>) -> bool {
        let accept = self.fields().as_accepting().filter(|_| {
            self.status() == 101 && (self.reason().is_empty() || self.reason() == syntax::default_reason(101))
        });
        let ([before, after], Some(accept)) = (ACCEPTING, accept) else { return false };
        out.reserve(before.len().saturating_add(accept.len()).saturating_add(after.len()));
        [before, accept, after].into_iter().for_each(|part| out.extend_from_slice(part));
        true
    }

    /// Returns whether a field is omitted, because it is replaced or would be wrong.
    fn is_ours(&self, name: &[u8]) -> bool {
        let is_any_of = |names: &[&str]| names.iter().any(|ours| names::is_same(ours.as_bytes(), name));
        let is_length = is_any_of(&[FieldName::ContentLength.text(), FieldName::TransferEncoding.text()]);
        match self.status() {
            101 => is_length,
            426 => is_length || is_any_of(&HOP_BY_HOP),
            _ => is_length || is_any_of(&HOP_BY_HOP) || is_any_of(&[FieldName::Upgrade.text()]),
        }
    }

    fn content_length(&self, content: Content, head_request: bool) -> Option<String> {
        match content {
            Content::None => None,
            Content::Empty => Some("0".to_owned()),
            // RFC 9110 §9.3.2: the response to HEAD may contain the length of the body that GET would return.
            Content::Body if head_request && self.body().is_empty() => self.own_content_length(),
            Content::Body => Some(self.body().len().to_string()),
        }
    }

    fn own_content_length(&self) -> Option<String> {
        let digits = self.fields().single(FieldName::ContentLength).ok().flatten()?;
        let length: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some(length.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    fn sent(response: &Response, head_request: bool) -> String {
        let mut out = Vec::new();
        response.encode_for(head_request, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn request() -> Request {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        Request::parse(head).unwrap().unwrap()
    }

    #[test]
    fn h9_every_response_except_101_has_connection_close() {
        let mut response = Response::new(200, "OK", b"hi".to_vec());
        response.add_header("Connection", "keep-alive").unwrap();
        response.add_header("Keep-Alive", "timeout=5").unwrap();
        assert_eq!(
            sent(&response, false),
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
        );
    }

    #[test]
    fn h19_content_length_is_corrected() {
        let mut response = Response::new(200, "", b"hi".to_vec());
        response.set_header("Content-Length", "100").unwrap();
        response.add_header("content-length", "0").unwrap();
        response.add_header("Transfer-Encoding", "chunked").unwrap();
        let expected = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(sent(&response, false), expected);
        response.headers_mut().clear();
        assert_eq!(sent(&response, false), expected);
    }

    #[test]
    fn rfc9112_s6_3_statuses_204_205_and_304_have_no_body() {
        for status in [204, 304] {
            let response = Response::new(status, "x", b"hi".to_vec());
            assert_eq!(sent(&response, false), format!("HTTP/1.1 {status} x\r\nConnection: close\r\n\r\n"));
        }
        let reset = Response::new(205, "x", b"hi".to_vec());
        assert_eq!(sent(&reset, false), "HTTP/1.1 205 x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    }

    #[test]
    fn rfc9110_s9_3_2_a_response_to_head_has_a_length_and_no_body() {
        let response = Response::new(200, "", b"hi".to_vec());
        assert!(sent(&response, true).ends_with("Content-Length: 2\r\n\r\n"));
        let mut response = Response::new(200, "", Vec::new());
        response.set_header("Content-Length", "1234").unwrap();
        assert!(sent(&response, true).ends_with("Content-Length: 1234\r\n\r\n"));
        response.set_header("Content-Length", "many").unwrap();
        assert!(!sent(&response, true).contains("Content-Length"));
    }

    #[test]
    fn h19_an_upgrade_changed_to_404_loses_its_upgrade_headers() {
        let mut response = Response::from_request(&request()).unwrap();
        response.set_status(404);
        response.set_reason("");
        response.add_header("Set-Cookie", "a=b").unwrap();
        response.add_header("Set-Cookie", "c=d").unwrap();
        assert_eq!(
            sent(&response, false),
            "HTTP/1.1 404 Not Found\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\
             Connection: close\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn s4_2_2_a_101_response_has_no_body() {
        let mut response = Response::new(101, "", b"not a frame".to_vec());
        for (name, value) in Response::from_request(&request()).unwrap().headers() {
            response.add_header(name, value).unwrap();
        }
        assert_eq!(
            sent(&response, false),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nUpgrade: websocket\r\n\r\n"
        );
    }

    #[test]
    fn s4_2_2_the_unchanged_response_is_encoded_like_its_fields() {
        let unchanged = Response::from_request(&request()).unwrap();
        let mut listed = unchanged.clone();
        // From now on, the fields are a list.
        assert_eq!(listed.headers_mut().len(), 3);
        assert_eq!(sent(&unchanged, false), sent(&listed, false));
        let mut encoded = [Vec::new(), Vec::new()];
        unchanged.encode(&mut encoded[0]).unwrap();
        listed.encode(&mut encoded[1]).unwrap();
        assert_eq!(encoded[0], encoded[1]);
        for reason in ["", "Welcome"] {
            let (mut unchanged, mut listed) = (unchanged.clone(), listed.clone());
            unchanged.set_reason(reason);
            listed.set_reason(reason);
            assert_eq!(sent(&unchanged, false), sent(&listed, false));
        }
        for status in [200, 426] {
            let (mut unchanged, mut listed) = (unchanged.clone(), listed.clone());
            unchanged.set_status(status);
            listed.set_status(status);
            assert_eq!(sent(&unchanged, false), sent(&listed, false));
        }
    }

    #[test]
    fn h11_h19_an_unsendable_response_writes_nothing() {
        let mut out = b"kept".to_vec();
        for status in [0, 99, 100, 103, 1000, u16::MAX] {
            let response = Response::new(status, "x", Vec::new());
            assert_eq!(response.encode_for(false, &mut out), Err(ProtocolError::UnsendableHead), "{status}");
        }
        let split = Response::new(200, "OK\r\nSet-Cookie: a=b", Vec::new());
        assert_eq!(split.encode_for(false, &mut out), Err(ProtocolError::UnsendableHead));
        assert_eq!(split.encode(&mut out), Err(ProtocolError::UnsendableHead));
        let mut split = Response::from_request(&request()).unwrap();
        split.set_protocol("a\r\nB: c");
        assert_eq!(split.encode_for(false, &mut out), Err(ProtocolError::UnsendableHead));
        assert_eq!(out, b"kept");
    }

    #[test]
    fn encode_writes_a_response_unchanged() {
        let mut out = Vec::new();
        Response::new(404, "Gone fishing", b"x".to_vec()).encode(&mut out).unwrap();
        assert_eq!(out, b"HTTP/1.1 404 Gone fishing\r\nContent-Length: 1\r\n\r\nx");
    }
}
