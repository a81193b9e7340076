//! A head, as it arrives: collected from pieces of any size, each byte looked at once (H1).
//!
//! What can not become a head is refused at the byte that shows it, not when the head would be complete: a scanner, a
//! TLS hello or an endless line costs neither memory nor a wait for the time-out (H2, H18).

use super::{fields, http};
use crate::protocol::{Config, ProtocolError};

/// Collects the bytes of a head.
///
/// The same bytes give the same head, or the same error, wherever they are cut.
#[derive(Debug)]
pub(crate) struct HeadBuffer {
    kind: Kind,
    bytes: Vec<u8>,
    /// Bytes seen so far, those of earlier heads included: interim responses share one limit (K2).
    seen: usize,
    /// Lines complete so far, without the empty ones.
    lines: usize,
    /// Bytes of the line that is arriving, without its CR.
    line: usize,
    /// Whether the last byte was a CR, so that an LF must follow.
    after_cr: bool,
    /// Spaces in the first line, and how many bytes stand between its first two: the request target.
    spaces: usize,
    target: usize,
}

/// What kind of head is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Response,
}

/// What a line break ended.
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

    /// Takes what belongs to the head off the front of the input, and returns whether the head is complete.
    ///
    /// What follows the head stays in the input (H10).
    pub(crate) fn push(&mut self, input: &mut &mut [u8], config: &Config) -> Result<bool, ProtocolError> {
        let (length, complete) = self.feed(input, config)?;
        *input = std::mem::take(input).split_at_mut_checked(length).map(|(_, rest)| rest).unwrap_or_default();
        Ok(complete)
    }

    /// Takes bytes, and returns how many of them belong to the head and whether it is complete.
    pub(super) fn feed(&mut self, input: &[u8], config: &Config) -> Result<(usize, bool), ProtocolError> {
        let mut rest = input;
        loop {
            let (length, ended) = self.scan_line(rest, config)?;
            let Some((line, others)) = rest.split_at_checked(length) else { break };
            self.bytes.extend_from_slice(line);
            rest = others;
            match ended {
                None => break,
                Some(Ended::Head) => return Ok((input.len().saturating_sub(rest.len()), true)),
                Some(Ended::Line) => self.end_line(config)?,
            }
        }
        Ok((input.len(), false))
    }

    /// Returns the bytes collected so far: the head with its empty line, once it is complete.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins the head that follows an interim response; the limit of the size goes on counting (K2).
    pub(crate) fn restart(&mut self) {
        let seen = self.seen;
        *self = Self { seen, ..Self::new(self.kind) };
    }

    /// Looks at bytes up to the end of the line, and returns how many it has seen and what ended there.
    fn scan_line(&mut self, bytes: &[u8], config: &Config) -> Result<(usize, Option<Ended>), ProtocolError> {
        for (at, byte) in bytes.iter().enumerate() {
            if let Some(ended) = self.step(*byte, config)? {
                return Ok((at.saturating_add(1), Some(ended)));
            }
        }
        Ok((bytes.len(), None))
    }

    fn step(&mut self, byte: u8, config: &Config) -> Result<Option<Ended>, ProtocolError> {
        self.seen = self.seen.saturating_add(1);
        if self.seen > config.max_head_size {
            return Err(ProtocolError::HeadTooLarge);
        }
        if self.after_cr != (byte == b'\n') {
            return Err(ProtocolError::MalformedHead);
        }
        match byte {
            b'\r' => self.after_cr = true,
            b'\n' => return self.line_break(),
            // Neither a name nor a method nor a version begins with anything else: no folded line, no TLS hello.
            _ if self.line == 0 && !fields::is_token_byte(byte) => return Err(ProtocolError::MalformedHead),
            _ if !fields::is_text_byte(byte) => return Err(ProtocolError::MalformedHead),
            _ => self.text(byte, config)?,
        }
        Ok(None)
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

    fn text(&mut self, byte: u8, config: &Config) -> Result<(), ProtocolError> {
        self.line = self.line.saturating_add(1);
        if self.lines > 0 || self.kind == Kind::Response {
            return Ok(());
        }
        if byte == b' ' {
            self.spaces = self.spaces.saturating_add(1);
        } else if self.spaces == 1 {
            self.target = self.target.saturating_add(1);
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

    /// Refuses another protocol as soon as its first line is there: its client may be waiting for ours.
    fn check_first_line(&self) -> Result<(), ProtocolError> {
        let head = http::skip_empty_lines(&self.bytes);
        let (line, _) = http::split_first_line(head).ok_or(ProtocolError::MalformedHead)?;
        match self.kind {
            Kind::Request => http::parse_request_line(line).map(drop),
            Kind::Response => http::parse_status_line(line).map(drop),
        }
    }
}
