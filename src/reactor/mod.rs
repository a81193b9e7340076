//! The loop: one thread, all connections.
//!
//! ```text
//! wait -> dispatch -> commands -> deadlines -> flush -> reap
//! ```
//!
//! Handlers are called in `dispatch`, `commands`, `deadlines`, `flush` (only `on_drain`) and `reap`; no connection is
//! removed outside `reap`; and the thread waits nowhere but in `wait`.

mod accepting;
pub(crate) mod api;
mod commands;
mod connecting;
mod connection;
mod loop_state;
pub(crate) mod queue;
mod timers;
#[cfg(feature = "ssl")]
mod tls;
#[cfg(not(feature = "ssl"))]
#[path = "no_tls.rs"]
mod tls;
mod transport;
mod websocket;
mod write_queue;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use log::{debug, warn};
use mio::event::Event;
use mio::{Events, Poll, Token, Waker};
use slab::Slab;

use self::accepting::listener::Listener;
use self::api::factory::Factory;
use self::api::handler::Handler;
use self::api::settings::Settings;
use self::connecting::attempt::ConnectAttempt;
use self::connecting::resolver::Resolver;
use self::connection::Connection;
use self::loop_state::{ConnectionId, LoopState, TimerKind};
use self::queue::{Batch, Command, CommandQueue};
use self::timers::TimerList;
pub use self::websocket::{Builder, WebSocket};
use crate::error::Result;

/// The size of the buffer into which all connections are read, in bytes.
const READ_BUFFER: usize = 256 * 1024;

/// The most events that are taken from the system at once.
const EVENTS: usize = 1024;

/// The most commands of other threads that are executed before it is the turn of sockets again.
const COMMAND_BUDGET: usize = 256;

/// How often the queue of this thread is looked at in one turn, as callbacks fill it again.
const LOCAL_ROUNDS: usize = 4;

/// How many connections may wait to be flushed while events are dispatched, how many commands of this thread may wait to
/// be executed, and how many bytes to be sent: what the processor's cache holds.
const MAX_DIRTY: usize = 64;
const MAX_LOCAL: usize = 64;
const MAX_WAITING_BYTES: usize = 128 * 1024;

/// The most commands for which room is kept.
const MAX_KEPT_COMMANDS: usize = 1024;

/// The token of the waker; those of listeners count down from it.
const WAKER: Token = Token(usize::MAX);

/// The loop.
pub(crate) struct Reactor<F: Factory> {
    factory: F,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    entries: Slab<Entry<F::Handler>>,
    /// How many of the entries are clients that are only told that there is no room.
    rejected: usize,
    state: LoopState,
    listeners: Vec<Listener>,
    /// The alarms of listeners that are out of descriptors.
    listener_timers: TimerList,
    resolver: Resolver,
    /// The serial number of the next connection.
    next_id: u32,
    /// What [`WebSocket`] was asked for before the loop ran.
    requested: Vec<Command>,
    /// Room for the commands in hand.
    batch: Batch,
    /// Whether other threads have queued more than one turn takes.
    has_more_commands: bool,
    /// Slots of dials whose sockets have something to tell.
    connecting: Vec<u32>,
    /// Whether any connection has come and gone: then a loop without listeners ends with the last one.
    has_lost_connection: bool,
    /// It goes on without anyone, until it is shut down.
    runs_until_shutdown: bool,
    run_state: RunState,
}

/// Where the loop stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunState {
    Running,
    /// The handlers know that the loop is to end, and may have a last word.
    Stopping,
    /// Every connection has its Close.
    Closing,
}

/// What is in a slot.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are the large one")]
enum Entry<H> {
    Connecting(Box<ConnectAttempt<H>>),
    Connected(Connection<H>),
    /// Nothing, while one of the above becomes the other.
    Vacating,
}

