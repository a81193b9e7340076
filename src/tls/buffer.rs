//! The memory of queues for ciphertext, which the connections of a thread share.

use super::RECORD;
use crate::byte_queue::ByteQueue;
use crate::protocol::buffer_pool;

/// The least memory for one read from a transport: six records.
pub(crate) const READ: usize = 6 * RECORD;

/// The longest record (RFC 8446 §5.2). Up to this length, bytes are copied into memory of their own when a buffer is returned.
pub(super) const LONGEST_RECORD: usize = 5 + RECORD + 256;

/// The length of the buffers in the pool: one read, after a record that is not complete. All have the same length, so that each
/// of them fits every queue.
const SHARED: usize = LONGEST_RECORD + READ;

/// Returns memory of the queue for at least `len` more bytes. If a buffer of the pool is long enough, the queue uses one.
pub(crate) fn room(queue: &mut ByteQueue, len: usize) -> &mut [u8] {
    if queue.free() < len && queue.capacity() < SHARED && queue.len() + len <= SHARED {
        let mut memory = buffer_pool::take_used(SHARED).unwrap_or_default();
        if memory.len() < SHARED {
            memory.resize(SHARED, 0);
        }
        buffer_pool::give(queue.replace_memory(memory));
    }
    queue.room(len)
}

/// Returns memory that the queue does not need to the pool. An empty queue owns none.
pub(crate) fn release(queue: &mut ByteQueue) {
    if queue.is_empty() || (queue.len() <= LONGEST_RECORD && queue.capacity() >= SHARED) {
        buffer_pool::give(queue.replace_memory(Vec::new()));
    }
}
