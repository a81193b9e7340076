//! Heads that arrive in pieces of any size (H1).
//!
//! Each byte is examined when it arrives. Each line is parsed when it is complete, so that a complete head is a parsed head.
//!
//! Invalid input is rejected at the first byte that cannot be part of a head, or with the line that is invalid: port scanners, TLS
//! handshakes and endless lines cost neither memory nor a wait for the timeout (H2, H18).

use super::fields::Fields;
use super::grammar;
use super::received::ReceivedFields;
use super::syntax::{self, RequestLine, StatusLine};
use crate::protocol::{Config, ProtocolError};

/// Collects and parses a head.
///
/// The result does not depend on how the bytes are split.
#[derive(Debug)]
pub(crate) struct HeadBuffer {
    kind: Kind,
    first_line: Option<FirstLine>,
    /// The bytes so far, and the fields in its complete lines.
    fields: ReceivedFields,
    /// Where the current line begins, and up to where its bytes have been examined.
    line: usize,
    at: usize,
    /// The number of bytes of earlier heads: interim responses share one limit (K2).
    earlier: usize,
    target: TargetLength,
}

/// The length of the part of the request target that has arrived. The target is between the first two spaces of the first line.
#[derive(Debug, Default)]
struct TargetLength {
    spaces: usize,
    len: usize,
}

/// The kind of head that is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Response,
}

#[derive(Debug)]
enum FirstLine {
    Request(RequestLine),
    Response(StatusLine),
}

impl HeadBuffer {
    /// Expects the head of a request.
    pub(crate) fn request() -> Self {
        Self::new(Kind::Request)
    }

    /// Expects the head of a response.
    pub(crate) fn response() -> Self {
        Self::new(Kind::Response)
    }

    fn new(kind: Kind) -> Self {
        let fields = ReceivedFields::default();
        Self { kind, first_line: None, fields, line: 0, at: 0, earlier: 0, target: TargetLength::default() }
    }

    /// Takes the bytes of the head off the front of the input, and returns whether the head is complete.
    ///
    /// Bytes after the head remain in the input (H10).
    pub(crate) fn push(&mut self, input: &mut &mut [u8], config: &Config) -> Result<bool, ProtocolError> {
        let (length, complete) = self.feed(input, config)?;
        *input = std::mem::take(input).split_at_mut_checked(length).map(|(_, rest)| rest).unwrap_or_default();
        Ok(complete)
    }

    /// Processes bytes; returns how many of them belong to the head, and whether it is complete.
    pub(crate) fn feed(&mut self, input: &[u8], config: &Config) -> Result<(usize, bool), ProtocolError> {
        let mut head = std::mem::take(&mut self.fields.head);
        let before = head.len();
        let room = config.max_head_size.saturating_sub(self.earlier.saturating_add(before));
        let (within, beyond) = input.split_at(room.min(input.len()));
        if head.is_empty() {
            head = within.to_vec();
        } else {
            head.extend_from_slice(within);
        }
        let scanned = self.scan(&head, config);
        if scanned == Ok(true) {
            head.truncate(self.at);
            // A program can keep the head.
            head.shrink_to_fit();
        }
        self.fields.head = head;
        if scanned? {
            return Ok((self.at.saturating_sub(before), true));
        }
        if beyond.is_empty() { Ok((input.len(), false)) } else { Err(ProtocolError::HeadTooLarge) }
    }

