//! The event loop: one thread runs all connections.
//!
//! ```text
//! turn  = wait -> serve -> deadlines -> reap
//! serve = (read -> execute -> flush), once per batch of connections, -> open -> work -> execute -> flush
//! ```
//!
//! - `wait` waits for events. The thread blocks nowhere else.
//! - `read` reads from connections until all events are handled, or until much output waits. Input is decoded, and
//!   handlers are called. When a handler returns, the commands that it has queued for its own connection are executed.
//! - `open` continues connection attempts and accepts connections.
//! - `work` compresses and decompresses parts of long messages. Handlers receive these as in `read`.
//! - `execute` executes commands that handlers and other threads have queued.
//! - `flush` writes the output that is queued.
//! - `deadlines` fires timers.
//! - `reap` removes connections. It is the only phase that does.
//!
//! A turn ends early when its time is used up. What has not been read or executed continues in the next turn, and connections
//! that were not served come first.
//!
//! No call of a [`Sender`](crate::Sender) takes effect before the handler that makes it returns: the command is executed
//! afterwards. Handlers are called in these phases, and a test verifies the table:
//!
//! | phase | hooks of `Handler` and `Factory` |
//! |---|---|
//! | read | `on_request`, `on_response`, `on_rejected`, `on_open`, `on_frame`, `on_message`, `on_close`, `on_send_frame`, `on_new_timeout`, `on_error` |
//! | open | `connection_made`, `on_error`, `on_lost` |
//! | execute | `connection_made`, `build_request`, `on_open`, `on_send_frame`, `on_new_timeout`, `on_error`, `on_lost`, `on_shutdown`, `topic_opened`, `topic_closed` |
//! | flush | `on_drain`, `on_send_frame`, `on_error` |
//! | deadlines | `on_timeout`, `build_request`, `on_send_frame`, `on_error`, `on_lost` |
//! | reap | `on_lost`, `on_close`, `connection_lost`, `build_request`, `on_error`, `topic_closed` |
//!
//! `on_shutdown` of the factory is also called after the last turn. The hooks for TLS are called in `open` and `execute`.
//! Scheduled functions are called in `deadlines`.
//! `client_connected` and `server_connected` are called where the table lists `connection_made`, which is their default.

mod accepting;
pub(crate) mod api;
mod buffer_pool;
mod commands;
mod common;
mod connecting;
mod connection;
mod draining;
mod entries;
mod fairness;
mod frame_hooks;
mod log_limit;
mod loop_state;
mod memory;
mod monitoring;
mod phase;
pub(crate) mod pool;
mod publishing;
pub(crate) mod queue;
pub(crate) mod scheduling;
#[cfg(any(test, fuzzing))]
pub(crate) mod script;
mod serve;
mod system;
#[cfg(feature = "testing")]
pub mod testing;
mod timers;
mod transport;
mod websocket;
mod work_lists;
mod write_queue;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use log::debug;
use mio::Token;

use self::accepting::arrivals::Arrivals;
use self::accepting::listener::Listeners;
use self::api::factory::Factory;
use self::api::handler::Handler as _;
use self::api::health::LoopStatus;
use self::api::settings::{ProxyPolicy, Settings};
use self::common::Common;
use self::connecting::attempt::ConnectAttempt;
use self::connecting::continuing::continue_client;
use self::connection::continuing::report_end;
use self::entries::{ConnectionId, Entries, Entry};
use self::loop_state::LoopState;
use self::phase::LoopPhase;
use self::publishing::{Audience, delivery};
use self::queue::peers::LoopPlace;
use self::queue::{Batch, Command, CommandQueue, QueuedCommand, Target};
use self::system::{Native, System};
use self::timers::TimerKind;
pub use self::websocket::{Builder, WebSocket};
use crate::close::Closed;
use crate::error::{Error, Result};

/// The size of the buffer into which all connections are read, in bytes.
const READ_BUFFER: usize = 256 * 1024;

/// The most events that the system returns at once.
const EVENTS: usize = 1024;

/// The most commands of other threads that are executed in a row.
const COMMAND_BUDGET: usize = 256;

/// The number of timers that fire in each turn, even if its time is used up.
const TIMER_BUDGET: usize = 64;

/// How often the queue of the loop's own thread is emptied in a row. Handlers can refill it while it is executed.
const LOCAL_ROUNDS: usize = 4;

/// The number of commands for which memory is kept.
const MAX_KEPT_COMMANDS: usize = 1024;

