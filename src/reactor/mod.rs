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
use self::connecting::attempt::Dial;
use self::connecting::resolver::Resolver;
use self::connection::Connection;
use self::loop_state::{AlarmKind, Context, Name};
use self::queue::{Batch, Hub, Signal};
use self::timers::Owned;
pub use self::websocket::{Builder, WebSocket};
use crate::error::Result;

/// The size of the buffer into which all connections are read, in bytes.
const READ_BUFFER: usize = 256 * 1024;

/// The most events that are taken from the system at once.
const EVENTS: usize = 1024;

/// The most commands of other threads that are obeyed before it is the turn of sockets again.
const COMMAND_BUDGET: usize = 256;

/// How often the queue of this thread is looked at in one turn, as callbacks fill it again.
const LOCAL_ROUNDS: usize = 4;

/// How many connections may wait to be flushed while events are dispatched, how many commands of this thread may wait to
/// be obeyed, and how many bytes to be sent: what the processor's cache holds.
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
    turned_away: usize,
    cx: Context,
    listeners: Vec<Listener>,
    /// The alarms of listeners that are out of descriptors.
    listener_alarms: Owned,
    resolver: Resolver,
    /// The serial number of the next connection.
    next_id: u32,
    /// What [`WebSocket`] was asked for before the loop ran.
    requested: Vec<Signal>,
    /// Room for the commands in hand.
    batch: Batch,
    /// Whether other threads have queued more than one turn takes.
    has_more_commands: bool,
    /// Slots of dials whose sockets have something to tell.
    dialing: Vec<u32>,
    /// Whether any connection has come and gone: then a loop without listeners ends with the last one.
    has_lost: bool,
    /// It goes on without anyone, until it is shut down.
    stays: bool,
    life: Life,
}

/// Where the loop stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
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
    Dialing(Box<Dial<H>>),
    Connected(Connection<H>),
    /// Nothing, while one of the above becomes the other.
    Changing,
}

