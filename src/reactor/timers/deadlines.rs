//! Points in time, as the timing wheel counts them.

use std::time::{Duration, Instant};

use super::{Key, Moved, SlotTimers, TimerList, Timers};
use crate::reactor::api::util::{Timeout, Token};
use crate::reactor::entries::ConnectionId;
use crate::reactor::queue::TimeoutChange;

/// What happens when a timer fires.
#[derive(Debug, Clone, Copy)]
pub(in crate::reactor) struct TimerEvent {
    pub(in crate::reactor) id: ConnectionId,
    pub(in crate::reactor) kind: TimerKind,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::reactor) enum TimerKind {
    /// A timeout that the handler requested.
    User(Token),
    /// The deadline of a connection. The id only contains the slot.
    Deadline,
    /// The deadline of a connection attempt, or of a socket that becomes a connection.
    Attempt,
    /// A listener that ran out of file descriptors accepts again. The slot of the id is the index of the listener.
    Accept,
    /// The next connections of a drain must be closed, or its deadline has come. The id has no meaning.
    Drain,
    /// A function that the program has scheduled. The slot of the id is its index.
    Scheduled,
}

/// The timers of all connections and listeners.
///
/// Times are rounded up to the next tick of the wheel, so no timer fires early.
#[derive(Debug)]
pub(in crate::reactor) struct Deadlines {
    timers: Timers<TimerEvent>,
    /// The deadlines of connections.
    connections: SlotTimers,
    epoch: Instant,
    /// No timer is due before this time. `None` if there is none. A turn without a timer only compares it with the present.
    next: Option<Instant>,
    /// The same as a tick, or the last tick if there is none.
    next_tick: u64,
}

/// A timer that is at least this far away can fire late by the length of a turn.
const FAR: Duration = Duration::from_secs(1);

impl Deadlines {
    pub(in crate::reactor) fn new(epoch: Instant) -> Self {
        Self { timers: Timers::new(), connections: SlotTimers::new(), epoch, next: None, next_tick: u64::MAX }
    }

    /// Schedules an event. `None` if the wheel is full.
    pub(in crate::reactor) fn schedule_at(
        &mut self,
        at: Instant,
        owner: &mut TimerList,
        event: TimerEvent,
    ) -> Option<Key> {
        self.schedule(self.tick_after(at), owner, event)
    }

