//! The frames that are sent repeatedly. They are masked, and compressed if requested, before the measurement.

use flate2::{Compress, Compression as Level, FlushCompress};

use super::content;
use crate::Result;
use crate::spec::{Compression, Content, Spec};

/// The number of frames, unless they are large.
const FRAMES: usize = 64;
/// The maximum number of bytes, unless more are needed for the number of messages in flight.
const BYTES: usize = 1 << 20;

/// The frames, in the order in which every connection sends them.
#[derive(Debug)]
pub(super) struct Ring {
    bytes: Vec<u8>,
    /// The offset of each frame, and the end of the last one.
    starts: Vec<usize>,
    messages: Vec<Vec<u8>>,
}

impl Ring {
    /// Creates the frames of a run. `extensions` contains the extensions that the server has accepted.
    ///
    /// # Errors
    ///
    /// Returns an error if a message cannot be compressed.
    pub(super) fn new(spec: &Spec, extensions: &str) -> Result<Self> {
        let count = (BYTES / spec.size.max(1)).min(FRAMES).max(spec.in_flight);
        let messages: Vec<_> = (0..count).map(|i| content::message(spec.content, spec.size, i)).collect();
        let mut ring = Self { bytes: Vec::new(), starts: vec![0], messages };
        let mut packer = Packer::new(extensions.contains("client_no_context_takeover"));
        for (index, message) in ring.messages.iter().enumerate() {
            let first = opcode(spec.content) | 0x80;
            if spec.compression == Compression::Off {
                append(&mut ring.bytes, first, message, index);
            } else {
                append(&mut ring.bytes, first | 0x40, &packer.pack(message)?, index);
            }
            ring.starts.push(ring.bytes.len());
        }
        Ok(ring)
    }

    /// Returns the number of frames.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns the message of a frame.
    pub(super) fn message(&self, index: usize) -> &[u8] {
        &self.messages[index]
    }

    /// Returns up to `count` frames, beginning with frame `first`, as one slice without the first `sent` bytes.
    pub(super) fn frames(&self, first: usize, count: usize, sent: usize) -> &[u8] {
        let end = (first + count).min(self.len());
        &self.bytes[self.starts[first] + sent..self.starts[end]]
    }

    /// Returns the length of a frame.
    pub(super) fn length(&self, index: usize) -> usize {
        self.starts[index + 1] - self.starts[index]
    }
}

/// Returns the opcode of messages (RFC 6455 §5.2).
pub(super) fn opcode(content: Content) -> u8 {
    if content == Content::Binary { 2 } else { 1 }
}

/// Appends a client's frame. The masking key depends on `index`.
pub(super) fn append(out: &mut Vec<u8>, first: u8, payload: &[u8], index: usize) {
    let key =
        u32::try_from(index).unwrap_or(0).wrapping_mul(0x9E37_79B1).wrapping_add(0x85EB_CA6B).to_be_bytes();
    out.push(first);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => out.push(0x80 | length),
        (_, Ok(length)) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Compresses messages (RFC 7692 §7.2.1).
///
/// The first message of the ring does not refer to earlier data. Therefore the ring can be sent repeatedly, whether the
/// server keeps its context or not.
struct Packer {
    deflate: Compress,
    forgets: bool,
}

impl Packer {
    fn new(forgets: bool) -> Self {
        Self { deflate: Compress::new(Level::default(), false), forgets }
    }

    fn pack(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        if self.forgets {
            self.deflate.reset();
        }
        let mut packed = Vec::with_capacity(message.len() + 64);
        let before = self.deflate.total_in();
        self.deflate.compress_vec(message, &mut packed, FlushCompress::Sync)?;
        if self.deflate.total_in() - before != message.len() as u64 || !packed.ends_with(&[0, 0, 0xff, 0xff])
        {
            return Err("a compressed message does not fit into the buffer".into());
        }
        packed.truncate(packed.len() - 4);
        Ok(packed)
    }
}
