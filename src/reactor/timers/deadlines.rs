//! Points in time, as the timing wheel counts them.

use std::time::{Duration, Instant};

use super::{Key, Moved, TimerList, Timers};
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
    /// The same as a tick, or the last tick if there is none.
    next_tick: u64,
}

/// A timer that is at least this far away can fire late by the length of a turn.
const FAR: Duration = Duration::from_secs(1);

impl Deadlines {
    pub(in crate::reactor) fn new(epoch: Instant) -> Self {
        Self { wheel: Timers::new(), epoch, next: None, next_tick: u64::MAX }
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

    /// Schedules an event that is only cancelled with its key. `None` if the wheel is full.
    pub(in crate::reactor) fn schedule_alone(&mut self, at: Instant, event: TimerEvent) -> Option<Key> {
        let tick = self.tick_after(at);
        let key = self.wheel.schedule_alone(tick, event)?;
        self.expect_by(tick);
        Some(key)
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
        let key = self.wheel.schedule(tick, owner, event)?;
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
        self.wheel.cancel(key);
        self.forget_next();
    }

    /// Cancels or postpones a timeout of a handler, unless it has fired or was cancelled.
    pub(in crate::reactor) fn change_timeout(&mut self, timeout: &Timeout, change: TimeoutChange) {
        let Some(key) = Key::from_timeout(timeout) else { return };
        match change {
            TimeoutChange::Cancel => self.cancel(key),
            TimeoutChange::Postpone(at) => {
                let tick = self.tick_of(at);
                if self.wheel.postpone(key, tick) == Some(Moved::Earlier) {
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
        self.wheel.cancel_all(owner);
        self.forget_next();
    }

    /// A timer was cancelled. The time of the next one is only recomputed when it has come, unless there is none.
    fn forget_next(&mut self) {
        if self.wheel.is_empty() {
            self.set_next(None);
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
            self.set_next(self.wheel.next());
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
