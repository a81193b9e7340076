//! What a front end has read and the core has not looked at.

/// How much is read at once of a long payload, in bytes.
const LARGE: usize = 128 * 1024;

/// A buffer that is read into at its end, and looked at from its beginning.
#[derive(Debug)]
pub(crate) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// How much is read at once when no long payload is in progress, in bytes.
    chunk: usize,
}

impl Input {
    /// Begins with what someone else has read.
    pub(crate) fn new(unread: Vec<u8>, chunk: usize) -> Self {
        Self { start: 0, end: unread.len(), buffer: unread, chunk }
    }

    /// How much is unread, in bytes.
    #[cfg(feature = "futures")]
    pub(crate) fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    #[cfg(feature = "futures")]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn unread(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Tells that all but the last `left` bytes have been looked at.
    pub(crate) fn keep(&mut self, left: usize) {
        self.start = self.end.saturating_sub(left);
    }

    /// Where the next bytes are read to; `missing` is how long a payload is yet to come.
    pub(crate) fn room(&mut self, missing: u64) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let missing = usize::try_from(missing).unwrap_or(LARGE);
        let needed = self.end.saturating_add(missing.clamp(self.chunk, LARGE.max(self.chunk)));
        if self.buffer.len() < needed {
            self.buffer.resize(needed, 0);
        } else if missing == 0 && self.buffer.len() > needed.saturating_mul(2) {
            // Much more than is needed is given back; to do so for less would cost more than it saves.
            self.buffer.truncate(needed);
            self.buffer.shrink_to_fit();
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Tells how much was read into [`room`](Self::room).
    pub(crate) fn filled(&mut self, len: usize) {
        self.end = self.end.saturating_add(len).min(self.buffer.len());
    }

    /// Takes out what nobody has looked at.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let unread = self.unread().to_vec();
        self.keep(0);
        unread
    }
}

#[cfg(test)]
mod tests {
    use super::Input;

    #[test]
    fn what_is_unread_stays_and_what_is_long_gets_room() {
        let mut input = Input::new(b"abc".to_vec(), 4);
        input.keep(1);
        assert_eq!(input.room(0).len(), 4);
        input.room(0)[..2].copy_from_slice(b"de");
        input.filled(2);
        assert_eq!(input.unread(), b"cde");
        assert_eq!(input.take(), b"cde");
        assert_eq!(input.room(1000).len(), 1000);
        assert_eq!(input.room(u64::MAX).len(), super::LARGE);
        assert_eq!(input.room(0).len(), 4, "and gives it back");
        input.filled(usize::MAX);
        assert_eq!(input.unread().len(), 4);
    }
}
