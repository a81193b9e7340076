//! One timer for each connection, by the slot of the connection.
//!
//! Every connection has a deadline, so these timers are small: they have no key, no owner and no value.

use std::fmt;

use super::links::{Links, Ring};
use super::wheel::{Nodes, PLACE_BITS, Wheel, place_of, with_place};

/// The timers of connections, at most one for each slot.
pub(super) struct SlotTimers {
    pub(super) wheel: Wheel,
    pub(super) slots: Slots,
    /// The number of timers.
    pending: usize,
}

/// The memory grows with the highest slot and is kept, as that of the connections.
pub(super) struct Slots(Vec<Slot>);

#[derive(Clone, Copy)]
struct Slot {
    /// The deadline above the place in the wheel, or [`UNUSED`].
    tag: u64,
    links: Links,
}

/// The number of slots whose addresses are reserved, as those of the connections.
const RESERVED: usize = 1024;

/// A slot without a timer. No wheel has this place.
const UNUSED: u64 = u64::MAX;

/// Later deadlines, in half a million years, become this one.
const LAST: u64 = u64::MAX >> PLACE_BITS;

impl fmt::Debug for SlotTimers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotTimers").field("pending", &self.pending).finish_non_exhaustive()
    }
}

impl SlotTimers {
    pub(super) fn new() -> Self {
        Self { wheel: Wheel::new(), slots: Slots(Vec::with_capacity(RESERVED)), pending: 0 }
    }

    /// Schedules the timer of a slot for the tick `at`, or for the present if that tick has passed. It replaces an earlier one. O(1).
    pub(super) fn schedule(&mut self, slot: u32, at: u64) {
        self.cancel(slot);
        let deadline = at.min(LAST).max(self.wheel.position);
        self.slots.insert(slot, deadline);
        self.wheel.hang(&mut self.slots, slot, deadline);
        self.pending += 1;
    }

    /// Cancels the timer of a slot, if there is one. O(1).
    pub(super) fn cancel(&mut self, slot: u32) {
        if self.deadline(slot).is_some() {
            self.wheel.unhang(&mut self.slots, slot);
            self.remove(slot);
        }
    }

    /// The tick at which the timer of a slot is due, or `None` if there is none.
    #[inline]
    pub(super) fn deadline(&self, slot: u32) -> Option<u64> {
        self.slots.deadline(slot)
    }

    /// Whether no timer is pending.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// As [`Timers::next`](super::Timers::next).
    pub(super) fn next(&self) -> Option<u64> {
        self.wheel.next()
    }

    /// The tick of the earliest timer.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn earliest(&mut self) -> Option<u64> {
        self.wheel.earliest(&mut self.slots)
    }

    /// Removes the earliest timer whose deadline is `now` or before, and returns its slot.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<u32> {
        let slot = self.wheel.pop(&mut self.slots, now)?;
        self.remove(slot);
        Some(slot)
    }

    /// A timer has left the wheel.
    fn remove(&mut self, slot: u32) {
        if let Some(entry) = self.slots.0.get_mut(slot as usize) {
            entry.tag = UNUSED;
        }
        self.pending -= 1;
    }
}

impl Slots {
    fn insert(&mut self, slot: u32, deadline: u64) {
        let index = slot as usize;
        if index >= self.0.len() {
            self.0.resize(index + 1, Slot { tag: UNUSED, links: Links::alone(0) });
        }
        if let Some(entry) = self.0.get_mut(index) {
            *entry = Slot { tag: deadline << PLACE_BITS, links: Links::alone(slot) };
        }
    }
}

impl Ring for Slots {
    #[inline]
    fn links(&mut self, slot: u32) -> Option<&mut Links> {
        self.0.get_mut(slot as usize).map(|entry| &mut entry.links)
    }
}

impl Nodes for Slots {
    #[inline]
    fn deadline(&self, slot: u32) -> Option<u64> {
        let tag = self.0.get(slot as usize)?.tag;
        (tag != UNUSED).then_some(tag >> PLACE_BITS)
    }

    fn place(&self, slot: u32) -> Option<usize> {
        Some(place_of(self.0.get(slot as usize)?.tag))
    }

    fn set_place(&mut self, slot: u32, place: usize) {
        if let Some(entry) = self.0.get_mut(slot as usize) {
            entry.tag = with_place(entry.tag, place);
        }
    }
}
