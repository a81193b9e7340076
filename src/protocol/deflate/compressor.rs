//! Messages to compressed payloads (RFC 7692 §7.2.1).

use std::fmt;

use zlib_rs::{DeflateConfig, DeflateFlush};

use super::settings::{MAX_WINDOW_BITS, MIN_WINDOW_BITS};
use super::thread_local;

/// The end of an empty block without compression that ends at a byte boundary (§7.2.1).
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The settings of a compressor. Compressors with the same key give the same result for messages without context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) window_bits: u8,
    pub(super) level: u8,
}

impl Key {
    /// Whether a compressor exists: zlib has none for a window of 8 bits, which the peer can still request.
    pub(super) fn is_possible(self) -> bool {
        (MIN_WINDOW_BITS..=MAX_WINDOW_BITS).contains(&self.window_bits) && (1..=9).contains(&self.level)
    }
}

/// Compresses messages, one after the other.
pub(super) struct Compressor {
    key: Key,
    stream: zlib_rs::Deflate,
}

impl Compressor {
    /// Creates a compressor that many connections use, so that it may be large.
    pub(super) fn shared(key: Key) -> Self {
        Self::new(key, 8)
    }

    /// Creates a compressor for a single connection. With a smaller window, its other buffers are smaller as well.
    pub(super) fn kept(key: Key) -> Self {
        Self::new(key, i32::from(key.window_bits.saturating_sub(7)).clamp(5, 8))
    }

    fn new(key: Key, mem_level: i32) -> Self {
        // A negative number means that there is no zlib header.
        let window_bits = i32::from(key.window_bits.clamp(MIN_WINDOW_BITS, MAX_WINDOW_BITS)).wrapping_neg();
        // Level 1 of zlib-rs 0.6.8 panics if the end of a block does not fit into its buffer, which a message can cause.
        let level = i32::from(key.level.clamp(2, 9));
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

    /// Compresses a message. Returns `None` if the result has `most` bytes or more; the compressor must then be reset.
    pub(super) fn compress(&mut self, message: &[u8], most: usize) -> Option<Vec<u8>> {
        let mut compressed = Vec::new();
        self.compress_part(message, true, &mut compressed, most)?;
        Some(compressed)
    }

    /// Compresses a part of a message, and appends the result. Returns `None` if all parts together have `most` bytes or more; the
    /// compressor must then be reset.
    pub(super) fn compress_part(
        &mut self,
        mut part: &[u8],
        is_last: bool,
        compressed: &mut Vec<u8>,
        most: usize,
    ) -> Option<()> {
        let flush = if is_last { DeflateFlush::SyncFlush } else { DeflateFlush::NoFlush };
        thread_local::with_buffer(|buffer| {
            loop {
                let (read, written) = self.step(part, buffer, flush)?;
                compressed.extend_from_slice(buffer.get(..written)?);
                part = part.get(read..)?;
                // If room is left, everything has been flushed.
                if part.is_empty() && written < buffer.len() {
                    return Some(());
                }
                // The tail does not count. It has not been removed yet.
                if compressed.len().saturating_sub(TAIL.len()) >= most || (read, written) == (0, 0) {
                    return None;
                }
            }
        })?;
        if is_last {
            // §7.2.1: the sender removes the tail, and the receiver appends it.
            let len = compressed.strip_suffix(&TAIL)?.len();
            compressed.truncate(len);
        }
        (compressed.len() < most).then_some(())
    }

    /// Compresses until the output is full; returns how many bytes were read and written.
    fn step(&mut self, input: &[u8], output: &mut [u8], flush: DeflateFlush) -> Option<(usize, usize)> {
        let before = (self.stream.total_in(), self.stream.total_out());
        self.stream.compress(input, output, flush).ok()?;
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
