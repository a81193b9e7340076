//! What all connections of a loop share, except the slab that contains them.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{error, warn};
use url::Url;

use super::accepting::addresses::AddressCounts;
use super::accepting::arrivals::Admitted;
use super::api::settings::{ProxyPolicy, Settings};
use super::buffer_pool::BufferPool;
use super::connecting::reconnecting::Reconnecting;
use super::draining::Draining;
use super::entries::{ConnectionId, Entries};
use super::fairness::Fairness;
use super::frame_hooks::FrameHooks;
use super::log_limit::LogLimit;
use super::memory::MemoryBudget;
use super::monitoring::{Traffic, TurnMeter};
use super::phase::LoopPhase;
use super::publishing::topics::{TopicLimit, Topics};
use super::publishing::{Audience, Content, Publications, Published, SharedFrame};
use super::queue::routing;
use super::queue::{Batch, CommandQueue, QueuedPublication, SharedCommand};
use super::scheduling::Scheduled;
use super::system::System;
use super::timers::{Deadlines, Key, TimerEvent, TimerList};
use super::transport::Keys;
use super::work_lists::WorkLists;
use crate::close::{CloseCode, Closed};
use crate::connecting::proxy::{Proxy, ProxyError};
use crate::connecting::reconnect::Lost;
use crate::connecting::redirect::without_credentials;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::Config;

/// What peers can cause so often that not every event is logged.
#[derive(Debug, Default)]
pub(super) struct Logged {
    /// Connections that failed because of the memory limit.
    pub(super) memory: LogLimit,
    /// Connections that were rejected because there is no room.
    pub(super) rejections: LogLimit,
}

/// The parts of the loop that its connections use.
#[derive(Debug)]
pub(super) struct LoopState<S: System> {
    pub(super) system: S,
    pub(super) settings: Settings,
    /// The certificates of the loop. Handlers can provide others.
    pub(super) keys: Keys,
    pub(super) config: Arc<Config>,
    /// The proxy through which clients connect.
    pub(super) proxy: Option<Proxy>,
    pub(super) trusted_proxies: ProxyPolicy,
    pub(super) queue: Arc<CommandQueue>,
    pub(super) deadlines: Deadlines,
    pub(super) fairness: Fairness,
    pub(super) memory: MemoryBudget,
    pub(super) addresses: AddressCounts,
    pub(super) logged: Logged,
    pub(super) pool: BufferPool,
    pub(super) work: WorkLists,
    pub(super) publications: Publications,
    pub(super) topics: Topics,
    pub(super) draining: Draining,
    pub(super) traffic: Traffic,
    pub(super) hooks: FrameHooks,
    turns: TurnMeter,
    /// The time when this turn of the loop began to work.
    pub(super) now: Instant,
    /// Memory for the commands that a handler queues for its own connection. Empty between uses.
    pub(super) own_commands: Batch,
    /// Whether accepted connections are assigned to other loops of the pool.
    pub(super) assigns: bool,
    /// The loops of the pool whose queues are too long. Nothing is read before they are shorter.
    blocked_by: Vec<usize>,
    pub(super) reconnecting: Reconnecting,
    pub(super) scheduled: Scheduled,
    /// How the first connection has ended, or why it could not be established, if it is a client's.
    pub(super) outcome: Option<Result<Closed>>,
}

impl<S: System> LoopState<S> {
    pub(super) fn new(settings: Settings, queue: Arc<CommandQueue>, system: S) -> Self {
        let now = system.now();
        Self {
            system,
            settings,
            keys: Keys::default(),
            config: Arc::new(settings.protocol()),
            proxy: None,
            trusted_proxies: ProxyPolicy::Settings(settings.trusted_proxies),
            memory: queue.memory().clone(),
            addresses: AddressCounts::new(
                settings.max_connections_per_address,
                Arc::clone(&queue.common.sites),
            ),
            logged: Logged::default(),
            topics: Topics::new(queue.common.clone(), settings.max_topics_per_connection),
            queue,
            deadlines: Deadlines::new(now),
            fairness: Fairness::new(settings.max_turn, now),
            pool: BufferPool::new(settings.out_buffer_capacity),
            work: WorkLists::default(),
            publications: Publications::default(),
            draining: Draining::default(),
            traffic: Traffic::default(),
            hooks: FrameHooks::default(),
            turns: TurnMeter::new(now),
            now,
            own_commands: Batch::new(),
            assigns: false,
            blocked_by: Vec::new(),
            reconnecting: Reconnecting::default(),
            scheduled: Scheduled::default(),
            outcome: None,
        }
    }

