//! What the connections of a thread share: compressors and inflaters that keep no context, and a buffer.
//!
//! Each is lent for a message and comes back; whoever borrows one begins anew with it, so that what was done with it
//! before, be it to the end or not, has no effect.

use std::cell::RefCell;

use super::compressor::{Compressor, Key};
use super::inflater::Inflater;

/// How many compressors a thread keeps: one for each way to compress that is in use.
const MAX_COMPRESSORS: usize = 4;

/// How many inflaters a thread keeps: more than one is needed only while messages come in fragments.
const MAX_INFLATERS: usize = 4;

/// The length of the buffer, in bytes.
const BUFFER: usize = 32 * 1024;

thread_local! {
    static SHARED: RefCell<Shared> = const { RefCell::new(Shared::new()) };
}

struct Shared {
    #[expect(clippy::vec_box, reason = "they move to connections and back")]
    inflaters: Vec<Box<Inflater>>,
    compressors: Vec<Compressor>,
    buffer: Vec<u8>,
}

impl Shared {
    const fn new() -> Self {
        Self { inflaters: Vec::new(), compressors: Vec::new(), buffer: Vec::new() }
    }
}

/// Does something with what the thread has; `None` when the thread is about to end, and has nothing any more.
fn with<R>(act: impl FnOnce(&mut Shared) -> R) -> Option<R> {
    SHARED.try_with(|shared| shared.try_borrow_mut().ok().map(|mut shared| act(&mut shared))).ok().flatten()
}

/// Lends an inflater that knows nothing of earlier messages.
pub(super) fn take_inflater() -> Box<Inflater> {
    let known = with(|shared| shared.inflaters.pop()).flatten();
    let mut inflater = known.unwrap_or_else(|| Box::new(Inflater::new()));
    inflater.reset();
    inflater
}

pub(super) fn give_inflater(inflater: Box<Inflater>) {
    with(|shared| {
        if shared.inflaters.len() < MAX_INFLATERS {
            shared.inflaters.push(inflater);
        }
    });
}

/// Lends a compressor that knows nothing of earlier messages.
pub(super) fn take_compressor(key: Key) -> Compressor {
    let known = with(|shared| {
        let at = shared.compressors.iter().position(|compressor| compressor.key() == key)?;
        Some(shared.compressors.swap_remove(at))
    });
    let mut compressor = known.flatten().unwrap_or_else(|| Compressor::shared(key));
    compressor.reset();
    compressor
}

pub(super) fn give_compressor(compressor: Compressor) {
    with(|shared| {
        if shared.compressors.len() >= MAX_COMPRESSORS {
            shared.compressors.remove(0);
        }
        shared.compressors.push(compressor);
    });
}

/// Lends the buffer, which is never empty.
pub(super) fn with_buffer<R>(act: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = with(|shared| std::mem::take(&mut shared.buffer)).unwrap_or_default();
    buffer.resize(BUFFER, 0);
    let result = act(&mut buffer);
    with(|shared| shared.buffer = buffer);
    result
}

/// How many compressors and inflaters the thread has at hand.
#[cfg(test)]
pub(super) fn kept() -> (usize, usize) {
    with(|shared| (shared.compressors.len(), shared.inflaters.len())).unwrap_or_default()
}
