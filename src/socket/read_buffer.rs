//! Bytes that were read from a stream and have not been processed yet.
//!
//! A connection owns memory for input only while there are such bytes, or during a read. It returns it to the thread, which keeps
//! one buffer, and others in the pool of buffers for payloads. Thus a connection that waits holds none, and a busy one does not
//! allocate.

use std::cell::Cell;

use crate::protocol::buffer_pool;

/// The most that is read at once for a long payload, in bytes.
const LARGE: usize = 128 * 1024;

/// How much longer than necessary a buffer may be.
const MAX_EXCESS: usize = 4;

thread_local! {
    /// The buffer that the next read of this thread uses.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A buffer that is filled at its end and consumed from its beginning.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    /// Starts with bytes that have been read already.
    pub(crate) fn new(unread: Vec<u8>) -> Self {
        Self { start: 0, end: unread.len(), buffer: unread }
    }

    /// The number of unprocessed bytes.
    pub(crate) fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

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
        self.release();
    }

    /// Returns room for the next read, at least `chunk` bytes; `missing` is the rest of the payload in progress, in bytes. If the
    /// read adds nothing, [`release`](Self::release) must be called.
    pub(crate) fn room(&mut self, chunk: usize, missing: u64) -> &mut [u8] {
        let missing = usize::try_from(missing).unwrap_or(LARGE);
        // Few different lengths, so that the pool has a suitable buffer.
        let wanted = missing.clamp(chunk, LARGE.max(chunk)).next_power_of_two();
        let needed = self.end.saturating_add(wanted);
        if self.buffer.len() < needed {
            self.replace_memory(self.len().saturating_add(wanted));
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Records that `len` bytes were read into [`room`](Self::room).
    pub(crate) fn filled(&mut self, len: usize) {
        self.end = self.end.saturating_add(len).min(self.buffer.len());
    }

    /// Returns the memory to the thread, unless there are unprocessed bytes.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            give(std::mem::take(&mut self.buffer));
        }
    }

    /// Takes the unprocessed bytes out.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let unread = self.unread().to_vec();
        self.keep(0);
        unread
    }

    /// Moves the unprocessed bytes to other memory.
    fn replace_memory(&mut self, len: usize) {
        let mut memory = take(len);
        let unread = self.unread();
        let end = unread.len();
        memory.get_mut(..end).unwrap_or_default().copy_from_slice(unread);
        (self.start, self.end) = (0, end);
        give(std::mem::replace(&mut self.buffer, memory));
    }
}

/// Returns memory of at least this length, which contains bytes of its last use.
fn take(len: usize) -> Vec<u8> {
    let spare = SPARE.try_with(Cell::take).unwrap_or_default();
    if (len..=len.saturating_mul(MAX_EXCESS)).contains(&spare.len()) {
        return spare;
    }
    buffer_pool::give(spare);
    let mut memory = buffer_pool::take_used(len).unwrap_or_default();
    if memory.len() < len {
        memory.resize(len, 0);
    }
    memory
}

/// Keeps memory for the next reads of this thread.
fn give(memory: Vec<u8>) {
    if !memory.is_empty() {
        // When the thread is ending, the memory is freed.
        let _ = SPARE.try_with(|spare| buffer_pool::give(spare.replace(memory)));
    }
}

#[cfg(test)]
mod tests {
    use super::{LARGE, ReadBuffer};

    #[test]
    fn unread_bytes_are_kept_and_a_long_payload_gets_space() {
        let mut input = ReadBuffer::new(b"abc".to_vec());
        input.keep(1);
        assert_eq!(input.room(4096, 0).len(), 4096);
        input.room(4096, 0)[..2].copy_from_slice(b"de");
        input.filled(2);
        assert_eq!(input.len(), 3);
        assert_eq!(input.unread(), b"cde");
        assert!(input.room(4096, 10_000).len() >= 10_000);
        assert_eq!(input.take(), b"cde");
        assert_eq!(input.room(4096, u64::MAX).len(), LARGE);
        input.filled(usize::MAX);
        assert_eq!(input.len(), LARGE);
    }

    #[test]
    fn a_buffer_without_unread_bytes_owns_no_memory() {
        let mut input = ReadBuffer::new(b"abc".to_vec());
        input.keep(0);
        assert_eq!(input.buffer.capacity(), 0);
        let room = input.room(4096, 0);
        room[0] = 7;
        let place = room.as_ptr();
        input.release();
        assert_eq!(input.buffer.capacity(), 0);
        let room = input.room(4096, 0);
        assert_eq!((room.as_ptr(), room[0]), (place, 7), "the thread has kept it");
    }
}
