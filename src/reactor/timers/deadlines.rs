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
}

/// The timers of all connections and listeners.
///
/// Times are rounded up to the next tick of the wheel, so no timer fires early.
#[derive(Debug)]
pub(in crate::reactor) struct Deadlines {
    wheel: Timers<TimerEvent>,
    epoch: Instant,
}

impl Deadlines {
    pub(in crate::reactor) fn new(epoch: Instant) -> Self {
        Self { wheel: Timers::new(), epoch }
    }

    /// Schedules an event. `None` if the wheel is full.
    pub(in crate::reactor) fn schedule_at(
        &mut self,
        at: Instant,
        owner: &mut TimerList,
        event: TimerEvent,
    ) -> Option<Key> {
        let tick = self.tick_after(at);
        self.wheel.schedule(tick, owner, event)
    }

    /// Schedules a timeout of a handler. A time of `None` is beyond the range of the clock, and the timeout never fires.
    pub(in crate::reactor) fn schedule_timeout(
        &mut self,
        at: Option<Instant>,
        owner: &mut TimerList,
        event: TimerEvent,
    ) -> Option<Timeout> {
        let tick = at.map_or(u64::MAX, |at| self.tick_after(at));
        self.wheel.schedule(tick, owner, event).map(Key::into_timeout)
    }

    pub(in crate::reactor) fn cancel(&mut self, key: Key) {
        self.wheel.cancel(key);
    }

    /// Cancels a timeout of a handler.
    pub(in crate::reactor) fn cancel_timeout(&mut self, timeout: &Timeout) {
        if let Some(key) = Key::from_timeout(timeout) {
            self.wheel.cancel(key);
        }
    }

    pub(in crate::reactor) fn cancel_all(&mut self, owner: &mut TimerList) {
        self.wheel.cancel_all(owner);
    }

    /// Whether a timer fires no later than one that is scheduled for this time.
    pub(in crate::reactor) fn fires_by(&self, key: Key, at: Instant) -> bool {
        self.wheel.deadline(key).is_some_and(|tick| tick <= self.tick_after(at))
    }

    /// How long the loop may wait before a timer is due.
    pub(in crate::reactor) fn until_next(&self, clock: impl FnOnce() -> Instant) -> Option<Duration> {
        let next = self.wheel.next()?;
        let at = self.epoch.checked_add(Duration::from_millis(next))?;
        Some(at.saturating_duration_since(clock()))
    }

    /// Removes and returns an event that is due.
    pub(in crate::reactor) fn pop_due(&mut self, now: Instant) -> Option<TimerEvent> {
        let now = self.tick(now);
        self.wheel.pop_due(now)
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
