//! What the connections of a thread share: compressors and decompressors without context, and a buffer.
//!
//! A connection takes one for a message and returns it. Each is reset when it is taken, so that earlier messages have no effect,
//! even if they were not completed.

use std::cell::RefCell;

use super::compressor::{Compressor, Key};
use super::inflater::Inflater;

/// How many compressors a thread keeps, one for each key in use.
const MAX_COMPRESSORS: usize = 4;

/// How many decompressors a thread keeps. More than one is needed only while fragmented messages are in progress.
const MAX_INFLATERS: usize = 4;

/// The length of the buffer in bytes.
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

/// Calls `act` with the state of the thread. Returns `None` if the thread is ending.
fn with<R>(act: impl FnOnce(&mut Shared) -> R) -> Option<R> {
    SHARED.try_with(|shared| shared.try_borrow_mut().ok().map(|mut shared| act(&mut shared))).ok().flatten()
}

/// Takes a decompressor without context.
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

/// Takes a compressor without context.
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

/// Calls `act` with the buffer, which is never empty.
pub(super) fn with_buffer<R>(act: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = with(|shared| std::mem::take(&mut shared.buffer)).unwrap_or_default();
    buffer.resize(BUFFER, 0);
    let result = act(&mut buffer);
    with(|shared| shared.buffer = buffer);
    result
}

/// How many compressors and decompressors the thread keeps.
#[cfg(test)]
pub(super) fn kept() -> (usize, usize) {
    with(|shared| (shared.compressors.len(), shared.inflaters.len())).unwrap_or_default()
}
