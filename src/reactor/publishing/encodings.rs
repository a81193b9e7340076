//! What the event loop keeps with a [`SharedMessage`]: the frames that all connections of servers without compression send.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use super::encode_for_clients;
use crate::protocol::SharedMessage;
use crate::reactor::memory::{MemoryBudget, SharedBytes};

#[derive(Default)]
struct Encodings {
    /// The frames, and the longest payload of each.
    encoded: OnceLock<(usize, Arc<Vec<u8>>)>,
    /// The same while connections have not sent it. It counts as memory of their loop.
    in_use: Mutex<Weak<SharedBytes>>,
}

/// Returns what a server without compression sends. `None` if another loop has encoded the message with other fragments.
pub(super) fn encoded(
    message: &SharedMessage,
    fragment_size: usize,
    memory: &MemoryBudget,
) -> Option<Arc<SharedBytes>> {
    let encodings: &Encodings = message.attached()?;
    let (used_size, encoded) = encodings
        .encoded
        .get_or_init(|| (fragment_size, Arc::new(encode_for_clients([message.frame()], fragment_size))));
    if *used_size != fragment_size {
        return None;
    }
    let mut in_use = encodings.in_use.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bytes) = in_use.upgrade().filter(|bytes| bytes.counts_in(memory)) {
        return Some(bytes);
    }
    let bytes = memory.share(Arc::clone(encoded));
    *in_use = Arc::downgrade(&bytes);
    Some(bytes)
}