impl<F: Factory> Reactor<F> {
    pub(crate) fn new(factory: F, settings: Settings) -> Result<Self> {
        settings.check()?;
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let wake = Arc::clone(&waker);
        let hub = Hub::new(
            &settings,
            Box::new(move || {
                if let Err(err) = wake.wake() {
                    warn!("the loop could not be woken: {err}");
                }
            }),
        );
        let cx = Context::new(settings, Arc::new(hub), poll.registry().try_clone()?);
        Ok(Self {
            factory,
            poll,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BUFFER],
            entries: Slab::new(),
            turned_away: 0,
            cx,
            listeners: Vec::new(),
            listener_alarms: Owned::default(),
            resolver: Resolver::new(waker),
            next_id: 0,
            requested: Vec::new(),
            batch: Batch::new(),
            has_more_commands: false,
            dialing: Vec::new(),
            has_lost: false,
            stays: false,
            life: Life::Running,
        })
    }

    /// Runs until there is nothing more to do.
    pub(crate) fn run(&mut self) -> Result<()> {
        let hub = Arc::clone(&self.cx.hub);
        let _entered = hub.enter();
        hub.reopen();
        self.life = Life::Running;
        self.has_lost = false;
        for signal in std::mem::take(&mut self.requested) {
            self.obey(signal, None);
        }
        while !self.is_finished() {
            self.turn()?;
        }
        if self.life == Life::Running {
            self.factory.on_shutdown();
        }
        hub.close();
        hub.clear();
        assert!(!self.cx.settings.panic_on_shutdown, "the loop has shut down");
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
        let timeout = if self.has_work() { Some(Duration::ZERO) } else { self.cx.until_next_alarm() };
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                if self.cx.settings.shutdown_on_interrupt {
                    self.obey(Signal::Shutdown, None);
                }
            }
            Err(err) => return Err(err.into()),
        }
        self.cx.begin_turn();
        Ok(())
    }

    /// Reads from everyone who has something to say, within the share of each, and lets new ones in.
    fn dispatch(&mut self) {
        let ready = std::mem::take(&mut self.cx.ready);
        self.hear_all();
        if !ready.is_empty() {
            // Who has said little has its answer before those go on who say much.
            self.commands();
            self.flush();
        }
        for slot in ready {
            self.make_room();
            if let Some(Entry::Connected(connection)) = self.entries.get_mut(index(slot)) {
                connection.go_on_reading(&mut self.buffer, &mut self.cx);
            }
        }
        self.go_on_dialing();
        self.accept_all();
    }

    /// Hears what the system tells of the sockets.
    fn hear_all(&mut self) {
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            self.make_room();
            match self.entries.get_mut(event.token().0) {
                Some(Entry::Connected(connection)) => {
                    hear(connection, event, &mut self.buffer, &mut self.cx);
                }
                Some(Entry::Dialing(dial)) => self.dialing.push(dial.name.slot),
                // It has woken the loop, and that was all.
                Some(Entry::Changing) | None if event.token() == WAKER => {}
                Some(Entry::Changing) | None => {
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
    fn make_room(&mut self) {
        let (commands, bytes) = self.cx.hub.local_load();
        let is_much = bytes + self.cx.unflushed >= MAX_WAITING_BYTES;
        if self.cx.dirty.len() >= MAX_DIRTY || commands >= MAX_LOCAL || is_much {
            self.commands();
            self.flush();
        }
    }

    /// Does what senders have asked for: everything of this thread, and a share of other threads'.
    fn commands(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        self.has_more_commands = self.cx.hub.take_remote(COMMAND_BUDGET, &mut batch);
        self.obey_all(&mut batch);
        for _ in 0..LOCAL_ROUNDS {
            // Many commands at once are an exception, for which no room is kept.
            batch.shrink_to(MAX_KEPT_COMMANDS);
            self.cx.hub.swap_local(&mut batch);
            if batch.is_empty() {
                break;
            }
            self.obey_all(&mut batch);
        }
        self.batch = batch;
        while let Some((name, found)) = self.resolver.next() {
            self.found(name, found);
        }
        if self.life == Life::Stopping && !self.has_more_commands && !self.cx.hub.has_local() {
            self.close_all();
        }
    }

    /// Does what time asks for.
    fn deadlines(&mut self) {
        while let Some(alarm) = self.cx.pop_due() {
            let name = alarm.name;
            let entry = self.entries.get_mut(index(name.slot)).filter(|entry| entry.name() == Some(name));
            match (alarm.kind, entry) {
                (AlarmKind::Accept, _) => self.accept_again(name.slot),
                (AlarmKind::User(token), Some(Entry::Connected(connection))) => {
                    connection.on_timeout(token, &mut self.cx);
                }
                (AlarmKind::User(token), Some(Entry::Dialing(_))) => self.dial_timeout(name, token),
                (AlarmKind::Connection, Some(Entry::Connected(connection))) => {
                    connection.on_alarm(&mut self.cx);
                }
                (AlarmKind::Connection, Some(Entry::Dialing(_))) => self.dial_alarm(name),
                (_, Some(Entry::Changing) | None) => debug!("an alarm has outlived its connection"),
            }
        }
    }

    /// Sends what is queued, each connection's at once.
    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.cx.dirty);
        self.cx.unflushed = 0;
        for slot in dirty.drain(..) {
            if let Some(Entry::Connected(connection)) = self.entries.get_mut(index(slot)) {
                connection.flush(&mut self.cx);
            }
        }
        // Who has become dirty meanwhile is flushed in the next turn.
        if self.cx.dirty.is_empty() {
            self.cx.dirty = dirty;
        }
    }

    /// Removes the connections that have ended.
    fn reap(&mut self) {
        let mut dead = std::mem::take(&mut self.cx.dead);
        for slot in dead.drain(..) {
            if self.move_on(slot) {
                continue;
            }
            let slot = index(slot);
            match self.entries.contains(slot).then(|| self.entries.remove(slot)) {
                Some(Entry::Connected(connection)) => {
                    self.turned_away -= usize::from(connection.is_turned_away());
                    let handler = connection.bury(&mut self.cx);
                    self.lose(handler);
                }
                Some(Entry::Dialing(dial)) => self.bury_dial(*dial),
                Some(Entry::Changing) | None => {}
            }
        }
        if self.cx.dead.is_empty() {
            self.cx.dead = dead;
        }
    }

    fn lose(&mut self, handler: Option<F::Handler>) {
        self.has_lost = true;
        if let Some(handler) = handler {
            self.factory.connection_lost(handler);
        }
    }

    /// Whether there is room for one more connection. Who is turned away takes nobody's place, or a crowd at the door
    /// could keep an empty house closed.
    fn has_room(&self) -> bool {
        self.entries.len() - self.turned_away < self.cx.settings.max_connections
    }

    fn has_work(&self) -> bool {
        !self.cx.ready.is_empty()
            || !self.cx.dirty.is_empty()
            || !self.cx.dead.is_empty()
            || !self.dialing.is_empty()
            || self.has_more_commands
            || self.cx.hub.has_local()
            || self.life == Life::Stopping
            || self.listeners.iter().any(|listener| listener.is_ready)
    }

    fn is_finished(&self) -> bool {
        match self.life {
            Life::Running => {
                !self.stays
                    && self.has_lost
                    && self.entries.is_empty()
                    && self.listeners.is_empty()
                    && !self.cx.hub.has_local()
                    && !self.cx.hub.has_remote()
            }
            Life::Stopping => false,
            Life::Closing => self.entries.is_empty(),
        }
    }
}

/// Lets a connection hear what the system says of its socket.
fn hear<H: Handler>(connection: &mut Connection<H>, event: &Event, buffer: &mut [u8], cx: &mut Context) {
    if event.is_writable() {
        connection.on_writable(cx);
    }
    if event.is_readable() || event.is_read_closed() || event.is_error() {
        connection.on_readable(event.is_read_closed(), buffer, cx);
    }
}

impl<H: Handler> Entry<H> {
    fn name(&self) -> Option<Name> {
        match self {
            Self::Dialing(dial) => Some(dial.name),
            Self::Connected(connection) => Some(connection.name()),
            Self::Changing => None,
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
        self.cx.hub.close();
        self.cx.hub.clear();
        // After a panic they are still there.
        for (_, entry) in &self.entries {
            if let Some(name) = entry.name() {
                self.cx.hub.vacate(name.slot);
            }
        }
    }
}

impl<F: Factory> std::fmt::Debug for Reactor<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor").field("connections", &self.entries.len()).finish_non_exhaustive()
    }
}
