//! The deadlines of all connections, in one hierarchical timing wheel with ticks of 1 ms.
//!
//! Time is an argument of the wheel: the number of milliseconds since an epoch. [`Deadlines`] rounds the present *down* to
//! a tick, and a deadline *up* to the next tick. No timer fires early, and a timer of 0 ms that is scheduled again by its
//! own callback fires in a later tick, so that it cannot block the loop.

mod deadlines;
mod nodes;

pub(super) use deadlines::{Deadlines, TimerEvent, TimerKind};
pub(crate) use nodes::Key;
use nodes::{Chain, Nodes};

/// Bits of a tick that choose the slot within one level.
const BITS: usize = 6;
const SLOTS: usize = 1 << BITS;
/// Enough levels for all 64 bits of a tick, so every deadline has a slot.
const LEVELS: usize = (u64::BITS as usize).div_ceil(BITS);

/// All pending timers, each with a value that is returned when it fires.
///
/// Read a tick as a number of eleven digits in base 64. A timer hangs in the level of the highest digit in which its
/// deadline differs from `position` (level 0 if none differs), in the slot named by the deadline's digit there. When
/// `position` enters the span of a slot of a higher level, that slot's timers move to lower levels: each timer at
/// most once a level, which makes expiry O(1) amortised.
///
/// A timer whose deadline moves later stays in its slot, which is then too early, and moves when `position` reaches the slot.
/// Deadlines that move with every message thus cost no more than storing them.
///
/// Invariants:
/// - Every timer hangs in the slot just described, or in an earlier one if it was [postponed](Timers::postpone). All timers of
///   one deadline that were not postponed share one chain, in the order in which they were scheduled.
/// - `position` never goes back, and no pending deadline lies before it: occupied slots lie ahead of `position`'s
///   own digit (in level 0, at it or ahead), and every timer of a level is due before all those of the levels above.
/// - `heads[level][slot]` means something only while that bit of `occupied[level]` is set.
/// - An owner with pending timers has exactly one anchor, a node in no slot; anchor and timers form a ring. The
///   anchor is freed with the owner's last timer, so an [`TimerList`] that is merely dropped leaks nothing. A timer without
///   an owner is in no ring.
/// - Every node is free, an anchor, or a timer.
pub(crate) struct Timers<T> {
    nodes: Nodes<T>,
    heads: Box<[[u32; SLOTS]; LEVELS]>,
    occupied: [u64; LEVELS],
    position: u64,
}

/// The timers of one owner, which can be cancelled together. A list belongs to the wheel it was first used with.
#[derive(Debug, Default)]
pub(crate) struct TimerList(Option<Key>);

/// How a deadline has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    Earlier,
    /// It can also be the same.
    Later,
}

impl<T> std::fmt::Debug for Timers<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timers").field("position", &self.position).finish_non_exhaustive()
    }
}

