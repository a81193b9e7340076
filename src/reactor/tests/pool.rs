//! Several loops of a pool, which take turns on one thread.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::topics::Shared;
use super::{REQUEST, frame, text};
use crate::reactor::Reactor;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::publication::Publication;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::api::util::Token;
use crate::reactor::common::Common;
use crate::reactor::queue::CommandQueue;
use crate::reactor::queue::peers::{Membership, Peers};
use crate::reactor::system::System as _;
use crate::reactor::system::fake::{Fake, FakeListener, Wire};
use crate::{ErrorKind, Handshake, Message, QueueError, Result, random_inputs};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

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

/// A client of one of the workers.
struct Client {
    wire: Wire,
    out: Sender,
    is_open: bool,
    /// What each publisher has sent to it, in order.
    expected: BTreeMap<usize, Vec<String>>,
    topics: BTreeSet<String>,
}

impl Client {
    /// The client closes the connection. What other loops have sent to it, and its own has not taken, does not reach it any more.
    fn close(&mut self, worker: &mut Worker<Shared>) {
        self.wire.send(&frame(8, b""));
        self.wire.end();
        worker.settle();
        self.is_open = false;
        self.topics.clear();
    }
}

fn connect(worker: &mut Worker<Shared>) -> Client {
    let wire = worker.open_client();
    let out = worker.factory.senders.borrow().last().unwrap().clone();
    Client { wire, out, is_open: true, expected: BTreeMap::new(), topics: BTreeSet::new() }
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

/// Does something at random on behalf of a publisher, with topics of its own, because there is no order between publishers.
fn act(rng: &mut StdRng, publisher: usize, clients: &mut [Client], all: &Sender, number: usize) {
    let at = rng.random_range(0..clients.len());
    let topic = format!("{publisher}-{}", rng.random_range(0..2));
    let payload = format!("{publisher}:{number}");
    let out = clients[at].out.clone();
    let receive = |clients: &mut [Client], is_receiver: &dyn Fn(usize, &Client) -> bool| {
        for (number, client) in clients.iter_mut().enumerate() {
            if client.is_open && is_receiver(number, client) {
                client.expected.entry(publisher).or_default().push(payload.clone());
            }
        }
    };
    match rng.random_range(0..8) {
        0..3 => {
            if is_accepted(out.subscribe(&topic)) && clients[at].is_open {
                clients[at].topics.insert(topic);
            }
        }
        3 => {
            if is_accepted(out.unsubscribe(&topic)) {
                clients[at].topics.remove(&topic);
            }
        }
        4 => {
            if is_accepted(out.publish(&topic, payload.clone())) {
                receive(clients, &|number, client| number != at && client.topics.contains(&topic));
            }
        }
        5 => {
            if is_accepted(all.publish_with(Publication::new(topic.clone(), payload.clone()))) {
                receive(clients, &|_, client| client.topics.contains(&topic));
            }
        }
        6 => {
            if is_accepted(all.broadcast(payload.clone())) {
                receive(clients, &|_, _| true);
            }
        }
        _ => {
            if is_accepted(out.send(payload.clone())) {
                receive(clients, &|number, _| number == at);
            }
        }
    }
}

/// The Close frame of a server that answers one without a code.
const CLOSE: &[u8] = b"\x88\x00";

/// The texts of unfragmented, unmasked messages.
fn texts(mut bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let [0x81, len, rest @ ..] = bytes {
        let (text, rest) = rest.split_at(usize::from(*len));
        texts.push(String::from_utf8(text.to_vec()).unwrap());
        bytes = rest;
    }
    assert!(bytes.is_empty() || bytes == CLOSE, "{bytes:?}");
    texts
}

/// Publishers are the handlers of each worker, and another thread.
#[test]
fn each_publisher_reaches_exactly_its_subscribers_in_order() {
    for workers in [1, 2, 4] {
        random_inputs::for_each(|rng| {
            let settings = Settings { queue_size: 1, max_connections: 30, ..Settings::without_timeouts() };
            let mut pool = pool(workers, settings, Shared::default);
            let mut clients: Vec<Client> =
                (0..rng.random_range(1..12)).map(|number| connect(&mut pool[number % workers])).collect();
            let all = Sender::all(Arc::clone(&pool[0].reactor.state.queue));
            let slow = rng.random_range(0..clients.len());
            clients[slow].wire.set_room(10);
            let mut number = 0;
            for _ in 0..100 {
                let publisher = rng.random_range(0..=workers);
                let count = rng.random_range(0..5);
                let mut act_often = || {
                    for _ in 0..count {
                        act(rng, publisher, &mut clients, &all, number);
                        number += 1;
                    }
                };
                match pool.get_mut(publisher) {
                    Some(worker) => worker.run(act_often),
                    None => act_often(),
                }
                if rng.random_ratio(1, 40) {
                    let closing = rng.random_range(0..clients.len());
                    let worker = &mut pool[closing % workers];
                    // Otherwise the Close frame is not read yet.
                    if closing != slow && !worker.reactor.state.is_blocked() {
                        clients[closing].close(worker);
                    }
                }
            }
            settle(&mut pool);
            clients[slow].wire.set_room(usize::MAX);
            settle(&mut pool);
            for client in &clients {
                let mut received: BTreeMap<usize, Vec<String>> = BTreeMap::new();
                for text in texts(&client.wire.take_received()) {
                    let publisher = text.split(':').next().unwrap().parse().unwrap();
                    received.entry(publisher).or_default().push(text);
                }
                for (publisher, expected) in &client.expected {
                    let received = received.remove(publisher).unwrap_or_default();
                    // What had not been sent before the Close frame is dropped.
                    let is_complete = received.len() == expected.len() || !client.is_open;
                    assert!(is_complete && expected.starts_with(&received), "{received:?}, {expected:?}");
                }
                assert_eq!(received, BTreeMap::new());
            }
            let open: BTreeSet<String> = clients.iter().flat_map(|client| client.topics.clone()).collect();
            let reported: Vec<String> =
                pool.iter().flat_map(|worker| worker.factory.topics.borrow().clone()).collect();
            assert_eq!((reported.len(), BTreeSet::from_iter(reported)), (open.len(), open));
            let subscriptions: usize = clients.iter().map(|client| client.topics.len()).sum();
            assert_eq!(pool[0].reactor.state.queue.common.topics.subscriptions(), subscriptions);
        });
    }
}

/// A handler that publishes when its timer fires, and counts what was not accepted. It ignores messages.
struct Timed {
    out: Sender,
    refused: Rc<Cell<usize>>,
}

impl Handler for Timed {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.out.subscribe("ticks")?;
        self.out.timeout(1000, Token(0))
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        self.out.timeout(1000, Token(0))?;
        if !is_accepted(self.out.publish("ticks", "tick")) {
            self.refused.set(self.refused.get() + 1);
        }
        Ok(())
    }
}

