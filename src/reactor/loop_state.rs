//! What all connections of a loop share, apart from the slab that holds them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::error;
use mio::Registry;

use super::api::settings::{ProxyPolicy, Settings};
use super::api::util::{Timeout, Token};
use super::queue::{Batch, CommandQueue};
use super::timers::{Key, TimerList, Timers};
use super::tls::Keys;
use super::write_queue::WriteQueue;
use crate::error::Error;
use crate::protocol::Config;

/// The most output buffers that are kept for later: as many as are in use at a time, but for broadcasts.
const MAX_POOLED: usize = 64;

/// How long a turn of the loop may last before connections with many frames leave some of them for the next, and how long
/// each may take even then.
const LONG_TURN: Duration = Duration::from_millis(4);
const LEAST_SHARE: Duration = Duration::from_millis(1);

/// After how many frames of a connection each the clock is looked at.
const CLOCK_EVERY: usize = 16;

/// Names a connection for good: its slot, and its serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionId {
    pub(super) slot: u32,
    pub(super) serial: u32,
}

/// What a deadline in the wheel stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimerEvent {
    pub(super) id: ConnectionId,
    pub(super) kind: TimerKind,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum TimerKind {
    /// A time-out that a handler has set.
    User(Token),
    /// The deadline of a connection: of its handshake, of its closing, of silence.
    Connection,
    /// A listener that could not accept tries again; its place stands for the slot.
    Accept,
}

/// What all connections share.
pub(super) struct LoopState {
    pub(super) settings: Settings,
    /// With what connections are encrypted, beside what their handlers do.
    pub(super) keys: Keys,
    pub(super) config: Arc<Config>,
    pub(super) trusted_proxies: ProxyPolicy,
    pub(super) queue: Arc<CommandQueue>,
    pub(super) registry: Registry,
    pub(super) timers: Timers<TimerEvent>,
    /// The time at which this turn of the loop has begun to work.
    pub(super) now: Instant,
    /// Whether this turn has lasted long, as far as anyone has looked, and whether the last one had.
    is_long: bool,
    was_long: bool,
    epoch: Instant,
    #[expect(clippy::vec_box, reason = "the boxes are lent: a connection without output owns a pointer")]
    pool: Vec<Box<WriteQueue>>,
    /// Room for what a handler asks of its own connection; empty in between.
    pub(super) own: Batch,
    /// Connections that have output, or are about to end.
    pub(super) to_flush: Vec<u32>,
    /// About how many bytes of output they have.
    pub(super) unflushed: usize,
    /// Connections that may have more to read than their share of one turn.
    pub(super) to_read: Vec<u32>,
    /// Connections that have ended.
    pub(super) to_close: Vec<u32>,
    /// Why the first connection, a client's, could not be made.
    pub(super) failure: Option<Error>,
}

impl LoopState {
    pub(super) fn new(settings: Settings, queue: Arc<CommandQueue>, registry: Registry) -> Self {
        let now = Instant::now();
        Self {
            settings,
            keys: Keys::default(),
            config: Arc::new(settings.protocol()),
            trusted_proxies: ProxyPolicy::Settings(settings.trusted_proxies),
            queue,
            registry,
            timers: Timers::new(),
            now,
            is_long: false,
            was_long: false,
            epoch: now,
            pool: Vec::new(),
            own: Batch::new(),
            to_flush: Vec::new(),
            unflushed: 0,
            to_read: Vec::new(),
            to_close: Vec::new(),
            failure: None,
        }
    }

    /// A turn of the loop begins to work.
    pub(super) fn begin_turn(&mut self) {
        self.now = Instant::now();
        self.was_long = std::mem::take(&mut self.is_long);
    }

    /// The frames of a connection begin to be handled: now, if anyone has taken long of late.
    pub(super) fn begin_budget(&self) -> Option<Instant> {
        self.was_long.then(Instant::now)
    }

    /// Whether a connection is to leave its further frames for the next turn, after a number of them: others have waited
    /// for long, and it has had its share. The clock is looked at now and then; where handlers are slow, soon.
    #[inline]
    pub(super) fn exceeds_budget(&mut self, frames: usize, begun: Option<Instant>) -> bool {
        let looks = frames.is_multiple_of(CLOCK_EVERY) || begun.is_some() && frames.is_power_of_two();
        looks && self.has_taken_long(begun)
    }