    /// Whether another connection may be added to the loop, or to its pool. `counts` is whether it counts already.
    pub(super) fn has_room<H>(&self, entries: &Entries<H, S>, counts: bool) -> bool {
        let most = self.settings.max_connections;
        match self.queue.membership().map(|own| own.peers.connections()) {
            // The acceptor has clients that have not sent their PROXY header.
            Some(connections) if self.assigns => entries.has_room(most.saturating_sub(connections)),
            Some(connections) => connections - usize::from(counts) < most,
            None => entries.has_room(most),
        }
    }

    /// Returns whether there is room for a connection that was accepted. `address` is that of the client, if these are limited.
    pub(super) fn admit<H>(
        &self,
        entries: &Entries<H, S>,
        address: Option<IpAddr>,
        counts: bool,
    ) -> Option<Admitted> {
        if !self.has_room(entries, counts) {
            return None;
        }
        let address = match address {
            Some(address) => Some(self.addresses.take_place(address)?),
            None => None,
        };
        Some(Admitted { address })
    }

    /// Whether other loops of the pool must execute commands before more is read.
    #[inline]
    pub(super) fn is_blocked(&self) -> bool {
        !self.blocked_by.is_empty()
    }

    /// A phase of the loop begins.
    #[inline(always)]
    pub(super) fn begin(&self, phase: LoopPhase) {
        self.system.on_phase(phase);
    }

    /// Reads the clock at the beginning of a turn.
    pub(super) fn begin_turn(&mut self) {
        self.now = self.system.now();
        self.fairness.begin_turn(self.now);
        self.turns.begin(self.now, &self.queue.monitor.turns);
        let queue = &self.queue;
        self.blocked_by.retain(|peer| routing::is_long(queue, *peer));
    }

    /// Publishes what has been counted in this turn, and how long it has lasted.
    pub(super) fn end_turn(&mut self) {
        // The loop waits until the next timer.
        self.change_timeouts();
        for peer in routing::flush(&self.queue) {
            if !self.blocked_by.contains(&peer) {
                self.blocked_by.push(peer);
            }
        }
        self.traffic.publish(&self.queue.monitor.traffic);
        self.turns.end(self.system.now(), &self.queue.monitor.turns);
    }

    /// Cancels and postpones timeouts as handlers have asked.
    #[inline]
    pub(super) fn change_timeouts(&mut self) {
        let deadlines = &mut self.deadlines;
        self.queue.take_timeout_changes(|timeout, change| deadlines.change_timeout(&timeout, change));
    }

    /// Returns the next timer that is due.
    #[inline]
    pub(super) fn pop_due(&mut self) -> Option<TimerEvent> {
        self.change_timeouts();
        self.deadlines.pop_due(self.now)
    }

    /// Begins the time budget of one connection.
    pub(super) fn begin_budget(&mut self) -> Option<Instant> {
        self.fairness.begin_budget(|| self.system.now())
    }

    /// A step of the turn has been made. Returns whether the turn is over.
    #[inline]
    pub(super) fn step(&mut self) -> bool {
        self.fairness.step(|| self.system.now())
    }

    /// Whether a connection must leave its remaining frames to the next turn.
    #[inline]
    pub(super) fn exceeds_budget(&mut self, frames: usize, began: Option<Instant>) -> bool {
        self.fairness.exceeds_budget(frames, began, || self.system.now())
    }

    /// Whether a connection must leave its remaining input to the next turn. Reads the clock.
    pub(super) fn has_used_up_budget(&mut self, began: Option<Instant>) -> bool {
        self.fairness.has_used_up(began, self.system.now())
    }

    /// Schedules an event after a duration that begins now, not at the beginning of the turn.
    pub(super) fn schedule_in(
        &mut self,
        after: Duration,
        owner: &mut TimerList,
        event: TimerEvent,
    ) -> Option<Key> {
        let at = self.system.now().checked_add(after)?;
        self.deadlines.schedule_at(at, owner, event)
    }