/// The token of the waker. Those of listeners count down from it.
const WAKER: Token = Token(usize::MAX);

/// The event loop. [`WebSocket`] is its public face.
struct Reactor<F: Factory, S: System = Native> {
    factory: F,
    state: LoopState<S>,
    events: S::Events,
    /// The memory into which all connections are read.
    buffer: Vec<u8>,
    entries: Entries<F::Handler, S>,
    listeners: Listeners<S>,
    arrivals: Arrivals,
    /// Connection attempts whose sockets have events.
    connecting: Vec<ConnectionId>,
    /// Commands of [`WebSocket`] that are executed when the loop begins to run.
    requested: Vec<Command>,
    /// Memory for the commands that are executed. Empty between uses.
    batch: Batch,
    backlog: Backlog,
    /// A connection has ended. A loop without listeners then ends with the last connection.
    has_lost_connection: bool,
    /// The loop continues without connections until it is shut down.
    runs_until_shutdown: bool,
    run_state: RunState,
}

/// Which commands are left after the budget of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backlog {
    None,
    /// More commands of other threads.
    Queued,
    /// Commands that were put back because the turn was over. They come before those of other threads.
    Postponed,
}

/// How far the loop has shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunState {
    Running,
    /// `on_shutdown` has been called, and connections are closed one after the other. Only requests of new ones are answered.
    Draining,
    /// `on_shutdown` has been called, and handlers can send last messages.
    Stopping,
    /// Every connection has been closed.
    Closing,
}

impl RunState {
    /// Whether no connection may be added, whatever the loop has to do with it.
    fn is_stopping(self) -> bool {
        matches!(self, Self::Stopping | Self::Closing)
    }
}

impl<F: Factory, S: System> Reactor<F, S> {
    fn with_system(factory: F, settings: Settings, system: S) -> Self {
        let queue = CommandQueue::new(&settings, Common::new(&settings), system.waker(), system.clock());
        Self::with_queue(factory, settings, system, Arc::new(queue))
    }

    fn with_queue(factory: F, settings: Settings, system: S, queue: Arc<CommandQueue>) -> Self {
        Self {
            factory,
            state: LoopState::new(settings, queue, system),
            events: S::new_events(EVENTS),
            buffer: vec![0; READ_BUFFER],
            entries: Entries::new(),
            listeners: Listeners::new(),
            arrivals: Arrivals::new(ProxyPolicy::Settings(settings.proxy_protocol)),
            connecting: Vec::new(),
            requested: Vec::new(),
            batch: Batch::new(),
            backlog: Backlog::None,
            has_lost_connection: false,
            runs_until_shutdown: false,
            run_state: RunState::Running,
        }
    }

    /// Runs until there is nothing left to do.
    fn run(&mut self) -> Result<()> {
        let queue = Arc::clone(&self.state.queue);
        let _entered = queue.enter();
        begin_run(self);
        while !self.try_finish() {
            self.turn()?;
        }
        end_run(self);
        Ok(())
    }

    fn turn(&mut self) -> Result<()> {
        self.wait()?;
        self.serve();
        self.deadlines();
        self.reap();
        self.state.end_turn();
        Ok(())
    }

