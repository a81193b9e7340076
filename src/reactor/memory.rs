//! The memory that all connections hold together: unfinished messages, unsent output, and commands of other threads.
//!
//! Each connection reports what it holds alone when that is more than a few kilobytes, so an echo costs nothing. Bytes that
//! several connections hold together, the output of broadcasts, count once. The counters are atomic because other threads
//! read them before they queue commands.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use log::warn;

use super::api::handler::Handler;
use super::connection::{fail_for_memory, held};
use super::entries::{Entries, Entry, index};
use super::loop_state::LoopState;
use super::queue::routing;
use super::system::System;

/// The counters of a loop and their limit. Clones share the counters.
#[derive(Debug, Clone)]
pub(crate) struct MemoryBudget {
    limit: usize,
    counters: Arc<Counters>,
    /// The number of the loop in its pool.
    of_loop: usize,
}

#[derive(Debug, Default)]
struct Counters {
    /// For each loop of a pool, at least what the connection holds that holds the most alone, in bytes. A connection that has released its
    /// memory is forgotten when the loop looks for the largest.
    largest: Box<[AtomicUsize]>,
    /// What connections hold alone, in bytes.
    owned: AtomicUsize,
    /// The output of broadcasts that is unsent, in bytes.
    shared: AtomicUsize,
    /// What the commands of other threads send, in bytes.
    queued: AtomicUsize,
}

/// The memory of a [`MemoryBudget`], in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeldParts {
    pub(crate) owned: usize,
    pub(crate) shared: usize,
    pub(crate) queued: usize,
}

impl MemoryBudget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, counters: Arc::default(), of_loop: 0 }
    }

    /// Returns the budget of a pool with this number of loops, with the same limit.
    pub(crate) fn for_loops(&self, count: usize) -> Self {
        let largest = (0..count).map(|_| AtomicUsize::new(0)).collect();
        let counters = Counters { largest, ..Counters::default() };
        Self { counters: Arc::new(counters), ..*self }
    }

    /// Returns the budget as a loop of the pool uses it.
    pub(crate) fn for_member(&self, index: usize) -> Self {
        Self { of_loop: index, ..self.clone() }
    }

    /// The number of bytes that are held.
    pub(crate) fn held(&self) -> usize {
        let Counters { owned, shared, queued, .. } = &*self.counters;
        owned.load(Relaxed).saturating_add(shared.load(Relaxed)).saturating_add(queued.load(Relaxed))
    }

    /// The bytes that are held, by kind.
    pub(crate) fn parts(&self) -> HeldParts {
        let Counters { owned, shared, queued, .. } = &*self.counters;
        HeldParts { owned: owned.load(Relaxed), shared: shared.load(Relaxed), queued: queued.load(Relaxed) }
    }

    /// Whether more is held than the limit.
    #[inline]
    pub(crate) fn is_exceeded(&self) -> bool {
        self.held() > self.limit
    }

    /// Whether this many bytes can be added.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.held().saturating_add(bytes) <= self.limit
    }

    /// A connection holds `now` bytes alone, after `before`.
    pub(super) fn report(&self, before: u32, now: u32) {
        let (before, now) = (index(before), index(now));
        let owned = &self.counters.owned;
        if now >= before {
            owned.fetch_add(now - before, Relaxed);
            if let Some(largest) = self.counters.largest.get(self.of_loop) {
                largest.fetch_max(now, Relaxed);
            }
        } else {
            owned.fetch_sub(before - now, Relaxed);
        }
    }

    /// Records what the connection of this loop holds that holds the most. Returns the loop that has a larger one and must close it.
    ///
    /// That loop can be busy. The others do not wait for it when the limit is exceeded by an eighth.
    fn find_larger(&self, largest: usize) -> Option<usize> {
        let all = &self.counters.largest;
        all.get(self.of_loop)?.store(largest, Relaxed);
        let (at, most) =
            all.iter().map(|held| held.load(Relaxed)).enumerate().max_by_key(|(_, held)| *held)?;
        let may_wait = self.held() <= self.limit.saturating_add(self.limit / 8);
        (most > largest && may_wait).then_some(at)
    }

    /// The loop has ended, with its connections. The others do not wait for it.
    pub(super) fn forget_loop(&self) {
        if let Some(largest) = self.counters.largest.get(self.of_loop) {
            largest.store(0, Relaxed);
        }
    }

    /// Commands of other threads have been queued.
    pub(super) fn add_queued(&self, bytes: usize) {
        self.counters.queued.fetch_add(bytes, Relaxed);
    }

    /// Commands of other threads have left the queue.
    pub(super) fn remove_queued(&self, bytes: usize) {
        self.counters.queued.fetch_sub(bytes, Relaxed);
    }

    /// Counts bytes that several connections hold, until the last of them drops them.
    pub(super) fn share(&self, bytes: impl Into<Arc<Vec<u8>>>) -> Arc<SharedBytes> {
        let bytes = bytes.into();
        let len = bytes.capacity();
        self.counters.shared.fetch_add(len, Relaxed);
        let counted = Counted { len, counters: Arc::clone(&self.counters) };
        Arc::new(SharedBytes { bytes, counted: Arc::new(counted) })
    }
}