    /// Returns the URL as handlers see it when they build a request: without its user and password if these are not to be sent.
    pub(super) fn visible(&self, url: &Url) -> Url {
        let mut url = url.clone();
        if !self.settings.url_credentials {
            without_credentials(&mut url);
        }
        url
    }

    /// Logs that a client was rejected. Clients can cause many rejections, so not each of them is logged.
    pub(super) fn log_rejection(&mut self) {
        if let Some(count) = self.logged.rejections.add(self.now) {
            warn!("rejected {count} connections: max_connections or max_connections_per_address is reached");
        }
    }

    /// Calls a handler. With [`Settings::catch_panics`] a panic is caught, and the result is `None`.
    #[inline(always)]
    pub(super) fn guard<R>(&self, call: impl FnOnce() -> R) -> Option<R> {
        guard(self.settings.catch_panics, call)
    }

    /// Begins or ends the subscription of a connection to a topic. What was published before the end still arrives.
    pub(super) fn change_subscription(&mut self, slot: u32, command: &SharedCommand) -> Result<()> {
        let changed = match command {
            SharedCommand::Subscribe(topic, _) => self.topics.subscribe(slot, topic),
            SharedCommand::Unsubscribe(topic) => Ok(self.topics.unsubscribe(slot, topic)),
            _ => Ok(None),
        };
        let limit = match changed {
            Ok(topic) => {
                topic.into_iter().for_each(|topic| self.publications.change(Audience::Topic(topic)));
                return Ok(());
            }
            Err(TopicLimit::Connection) => "this connection subscribes to too many topics",
            Err(TopicLimit::Pool) => "there are too many topics",
        };
        Err(Error::new(ErrorKind::Capacity, limit))
    }

    /// Passes a publication to the subscribers of its topic.
    pub(super) fn publish(&mut self, publication: &QueuedPublication) {
        let QueuedPublication { topic, frame, message, except, is_volatile } = publication;
        if let Some(topic) = self.topics.find(topic) {
            let content = Content::Frame(SharedFrame::new(frame.clone(), message.clone()));
            let except = except.map(|(slot, serial)| ConnectionId { slot, serial });
            let published = Published { content, except, is_volatile: *is_volatile };
            let subscribers = self.topics.subscribers(topic);
            self.publications.publish(Audience::Topic(topic), published, subscribers);
        }
    }

    /// A connection has ended. It receives no more publications.
    pub(super) fn forget_publications(&mut self, slot: u32) {
        self.publications.remove(slot);
        for topic in self.topics.remove(slot) {
            self.publications.change(Audience::Topic(topic));
        }
    }

    /// Records why the first connection could not be established. [`connect`](crate::connect) returns this error.
    pub(super) fn record_connect_failure(&mut self, id: ConnectionId, err: &Error) {
        if id.serial == 0 && self.outcome.is_none() {
            // The type of other causes is lost.
            let refusal = ProxyError::of(err).cloned().map(Error::from);
            self.outcome = Some(Err(refusal.unwrap_or_else(|| err.duplicate())));
        }
    }

    /// Returns how long a client waits before its next attempt, and its URL, if it connects again.
    pub(super) fn begin_attempt(&mut self, id: ConnectionId, lost: &Lost) -> Option<(Duration, Url)> {
        let next = self.reconnecting.begin_attempt(id.slot, lost)?;
        if id.serial == 0 {
            self.outcome = None;
        }
        Some(next)
    }

    /// Records how the first connection has ended.
    pub(super) fn record_close(&mut self, id: ConnectionId, code: CloseCode, reason: &str) {
        if id.serial == 0 {
            self.outcome = Some(Ok(Closed::new(code, reason)));
        }
    }
}

/// Calls a handler. If panics are caught, the result of one is `None`.
#[inline(always)]
pub(super) fn guard<R>(catches: bool, call: impl FnOnce() -> R) -> Option<R> {
    if catches { catch(call) } else { Some(call()) }
}

#[cold]
fn catch<R>(call: impl FnOnce() -> R) -> Option<R> {
    let called = catch_unwind(AssertUnwindSafe(call));
    if called.is_err() {
        error!("a handler panicked, and its connection is closed");
    }
    called.ok()
}
