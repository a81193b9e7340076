//! Parses and checks the replies of the server.

use flate2::{Decompress, FlushDecompress};

use super::ring::{Ring, opcode};
use crate::Result;
use crate::spec::{Compression, Spec};

/// The state of the replies on one connection.
#[derive(Debug)]
pub(super) struct Replies {
    kind: Kind,
    /// The expected length and opcode of each message, and whether its content is compared.
    size: u64,
    opcode: u8,
    verify: bool,
    /// The index of the next message in the ring.
    next: usize,
    /// The number of payload bytes before decompression.
    pub(super) payload: u64,
    /// The number of complete messages, and of their frames.
    pub(super) messages: u64,
    pub(super) frames: u64,
}

#[derive(Debug)]
enum Kind {
    /// Any bytes. A reply is complete when as many bytes have been received as a frame of a server has.
    Raw { frame: u64, seen: u64 },
    /// Frames, which are parsed.
    Frames(Box<Frames>),
}

#[derive(Debug, Default)]
struct Frames {
    header: Vec<u8>,
    /// The number of missing payload bytes of the current frame, if its header is complete.
    missing: Option<u64>,
    last: bool,
    /// The current message: its first byte, its length so far, and its content so far if it is compared.
    first: u8,
    length: u64,
    content: Vec<u8>,
    /// The number of frames of the current message so far.
    count: u64,
    inflate: Option<Decompress>,
}

impl Replies {
    pub(super) fn new(spec: &Spec) -> Self {
        let size = spec.size as u64;
        let header = if size < 126 {
            2
        } else if size < 65_536 {
            4
        } else {
            10
        };
        let inflate = (spec.compression != Compression::Off).then(|| Decompress::new(false));
        let kind = if spec.raw {
            Kind::Raw { frame: size + header, seen: 0 }
        } else {
            Kind::Frames(Box::new(Frames { inflate, ..Frames::default() }))
        };
        let verify = spec.verify || spec.compression != Compression::Off;
        Self { kind, size, opcode: opcode(spec.content), verify, next: 0, payload: 0, messages: 0, frames: 0 }
    }

    /// Processes received bytes, and returns the number of messages that they complete.
    ///
    /// # Errors
    ///
    /// Returns an error if a reply differs from the message that was sent.
    pub(super) fn take(&mut self, mut bytes: &[u8], ring: &Ring) -> Result<usize> {
        let mut complete = 0;
        if let Kind::Raw { frame, seen } = &mut self.kind {
            *seen += bytes.len() as u64;
            complete = usize::try_from(*seen / *frame)?;
            *seen %= *frame;
            return Ok(complete);
        }
        while !bytes.is_empty() {
            let Kind::Frames(frames) = &mut self.kind else { break };
            let (used, done) = frames.step(bytes, self.verify)?;
            bytes = &bytes[used..];
            if done {
                self.check(ring)?;
                complete += 1;
            }
        }
        Ok(complete)
    }

    /// Checks a complete message, and clears it for the next one.
    fn check(&mut self, ring: &Ring) -> Result<()> {
        let Kind::Frames(frames) = &mut self.kind else { return Ok(()) };
        self.payload += frames.length;
        self.messages += 1;
        self.frames += std::mem::take(&mut frames.count);
        if frames.first & 0x0f != self.opcode {
            return Err(format!("a frame with the opcode {} was received", frames.first & 0x0f).into());
        }
        if frames.first & 0x40 != 0 {
            frames.inflate(self.size)?;
        }
        if frames.length != self.size {
            return Err(format!("a reply has {} bytes instead of {}", frames.length, self.size).into());
        }
        if self.verify && frames.content != ring.message(self.next) {
            return Err("a reply differs from the message that was sent".into());
        }
        self.next = (self.next + 1) % ring.len();
        frames.content.clear();
        frames.length = 0;
        Ok(())
    }
}

impl Frames {
    /// Processes a header, or a part of a payload. Returns the number of consumed bytes, and whether the message is
    /// complete.
    fn step(&mut self, bytes: &[u8], keep: bool) -> Result<(usize, bool)> {
        let Some(missing) = self.missing else { return self.step_header(bytes) };
        let count = usize::try_from(missing).unwrap_or(usize::MAX).min(bytes.len());
        if keep {
            self.content.extend_from_slice(&bytes[..count]);
        }
        Ok((count, self.advance(count as u64)))
    }

    /// Counts received payload bytes. Returns whether the message is complete.
    fn advance(&mut self, count: u64) -> bool {
        let missing = self.missing.unwrap_or(0) - count;
        self.length += count;
        self.missing = (missing > 0).then_some(missing);
        missing == 0 && self.last
    }

    fn step_header(&mut self, bytes: &[u8]) -> Result<(usize, bool)> {
        let before = self.header.len();
        self.header.extend_from_slice(&bytes[..bytes.len().min(10 - before)]);
        let Some((length, used)) = header(&self.header)? else {
            return Ok((self.header.len() - before, false));
        };
        let first = self.header[0];
        // The first fragment contains the opcode of the message.
        if first & 0x0f != 0 {
            self.first = first;
        }
        self.last = first & 0x80 != 0;
        self.count += 1;
        self.header.clear();
        self.missing = Some(length);
        Ok((used - before, length == 0 && self.advance(0)))
    }

    /// Inflates the message in `content` (RFC 7692 §7.2.2).
    fn inflate(&mut self, size: u64) -> Result<()> {
        let inflate = self.inflate.as_mut().ok_or("a compressed message was received without negotiation")?;
        self.content.extend_from_slice(&[0, 0, 0xff, 0xff]);
        let mut message = Vec::with_capacity(usize::try_from(size)? + 64);
        let before = inflate.total_in();
        inflate.decompress_vec(&self.content, &mut message, FlushDecompress::Sync)?;
        if inflate.total_in() - before != self.content.len() as u64 {
            return Err("a reply is longer than the message that was sent".into());
        }
        self.length = message.len() as u64;
        self.content = message;
        Ok(())
    }
}

/// Parses the header of a server's frame. Returns the lengths of the payload and of the header, or `None` if the header
/// is incomplete.
fn header(bytes: &[u8]) -> Result<Option<(u64, usize)>> {
    let &[_, second, ..] = bytes else { return Ok(None) };
    Ok(match second {
        0..=125 => Some((u64::from(second), 2)),
        126 => bytes.get(2..4).map(|two| (number(two), 4)),
        127 => bytes.get(2..10).map(|eight| (number(eight), 10)),
        _ => return Err("the server masks its frames".into()),
    })
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
