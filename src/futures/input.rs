//! What has been read and not been looked at.

/// How much is read at once, in bytes.
const CHUNK: usize = 8 * 1024;

/// How much is read at once of a long payload, in bytes.
const LARGE: usize = 128 * 1024;

#[derive(Debug, Default)]
pub(super) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// Begins with what someone else has read.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self { start: 0, end: bytes.len(), buffer: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn unread(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Tells that all but the last `left` bytes have been looked at.
    pub(super) fn keep(&mut self, left: usize) {
        self.start = self.end.saturating_sub(left);
    }

    /// Where the next bytes are read to, when all has been looked at; `missing` is how long a payload is yet to come.
    pub(super) fn room(&mut self, missing: u64) -> &mut [u8] {
        (self.start, self.end) = (0, 0);
        let missing = usize::try_from(missing).unwrap_or(LARGE);
        let size = missing.clamp(CHUNK, LARGE);
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        } else if self.buffer.len() > CHUNK && missing == 0 {
            self.buffer.truncate(CHUNK);
            self.buffer.shrink_to_fit();
        }
        &mut self.buffer
    }

    /// Tells how much was read into [`room`](Self::room).
    pub(super) fn filled(&mut self, len: usize) {
        self.end = len.min(self.buffer.len());
    }

    /// Takes out what nobody has looked at.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let unread = self.unread().to_vec();
        self.keep(0);
        unread
    }
}
