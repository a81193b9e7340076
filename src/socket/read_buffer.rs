//! Bytes that were read from a stream and have not been processed yet.

/// The most that is read at once for a long payload, in bytes.
const LARGE: usize = 128 * 1024;

/// A buffer that is filled at its end and consumed from its beginning.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The least room that is offered to a read, in bytes.
    chunk: usize,
}

impl ReadBuffer {
    /// Starts with bytes that have been read already.
    pub(crate) fn new(unread: Vec<u8>, chunk: usize) -> Self {
        Self { start: 0, end: unread.len(), buffer: unread, chunk }
    }

    /// The number of unprocessed bytes.
    #[cfg(feature = "futures")]
    pub(crate) fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    #[cfg(feature = "futures")]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The unprocessed bytes.
    pub(crate) fn unread(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Drops all but the last `left` bytes: they have been processed.
    pub(crate) fn keep(&mut self, left: usize) {
        self.start = self.end.saturating_sub(left);
    }

    /// Returns room for the next read; `missing` is the rest of the payload in progress, in bytes.
    pub(crate) fn room(&mut self, missing: u64) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let missing = usize::try_from(missing).unwrap_or(LARGE);
        let needed = self.end.saturating_add(missing.clamp(self.chunk, LARGE.max(self.chunk)));
        if self.buffer.len() < needed {
            self.buffer.resize(needed, 0);
        } else if missing == 0 && self.buffer.len() > needed.saturating_mul(2) {
            // Memory is released only if there is much of it: shrinking costs a reallocation.
            self.buffer.truncate(needed);
            self.buffer.shrink_to_fit();
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Records that `len` bytes were read into [`room`](Self::room).
    pub(crate) fn filled(&mut self, len: usize) {
        self.end = self.end.saturating_add(len).min(self.buffer.len());
    }

    /// Takes the unprocessed bytes out.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let unread = self.unread().to_vec();
        self.keep(0);
        unread
    }
}

#[cfg(test)]
mod tests {
    use super::ReadBuffer;

    #[test]
    fn unread_bytes_are_kept_and_a_long_payload_gets_space() {
        let mut input = ReadBuffer::new(b"abc".to_vec(), 4);
        input.keep(1);
        assert_eq!(input.room(0).len(), 4);
        input.room(0)[..2].copy_from_slice(b"de");
        input.filled(2);
        assert_eq!(input.unread(), b"cde");
        assert_eq!(input.take(), b"cde");
        assert_eq!(input.room(1000).len(), 1000);
        assert_eq!(input.room(u64::MAX).len(), super::LARGE);
        assert_eq!(input.room(0).len(), 4, "the memory is released");
        input.filled(usize::MAX);
        assert_eq!(input.unread().len(), 4);
    }
}