impl<T> Timers<T> {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Nodes::new(),
            heads: Box::new([[0; SLOTS]; LEVELS]),
            occupied: [0; LEVELS],
            position: 0,
        }
    }

    /// Schedules a timer for the tick `at`, or for the present if that tick has passed. O(1).
    ///
    /// Returns `None` and drops the value if 2^32 nodes exist already, which need more than 128 GiB.
    pub(crate) fn schedule(&mut self, at: u64, owner: &mut TimerList, value: T) -> Option<Key> {
        let deadline = at.max(self.position);
        let key = self.nodes.insert(deadline, Some(value))?;
        let Some(anchor) = self.anchor(owner) else {
            self.nodes.remove(key.index);
            return None;
        };
        self.nodes.join(Chain::Owner, key.index, anchor);
        self.hang(key.index, deadline);
        Some(key)
    }

    /// Schedules a timer that belongs to no owner, and needs one node instead of two.
    pub(crate) fn schedule_alone(&mut self, at: u64, value: T) -> Option<Key> {
        let deadline = at.max(self.position);
        let key = self.nodes.insert(deadline, Some(value))?;
        self.hang(key.index, deadline);
        Some(key)
    }

    /// Changes the tick at which a timer is due. Returns the change, or `None` if it has fired or was cancelled. O(1).
    ///
    /// A later tick is only stored: the timer moves when the wheel turns to its slot. Of timers with equal deadlines, one that was
    /// postponed can fire before or after others.
    pub(crate) fn postpone(&mut self, key: Key, at: u64) -> Option<Moved> {
        let index = self.nodes.find(key)?;
        let deadline = at.max(self.position);
        if deadline >= self.nodes.set_deadline(index, deadline)? {
            return Some(Moved::Later);
        }
        self.unhang(index);
        self.hang(index, deadline);
        Some(Moved::Earlier)
    }

    /// Cancels a timer and returns its value, or `None` if it has fired or was cancelled. O(1).
    pub(crate) fn cancel(&mut self, key: Key) -> Option<T> {
        let index = self.nodes.find(key)?;
        self.take(index)
    }

    /// The tick at which a timer is due, or `None` if it has fired or was cancelled.
    pub(crate) fn deadline(&self, key: Key) -> Option<u64> {
        self.nodes.deadline(self.nodes.find(key)?)
    }

    /// Cancels every timer of `owner`, in time proportional to their number. `owner` can be used again.
    pub(crate) fn cancel_all(&mut self, owner: &mut TimerList) {
        let Some(key) = owner.0.take() else { return };
        // The anchor goes with the last of its timers.
        while let Some(anchor) = self.nodes.find_anchor(key) {
            let timer = self.nodes.next(Chain::Owner, anchor);
            if timer.and_then(|index| self.take(index)).is_none() {
                return;
            }
        }
    }

    /// Whether no timer is pending.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // The last node of an owner is its anchor, which goes with its last timer.
        self.nodes.is_empty()
    }

    /// The tick at which [`pop_due`](Self::pop_due) is worth the next call; `None` when nothing is pending.
    ///
    /// The tick is never later than the earliest deadline, and it is exact if that deadline is in the same 64 ms as the last
    /// turn. Otherwise it is the start of the span that contains the deadline, a multiple of 64: a turn then finds nothing
    /// due, but moves the timers of the span down by at least one level. One timer causes at most one idle turn per level
    /// (two or three for a minute, never more than ten), and all timers together at most one per 64 ms. A timer that was postponed
    /// since the last turn that it has caused can cause one more, at its deadline before that. After
    /// `pop_due(now)` has returned `None`, the tick is later than `now` until something is scheduled for `now` or before.
    pub(crate) fn next(&self) -> Option<u64> {
        self.first_slot().map(|(level, slot)| self.span_start(level, slot))
    }

    /// The tick of the earliest timer. This takes as long as there are timers in one slot.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn earliest(&mut self) -> Option<u64> {
        loop {
            let (level, slot) = self.first_slot()?;
            let head = *self.heads.get(level)?.get(slot)?;
            let (mut earliest, mut index) = (u64::MAX, head);
            loop {
                let deadline = self.nodes.deadline(index)?;
                if self.place(deadline) != (level, slot) {
                    // It was postponed. Others may be due before.
                    self.unhang(index);
                    self.hang(index, deadline);
                    break;
                }
                earliest = earliest.min(deadline);
                index = self.nodes.next(Chain::Slot, index)?;
                if index == head {
                    return Some(earliest);
                }
            }
        }
    }

    /// Removes and returns the earliest timer whose deadline is `now` or before. Timers with equal deadlines are returned in
    /// the order in which they were scheduled. Call this method until it returns `None`.
    ///
    /// A timer that is scheduled between two calls for a tick that has passed is due at the tick of the last call.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<T> {
        while let Some((level, slot)) = self.first_slot() {
            let start = self.span_start(level, slot);
            if start > now {
                break;
            }
            self.position = start;
            let head = *self.heads.get(level)?.get(slot)?;
            if level > 0 {
                self.cascade(level, slot, head);
                continue;
            }
            let deadline = self.nodes.deadline(head)?;
            if deadline <= start {
                return self.take(head);
            }
            // It was postponed.
            self.unhang(head);
            self.hang(head, deadline);
        }
        // This is before the first occupied slot, so the level of no timer changes.
        self.position = self.position.max(now);
        None
    }

    /// Distributes a slot that `position` has entered over the levels below. These are empty, so the order is preserved.
    fn cascade(&mut self, level: usize, slot: usize, head: u32) {
        self.vacate(level, slot);
        let mut index = head;
        while let (Some(next), Some(deadline)) =
            (self.nodes.next(Chain::Slot, index), self.nodes.deadline(index))
        {
            self.hang(index, deadline);
            if next == head {
                return;
            }
            index = next;
        }
    }

    /// Removes a timer from its slot and from the ring of its owner, and frees it.
    fn take(&mut self, index: u32) -> Option<T> {
        self.unhang(index);
        if let Some(anchor) = self.nodes.leave(Chain::Owner, index)
            && self.nodes.next(Chain::Owner, anchor) == Some(anchor)
        {
            // Only an anchor can be alone in a ring.
            self.nodes.remove(anchor);
        }
        self.nodes.remove(index)
    }

    fn anchor(&mut self, owner: &mut TimerList) -> Option<u32> {
        if let Some(anchor) = owner.0.and_then(|key| self.nodes.find_anchor(key)) {
            return Some(anchor);
        }
        owner.0 = self.nodes.insert(0, None);
        owner.0.map(|key| key.index)
    }

    /// Adds a node at the end of the slot of its deadline.
    fn hang(&mut self, index: u32, deadline: u64) {
        let (level, slot) = self.place(deadline);
        self.nodes.set_place(index, level * SLOTS + slot);
        let Some(head) = self.heads.get_mut(level).and_then(|slots| slots.get_mut(slot)) else { return };
        let Some(occupied) = self.occupied.get_mut(level) else { return };
        if *occupied & 1 << slot == 0 {
            *occupied |= 1 << slot;
            *head = index;
            self.nodes.isolate(Chain::Slot, index);
        } else {
            self.nodes.join(Chain::Slot, index, *head);
        }
    }

    /// Removes a node from its slot.
    fn unhang(&mut self, index: u32) {
        let Some(place) = self.nodes.place(index) else { return };
        let (level, slot) = (place / SLOTS, place % SLOTS);
        let Some(next) = self.nodes.leave(Chain::Slot, index) else { return self.vacate(level, slot) };
        if let Some(head) = self.heads.get_mut(level).and_then(|slots| slots.get_mut(slot))
            && *head == index
        {
            *head = next;
        }
    }

    fn vacate(&mut self, level: usize, slot: usize) {
        if let Some(occupied) = self.occupied.get_mut(level) {
            *occupied &= !(1 << slot);
        }
    }

    /// The level and the slot of a timer with this deadline, unless it was postponed.
    fn place(&self, deadline: u64) -> (usize, usize) {
        let level = ((deadline ^ self.position) | 1).ilog2() as usize / BITS;
        let [low, ..] = (deadline >> (level * BITS)).to_le_bytes();
        (level, usize::from(low) % SLOTS)
    }

    /// The occupied slot that is due first.
    fn first_slot(&self) -> Option<(usize, usize)> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        Some((level, self.occupied.get(level)?.trailing_zeros() as usize))
    }

    /// The first tick of a slot's span: `position` with that slot's digit, zeros below.
    fn span_start(&self, level: usize, slot: usize) -> u64 {
        let shift = level * BITS;
        // In two steps each: the top level's digit ends beyond bit 63.
        let above = self.position >> shift >> BITS << BITS;
        (above | slot as u64) << shift
    }
}

#[cfg(test)]
mod tests;