    /// Whether others have waited for long, and a connection has had its share.
    pub(super) fn has_taken_long(&mut self, begun: Option<Instant>) -> bool {
        let now = Instant::now();
        self.is_long = now - self.now > LONG_TURN;
        self.is_long && begun.is_none_or(|begun| now - begun > LEAST_SHARE)
    }

    /// Calls a handler. With [`Settings::catch_panics`] a panic ends here, as `None`, and costs one connection only.
    #[inline(always)]
    pub(super) fn guard<R>(&self, call: impl FnOnce() -> R) -> Option<R> {
        if self.settings.catch_panics { catch(call) } else { Some(call()) }
    }

    /// Takes an empty output buffer.
    pub(super) fn take_output(&mut self) -> Box<WriteQueue> {
        self.pool
            .pop()
            .unwrap_or_else(|| Box::new(WriteQueue::with_capacity(self.settings.out_buffer_capacity)))
    }

    /// Gives an empty output buffer back.
    pub(super) fn recycle_output(&mut self, mut output: Box<WriteQueue>) {
        output.held_until = None;
        if self.pool.len() < MAX_POOLED {
            self.pool.push(output);
        }
    }

    /// Sets an alarm at a time; never early.
    pub(super) fn schedule_at(
        &mut self,
        at: Instant,
        owner: &mut TimerList,
        event: TimerEvent,
    ) -> Option<Key> {
        let tick = self.tick_after(at);
        self.timers.schedule(tick, owner, event)
    }

    /// Whether an alarm goes off before the one that would be set at a time, or with it.
    pub(super) fn is_not_after(&self, event: Key, at: Instant) -> bool {
        self.timers.deadline(event).is_some_and(|tick| tick <= self.tick_after(at))
    }

    /// Sets an alarm after a while; never early.
    pub(super) fn schedule_in(
        &mut self,
        after: Duration,
        owner: &mut TimerList,
        event: TimerEvent,
    ) -> Option<Key> {
        let at = Instant::now().checked_add(after)?;
        self.schedule_at(at, owner, event)
    }

    /// Sets a time-out of a handler; `None` as the time means never, as far as anyone will see.
    pub(super) fn schedule_timeout(
        &mut self,
        at: Option<Instant>,
        owner: &mut TimerList,
        event: TimerEvent,
    ) -> Option<Timeout> {
        let tick = at.map_or(u64::MAX, |at| self.tick_after(at));
        self.timers.schedule(tick, owner, event).map(Key::into_timeout)
    }

    /// Takes back a time-out of a handler.
    pub(super) fn cancel(&mut self, timeout: &Timeout) {
        if let Some(key) = Key::from_timeout(timeout) {
            self.timers.cancel(key);
        }
    }

    /// A client could not connect; why the first connection could not is what [`connect`](crate::connect) returns.
    pub(super) fn record_connect_failure(&mut self, id: ConnectionId, err: &Error) {
        if id.serial == 0 && self.failure.is_none() {
            self.failure = Some(err.duplicate());
        }
    }

    /// How long the loop may wait before an alarm is due.
    pub(super) fn until_next_timer(&self) -> Option<Duration> {
        let next = self.timers.next()?;
        let at = self.epoch.checked_add(Duration::from_millis(next))?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Takes an alarm that is due.
    pub(super) fn pop_due(&mut self) -> Option<TimerEvent> {
        let now = self.millis(self.now);
        self.timers.pop_due(now)
    }

    /// The first tick that is certainly not before a time.
    fn tick_after(&self, at: Instant) -> u64 {
        self.millis(at).saturating_add(1)
    }

    /// The tick in which a time lies.
    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cold]
fn catch<R>(call: impl FnOnce() -> R) -> Option<R> {
    let called = catch_unwind(AssertUnwindSafe(call));
    if called.is_err() {
        error!("a handler has panicked; its connection is closed");
    }
    called.ok()
}

impl std::fmt::Debug for LoopState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoopState").field("settings", &self.settings).finish_non_exhaustive()
    }
}
