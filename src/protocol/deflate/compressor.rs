//! Messages to compressed payloads (RFC 7692 §7.2.1).

use std::fmt;

use zlib_rs::{DeflateConfig, DeflateFlush};

use super::settings::{MAX_WINDOW_BITS, MIN_WINDOW_BITS};
use super::thread_local;

/// What an empty block without compression ends with, when it is made to end at a byte (§7.2.1).
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// What a compressor is made for; messages that are compressed alone come out the same if this is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) window_bits: u8,
    pub(super) level: u8,
}

impl Key {
    /// Whether there is a compressor for it: zlib has none for a window of 8 bits, which the peer may still ask for.
    pub(super) fn is_possible(self) -> bool {
        (MIN_WINDOW_BITS..=MAX_WINDOW_BITS).contains(&self.window_bits) && (1..=9).contains(&self.level)
    }
}

/// Compresses one message after the other.
pub(super) struct Compressor {
    key: Key,
    stream: zlib_rs::Deflate,
}

impl Compressor {
    /// Makes one for many connections: it may be large.
    pub(super) fn shared(key: Key) -> Self {
        Self::new(key, 8)
    }

    /// Makes one that belongs to a connection: with a smaller window, its other buffers are smaller, too.
    pub(super) fn kept(key: Key) -> Self {
        Self::new(key, i32::from(key.window_bits.saturating_sub(7)).clamp(5, 8))
    }

    fn new(key: Key, mem_level: i32) -> Self {
        // Less than zero means that there is no header around the blocks.
        let window_bits = i32::from(key.window_bits.clamp(MIN_WINDOW_BITS, MAX_WINDOW_BITS)).wrapping_neg();
        let level = i32::from(key.level.clamp(1, 9));
        let config = DeflateConfig { window_bits, mem_level, level, ..DeflateConfig::default() };
        Self { key, stream: zlib_rs::Deflate::new_with_config(config) }
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Forgets what was compressed before.
    pub(super) fn reset(&mut self) {
        self.stream.reset();
    }

    /// Compresses a message; `None` if that takes `most` bytes or more, and then the compressor is to be reset.
    pub(super) fn compress(&mut self, mut message: &[u8], most: usize) -> Option<Vec<u8>> {
        let mut compressed = Vec::new();
        thread_local::with_buffer(|buffer| {
            loop {
                let (read, written) = self.step(message, buffer)?;
                compressed.extend_from_slice(buffer.get(..written)?);
                message = message.get(read..)?;
                // Room that is left says that all is written that was to be flushed.
                if message.is_empty() && written < buffer.len() {
                    return Some(());
                }
                // The tail does not count, and is not cut off yet.
                if compressed.len().saturating_sub(TAIL.len()) >= most || (read, written) == (0, 0) {
                    return None;
                }
            }
        })?;
        // §7.2.1: the tail is removed; whoever inflates puts it back.
        let len = compressed.strip_suffix(&TAIL)?.len();
        compressed.truncate(len);
        (len < most).then_some(compressed)
    }

    /// Compresses as far as there is room; returns how much was read and written.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Option<(usize, usize)> {
        let before = (self.stream.total_in(), self.stream.total_out());
        self.stream.compress(input, output, DeflateFlush::SyncFlush).ok()?;
        let read = self.stream.total_in().wrapping_sub(before.0);
        let written = self.stream.total_out().wrapping_sub(before.1);
        Some((usize::try_from(read).ok()?, usize::try_from(written).ok()?))
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("key", &self.key).finish_non_exhaustive()
    }
}