    /// Schedules the deadline of the connection in a slot. `None` cancels it.
    ///
    /// A timer that is too early stays: it would cost more to move it for every received frame than to check the deadline
    /// again when it fires.
    pub(in crate::reactor) fn rearm(&mut self, slot: u32, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return self.cancel_deadline(slot) };
        let tick = self.tick_after(deadline);
        if self.connections.deadline(slot).is_none_or(|before| before > tick) {
            self.connections.schedule(slot, tick);
            self.expect_by(tick);
        }
    }

    /// Whether the connection in a slot has a timer for its deadline.
    #[inline]
    pub(in crate::reactor) fn has_deadline(&self, slot: u32) -> bool {
        self.connections.deadline(slot).is_some()
    }

    /// Cancels the deadline of the connection in a slot.
    pub(in crate::reactor) fn cancel_deadline(&mut self, slot: u32) {
        self.connections.cancel(slot);
        self.forget_next();
    }

    /// Schedules a timeout of a handler. A time of `None` is beyond the range of the clock, and the timeout never fires.
    pub(in crate::reactor) fn schedule_timeout(
        &mut self,
        at: Option<Instant>,
        owner: &mut TimerList,
        event: TimerEvent,
    ) -> Option<Timeout> {
        let tick = self.tick_of(at);
        self.schedule(tick, owner, event).map(Key::into_timeout)
    }

    fn schedule(&mut self, tick: u64, owner: &mut TimerList, event: TimerEvent) -> Option<Key> {
        let key = self.timers.schedule(tick, owner, event)?;
        self.expect_by(tick);
        Some(key)
    }

    /// A timer is due at this tick.
    fn expect_by(&mut self, tick: u64) {
        if tick < self.next_tick {
            self.set_next(Some(tick));
        }
    }

    fn set_next(&mut self, tick: Option<u64>) {
        self.next = tick.and_then(|tick| self.beginning_of(tick));
        self.next_tick = tick.unwrap_or(u64::MAX);
    }

    pub(in crate::reactor) fn cancel(&mut self, key: Key) {
        self.timers.cancel(key);
        self.forget_next();
    }

    /// Cancels or postpones a timeout of a handler, unless it has fired or was cancelled.
    pub(in crate::reactor) fn change_timeout(&mut self, timeout: &Timeout, change: TimeoutChange) {
        let Some(key) = Key::from_timeout(timeout) else { return };
        match change {
            TimeoutChange::Cancel => self.cancel(key),
            TimeoutChange::Postpone(at) => {
                let tick = self.tick_of(at);
                if self.timers.postpone(key, tick) == Some(Moved::Earlier) {
                    self.expect_by(tick);
                }
            }
        }
    }

    /// The tick of a time. `None` is beyond the range of the clock.
    fn tick_of(&self, at: Option<Instant>) -> u64 {
        at.map_or(u64::MAX, |at| self.tick_after(at))
    }

    pub(in crate::reactor) fn cancel_all(&mut self, owner: &mut TimerList) {
        self.timers.cancel_all(owner);
        self.forget_next();
    }

    /// A timer was cancelled. The time of the next one is only recomputed when it has come, unless there is none.
    fn forget_next(&mut self) {
        if self.timers.is_empty() && self.connections.is_empty() {
            self.set_next(None);
        }
    }

    /// How long the loop may wait before a timer is due. The turn began at `turn_began`; the clock is read only if a timer is near.
    pub(in crate::reactor) fn until_next(
        &self,
        turn_began: Instant,
        clock: impl FnOnce() -> Instant,
    ) -> Option<Duration> {
        let next = self.next?;
        let wait = next.saturating_duration_since(turn_began);
        Some(if wait >= FAR { wait } else { next.saturating_duration_since(clock()) })
    }

    /// The time at which the next timer fires.
    #[cfg(feature = "testing")]
    pub(in crate::reactor) fn next_due(&mut self) -> Option<Instant> {
        let earliest = self.timers.earliest().into_iter().chain(self.connections.earliest()).min();
        earliest.and_then(|tick| self.beginning_of(tick))
    }

    /// Removes and returns an event that is due. Call this method until it returns `None`.
    #[inline]
    pub(in crate::reactor) fn pop_due(&mut self, now: Instant) -> Option<TimerEvent> {
        if self.next? > now { None } else { self.pop(now) }
    }

    fn pop(&mut self, now: Instant) -> Option<TimerEvent> {
        let now = self.tick(now);
        let (timer, connection) = (self.timers.next(), self.connections.next());
        // Neither must wait for all of the other.
        let event = if connection.is_some_and(|tick| timer.is_none_or(|timer| tick <= timer)) {
            self.pop_connection(now).or_else(|| self.timers.pop_due(now))
        } else {
            self.timers.pop_due(now).or_else(|| self.pop_connection(now))
        };
        if event.is_none() {
            self.set_next(self.timers.next().into_iter().chain(self.connections.next()).min());
        }
        event
    }

    fn pop_connection(&mut self, now: u64) -> Option<TimerEvent> {
        let slot = self.connections.pop_due(now)?;
        Some(TimerEvent { id: ConnectionId { slot, serial: 0 }, kind: TimerKind::Deadline })
    }

    /// The time at which a tick begins. `None` if it is beyond the range of the clock.
    fn beginning_of(&self, tick: u64) -> Option<Instant> {
        self.epoch.checked_add(Duration::from_millis(tick))
    }

    /// The first tick that is certainly not before a time.
    fn tick_after(&self, at: Instant) -> u64 {
        self.tick(at).saturating_add(1)
    }

    /// The tick that contains a time.
    fn tick(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }
}
