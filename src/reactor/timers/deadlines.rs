//! Points in time, as the timing wheel counts them.

use std::time::{Duration, Instant};

use super::{Key, TimerList, Timers};
use crate::reactor::api::util::{Timeout, Token};
use crate::reactor::entries::ConnectionId;

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
    /// The deadline of the connection or of the connection attempt.
    Connection,
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
    wheel: Timers<TimerEvent>,
    epoch: Instant,
    /// No timer is due before this time. `None` if there is none. A turn without a timer only compares it with the present.
    next: Option<Instant>,
}

/// A timer that is at least this far away can fire late by the length of a turn.
const FAR: Duration = Duration::from_secs(1);

impl Deadlines {
    pub(in crate::reactor) fn new(epoch: Instant) -> Self {
        Self { wheel: Timers::new(), epoch, next: None }
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

    /// Schedules a timeout of a handler. A time of `None` is beyond the range of the clock, and the timeout never fires.
    pub(in crate::reactor) fn schedule_timeout(
        &mut self,
        at: Option<Instant>,
        owner: &mut TimerList,
        event: TimerEvent,
    ) -> Option<Timeout> {
        let tick = at.map_or(u64::MAX, |at| self.tick_after(at));
        self.schedule(tick, owner, event).map(Key::into_timeout)
    }

    fn schedule(&mut self, tick: u64, owner: &mut TimerList, event: TimerEvent) -> Option<Key> {
        let key = self.wheel.schedule(tick, owner, event)?;
        self.next = self.next.into_iter().chain(self.beginning_of(tick)).min();
        Some(key)
    }

    pub(in crate::reactor) fn cancel(&mut self, key: Key) {
        self.wheel.cancel(key);
        self.forget_next();
    }

    /// Cancels a timeout of a handler.
    pub(in crate::reactor) fn cancel_timeout(&mut self, timeout: &Timeout) {
        if let Some(key) = Key::from_timeout(timeout) {
            self.cancel(key);
        }
    }

    pub(in crate::reactor) fn cancel_all(&mut self, owner: &mut TimerList) {
        self.wheel.cancel_all(owner);
        self.forget_next();
    }

    /// A timer was cancelled. The time of the next one is only recomputed when it has come, unless there is none.
    fn forget_next(&mut self) {
        if self.wheel.next().is_none() {
            self.next = None;
        }
    }

    /// Whether a timer fires no later than one that is scheduled for this time.
    pub(in crate::reactor) fn fires_by(&self, key: Key, at: Instant) -> bool {
        self.wheel.deadline(key).is_some_and(|tick| tick <= self.tick_after(at))
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
        self.wheel.earliest().and_then(|tick| self.beginning_of(tick))
    }

    /// Removes and returns an event that is due. Call this method until it returns `None`.
    #[inline]
    pub(in crate::reactor) fn pop_due(&mut self, now: Instant) -> Option<TimerEvent> {
        if self.next? > now { None } else { self.pop(now) }
    }

    fn pop(&mut self, now: Instant) -> Option<TimerEvent> {
        let event = self.wheel.pop_due(self.tick(now));
        if event.is_none() {
            self.next = self.wheel.next().and_then(|tick| self.beginning_of(tick));
        }
        event
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
