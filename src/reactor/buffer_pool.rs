//! Write queues that are lent to connections while these have output.

use super::write_queue::WriteQueue;

/// The most queues that are kept. A turn rarely uses more at the same time, except for broadcasts.
const MAX_POOLED: usize = 64;

/// Empty write queues. A connection without output owns a pointer instead of a buffer.
#[derive(Debug)]
pub(super) struct BufferPool {
    #[expect(clippy::vec_box, reason = "the boxes themselves are lent to the connections")]
    queues: Vec<Box<WriteQueue>>,
    /// The initial capacity of a new queue, in bytes.
    capacity: usize,
}

impl BufferPool {
    pub(super) fn new(capacity: usize) -> Self {
        Self { queues: Vec::new(), capacity }
    }

    /// Returns an empty queue.
    #[inline]
    pub(super) fn take(&mut self) -> Box<WriteQueue> {
        self.queues.pop().unwrap_or_else(|| Box::new(WriteQueue::with_capacity(self.capacity)))
    }

    /// Takes back an empty queue.
    #[inline]
    pub(super) fn recycle(&mut self, mut queue: Box<WriteQueue>) {
        queue.held_until = None;
        if self.queues.len() < MAX_POOLED {
            self.queues.push(queue);
        }
    }
}