impl<F: Factory> Reactor<F> {
    pub(crate) fn new(factory: F, settings: Settings) -> Result<Self> {
        settings.check()?;
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let wake = Arc::clone(&waker);
        let queue = CommandQueue::new(
            &settings,
            Box::new(move || {
                if let Err(err) = wake.wake() {
                    warn!("the loop could not be woken: {err}");
                }
            }),
        );
        let state = LoopState::new(settings, Arc::new(queue), poll.registry().try_clone()?);
        Ok(Self {
            factory,
            poll,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BUFFER],
            entries: Slab::new(),
            rejected: 0,
            state,
            listeners: Vec::new(),
            listener_timers: TimerList::default(),
            resolver: Resolver::new(waker),
            next_id: 0,
            requested: Vec::new(),
            batch: Batch::new(),
            has_more_commands: false,
            connecting: Vec::new(),
            has_lost_connection: false,
            runs_until_shutdown: false,
            run_state: RunState::Running,
        })
    }

    /// Runs until there is nothing more to do.
    pub(crate) fn run(&mut self) -> Result<()> {
        let queue = Arc::clone(&self.state.queue);
        let _entered = queue.enter();
        queue.reopen();
        self.run_state = RunState::Running;
        self.has_lost_connection = false;
        for command in std::mem::take(&mut self.requested) {
            self.execute(command, None);
        }
        while !self.is_finished() {
            self.turn()?;
        }
        if self.run_state == RunState::Running {
            self.factory.on_shutdown();
        }
        queue.close();
        queue.clear();
        assert!(!self.state.settings.panic_on_shutdown, "the loop has shut down");
        Ok(())
    }

    fn turn(&mut self) -> Result<()> {
        self.wait()?;
        self.dispatch();
        self.commands();
        self.deadlines();
        self.flush();
        self.reap();
        Ok(())
    }

    /// Waits for events; not at all if there is work left.
    fn wait(&mut self) -> Result<()> {
        let timeout = if self.has_work() { Some(Duration::ZERO) } else { self.state.until_next_timer() };
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                if self.state.settings.shutdown_on_interrupt {
                    self.execute(Command::Shutdown, None);
                }
            }
            Err(err) => return Err(err.into()),
        }
        self.state.begin_turn();
        Ok(())
    }

    /// Reads from everyone who has something to say, within the share of each, and lets new ones in.
    fn dispatch(&mut self) {
        let ready = std::mem::take(&mut self.state.to_read);
        self.read_events();
        if !ready.is_empty() {
            // Who has said little has its answer before those go on who say much.
            self.commands();
            self.flush();
        }
        for slot in ready {
            self.flush_if_backlogged();
            if let Some(Entry::Connected(connection)) = self.entries.get_mut(index(slot)) {
                connection.continue_reading(&mut self.buffer, &mut self.state);
            }
        }
        self.continue_connecting();
        self.accept_all();
    }

    /// Hears what the system tells of the sockets.
    fn read_events(&mut self) {
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            self.flush_if_backlogged();
            match self.entries.get_mut(event.token().0) {
                Some(Entry::Connected(connection)) => {
                    on_event(connection, event, &mut self.buffer, &mut self.state);
                }
                Some(Entry::Connecting(attempt)) => self.connecting.push(attempt.id.slot),
                // It has woken the loop, and that was all.
                Some(Entry::Vacating) | None if event.token() == WAKER => {}
                Some(Entry::Vacating) | None => {
                    if let Some(listener) = self.listeners.get_mut(WAKER.0 - 1 - event.token().0) {
                        listener.is_ready = true;
                    }
                }
            }
        }
        self.events = events;
    }

    /// Hands on what has come up so far, if that is much: the answers to a thousand connections at once would take a
    /// buffer each, and be cold when their turn comes.
    fn flush_if_backlogged(&mut self) {
        let (commands, bytes) = self.state.queue.local_load();
        let is_much = bytes + self.state.unflushed >= MAX_WAITING_BYTES;
        if self.state.to_flush.len() >= MAX_DIRTY || commands >= MAX_LOCAL || is_much {
            self.commands();
            self.flush();
        }
    }

    /// Does what senders have asked for: everything of this thread, and a share of other threads'.
    fn commands(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        self.has_more_commands = self.state.queue.take_remote(COMMAND_BUDGET, &mut batch);
        self.execute_all(&mut batch);
        for _ in 0..LOCAL_ROUNDS {
            // Many commands at once are an exception, for which no room is kept.
            batch.shrink_to(MAX_KEPT_COMMANDS);
            self.state.queue.swap_local(&mut batch);
            if batch.is_empty() {
                break;
            }
            self.execute_all(&mut batch);
        }
        self.batch = batch;
        while let Some((id, found)) = self.resolver.next() {
            self.on_resolved(id, found);
        }
        if self.run_state == RunState::Stopping && !self.has_more_commands && !self.state.queue.has_local() {
            self.close_all();
        }
    }

    /// Does what time asks for.
    fn deadlines(&mut self) {
        while let Some(event) = self.state.pop_due() {
            let id = event.id;
            let entry = self.entries.get_mut(index(id.slot)).filter(|entry| entry.id() == Some(id));
            match (event.kind, entry) {
                (TimerKind::Accept, _) => self.resume_accepting(id.slot),
                (TimerKind::User(token), Some(Entry::Connected(connection))) => {
                    connection.on_timeout(token, &mut self.state);
                }
                (TimerKind::User(token), Some(Entry::Connecting(_))) => self.on_attempt_timeout(id, token),
                (TimerKind::Connection, Some(Entry::Connected(connection))) => {
                    connection.on_deadline(&mut self.state);
                }
                (TimerKind::Connection, Some(Entry::Connecting(_))) => self.on_attempt_deadline(id),
                (_, Some(Entry::Vacating) | None) => {
                    debug!("a timer has fired after its connection was removed")
                }
            }
        }
    }

    /// Sends what is queued, each connection's at once.
    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.state.to_flush);
        self.state.unflushed = 0;
        for slot in dirty.drain(..) {
            if let Some(Entry::Connected(connection)) = self.entries.get_mut(index(slot)) {
                connection.flush(&mut self.state);
            }
        }
        // Who has become dirty meanwhile is flushed in the next turn.
        if self.state.to_flush.is_empty() {
            self.state.to_flush = dirty;
        }
    }

    /// Removes the connections that have ended.
    fn reap(&mut self) {
        let mut to_close = std::mem::take(&mut self.state.to_close);
        for slot in to_close.drain(..) {
            if self.follow_redirect(slot) {
                continue;
            }
            let slot = index(slot);
            match self.entries.contains(slot).then(|| self.entries.remove(slot)) {
                Some(Entry::Connected(connection)) => {
                    self.rejected -= usize::from(connection.is_rejected());
                    let handler = connection.close_and_release(&mut self.state);
                    self.on_connection_lost(handler);
                }
                Some(Entry::Connecting(attempt)) => self.release_attempt(*attempt),
                Some(Entry::Vacating) | None => {}
            }
        }
        if self.state.to_close.is_empty() {
            self.state.to_close = to_close;
        }
    }

    fn on_connection_lost(&mut self, handler: Option<F::Handler>) {
        self.has_lost_connection = true;
        if let Some(handler) = handler {
            self.factory.connection_lost(handler);
        }
    }

    /// Whether there is room for one more connection. Who is turned away takes nobody's place, or a crowd at the door
    /// could keep an empty house closed.
    fn has_room(&self) -> bool {
        self.entries.len() - self.rejected < self.state.settings.max_connections
    }

    fn has_work(&self) -> bool {
        !self.state.to_read.is_empty()
            || !self.state.to_flush.is_empty()
            || !self.state.to_close.is_empty()
            || !self.connecting.is_empty()
            || self.has_more_commands
            || self.state.queue.has_local()
            || self.run_state == RunState::Stopping
            || self.listeners.iter().any(|listener| listener.is_ready)
    }

    fn is_finished(&self) -> bool {
        match self.run_state {
            RunState::Running => {
                !self.runs_until_shutdown
                    && self.has_lost_connection
                    && self.entries.is_empty()
                    && self.listeners.is_empty()
                    && !self.state.queue.has_local()
                    && !self.state.queue.has_remote()
            }
            RunState::Stopping => false,
            RunState::Closing => self.entries.is_empty(),
        }
    }
}

