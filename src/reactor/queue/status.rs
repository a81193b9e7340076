//! The status of each connection that every thread can read: its phase, and the amount of queued output.
//!
//! There is one status for each slot, in a table that grows without moving its entries, so reading needs no lock.

use super::control::QueuedControl;
use super::sync::OnceLock;
use super::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use super::sync::atomic::{AtomicU64, AtomicUsize};

/// The slots of the first four chunks each; then four chunks of twice as many follow, and so on, so that a fifth of the
/// table is empty at most. Models create the table thousands of times, and need a small one.
const FIRST_CHUNK: usize = if cfg!(all(test, loom)) { 1 } else { 64 };

/// How many chunks have the same size, as a power of two.
const STEPS: u32 = 2;

/// Enough chunks for every slot that 32 bits can name.
const CHUNKS: usize = if cfg!(all(test, loom)) { 2 } else { 100 };

/// The phase of a connection, as a sender sees it. A connection only moves forward through its phases, unless it is that
/// of a client that connects again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The slot has no connection, or another one.
    Free = 0,
    /// Messages wait until the connection is open.
    Connecting = 1,
    Open = 2,
    /// Messages are dropped. Timeouts still fire.
    Closing = 3,
    /// The handler receives no further calls.
    Closed = 4,
}

/// The status of the connection in one slot.
///
/// Only the loop changes `local`, and gives the slot to another connection. Threads change `remote`, and report an overflow in `state`,
/// while they hold the lock of the queue. The slot changes hands under the same lock, so these changes never affect the wrong
/// connection.
#[derive(Debug, Default)]
pub(crate) struct ConnectionStatus {
    /// The id of the connection and its [`Phase`], in one value. Otherwise a sender could combine its own id with the phase of
    /// the next connection, and see that a connection which has ended is open again.
    state: AtomicU64,
    /// Bytes that the thread of the loop has queued, minus all bytes that have been sent. Wraps below zero while bytes of
    /// other threads have been sent.
    local: AtomicUsize,
    /// All bytes that other threads have queued since the connection began, and which of their control commands are queued, in one value
    /// to save memory. The bytes do not move to `local` when the loop takes them, so that no thread sees them missing in between.
    remote: AtomicU64,
}

/// The number of bits below the id of a connection in its state.
const PHASE_BITS: u32 = 8;

/// The number of bits below the bytes of other threads. No connection receives the 2^56 bytes for which the rest has no room.
const CONTROL_BITS: u32 = 8;

fn state_of(id: u32, phase: Phase) -> u64 {
    u64::from(id) << PHASE_BITS | phase as u64
}

impl ConnectionStatus {
    /// A new connection uses the slot.
    pub(crate) fn insert(&self, id: u32) {
        self.reset_counts();
        self.state.store(state_of(id, Phase::Connecting), Relaxed);
    }

    pub(crate) fn remove(&self) {
        self.state.store(state_of(0, Phase::Free), Relaxed);
        self.reset_counts();
    }

    fn reset_counts(&self) {
        // In this order, a thread that reads both meanwhile finds too little, and not the bytes that have been sent.
        self.remote.store(0, Relaxed);
        self.local.store(0, Release);
    }

    /// Moves forward to a phase. A connection that is already in a later phase stays there: the loop can close it while
    /// another thread reports an overflow.
    pub(crate) fn advance(&self, phase: Phase) {
        let id = self.state.load(Relaxed) >> PHASE_BITS << PHASE_BITS;
        self.state.fetch_max(id | phase as u64, Relaxed);
    }

    /// The client has lost its connection and connects again: senders wait for the next one.
    pub(crate) fn reopen(&self, id: u32) {
        self.state.store(state_of(id, Phase::Connecting), Relaxed);
    }

    /// Returns the phase of the connection with this id, or `Free` if it has gone.
    #[inline]
    pub(crate) fn phase(&self, id: u32) -> Phase {
        // Another id leaves a number that is no phase.
        match self.state.load(Relaxed) ^ state_of(id, Phase::Free) {
            1 => Phase::Connecting,
            2 => Phase::Open,
            3 => Phase::Closing,
            4 => Phase::Closed,
            _ => Phase::Free,
        }
    }

