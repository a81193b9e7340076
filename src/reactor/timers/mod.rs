//! The deadlines of all connections, in hierarchical timing wheels with ticks of 1 ms.
//!
//! Time is an argument of a wheel: the number of milliseconds since an epoch. [`Deadlines`] rounds the present *down* to
//! a tick, and a deadline *up* to the next tick. No timer fires early, and a timer of 0 ms that is scheduled again by its
//! own callback fires in a later tick, so that it cannot block the loop.
//!
//! [`Timers`] contains those that handlers set, and [`SlotTimers`] the one that each connection has.

mod deadlines;
mod links;
mod nodes;
mod slots;
mod wheel;

pub(super) use deadlines::{Deadlines, TimerEvent, TimerKind};
use links::Ring as _;
pub(crate) use nodes::Key;
use nodes::TimerNodes;
use slots::SlotTimers;
#[cfg(test)]
use wheel::Nodes as _;
use wheel::Wheel;

/// Timers of several owners, each with a value that is returned when it fires.
///
/// Invariants:
/// - An owner with pending timers has exactly one anchor, a node in no slot of the wheel; anchor and timers form a ring. The
///   anchor is freed with the owner's last timer, so an [`TimerList`] that is merely dropped leaks nothing.
/// - Every node is free, an anchor, or a timer.
pub(crate) struct Timers<T> {
    nodes: TimerNodes<T>,
    wheel: Wheel,
}

/// The timers of one owner, which can be cancelled together. A list belongs to the wheel it was first used with.
#[derive(Debug, Default)]
pub(crate) struct TimerList(Option<Key>);

impl TimerList {
    /// Moves the list to memory of its own, unless it was never used.
    pub(crate) fn into_box(self) -> Option<Box<Self>> {
        self.0.is_some().then(|| Box::new(self))
    }
}

/// How a deadline has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    Earlier,
    /// It can also be the same.
    Later,
}

impl<T> std::fmt::Debug for Timers<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timers").field("position", &self.wheel.position).finish_non_exhaustive()
    }
}

impl<T> Timers<T> {
    pub(crate) fn new() -> Self {
        Self { nodes: TimerNodes::new(), wheel: Wheel::new() }
    }

    /// Schedules a timer for the tick `at`, or for the present if that tick has passed. O(1).
    ///
    /// Returns `None` and drops the value if 2^32 nodes exist already, which need more than 128 GiB.
    pub(crate) fn schedule(&mut self, at: u64, owner: &mut TimerList, value: T) -> Option<Key> {
        let deadline = at.max(self.wheel.position);
        let key = self.nodes.insert(deadline, Some(value))?;
        let Some(anchor) = self.anchor(owner) else {
            self.nodes.remove(key.index);
            return None;
        };
        self.nodes.owners().join(key.index, anchor);
        self.wheel.hang(&mut self.nodes, key.index, deadline);
        Some(key)
    }

    /// Cancels a timer and returns its value, or `None` if it has fired or was cancelled. O(1).
    pub(crate) fn cancel(&mut self, key: Key) -> Option<T> {
        let index = self.nodes.find(key)?;
        self.take(index)
    }

    /// Changes the tick at which a timer is due. Returns the change, or `None` if it has fired or was cancelled. O(1).
    ///
    /// A later tick is only stored: the timer moves when the wheel turns to its slot. Of timers with equal deadlines, one that was
    /// postponed can fire before or after others.
    pub(crate) fn postpone(&mut self, key: Key, at: u64) -> Option<Moved> {
        let index = self.nodes.find(key)?;
        let deadline = at.max(self.wheel.position);
        if deadline >= self.nodes.set_deadline(index, deadline)? {
            return Some(Moved::Later);
        }
        self.wheel.rehang(&mut self.nodes, index, deadline);
        Some(Moved::Earlier)
    }

    /// The tick at which a timer is due, or `None` if it has fired or was cancelled.
    #[cfg(test)]
    pub(crate) fn deadline(&self, key: Key) -> Option<u64> {
        self.nodes.deadline(self.nodes.find(key)?)
    }

    /// Cancels every timer of `owner`, in time proportional to their number. `owner` can be used again.
    pub(crate) fn cancel_all(&mut self, owner: &mut TimerList) {
        let Some(key) = owner.0.take() else { return };
        // The anchor goes with the last of its timers.
        while let Some(anchor) = self.nodes.find_anchor(key) {
            let timer = self.nodes.owners().next(anchor);
            if timer.and_then(|index| self.take(index)).is_none() {
                return;
            }
        }
    }

    /// Whether no timer is pending.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The tick at which [`pop_due`](Self::pop_due) is worth the next call; `None` when nothing is pending.
    ///
    /// After `pop_due(now)` has returned `None`, the tick is later than `now` until something is scheduled for `now` or before.
    pub(crate) fn next(&self) -> Option<u64> {
        self.wheel.next()
    }

    /// The tick of the earliest timer. This takes as long as there are timers in one slot.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn earliest(&mut self) -> Option<u64> {
        self.wheel.earliest(&mut self.nodes)
    }

    /// Removes and returns the earliest timer whose deadline is `now` or before. Timers with equal deadlines that were not postponed are
    /// returned in the order in which they were scheduled. Call this method until it returns `None`.
    ///
    /// A timer that is scheduled between two calls for a tick that has passed is due at the tick of the last call.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<T> {
        let index = self.wheel.pop(&mut self.nodes, now)?;
        self.release(index)
    }

    /// Removes a timer from its slot and frees it.
    fn take(&mut self, index: u32) -> Option<T> {
        self.wheel.unhang(&mut self.nodes, index);
        self.release(index)
    }

    /// Frees a timer that has left the wheel, and removes it from the ring of its owner.
    fn release(&mut self, index: u32) -> Option<T> {
        let mut owners = self.nodes.owners();
        if let Some(anchor) = owners.leave(index)
            && owners.next(anchor) == Some(anchor)
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
}

#[cfg(test)]
mod tests;