    /// Waits for events, or only polls for them if there is work left.
    fn wait(&mut self) -> Result<()> {
        let timeout = if self.has_work() {
            Some(Duration::ZERO)
        } else {
            self.state.deadlines.until_next(self.state.now, || self.state.system.now())
        };
        match self.state.system.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {
                S::clear(&mut self.events);
                if self.state.settings.shutdown_on_interrupt {
                    let shutdown = QueuedCommand { target: Target::All, command: Command::Shutdown };
                    self.state.queue.push(shutdown)?;
                }
            }
            Err(err) => return Err(Error::io("cannot wait for events", err)),
        }
        self.state.begin_turn();
        Ok(())
    }

    /// Executes the queued commands: all of this thread, and a share of those of other threads.
    fn execute_queued(&mut self) {
        self.state.begin(LoopPhase::Execute);
        if self.has_commands() {
            self.execute_commands();
        }
    }

    /// Whether [`execute_queued`](Self::execute_queued) has anything to do.
    #[inline]
    fn has_commands(&self) -> bool {
        self.state.queue.has_local()
            || self.state.queue.remote.has_some()
            || self.state.publications.is_pending()
            || self.state.topics.has_changes()
            || self.backlog != Backlog::None
            || self.run_state == RunState::Stopping
    }

    fn execute_commands(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        let mut continues = true;
        if self.backlog == Backlog::Postponed || self.state.queue.is_local_first() {
            continues = execute_local(self, &mut batch);
        }
        // While much is being broadcast, other threads cannot add to it.
        let mut has_more = self.state.publications.is_busy();
        if continues && !has_more {
            has_more = self.state.queue.take_remote(COMMAND_BUDGET, &mut batch);
            continues = self.execute_all(&mut batch);
        }
        for _ in 0..LOCAL_ROUNDS {
            if !continues || !self.state.queue.has_local() {
                break;
            }
            // Memory for unusually many commands is not kept.
            batch.shrink_to(MAX_KEPT_COMMANDS);
            continues = execute_local(self, &mut batch);
        }
        self.backlog = match (continues, has_more) {
            (false, _) => Backlog::Postponed,
            (true, true) => Backlog::Queued,
            (true, false) => Backlog::None,
        };
        self.batch = batch;
        self.state.topics.report(&mut self.factory);
        let is_delivered =
            !self.state.publications.is_pending() || delivery::deliver(&mut self.entries, &mut self.state);
        let has_commands = self.backlog != Backlog::None || self.state.queue.has_local() || !is_delivered;
        if self.run_state == RunState::Stopping && !has_commands {
            self.close_all();
        }
    }

    /// Writes the output of the connections that have some.
    fn flush(&mut self) {
        self.state.begin(LoopPhase::Flush);
        if self.state.work.has_to_flush() {
            let mut to_flush = self.state.work.take_to_flush();
            for slot in to_flush.drain(..) {
                if let Some(Entry::Connected(connection)) = self.entries.in_slot(slot) {
                    connection.flush(&mut self.state);
                }
            }
            self.state.work.recycle_to_flush(to_flush);
        }
        if self.state.memory.is_exceeded() {
            memory::relieve(&mut self.entries, &mut self.state);
        }
    }

    /// Fires the timers that are due.
    fn deadlines(&mut self) {
        self.state.begin(LoopPhase::Deadlines);
        let mut fired = 0;
        while let Some(event) = self.state.pop_due() {
            if fired == 0 {
                self.state.queue.set_fires_timers(true);
            }
            let id = event.id;
            match (event.kind, self.entries.get(id)) {
                (TimerKind::Accept, _) => self.listeners.resume(id.slot),
                (TimerKind::Drain, _) => draining::on_timer(self),
                (TimerKind::Scheduled, _) => scheduling::call(id, &mut self.state),
                (TimerKind::User(token), Some(Entry::Connected(connection))) => {
                    connection.on_timeout(token, &mut self.state);
                }
                (TimerKind::User(token), Some(Entry::Connecting(_))) => {
                    self.advance(id, |attempt, state| attempt.on_timeout(token, state));
                }
                (TimerKind::Deadline, _) => {
                    if let Some(Entry::Connected(connection)) = self.entries.in_slot(id.slot) {
                        connection.on_deadline(&mut self.state);
                    }
                }
                (TimerKind::Attempt, Some(Entry::Connecting(_))) => {
                    self.advance(id, ConnectAttempt::on_deadline);
                }
                (TimerKind::Attempt, Some(Entry::Arriving(arrival))) => {
                    arrival.on_deadline(&mut self.state);
                }
                (TimerKind::Attempt, Some(Entry::Connected(_)))
                | (TimerKind::User(_), Some(Entry::Arriving(_)))
                | (_, Some(Entry::Vacating) | None) => {
                    debug!("a timer fired after its connection was removed");
                }
            }
            fired += 1;
            // Timers also fire when reading alone takes the time of every turn.
            if self.state.step() && fired >= TIMER_BUDGET {
                break;
            }
        }
        if fired > 0 {
            self.state.queue.set_fires_timers(false);
        }
    }

    /// Removes the connections that have ended, unless they follow a redirect or their client connects again.
    fn reap(&mut self) {
        self.state.begin(LoopPhase::Reap);
        let mut to_close = self.state.work.take_to_close();
        for slot in to_close.drain(..) {
            if continue_client(self, slot) {
                continue;
            }
            let unreported = self.state.reconnecting.remove(slot);
            self.state.addresses.remove(slot);
            self.state.forget_publications(slot);
            match self.entries.remove(slot) {
                Some(Entry::Connected(mut connection)) => {
                    self.entries.rejected -= usize::from(connection.is_rejected());
                    if let Some(closed) = unreported {
                        report_end(&mut connection, &closed, &mut self.state);
                    }
                    let handler = connection.close_and_release(&mut self.state);
                    self.on_connection_lost(handler);
                }
                Some(Entry::Connecting(mut attempt)) => {
                    if let Some(Closed { code, reason, .. }) = unreported {
                        attempt.call(&mut self.state, |handler| handler.on_close(code, &reason));
                    }
                    self.state.deadlines.cancel_all(&mut attempt.timers);
                    self.state.queue.remove_connection(slot);
                    self.on_connection_lost(attempt.handler);
                }
                Some(Entry::Arriving(arrival)) => {
                    drop(arrival.release(&mut self.entries, &mut self.state));
                    self.on_connection_lost(None);
                }
                Some(Entry::Vacating) | None => {}
            }
            if self.state.draining.remove(slot) {
                self.stop();
            }
        }
        self.state.work.recycle_to_close(to_close);
        self.state.topics.report(&mut self.factory);
    }

    /// Returns the handler of a connection that has ended to the factory.
    fn on_connection_lost(&mut self, handler: Option<F::Handler>) {
        self.has_lost_connection = true;
        if let Some(handler) = handler {
            self.factory.connection_lost(handler);
        }
    }

    /// Returns the id of a new connection, and publishes it to senders. `place` is the connection's place if it has one already.
    fn next_id(&mut self, place: Option<LoopPlace>) -> ConnectionId {
        let id = self.entries.next_id(&self.state.queue.common);
        self.state.queue.count_connection(place);
        self.state.queue.insert_connection(id.slot, id.serial);
        self.state.publications.change(Audience::All);
        id
    }

    /// Whether there is work that needs no event.
    fn has_work(&self) -> bool {
        !self.state.work.is_empty(self.state.is_blocked())
            || self.backlog != Backlog::None
            || self.state.queue.has_local()
            || self.state.publications.is_pending()
            || self.run_state == RunState::Stopping
            || self.listeners.is_any_ready()
    }

    /// Returns whether there is nothing left to do. Commands of other threads are rejected from then on.
    fn try_finish(&self) -> bool {
        match self.run_state {
            RunState::Running => {
                !self.runs_until_shutdown
                    && self.has_lost_connection
                    && self.entries.is_empty()
                    && self.listeners.is_empty()
                    && !self.state.queue.has_local()
                    && self.state.queue.remote.close_if_empty()
            }
            RunState::Draining | RunState::Stopping => false,
            RunState::Closing => self.entries.is_empty(),
        }
    }
}