    /// Returns the number of bytes that are queued and have not been sent.
    #[inline]
    pub(crate) fn buffered(&self) -> usize {
        // Acquire: `remote` then contains all bytes that `local` subtracts.
        let local = self.local.load(Acquire);
        // The sum is correct even if a `usize` of 32 bits does not contain all bits of `remote`, because it wraps like `local`.
        let sum = local.wrapping_add((self.remote.load(Relaxed) >> CONTROL_BITS) as usize);
        // Below zero if the connection has been removed meanwhile.
        if sum > usize::MAX / 2 { 0 } else { sum }
    }

    /// Adds to the loop's count. Only the loop's thread writes it, so that no read-modify-write is needed.
    #[inline]
    pub(crate) fn add_local(&self, bytes: usize) {
        self.replace_local(0, bytes);
    }

    #[inline]
    pub(crate) fn sub_local(&self, bytes: usize) {
        self.replace_local(bytes, 0);
    }

    /// Adds and subtracts at once, so that no thread sees a sum of both amounts.
    #[inline]
    pub(crate) fn replace_local(&self, before: usize, now: usize) {
        let local = self.local.load(Relaxed).wrapping_add(now).wrapping_sub(before);
        self.local.store(local, Release);
    }

    /// The lock of the queue must be held.
    pub(crate) fn add_remote(&self, bytes: usize) {
        self.remote.fetch_add((bytes as u64) << CONTROL_BITS, Relaxed);
    }

    /// Changes which control commands are queued. The lock of the queue must be held.
    pub(super) fn change_control<R>(&self, change: impl FnOnce(&mut QueuedControl) -> R) -> R {
        let before = self.remote.load(Relaxed);
        let [bits, ..] = before.to_le_bytes();
        let mut control = QueuedControl::from_bits(bits);
        let changed = change(&mut control);
        let bytes = before >> CONTROL_BITS << CONTROL_BITS;
        self.remote.store(bytes | u64::from(control.bits()), Relaxed);
        changed
    }
}

/// The status of every slot.
#[derive(Debug)]
pub(crate) struct StatusTable {
    chunks: [OnceLock<Box<[ConnectionStatus]>>; CHUNKS],
}

impl StatusTable {
    pub(crate) fn new() -> Self {
        Self { chunks: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// Returns the status of a slot, or `None` if no connection has ever used it.
    #[inline]
    pub(crate) fn find(&self, slot: u32) -> Option<&ConnectionStatus> {
        let (chunk, at) = place(slot);
        self.chunks.get(chunk)?.get()?.get(at)
    }

    /// Returns the status of a slot, and creates it if necessary.
    pub(crate) fn ensure(&self, slot: u32) -> Option<&ConnectionStatus> {
        let (chunk, at) = place(slot);
        let statuses = self
            .chunks
            .get(chunk)?
            .get_or_init(|| (0..chunk_len(chunk)).map(|_| ConnectionStatus::default()).collect());
        statuses.get(at)
    }
}

/// The chunk of a slot, and the place within it.
#[inline]
fn place(slot: u32) -> (usize, usize) {
    // The numbering starts at the number of slots that four chunks of half the size would have. The highest bit then
    // determines the size of the chunk, the next bits its index among those of that size, and the rest the position in it.
    let number = slot as usize + (FIRST_CHUNK << STEPS);
    let doublings = (number / (FIRST_CHUNK << STEPS)).ilog2();
    let bits = FIRST_CHUNK.ilog2() + doublings;
    let step = (number >> bits) - (1 << STEPS);
    (((doublings as usize) << STEPS) + step, number % (1 << bits))
}

fn chunk_len(chunk: usize) -> usize {
    FIRST_CHUNK << (chunk >> STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_fill_the_chunks_in_order() {
        let mut expected = 0;
        for chunk in 0..32 {
            for at in 0..chunk_len(chunk) {
                assert_eq!(place(expected), (chunk, at));
                expected += 1;
            }
        }
        assert!(place(u32::MAX).0 < CHUNKS);
    }

    #[test]
    fn t1_a_status_belongs_to_one_connection() {
        let status = ConnectionStatus::default();
        status.insert(7);
        status.advance(Phase::Open);
        status.add_local(3);
        assert_eq!((status.phase(7), status.phase(6)), (Phase::Open, Phase::Free));
        status.advance(Phase::Closed);
        status.advance(Phase::Closing);
        assert_eq!(status.phase(7), Phase::Closed);
        status.remove();
        status.insert(8);
        assert_eq!(
            (status.phase(7), status.phase(8), status.buffered()),
            (Phase::Free, Phase::Connecting, 0)
        );
    }
}