/// Closes the connections that hold the most, until the limit holds. In a pool, each loop closes its own.
#[cold]
pub(super) fn relieve<H: Handler, S: System>(entries: &mut Entries<H, S>, state: &mut LoopState<S>) {
    while state.memory.is_exceeded() {
        let connections = entries.iter_mut().filter_map(|entry| match entry {
            Entry::Connected(connection) => Some(connection),
            Entry::Arriving(_) | Entry::Connecting(_) | Entry::Vacating => None,
        });
        let largest = connections.max_by_key(|connection| held(connection));
        let before = largest.as_ref().map_or(0, |connection| held(connection));
        if let Some(other) = state.memory.find_larger(before) {
            return routing::wake(&state.queue, &[other]);
        }
        let Some(largest) = largest.filter(|_| before > 0) else { return };
        fail_for_memory(largest, state);
        if held(largest) >= before {
            // What is left is freed when the connection is removed.
            return;
        }
        if let Some(count) = state.logged.memory.add(state.now) {
            let limit = state.memory.limit;
            warn!(
                "closed {count} connections, because all connections together held more than {limit} bytes"
            );
        }
    }
}

/// Bytes that several connections hold, which count once.
///
/// Each loop of a pool clones this, and its connections share the clone: otherwise each of them would change a reference count that the
/// processors of all loops use.
#[derive(Debug, Clone)]
pub(crate) struct SharedBytes {
    bytes: Arc<Vec<u8>>,
    counted: Arc<Counted>,
}

/// A number of bytes that counts until it is dropped.
#[derive(Debug)]
struct Counted {
    len: usize,
    counters: Arc<Counters>,
}

impl SharedBytes {
    /// Whether the bytes count in this budget.
    pub(super) fn counts_in(&self, budget: &MemoryBudget) -> bool {
        Arc::ptr_eq(&self.counted.counters, &budget.counters)
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counters.shared.fetch_sub(self.len, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w4_shared_bytes_count_once_until_the_last_owner_drops_them() {
        let budget = MemoryBudget::new(100);
        let first = budget.share(vec![7; 100]);
        let second = Arc::clone(&first);
        assert_eq!((budget.held(), budget.is_exceeded()), (100, false));
        drop(first);
        assert_eq!((&second[..2], budget.held()), (&[7, 7][..], 100));
        drop(second);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn w1_a_loop_waits_for_the_one_with_the_largest_connection_until_that_has_ended() {
        let pool = MemoryBudget::new(100).for_loops(2);
        let [first, second] = [0, 1].map(|index| pool.for_member(index));
        first.report(0, 40);
        second.report(0, 61);
        assert_eq!(first.find_larger(40), Some(1));
        second.forget_loop();
        assert_eq!(first.find_larger(40), None);
    }

    #[test]
    fn w1_every_kind_of_memory_counts() {
        let budget = MemoryBudget::new(100);
        budget.report(0, 60);
        budget.add_queued(30);
        let shared = budget.share(Vec::with_capacity(10));
        assert!(!budget.is_exceeded() && !budget.has_room(1), "the limit is inclusive");
        budget.report(60, 61);
        assert!(budget.is_exceeded());
        budget.report(61, 0);
        budget.remove_queued(30);
        drop(shared);
        assert_eq!(budget.held(), 0);
    }
}