/// A loop does not read while the queue of another one is full, but its timers fire.
#[test]
fn timers_cannot_fill_the_queue_of_another_loop_beyond_its_limit() {
    let settings = Settings { queue_size: 2, max_connections: 10, ..Settings::without_timeouts() };
    let refused = Rc::new(Cell::new(0));
    let make = |out: Sender| Timed { out, refused: Rc::clone(&refused) };
    let mut pool = pool(2, settings, || make);
    let (publisher, subscriber) = (pool[0].open_client(), pool[1].open_client());
    settle(&mut pool);
    let capacity = pool[1].reactor.state.queue.remote.len_limit();
    for _ in 0..capacity + 5 {
        pool[0].fire_timers(Duration::from_millis(1001));
    }
    assert_eq!((refused.get(), pool[1].reactor.state.queue.remote.len()), (5, capacity));
    settle(&mut pool);
    assert_eq!(subscriber.take_received().len(), capacity * b"\x81\x04tick".len());
    assert_eq!(publisher.take_received(), b"");
}

/// Opens a connection whose peer does not read.
fn open_unread(worker: &mut Worker<Shared>) -> Sender {
    let client = connect(worker);
    client.wire.set_room(0);
    client.out
}

fn send(worker: &mut Worker<Shared>, out: &Sender, len: usize) {
    worker.run(|| out.send(vec![0; len]).unwrap());
}

/// Worker 0 has the connection that holds the most, and worker 1 finds that the limit is exceeded.
#[test]
fn w2_the_connection_of_all_loops_that_holds_the_most_is_closed() {
    let settings = Settings { max_memory: 4 * MIB, ..Settings::without_timeouts() };
    let mut pool = pool(2, settings, Shared::default);
    let largest = open_unread(&mut pool[0]);
    send(&mut pool[0], &largest, 2 * MIB);
    let others: Vec<Sender> = (0..3).map(|_| open_unread(&mut pool[1])).collect();
    others.iter().for_each(|out| send(&mut pool[1], out, 800 * KIB));
    assert!(pool[1].reactor.state.memory.is_exceeded() && largest.is_open(), "worker 0 has not run");
    settle(&mut pool);
    assert!(!largest.is_open() && others.iter().all(Sender::is_open));
    assert!(!pool[0].reactor.state.memory.is_exceeded());
}

/// A worker that is so busy that it does not react does not let the memory grow.
#[test]
fn w2_a_loop_that_waits_for_another_one_closes_its_own_connections_at_last() {
    let settings = Settings { max_memory: 4 * MIB, ..Settings::without_timeouts() };
    let mut pool = pool(2, settings, Shared::default);
    let largest = open_unread(&mut pool[0]);
    send(&mut pool[0], &largest, 3 * MIB);
    let growing = open_unread(&mut pool[1]);
    let mut most = 0;
    while growing.is_open() {
        send(&mut pool[1], &growing, 100 * KIB);
        most = most.max(pool[1].reactor.state.memory.held());
    }
    assert!((4 * MIB..4 * MIB + MIB / 2 + 1).contains(&most), "{most}");
    settle(&mut pool);
    assert!(largest.is_open(), "the limit holds without it");
}

/// A loop that waits until the queue of another one is shorter continues when that loop has ended.
#[test]
fn a_loop_continues_when_the_one_that_it_waits_for_has_ended() {
    let settings = Settings { queue_size: 2, max_connections: 10, ..Settings::without_timeouts() };
    let mut pool = pool(2, settings, || |out: Sender| move |message: Message| out.broadcast(message));
    let (first, _second) = (pool[0].open_client(), pool[1].open_client());
    settle(&mut pool);
    let most = pool[1].reactor.state.queue.remote.len_limit() + 1;
    (0..most).for_each(|_| first.send(&text("hello")));
    pool[0].settle();
    assert!(pool[0].reactor.state.is_blocked());
    first.send(&text("later"));
    pool[0].settle();
    assert_eq!(first.take_received().len(), most * b"\x81\x05hello".len());
    drop(pool.pop());
    assert!(!pool[0].is_idle(), "the loop is woken");
    pool[0].settle();
    assert_eq!(first.take_received(), b"\x81\x05later");
}
