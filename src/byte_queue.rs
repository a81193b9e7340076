//! A queue of bytes, for TLS.

/// A queue of bytes that is filled from outside, without initializing its memory each time.
#[derive(Debug, Default)]
pub(crate) struct ByteQueue {
    /// Initialized memory. Only the bytes in `start..end` are in the queue.
    memory: Vec<u8>,
    start: usize,
    end: usize,
}

impl ByteQueue {
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Returns for how many more bytes there is memory.
    pub(crate) fn free(&self) -> usize {
        self.memory.len() - self.end
    }

    /// Returns how much memory the queue owns, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// Returns the bytes in the queue.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.memory.get(self.start..self.end).unwrap_or_default()
    }

    /// Returns the bytes in the queue, to be changed in place.
    #[cfg(feature = "rustls")]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.memory.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Removes bytes from the front of the queue.
    pub(crate) fn consume(&mut self, len: usize) {
        self.start = self.end.min(self.start + len);
    }

    /// Returns memory for at least `len` more bytes. [`add`](Self::add) appends what was written to it.
    pub(crate) fn room(&mut self, len: usize) -> &mut [u8] {
        if self.free() < len {
            self.make_room(len);
        }
        self.memory.get_mut(self.end..).unwrap_or_default()
    }

    /// Appends the first bytes of the memory that [`room`](Self::room) has returned.
    pub(crate) fn add(&mut self, len: usize) {
        self.end = self.memory.len().min(self.end + len);
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) {
        if let Some(room) = self.room(bytes.len()).get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
        }
        self.add(bytes.len());
    }

    /// Replaces the memory, and returns the former one. The bytes are moved.
    pub(crate) fn replace_memory(&mut self, mut memory: Vec<u8>) -> Vec<u8> {
        let len = self.len();
        if memory.len() < len {
            memory.resize(len, 0);
        }
        memory.get_mut(..len).unwrap_or_default().copy_from_slice(self.bytes());
        (self.start, self.end) = (0, len);
        std::mem::replace(&mut self.memory, memory)
    }

    /// Moves the bytes to the front, and enlarges the memory if that is not enough.
    fn make_room(&mut self, len: usize) {
        self.memory.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.len());
        if self.free() < len {
            // Doubling keeps the cost of many small additions linear.
            self.memory.resize((self.end + len).max(2 * self.memory.len()), 0);
        }
    }
}