impl<F: Factory, S: System> Drop for Reactor<F, S> {
    /// Senders can outlive the loop. They return errors from now on.
    fn drop(&mut self) {
        self.state.queue.remote.close();
        self.state.queue.clear();
        self.state.queue.monitor.end();
        // After a panic there are still connections.
        for id in self.entries.ids() {
            self.state.queue.remove_connection(id.slot);
        }
        self.state.memory.forget_loop();
    }
}

impl<F: Factory, S: System> std::fmt::Debug for Reactor<F, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor").field("connections", &self.entries.len()).finish_non_exhaustive()
    }
}

/// Does what precedes the first turn.
fn begin_run<F: Factory, S: System>(reactor: &mut Reactor<F, S>) {
    reactor.state.queue.remote.reopen();
    reactor.state.queue.monitor.set_status(LoopStatus::Running);
    reactor.run_state = RunState::Running;
    reactor.state.draining.reset(&mut reactor.state.deadlines);
    reactor.has_lost_connection = false;
    reactor.state.begin(LoopPhase::Execute);
    for command in std::mem::take(&mut reactor.requested) {
        reactor.execute(command, None);
    }
}

/// Does what follows the last turn.
fn end_run<F: Factory, S: System>(reactor: &mut Reactor<F, S>) {
    if reactor.run_state == RunState::Running {
        reactor.factory.on_shutdown();
    }
    scheduling::clear(&mut reactor.state);
    let queue = &reactor.state.queue;
    queue.remote.close();
    queue.clear();
    queue.monitor.end();
    assert!(!reactor.state.settings.panic_on_shutdown, "the loop has shut down");
}

/// Executes the commands of this thread. Returns whether all were executed.
fn execute_local<F: Factory, S: System>(reactor: &mut Reactor<F, S>, batch: &mut Batch) -> bool {
    let is_in_order = reactor.state.queue.swap_local(batch);
    let is_done = reactor.execute_all(batch);
    if is_in_order {
        reactor.state.queue.end_order(is_done);
    }
    is_done
}

#[cfg(test)]
mod tests;
