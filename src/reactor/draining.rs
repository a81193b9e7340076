//! The drain of a loop: it accepts no new work, closes its connections one after the other, and ends.
//!
//! ```text
//! Running --drain--> Draining --last connection, or shutdown--> Stopping --> Closing --> the end
//!                        |                                         |            ^
//!                        '------------------ deadline -------------+------------'
//! ```
//!
//! [`begin`] calls `on_shutdown` and lists the open connections. From then on, [`on_timer`] ends each of them when its time has
//! come. Connections that arrive meanwhile are accepted, because only their requests show what they are: upgrades receive 503,
//! and handlers answer requests for pages. The loop does not wait for these connections.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use log::{info, warn};
use url::Url;

use super::api::drain::Drain;
use super::api::factory::Factory;
use super::api::health::LoopStatus;
use super::commands::announce_end;
use super::connection::draining::Part;
use super::entries::{ConnectionId, Entry};
use super::queue::{Command, CommandQueue, QueuedCommand};
use super::system::System;
use super::timers::{Deadlines, TimerEvent, TimerKind, TimerList};
use super::{Reactor, RunState, connection};
use crate::close::CloseCode;
use crate::error::{Error, ErrorKind, QueueError, redacted};
use crate::protocol::Frame;

/// The range of `Retry-After`.
const RETRY_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3600)];

/// The drain of a loop, from its beginning to the end of the loop.
#[derive(Debug, Default)]
pub(super) struct Draining {
    active: Option<Active>,
    timers: TimerList,
}

#[derive(Debug)]
struct Active {
    code: CloseCode,
    reason: Cow<'static, str>,
    schedule: Schedule,
    /// The connections that the schedule closes, in this order.
    connections: Vec<ConnectionId>,
    /// How many of them have been closed.
    closed: usize,
    /// The slots of the connections that have been open, and have not been removed.
    remaining: HashSet<u32>,
    /// `None` if it is beyond the range of the clock.
    deadline: Option<Instant>,
}

/// When connections are closed: at equal intervals.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    began: Instant,
    over: Duration,
    count: usize,
    share: Share,
}

/// Which loop of a pool drains, and how many drain at the same time. They close their connections in turn.
#[derive(Debug, Clone, Copy)]
struct Share {
    index: usize,
    loops: usize,
}

impl Schedule {
    /// Returns when a connection is closed. The first one of the first loop is closed at the beginning. `None` means never.
    fn at(self, position: usize) -> Option<Instant> {
        if position >= self.count {
            return None;
        }
        let Share { index, loops } = self.share;
        // Exact, so that rounding does not accumulate. Positions are less than 2^32, and durations less than 2^94 nanoseconds.
        let (numerator, denominator) = (position * loops + index, self.count * loops);
        let nanos = self.over.as_nanos().saturating_mul(numerator as u128) / denominator as u128;
        self.began.checked_add(Duration::from_nanos(u64::try_from(nanos).ok()?))
    }
}

impl Draining {
    /// Whether the loop drains, or ends after it has drained.
    pub(super) fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// Forgets the drain, because the loop runs again.
    pub(super) fn reset(&mut self, deadlines: &mut Deadlines) {
        deadlines.cancel_all(&mut self.timers);
        self.active = None;
    }

    /// Returns the Close frame with which connections end.
    pub(super) fn close_frame(&self) -> Frame {
        match &self.active {
            Some(active) => Frame::close(active.code, &active.reason),
            None => Frame::close(CloseCode::Away, "shutting down"),
        }
    }

    /// Returns after which time a rejected client may try again: the deadline. `None` if the loop does not drain.
    pub(super) fn retry_after(&self, now: Instant) -> Option<Duration> {
        let active = self.active.as_ref()?;
        let left = active.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(now));
        let [least, most] = RETRY_AFTER;
        Some(left.clamp(least, most))
    }

    /// A connection has been removed. Returns whether it was the last one for which the drain waits.
    pub(super) fn remove(&mut self, slot: u32) -> bool {
        let Some(active) = &mut self.active else { return false };
        active.remaining.remove(&slot) && active.remaining.is_empty()
    }

    /// Schedules the timer for the next connection, or for the deadline.
    fn schedule(&mut self, deadlines: &mut Deadlines) {
        let Some(active) = &self.active else { return };
        let next = active.schedule.at(active.closed).into_iter().chain(active.deadline).min();
        if let Some(next) = next {
            let id = ConnectionId { slot: u32::MAX, serial: 0 };
            let _ = deadlines.schedule_at(next, &mut self.timers, TimerEvent { id, kind: TimerKind::Drain });
        }
    }
}

impl Share {
    /// Returns the share of a loop.
    fn of(queue: &CommandQueue) -> Self {
        queue
            .membership()
            .map_or(Self { index: 0, loops: 1 }, |own| Self { index: own.index, loops: own.workers().max(1) })
    }
}

impl Active {
    fn new(
        drain: Drain,
        began: Instant,
        share: Share,
        connections: Vec<ConnectionId>,
        remaining: HashSet<u32>,
    ) -> Self {
        let Drain { code, reason, over, deadline } = drain;
        let schedule = Schedule { began, over: over.min(deadline), count: connections.len(), share };
        let deadline = began.checked_add(deadline);
        Self { code, reason, schedule, connections, closed: 0, remaining, deadline }
    }