/// Lets a connection hear what the system says of its socket.
fn on_event<H: Handler>(
    connection: &mut Connection<H>,
    event: &Event,
    buffer: &mut [u8],
    state: &mut LoopState,
) {
    if event.is_writable() {
        connection.on_writable(state);
    }
    if event.is_readable() || event.is_read_closed() || event.is_error() {
        connection.on_readable(event.is_read_closed(), buffer, state);
    }
}

impl<H: Handler> Entry<H> {
    fn id(&self) -> Option<ConnectionId> {
        match self {
            Self::Connecting(attempt) => Some(attempt.id),
            Self::Connected(connection) => Some(connection.id()),
            Self::Vacating => None,
        }
    }
}

/// The slot as the slab counts it.
fn index(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

impl<F: Factory> Drop for Reactor<F> {
    /// Senders outlive the loop: they hear that it has gone.
    fn drop(&mut self) {
        self.state.queue.close();
        self.state.queue.clear();
        // After a panic they are still there.
        for (_, entry) in &self.entries {
            if let Some(id) = entry.id() {
                self.state.queue.remove_connection(id.slot);
            }
        }
    }
}

impl<F: Factory> std::fmt::Debug for Reactor<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor").field("connections", &self.entries.len()).finish_non_exhaustive()
    }
}