    /// Returns whether nothing has arrived.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.head.is_empty()
    }

    /// Takes out the complete head of a request. Only its syntax has been checked.
    pub(crate) fn take_request(&mut self) -> Result<(RequestLine, Fields), ProtocolError> {
        match self.first_line.take() {
            Some(FirstLine::Request(line)) => Ok((line, Fields::received(std::mem::take(&mut self.fields)))),
            _ => Err(ProtocolError::MalformedHead),
        }
    }

    /// Takes out the complete head of a response, and begins the head that follows if it is interim. The limit applies to all of them
    /// together (K2).
    pub(crate) fn take_response(&mut self) -> Result<(StatusLine, Fields), ProtocolError> {
        let earlier = self.earlier.saturating_add(self.at);
        match std::mem::replace(self, Self { earlier, ..Self::new(self.kind) }) {
            Self { first_line: Some(FirstLine::Response(line)), fields, .. } => {
                Ok((line, Fields::received(fields)))
            }
            _ => Err(ProtocolError::MalformedHead),
        }
    }

    /// Examines what has arrived, and returns whether the head is complete.
    fn scan(&mut self, head: &[u8], config: &Config) -> Result<bool, ProtocolError> {
        loop {
            self.take_fields(head, config)?;
            let rest = head.get(self.at..).unwrap_or_default();
            let (text, rest) = rest.split_at_checked(grammar::text_len(rest)).unwrap_or_default();
            self.at = self.at.wrapping_add(text.len());
            if !rest.starts_with(b"\r\n") {
                self.check_incomplete(text, config)?;
                return if matches!(rest, [] | b"\r") {
                    Ok(false)
                } else {
                    Err(ProtocolError::MalformedHead)
                };
            }
            if self.at == self.line && self.first_line.is_some() {
                self.at = self.at.wrapping_add(2);
                return Ok(true);
            }
            self.end_line(head, config)?;
            self.at = self.at.wrapping_add(2);
            self.line = self.at;
        }
    }

    /// Parses lines with fields that have arrived whole, up to one of which nothing or only a part has arrived, or that is invalid.
    fn take_fields(&mut self, head: &[u8], config: &Config) -> Result<(), ProtocolError> {
        // Bytes of a line that has arrived in pieces are not examined again with each piece.
        while self.at == self.line && self.first_line.is_some() && self.fields.len() < config.max_headers {
            let Some(next) = self.fields.push(head, self.line)? else { break };
            self.at = next;
            self.line = next;
        }
        Ok(())
    }

    /// Parses a line that is complete, and not the one that ends the head.
    fn end_line(&mut self, head: &[u8], config: &Config) -> Result<(), ProtocolError> {
        let line = head.get(self.line..self.at).unwrap_or_default();
        if self.first_line.is_some() {
            check_first_byte(line)?;
            if self.fields.len() >= config.max_headers {
                return Err(ProtocolError::TooManyHeaders);
            }
            return self.fields.push_complete(head, self.line);
        }
        // RFC 9112 §2.2: a server ignores empty lines before the request line.
        if !line.is_empty() || self.kind == Kind::Response {
            self.first_line = Some(FirstLine::parse(self.kind, line, config)?);
        }
        Ok(())
    }

    /// Rejects a line before it is complete, if what has arrived last of it cannot be part of a line, or makes it too long.
    fn check_incomplete(&mut self, text: &[u8], config: &Config) -> Result<(), ProtocolError> {
        if self.at.checked_sub(text.len()) == Some(self.line) {
            check_first_byte(text)?;
        }
        if self.first_line.is_none() && self.kind == Kind::Request {
            self.target.add(text);
            self.target.check(config)?;
        }
        Ok(())
    }
}

/// Rejects a line that begins with a byte with which no name, method or version begins. This rejects folded lines and TLS handshakes.
fn check_first_byte(text: &[u8]) -> Result<(), ProtocolError> {
    match text.first() {
        Some(first) if !grammar::is_token_byte(*first) => Err(ProtocolError::MalformedHead),
        _ => Ok(()),
    }
}

impl FirstLine {
    /// Parses a complete line. Another protocol is rejected at once: its client may be waiting for a response.
    fn parse(kind: Kind, line: &[u8], config: &Config) -> Result<Self, ProtocolError> {
        if kind == Kind::Response {
            return syntax::parse_status_line(line).map(Self::Response);
        }
        match syntax::parse_request_line(line) {
            Ok(line) if line.target.len() > config.max_target_size => Err(ProtocolError::TargetTooLong),
            Ok(line) => Ok(Self::Request(line)),
            Err(err) => Err(TargetLength::reject(line, config).err().unwrap_or(err)),
        }
    }
}

impl TargetLength {
    /// Rejects an invalid line as if it had not been complete: the result must not depend on how the head is split.
    fn reject(line: &[u8], config: &Config) -> Result<(), ProtocolError> {
        let mut target = Self::default();
        target.add(line);
        check_first_byte(line).and_then(|()| target.check(config))
    }

