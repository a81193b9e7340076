//! A hierarchical timing wheel with ticks of 1 ms. It contains the indices of nodes, which are stored elsewhere.

use super::links::Ring;

/// Bits of a tick that choose the slot within one level.
const BITS: usize = 6;
pub(super) const SLOTS: usize = 1 << BITS;
/// Enough levels for all 64 bits of a tick, so every deadline has a slot.
pub(super) const LEVELS: usize = (u64::BITS as usize).div_ceil(BITS);

/// The number of bits of a place: the level above the bits of the slot. Nodes store it below another number.
pub(super) const PLACE_BITS: u32 = 10;

/// The nodes of a wheel. As a [`Ring`], they are the chains of its slots.
pub(super) trait Nodes: Ring {
    /// The tick at which a node is due.
    fn deadline(&self, index: u32) -> Option<u64>;

    /// Where a node hangs, a number of [`PLACE_BITS`].
    fn place(&self, index: u32) -> Option<usize>;

    fn set_place(&mut self, index: u32, place: usize);
}

/// Returns the place in the lower bits of a number.
pub(super) fn place_of(number: u64) -> usize {
    let [low, high, ..] = number.to_le_bytes();
    usize::from(u16::from_le_bytes([low, high])) % (1 << PLACE_BITS)
}

/// Replaces the place in the lower bits of a number.
pub(super) fn with_place(number: u64, place: usize) -> u64 {
    number >> PLACE_BITS << PLACE_BITS | place as u64
}

/// The slots of the wheel.
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
/// - Every timer hangs in the slot just described, or in an earlier one if it was postponed. All timers of one deadline that were not
///   postponed share one chain, in the order in which they were scheduled.
/// - `position` never goes back, and no pending deadline lies before it: occupied slots lie ahead of `position`'s
///   own digit (in level 0, at it or ahead), and every timer of a level is due before all those of the levels above.
/// - `heads[level][slot]` means something only while that bit of `occupied[level]` is set.
pub(super) struct Wheel {
    pub(super) heads: Box<[[u32; SLOTS]; LEVELS]>,
    pub(super) occupied: [u64; LEVELS],
    pub(super) position: u64,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self { heads: Box::new([[0; SLOTS]; LEVELS]), occupied: [0; LEVELS], position: 0 }
    }

    /// Adds a node at the end of the slot of its deadline, which must not be before `position`.
    pub(super) fn hang(&mut self, nodes: &mut impl Nodes, index: u32, deadline: u64) {
        let (level, slot) = self.slot_of(deadline);
        nodes.set_place(index, level * SLOTS + slot);
        let Some(head) = self.heads.get_mut(level).and_then(|slots| slots.get_mut(slot)) else { return };
        let Some(occupied) = self.occupied.get_mut(level) else { return };
        if *occupied & 1 << slot == 0 {
            *occupied |= 1 << slot;
            *head = index;
            nodes.isolate(index);
        } else {
            nodes.join(index, *head);
        }
    }

    /// Removes a node from its slot.
    pub(super) fn unhang(&mut self, nodes: &mut impl Nodes, index: u32) {
        let Some(place) = nodes.place(index) else { return };
        let (level, slot) = (place / SLOTS, place % SLOTS);
        let Some(next) = nodes.leave(index) else { return self.vacate(level, slot) };
        if let Some(head) = self.heads.get_mut(level).and_then(|slots| slots.get_mut(slot))
            && *head == index
        {
            *head = next;
        }
    }

    /// Moves a node to the slot of its deadline.
    pub(super) fn rehang(&mut self, nodes: &mut impl Nodes, index: u32, deadline: u64) {
        self.unhang(nodes, index);
        self.hang(nodes, index, deadline);
    }

    /// The tick at which [`pop`](Self::pop) is worth the next call; `None` when nothing is pending.
    ///
    /// The tick is never later than the earliest deadline, and it is exact if that deadline is in the same 64 ms as the last
    /// turn. Otherwise it is the start of the span that contains the deadline, a multiple of 64: a turn then finds nothing
    /// due, but moves the timers of the span down by at least one level. One timer causes at most one idle turn per level
    /// (two or three for a minute, never more than ten), and all timers together at most one per 64 ms. A timer that was postponed
    /// causes as many more for each deadline that it had when it was moved.
    pub(super) fn next(&self) -> Option<u64> {
        self.first_slot().map(|(level, slot)| self.span_start(level, slot))
    }

    /// The tick of the earliest timer. This takes as long as there are timers in one slot.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn earliest(&mut self, nodes: &mut impl Nodes) -> Option<u64> {
        'slots: loop {
            let (level, slot) = self.first_slot()?;
            let head = *self.heads.get(level)?.get(slot)?;
            let (mut earliest, mut index) = (u64::MAX, head);
            loop {
                let deadline = nodes.deadline(index)?;
                if self.slot_of(deadline) != (level, slot) {
                    // It was postponed. Others may be due before.
                    self.rehang(nodes, index, deadline);
                    continue 'slots;
                }
                earliest = earliest.min(deadline);
                index = nodes.next(index)?;
                if index == head {
                    return Some(earliest);
                }
            }
        }
    }

    /// Removes the earliest node whose deadline is `now` or before from its slot, and returns its index.
    pub(super) fn pop(&mut self, nodes: &mut impl Nodes, now: u64) -> Option<u32> {
        while let Some((level, slot)) = self.first_slot() {
            let start = self.span_start(level, slot);
            if start > now {
                break;
            }
            self.position = start;
            let head = *self.heads.get(level)?.get(slot)?;
            if level > 0 {
                self.cascade(nodes, level, slot, head);
                continue;
            }
            let deadline = nodes.deadline(head)?;
            if deadline <= start {
                self.unhang(nodes, head);
                return Some(head);
            }
            // It was postponed.
            self.rehang(nodes, head, deadline);
        }
        // This is before the first occupied slot, so the level of no timer changes.
        self.position = self.position.max(now);
        None
    }

    /// Distributes a slot that `position` has entered over the levels below. These are empty, so the order is preserved.
    fn cascade(&mut self, nodes: &mut impl Nodes, level: usize, slot: usize, head: u32) {
        self.vacate(level, slot);
        let mut index = head;
        while let (Some(next), Some(deadline)) = (nodes.next(index), nodes.deadline(index)) {
            self.hang(nodes, index, deadline);
            if next == head {
                return;
            }
            index = next;
        }
    }

    fn vacate(&mut self, level: usize, slot: usize) {
        if let Some(occupied) = self.occupied.get_mut(level) {
            *occupied &= !(1 << slot);
        }
    }

    /// The level and the slot of a timer with this deadline, unless it was postponed.
    fn slot_of(&self, deadline: u64) -> (usize, usize) {
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
    pub(super) fn span_start(&self, level: usize, slot: usize) -> u64 {
        let shift = level * BITS;
        // In two steps each: the top level's digit ends beyond bit 63.
        let above = self.position >> shift >> BITS << BITS;
        (above | slot as u64) << shift
    }
}
