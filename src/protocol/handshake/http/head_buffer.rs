//! Heads that arrive in pieces of any size. Each byte is examined once (H1).
//!
//! Invalid input is rejected at the first byte that cannot be part of a head, before the head is complete: port scanners, TLS
//! handshakes and endless lines cost neither memory nor a wait for the timeout (H2, H18).

use super::{fields, syntax};
use crate::protocol::{Config, ProtocolError};

/// Collects the bytes of a head.
///
/// The result does not depend on how the bytes are split.
#[derive(Debug)]
pub(crate) struct HeadBuffer {
    kind: Kind,
    bytes: Vec<u8>,
    /// Bytes so far, including those of earlier heads: interim responses share one limit (K2).
    seen: usize,
    /// Complete lines so far, without the empty ones.
    lines: usize,
    /// Bytes of the current line, without its CR.
    line: usize,
    /// Whether the last byte was a CR, so that an LF must follow.
    after_cr: bool,
    /// Spaces in the first line, and the number of bytes between the first two of them: the request target.
    spaces: usize,
    target: usize,
}

/// The kind of head that is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Response,
}

/// What ends with a line break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Line,
    Head,
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
        Self { kind, bytes: Vec::new(), seen: 0, lines: 0, line: 0, after_cr: false, spaces: 0, target: 0 }
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
        let room = config.max_head_size.saturating_sub(self.seen);
        let (mut rest, beyond) = input.split_at(room.min(input.len()));
        self.bytes.reserve(rest.len());
        loop {
            let (length, ended) = self.scan_line(rest, config)?;
            self.seen = self.seen.saturating_add(length);
            let Some((line, others)) = rest.split_at_checked(length) else { break };
            self.bytes.extend_from_slice(line);
            rest = others;
            match ended {
                None => break,
                Some(Ended::Head) => {
                    let left = rest.len().saturating_add(beyond.len());
                    return Ok((input.len().saturating_sub(left), true));
                }
                Some(Ended::Line) => self.end_line(config)?,
            }
        }
        if beyond.is_empty() { Ok((input.len(), false)) } else { Err(ProtocolError::HeadTooLarge) }
    }

    /// Returns the bytes so far: once the head is complete, the head with its empty line.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins the head that follows an interim response. The limit applies to both of them together (K2).
    pub(crate) fn restart(&mut self) {
        let seen = self.seen;
        *self = Self { seen, ..Self::new(self.kind) };
    }

    /// Examines bytes up to the end of the line; returns their number and what ended there.
    fn scan_line(&mut self, bytes: &[u8], config: &Config) -> Result<(usize, Option<Ended>), ProtocolError> {
        let mut rest = bytes;
        loop {
            if !self.after_cr {
                let (text, others) = rest.split_at(fields::text_len(rest));
                self.text(text, config)?;
                rest = others;
            }
            rest = match (self.after_cr, rest) {
                (_, []) => return Ok((bytes.len(), None)),
                (false, [b'\r', others @ ..]) => {
                    self.after_cr = true;
                    others
                }
                (true, [b'\n', others @ ..]) => {
                    if let Some(ended) = self.line_break()? {
                        return Ok((bytes.len().saturating_sub(others.len()), Some(ended)));
                    }
                    others
                }
                _ => return Err(ProtocolError::MalformedHead),
            };
        }
    }

    fn line_break(&mut self) -> Result<Option<Ended>, ProtocolError> {
        self.after_cr = false;
        match (self.line, self.lines, self.kind) {
            // RFC 9112 §2.2: a server ignores empty lines before the request line.
            (0, 0, Kind::Request) => Ok(None),
            (0, 0, Kind::Response) => Err(ProtocolError::MalformedHead),
            (0, ..) => Ok(Some(Ended::Head)),
            _ => Ok(Some(Ended::Line)),
        }
    }

    /// Processes bytes of a line.
    fn text(&mut self, text: &[u8], config: &Config) -> Result<(), ProtocolError> {
        let Some(first) = text.first() else { return Ok(()) };
        // No name, method or version begins with another byte. This rejects folded lines and TLS handshakes.
        if self.line == 0 && !fields::is_token_byte(*first) {
            return Err(ProtocolError::MalformedHead);
        }
        self.line = self.line.saturating_add(text.len());
        if self.lines == 0 && self.kind == Kind::Request {
            for byte in text {
                if *byte == b' ' {
                    self.spaces = self.spaces.saturating_add(1);
                } else if self.spaces == 1 {
                    self.target = self.target.saturating_add(1);
                }
            }
        }
        if self.target > config.max_target_size { Err(ProtocolError::TargetTooLong) } else { Ok(()) }
    }

    fn end_line(&mut self, config: &Config) -> Result<(), ProtocolError> {
        if self.lines == 0 {
            self.check_first_line()?;
        } else if self.lines > config.max_headers {
            return Err(ProtocolError::TooManyHeaders);
        }
        self.lines = self.lines.saturating_add(1);
        self.line = 0;
        Ok(())
    }

    /// Rejects another protocol as soon as its first line has arrived: its client may be waiting for a response.
    fn check_first_line(&self) -> Result<(), ProtocolError> {
        let head = syntax::skip_empty_lines(&self.bytes);
        let (line, _) = syntax::split_first_line(head).ok_or(ProtocolError::MalformedHead)?;
        match self.kind {
            Kind::Request => syntax::parse_request_line(line).map(drop),
            Kind::Response => syntax::parse_status_line(line).map(drop),
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
            // `seen` counts the bytes that the scanner has looked at.
            assert_eq!(head.seen, at + 1);
        }
        assert_eq!(head.bytes(), bytes);
    }

    #[test]
    fn h2_the_head_size_limit_is_inclusive() {
        let config = Config { max_head_size: HEAD.len(), ..Config::default() };
        assert_eq!(push(&mut HeadBuffer::request(), HEAD, &config), Ok((true, vec![])));
        let config = Config { max_head_size: HEAD.len() - 1, ..config };
        let mut head = HeadBuffer::request();
        assert_eq!(push(&mut head, HEAD, &config), Err(ProtocolError::HeadTooLarge));
        assert!(head.bytes().len() < HEAD.len());
    }

    #[test]
    fn h2_an_endless_head_is_rejected_before_its_end() {
        let endless = [&b"GET / HTTP/1.1\r\nX: "[..], &vec![b'x'; 1 << 20]].concat();
        let mut head = HeadBuffer::request();
        assert_eq!(push(&mut head, &endless, &Config::default()), Err(ProtocolError::HeadTooLarge));
        assert!(head.bytes().len() <= 16 * 1024);
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
            assert_eq!(head.bytes(), HEAD);
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
                Ok((true, _)) => head.restart(),
                Ok(_) => unreachable!("the head is complete"),
                Err(error) => break error,
            }
            count += 1;
        };
        assert_eq!((error, count), (ProtocolError::HeadTooLarge, 16 * 1024 / interim.len()));
    }
}