    /// Returns the next connection that must be closed now.
    fn next_due(&mut self, now: Instant) -> Option<ConnectionId> {
        self.schedule.at(self.closed).filter(|at| *at <= now)?;
        self.closed += 1;
        self.connections.get(self.closed - 1).copied()
    }

    fn is_overdue(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}

/// Begins a drain. It has no effect if the loop drains or shuts down already.
pub(super) fn begin<F: Factory, S: System>(reactor: &mut Reactor<F, S>, drain: Drain) {
    if reactor.run_state != RunState::Running {
        return;
    }
    reactor.run_state = RunState::Draining;
    let Reactor { factory, entries, state, .. } = reactor;
    state.queue.monitor.set_status(LoopStatus::Draining);
    announce_end(entries, state);
    factory.on_shutdown();
    let (mut connections, mut remaining) = (Vec::new(), HashSet::new());
    for entry in entries.iter_mut() {
        match entry {
            Entry::Connected(connection) => {
                let (id, part) = (connection.id(), connection::draining::begin(connection, state));
                connections.extend((part == Part::Open).then_some(id));
                remaining.extend((part != Part::Outside).then_some(id.slot));
            }
            Entry::Connecting(attempt) => state.work.close_attempt_later(attempt.id.slot),
            Entry::Arriving(_) | Entry::Vacating => {}
        }
    }
    info!("the loop drains {} connections", connections.len());
    let (is_empty, share) = (remaining.is_empty(), Share::of(&state.queue));
    state.draining.active = Some(Active::new(drain, state.system.now(), share, connections, remaining));
    state.draining.schedule(&mut state.deadlines);
    if is_empty {
        reactor.stop();
    }
}

/// Closes the connections whose time has come. At the deadline, drops all that are left.
pub(super) fn on_timer<F: Factory, S: System>(reactor: &mut Reactor<F, S>) {
    let state = &mut reactor.state;
    let Some(active) = &mut state.draining.active else { return };
    if active.is_overdue(state.now) {
        return drop_all(reactor);
    }
    while let Some(id) = active.next_due(state.now) {
        // Behind what handlers have queued. The queue of the loop's own thread has no limit.
        let _ = state.queue.push(QueuedCommand { target: id.target(), command: Command::EndConnection });
    }
    state.draining.schedule(&mut state.deadlines);
}

/// Drops all connections, without waiting for their output and their peers.
fn drop_all<F: Factory, S: System>(reactor: &mut Reactor<F, S>) {
    let Reactor { entries, state, listeners, run_state, .. } = reactor;
    *run_state = RunState::Closing;
    state.queue.remote.close();
    listeners.clear();
    if !entries.is_empty() {
        warn!("{} connections are dropped, because the deadline of the drain has come", entries.len());
    }
    for entry in entries.iter_mut() {
        match entry {
            Entry::Connected(connection) => connection::draining::drop_now(connection, state),
            Entry::Connecting(attempt) => state.work.close_attempt_later(attempt.id.slot),
            Entry::Arriving(arrival) => state.work.close_attempt_later(arrival.id.slot),
            Entry::Vacating => {}
        }
    }
}

/// Returns the error for a connection that is requested while the loop drains. A handler that returns it keeps its own connection.
pub(super) fn connect_while_draining(url: &Url) -> Error {
    let details = format!("cannot connect to {}: the loop is draining", redacted(url.as_str()));
    Error::new(ErrorKind::Queue(QueueError::Disconnected), details)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Share = Share { index: 0, loops: 1 };

    #[test]
    fn closes_are_spread_evenly() {
        let began = Instant::now();
        for (count, over) in [(1, 5000), (7, 5000), (1000, 5000), (10_000, 1), (3, 0)] {
            let over = Duration::from_millis(over);
            let schedule = Schedule { began, over, count, share: ALONE };
            let times: Vec<_> = (0..count).map(|position| schedule.at(position).unwrap() - began).collect();
            assert_eq!(times[0], Duration::ZERO);
            let gaps = times.windows(2).map(|pair| (pair[1] - pair[0]).as_nanos());
            let exact = over.as_nanos() / count as u128;
            assert!(gaps.into_iter().all(|gap| gap == exact || gap == exact + 1), "{count} connections");
            assert!(over.is_zero() || times[count - 1] < over);
            assert_eq!(schedule.at(count), None);
        }
    }

    #[test]
    fn loops_of_a_pool_close_their_connections_in_turn() {
        let (began, over) = (Instant::now(), Duration::from_secs(6));
        let of_loop = |index| Schedule { began, over, count: 2, share: Share { index, loops: 3 } };
        let times = |index| [0, 1].map(|position| (of_loop(index).at(position).unwrap() - began).as_secs());
        assert_eq!([times(0), times(1), times(2)], [[0, 3], [1, 4], [2, 5]]);
    }

    #[test]
    fn a_time_beyond_the_clock_never_comes() {
        let schedule = Schedule { began: Instant::now(), over: Duration::MAX, count: 3, share: ALONE };
        assert!(schedule.at(0).is_some() && schedule.at(2).is_none());
    }
}
