//! The loop of a test, its peers, and its clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::remote_end::RemoteEnd;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::connection::reschedule_deadline;
use crate::reactor::entries::Entry;
use crate::reactor::system::System as _;
use crate::reactor::system::fake::{Fake, FakeListener, Wire};
use crate::reactor::{Reactor, begin_run, end_run};

/// The most turns until the loop must be idle.
const MAX_TURNS: usize = 10_000;

/// By how much the loop rounds the times of its timers up, at most.
const TICK: Duration = Duration::from_millis(1);

/// The first port of clients without an address of their own.
const FIRST_PORT: u16 = 40_000;

/// The loop without the types of its handlers.
trait Turns {
    /// Runs turns until only a timer or a peer could cause more work. Returns `None` if it does not become idle.
    fn run_until_idle(&mut self) -> Option<()>;

    /// The time at which the next timer fires. It may have no effect, because the loop does not move a timer each time that input
    /// arrives.
    fn next_due(&mut self) -> Option<Instant>;

    /// Moves the timers that would have no effect.
    fn reschedule(&mut self);

    fn has_ended(&self) -> bool;

    fn sender(&self) -> Sender;
}

struct Tested<F: Factory> {
    reactor: Reactor<F, Fake>,
    has_ended: bool,
}

impl<F: Factory> Tested<F> {
    fn new(settings: Settings, factory: F, system: &Fake) -> Self {
        let mut reactor = Reactor::with_system(factory, settings, system.clone());
        // The listener of this system cannot fail.
        let _ = reactor.listeners.add(FakeListener, system);
        begin_run(&mut reactor);
        Self { reactor, has_ended: false }
    }

    fn is_busy(&self) -> bool {
        let state = &self.reactor.state;
        state.system.has_events() || self.reactor.has_work() || state.queue.remote.has_commands()
    }

    fn turn(&mut self) {
        // A turn without an event would wait for the next timer, and move the clock.
        self.reactor.state.system.waker()();
        // Waiting cannot fail on this system.
        let _ = self.reactor.turn();
        if self.reactor.try_finish() {
            self.has_ended = true;
            end_run(&mut self.reactor);
        }
    }
}

impl<F: Factory> Turns for Tested<F> {
    fn run_until_idle(&mut self) -> Option<()> {
        let queue = Arc::clone(&self.reactor.state.queue);
        // Otherwise, the thread of the test does not belong to the loop.
        let _entered = queue.enter();
        for _ in 0..MAX_TURNS {
            if self.has_ended || !self.is_busy() {
                return Some(());
            }
            self.turn();
        }
        None
    }

    fn next_due(&mut self) -> Option<Instant> {
        let due = self.reactor.state.deadlines.next_due();
        due.filter(|_| !self.has_ended)
    }

    fn reschedule(&mut self) {
        for entry in self.reactor.entries.iter_mut() {
            if let Entry::Connected(connection) = entry {
                reschedule_deadline(connection, &mut self.reactor.state);
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn sender(&self) -> Sender {
        Sender::all(Arc::clone(&self.reactor.state.queue))
    }
}

/// The loop, its peers, and its clock.
pub(super) struct World<'f> {
    tested: Box<dyn Turns + 'f>,
    remotes: Vec<RemoteEnd<'f>>,
    system: Fake,
    start: Instant,
    clients: u16,
}

impl<'f> World<'f> {
    pub(super) fn new(settings: Settings, factory: impl Factory + 'f) -> Self {
        let system = Fake::new();
        let start = system.time();
        let tested = Box::new(Tested::new(settings, factory, &system));
        Self { tested, remotes: Vec::new(), system, start, clients: 0 }
    }

    pub(super) fn now(&self) -> Instant {
        self.system.time()
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now().saturating_duration_since(self.start)
    }

    pub(super) fn sender(&self) -> Sender {
        self.tested.sender()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.tested.has_ended()
    }

    /// How long it takes until the next timer fires.
    pub(super) fn until_next_timer(&mut self) -> Option<Duration> {
        self.tested.reschedule();
        Some(self.tested.next_due()?.saturating_duration_since(self.now()))
    }

    /// A client connects, from its own address or from one that no other client has.
    #[track_caller]
    pub(super) fn connect_wire(&mut self, address: Option<SocketAddr>) -> Wire {
        assert!(!self.has_ended(), "a client cannot connect, because the loop has ended");
        let port = FIRST_PORT.saturating_add(self.clients);
        self.clients = self.clients.saturating_add(1);
        let wire = self.system.connect_client();
        wire.set_peer(address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], port))));
        wire
    }

    /// The next connection attempt of the loop reaches this server.
    pub(super) fn add_server(&mut self) -> Wire {
        self.system.add_server()
    }

    /// Adds a peer. Returns its index.
    pub(super) fn add_remote(&mut self, remote: RemoteEnd<'f>) -> usize {
        self.remotes.push(remote);
        self.remotes.len() - 1
    }

    /// Returns a peer. Peers are never removed.
    pub(super) fn remote(&mut self, index: usize) -> &mut RemoteEnd<'f> {
        &mut self.remotes[index]
    }

    /// Runs the loop and its peers until only the passing of time or an action of the test could cause more work.
    #[track_caller]
    pub(super) fn run_until_idle(&mut self) {
        for _ in 0..MAX_TURNS {
            if self.tested.run_until_idle().is_none() {
                break;
            }
            let now = self.now();
            // Each of them takes its step.
            let active =
                self.remotes.iter_mut().map(|remote| remote.step(now)).filter(|is_active| *is_active);
            if active.count() == 0 {
                return;
            }
        }
        panic!(
            "the loop is still busy after {MAX_TURNS} turns: a handler causes new work each time it is called"
        );
    }

    /// Moves the clock, and fires the timers on the way.
    #[track_caller]
    pub(super) fn advance(&mut self, time: Duration) {
        let end = self.now() + time;
        self.run_until_idle();
        while let Some(due) = self.tested.next_due().filter(|due| *due <= end + TICK) {
            self.system.advance(due.saturating_duration_since(self.now()));
            self.system.waker()();
            self.run_until_idle();
        }
        self.system.advance(end.saturating_duration_since(self.now()));
    }

    /// Describes what the loop waits for, for an error.
    pub(super) fn activity(&mut self) -> String {
        if self.has_ended() {
            return "the loop has ended".to_owned();
        }
        match self.until_next_timer() {
            Some(time) => format!("the loop is idle, and the next timer fires in {time:?}"),
            None => "the loop is idle, and has no timer".to_owned(),
        }
    }
}
