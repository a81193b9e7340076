//! Takes what the server sends apart, and checks it.

use flate2::{Decompress, FlushDecompress};

use super::ring::{Ring, opcode};
use crate::Result;
use crate::spec::{Compression, Spec};

/// What comes back on one connection, whole or not.
#[derive(Debug)]
pub(super) struct Replies {
    kind: Kind,
    /// What each message must be: length, opcode, and, where asked for, content.
    size: u64,
    opcode: u8,
    verify: bool,
    /// Number of the message that comes next, in the ring.
    next: usize,
    /// Bytes of payload on the wire.
    pub(super) payload: u64,
}

#[derive(Debug)]
enum Kind {
    /// As many bytes as a server's frame has, whatever they are.
    Raw { frame: u64, seen: u64 },
    /// Frames, parsed.
    Frames(Box<Frames>),
}

#[derive(Debug, Default)]
struct Frames {
    header: Vec<u8>,
    /// What is missing of the payload of the frame, if its header is complete.
    missing: Option<u64>,
    last: bool,
    /// The message so far: its first byte, its length, and its content if that is looked at.
    first: u8,
    length: u64,
    content: Vec<u8>,
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
        Self { kind, size, opcode: opcode(spec.content), verify, next: 0, payload: 0 }
    }

    /// Takes bytes as they came, and returns how many messages they completed.
    ///
    /// # Errors
    ///
    /// If they are not what was sent.
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

    /// Checks the message that has just been completed, and makes room for the next.
    fn check(&mut self, ring: &Ring) -> Result<()> {
        let Kind::Frames(frames) = &mut self.kind else { return Ok(()) };
        self.payload += frames.length;
        if frames.first & 0x0f != self.opcode {
            return Err(format!("a frame with the opcode {} came", frames.first & 0x0f).into());
        }
        if frames.first & 0x40 != 0 {
            frames.inflate(self.size)?;
        }
        if frames.length != self.size {
            return Err(format!("a reply of {} bytes came, not of {}", frames.length, self.size).into());
        }
        if self.verify && frames.content != ring.message(self.next) {
            return Err("a reply differs from what was sent".into());
        }
        self.next = (self.next + 1) % ring.len();
        frames.content.clear();
        frames.length = 0;
        Ok(())
    }
}

impl Frames {
    /// Takes a header, or a piece of payload; returns how much was taken, and whether the message is complete.
    fn step(&mut self, bytes: &[u8], keep: bool) -> Result<(usize, bool)> {
        let Some(missing) = self.missing else { return self.step_header(bytes) };
        let count = usize::try_from(missing).unwrap_or(usize::MAX).min(bytes.len());
        if keep {
            self.content.extend_from_slice(&bytes[..count]);
        }
        Ok((count, self.advance(count as u64)))
    }

    /// Counts payload that has come.
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
        // A fragment goes on with the opcode of the first one.
        if first & 0x0f != 0 {
            self.first = first;
        }
        self.last = first & 0x80 != 0;
        self.header.clear();
        self.missing = Some(length);
        Ok((used - before, length == 0 && self.advance(0)))
    }

    /// Inflates the message in `content` (RFC 7692 §7.2.2).
    fn inflate(&mut self, size: u64) -> Result<()> {
        let inflate = self.inflate.as_mut().ok_or("a compressed message came, and none was agreed upon")?;
        self.content.extend_from_slice(&[0, 0, 0xff, 0xff]);
        let mut message = Vec::with_capacity(usize::try_from(size)? + 64);
        let before = inflate.total_in();
        inflate.decompress_vec(&self.content, &mut message, FlushDecompress::Sync)?;
        if inflate.total_in() - before != self.content.len() as u64 {
            return Err("a message is longer than what was sent".into());
        }
        self.length = message.len() as u64;
        self.content = message;
        Ok(())
    }
}

/// Reads a server's header: the length of the payload, and its own. `None` if it is not all there.
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
