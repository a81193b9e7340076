//! Several loops of a pool, which take turns on one thread.

mod limits;
mod order;

use std::sync::Arc;
use std::time::Duration;

use super::REQUEST;
use crate::reactor::Reactor;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::settings::Settings;
use crate::reactor::common::Common;
use crate::reactor::queue::CommandQueue;
use crate::reactor::queue::peers::{Membership, Peers};
use crate::reactor::system::System as _;
use crate::reactor::system::fake::{Fake, FakeListener, Wire};
use crate::{ErrorKind, QueueError, Result};

/// A worker of the pool.
struct Worker<F: Factory> {
    reactor: Reactor<F, Fake>,
    system: Fake,
    factory: F,
}

impl<F: Factory> Worker<F> {
    /// Calls a function on the thread of the worker, and executes what it has queued there.
    fn run<R>(&mut self, call: impl FnOnce() -> R) -> R {
        let queue = Arc::clone(&self.reactor.state.queue);
        let _entered = queue.enter();
        let result = call();
        // Handlers are called in a turn, which ends with this.
        self.reactor.state.end_turn();
        self.run_turns();
        result
    }

    /// Moves the clock, and runs the turn in which timers fire.
    fn fire_timers(&mut self, after: Duration) {
        self.system.advance(after);
        let queue = Arc::clone(&self.reactor.state.queue);
        let _entered = queue.enter();
        self.reactor.turn().unwrap();
        self.run_turns();
    }

    fn run_turns(&mut self) {
        while self.reactor.state.queue.has_local() || !self.is_idle() {
            self.reactor.turn().unwrap();
        }
    }

    /// Runs until nothing is left to do.
    fn settle(&mut self) {
        self.run(|| {});
    }

    /// Connects a client, and completes its opening handshake.
    fn open_client(&mut self) -> Wire {
        let wire = self.system.connect_client();
        wire.send(REQUEST);
        self.settle();
        assert!(wire.take_received().starts_with(b"HTTP/1.1 101 "));
        wire
    }

    fn is_idle(&self) -> bool {
        !(self.system.has_events()
            || self.reactor.has_work()
            || self.reactor.state.queue.remote.has_commands())
    }
}

/// Runs all workers until nothing is left to do.
fn settle<F: Factory>(pool: &mut [Worker<F>]) {
    while let Some(busy) = pool.iter_mut().find(|worker| !worker.is_idle()) {
        busy.settle();
    }
}

fn pool<F: Factory + Clone>(count: usize, settings: Settings, create: impl Fn() -> F) -> Vec<Worker<F>> {
    let peers = Arc::new(Peers::default());
    let common = Common::new(&settings).for_loops(count);
    let systems: Vec<Fake> = (0..=count).map(|_| Fake::new()).collect();
    let queues: Vec<Arc<CommandQueue>> = systems
        .iter()
        .enumerate()
        .map(|(index, system)| {
            let common = common.for_member(Membership { peers: Arc::clone(&peers), index });
            Arc::new(CommandQueue::new(&settings, common, system.waker(), system.clock()))
        })
        .collect();
    peers.connect(&queues);
    let create = |(system, queue): (Fake, Arc<CommandQueue>)| {
        let factory = create();
        let mut reactor = Reactor::with_queue(factory.clone(), settings, system.clone(), queue);
        reactor.listeners.add(FakeListener, &system).unwrap();
        Worker { reactor, system, factory }
    };
    systems.into_iter().zip(queues).take(count).map(create).collect()
}

/// Whether a command was accepted. A full queue is the only reason not to.
fn is_accepted(result: Result<()>) -> bool {
    match result {
        Ok(()) => true,
        Err(err) => {
            assert!(matches!(err.kind, ErrorKind::Queue(QueueError::Full)), "{err}");
            false
        }
    }
}