    fn check(&self, config: &Config) -> Result<(), ProtocolError> {
        if self.len > config.max_target_size { Err(ProtocolError::TargetTooLong) } else { Ok(()) }
    }

    /// Counts the bytes of a part of the first line.
    fn add(&mut self, text: &[u8]) {
        for (at, word) in text.split(|byte| *byte == b' ').enumerate() {
            self.spaces = self.spaces.saturating_add(usize::from(at > 0));
            if self.spaces == 1 {
                self.len = self.len.saturating_add(word.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// Everything in one piece: whether the head is complete, and what is left.
    fn push(head: &mut HeadBuffer, bytes: &[u8], config: &Config) -> Result<(bool, Vec<u8>), ProtocolError> {
        let mut bytes = bytes.to_vec();
        let mut rest = bytes.as_mut_slice();
        let complete = head.push(&mut rest, config)?;
        Ok((complete, rest.to_vec()))
    }

    fn request(bytes: &[u8]) -> Result<(bool, Vec<u8>), ProtocolError> {
        push(&mut HeadBuffer::request(), bytes, &Config::default())
    }

    #[test]
    fn h1_each_byte_is_scanned_once() {
        let mut bytes = b"GET / HTTP/1.1\r\nX: ".to_vec();
        bytes.resize(16 * 1024 - 4, b'x');
        bytes.extend_from_slice(b"\r\n\r\n");
        let mut head = HeadBuffer::request();
        for (at, byte) in bytes.iter().enumerate() {
            let (complete, _) = push(&mut head, &[*byte], &Config::default()).unwrap();
            assert_eq!(complete, at + 1 == bytes.len());
            // Only a CR is examined again, with the LF after it.
            let is_cr = *byte == b'\r';
            assert_eq!(head.at, if is_cr { at } else { at + 1 });
        }
        assert_eq!(head.fields.head, bytes);
    }

    #[test]
    fn h2_the_head_size_limit_is_inclusive() {
        let config = Config { max_head_size: HEAD.len(), ..Config::default() };
        assert_eq!(push(&mut HeadBuffer::request(), HEAD, &config), Ok((true, vec![])));
        let config = Config { max_head_size: HEAD.len() - 1, ..config };
        let mut head = HeadBuffer::request();
        assert_eq!(push(&mut head, HEAD, &config), Err(ProtocolError::HeadTooLarge));
        assert!(head.fields.head.len() < HEAD.len());
    }

    #[test]
    fn h2_an_endless_head_is_rejected_before_its_end() {
        let endless = [&b"GET / HTTP/1.1\r\nX: "[..], &vec![b'x'; 1 << 20]].concat();
        let mut head = HeadBuffer::request();
        assert_eq!(push(&mut head, &endless, &Config::default()), Err(ProtocolError::HeadTooLarge));
        assert!(head.fields.head.len() <= 16 * 1024);
        let empty_lines = b"\r\n".repeat(1 << 19);
        assert_eq!(request(&empty_lines), Err(ProtocolError::HeadTooLarge));
    }

    #[test]
    fn h2_a_long_target_is_rejected_before_its_line_is_complete() {
        let target = |length: usize| [&b"GET /"[..], &vec![b'x'; length - 1]].concat();
        assert_eq!(request(&target(8 * 1024)), Ok((false, vec![])));
        assert_eq!(request(&target(8 * 1024 + 1)), Err(ProtocolError::TargetTooLong));
        let response = [&b"HTTP/1.1 200 "[..], &vec![b'x'; 9000], b"\r\n\r\n"].concat();
        assert_eq!(push(&mut HeadBuffer::response(), &response, &Config::default()), Ok((true, vec![])));
    }

    #[test]
    fn h3_100_headers_are_accepted_and_101_are_rejected() {
        let with = |count| [b"GET / HTTP/1.1\r\n", &b"A: b\r\n".repeat(count)[..], b"\r\n"].concat();
        assert_eq!(request(&with(100)), Ok((true, vec![])));
        assert_eq!(request(&with(101)), Err(ProtocolError::TooManyHeaders));
    }

    #[test]
    fn h8_line_breaks_other_than_crlf_are_rejected() {
        for bytes in [
            &b"GET / HTTP/1.1\nHost: a\n\n"[..],
            b"GET / HTTP/1.1\r\nHost: a\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\n",
            b"GET / HTTP/1.1\rHost",
            b"GET / HTTP/1.1\r\r",
            b"GET / HTTP/1.1\r\n folded",
            b"GET / HTTP/1.1\r\nA: b\r\n\tfolded",
            b"GET / HTTP/1.1\r\n:",
            b"GET / HTTP/1.1\r\nA: \0",
            b"GET / HTTP/1.1\r\nA: \x7f",
            b"\n",
            b" GET",
        ] {
            assert_eq!(request(bytes), Err(ProtocolError::MalformedHead), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn h10_bytes_after_the_head_stay_in_the_input() {
        for split in 0..=HEAD.len() {
            let (first, second) = HEAD.split_at(split);
            let mut head = HeadBuffer::request();
            let (complete, left) = push(&mut head, first, &Config::default()).unwrap();
            assert_eq!((complete, left.len()), (split == HEAD.len(), 0));
            if !complete {
                let rest = [second, b"\x81\x80\r\n\r\n"].concat();
                assert_eq!(
                    push(&mut head, &rest, &Config::default()),
                    Ok((true, b"\x81\x80\r\n\r\n".to_vec()))
                );
            }
            assert_eq!(head.fields.head, HEAD);
        }
    }

    #[test]
    fn h8_malformed_fields_are_rejected_before_the_head_is_complete() {
        for line in ["A : b", "A", "A b: c", "A/b: c", "A\t: b"] {
            let bytes = format!("GET / HTTP/1.1\r\n{line}\r\n");
            assert_eq!(request(bytes.as_bytes()), Err(ProtocolError::MalformedHead), "{line}");
        }
    }

    #[test]
    fn a_complete_head_occupies_no_more_memory_than_its_bytes() {
        let frames = [0; 4096];
        for cut in [HEAD.len(), 7] {
            let mut head = HeadBuffer::request();
            let (first, second) = HEAD.split_at(cut);
            assert_eq!(head.feed(first, &Config::default()), Ok((cut, cut == HEAD.len())));
            if cut < HEAD.len() {
                let rest = [second, &frames].concat();
                assert_eq!(head.feed(&rest, &Config::default()), Ok((second.len(), true)));
            }
            assert_eq!(head.fields.head, HEAD);
            assert!(head.fields.head.capacity() < 2 * HEAD.len());
        }
    }

    #[test]
    fn h18_other_protocols_are_rejected_immediately() {
        assert_eq!(request(b"\x16\x03\x01"), Err(ProtocolError::MalformedHead), "TLS");
        assert_eq!(request(b"PRI * HTTP/2.0\r\n"), Err(ProtocolError::HttpVersion), "HTTP/2");
        assert_eq!(request(b"SSH-2.0-OpenSSH_9.9\r\n"), Err(ProtocolError::MalformedHead), "SSH");
        assert_eq!(request(b"\0"), Err(ProtocolError::MalformedHead), "binary");
        assert_eq!(request(b"EHLO a\r\n"), Err(ProtocolError::MalformedHead), "SMTP");
        let mut head = HeadBuffer::response();
        assert_eq!(push(&mut head, b"220 smtp\r\n", &Config::default()), Err(ProtocolError::MalformedHead));
    }

    #[test]
    fn rfc9112_s2_2_empty_lines_are_skipped_only_before_a_request() {
        let bytes = [b"\r\n\r\n", HEAD].concat();
        assert_eq!(request(&bytes), Ok((true, vec![])));
        let mut head = HeadBuffer::response();
        assert_eq!(push(&mut head, b"\r\n", &Config::default()), Err(ProtocolError::MalformedHead));
    }

    #[test]
    fn k2_interim_responses_share_one_limit() {
        let mut head = HeadBuffer::response();
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
        let mut count = 0;
        let error = loop {
            match push(&mut head, interim, &Config::default()) {
                Ok((true, _)) => assert_eq!(head.take_response().unwrap().0.status, 100),
                Ok(_) => unreachable!("the head is complete"),
                Err(error) => break error,
            }
            count += 1;
        };
        assert_eq!((error, count), (ProtocolError::HeadTooLarge, 16 * 1024 / interim.len()));
    }
}
