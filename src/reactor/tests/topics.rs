//! Topics: which messages each subscriber receives, in which order, and what a loop stores.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::{listening, open_client, run_until_idle, text};
use crate::reactor::Reactor;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::publication::Publication;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::common::Common;
use crate::reactor::publishing::topics::Topics;
use crate::reactor::system::fake::{Fake, Wire};
use crate::{CloseCode, Error, ErrorKind, Message, QueueError, Result, SharedMessage, random_inputs};

const TOPICS: [&str; 3] = ["red", "green", "blue"];

/// What a handler does is up to the test, which has the senders. Errors are counted.
pub(super) struct Silent(Rc<RefCell<usize>>);

impl Handler for Silent {
    fn on_message(&mut self, _: Message) -> Result<()> {
        Ok(())
    }

    fn on_error(&mut self, err: Error) {
        assert!(matches!(err.kind, ErrorKind::Capacity), "{err}");
        *self.0.borrow_mut() += 1;
    }

    fn wants_frames(&self) -> bool {
        false
    }
}

/// Passes senders on, and records which topics are open.
#[derive(Default, Clone)]
pub(super) struct Shared {
    pub(super) senders: Rc<RefCell<Vec<Sender>>>,
    pub(super) topics: Rc<RefCell<BTreeSet<String>>>,
    errors: Rc<RefCell<usize>>,
}

impl Factory for Shared {
    type Handler = Silent;

    fn connection_made(&mut self, out: Sender) -> Silent {
        self.senders.borrow_mut().push(out);
        Silent(Rc::clone(&self.errors))
    }

    fn topic_opened(&mut self, topic: &str) {
        assert!(self.topics.borrow_mut().insert(topic.to_owned()), "{topic} is open already");
    }

    fn topic_closed(&mut self, topic: &str) {
        assert!(self.topics.borrow_mut().remove(topic), "{topic} is not open");
    }
}

/// A client, and what it must have received.
struct Client {
    wire: Wire,
    out: Sender,
    expected: Vec<u8>,
    topics: BTreeSet<&'static str>,
    is_open: bool,
}

impl Client {
    fn connect(reactor: &mut Reactor<Shared, Fake>, system: &Fake, shared: &Shared) -> Self {
        let wire = open_client(reactor, system);
        let out = shared.senders.borrow().last().unwrap().clone();
        Self { wire, out, expected: Vec::new(), topics: BTreeSet::new(), is_open: true }
    }

    fn receive(&mut self, payload: &str) {
        if self.is_open {
            self.expected.extend([0x81, u8::try_from(payload.len()).unwrap()]);
            self.expected.extend(payload.as_bytes());
        }
    }
}

/// What a publication of the model leaves out.
#[derive(Clone, Copy, PartialEq)]
enum Except {
    Nobody,
    Client(usize),
}

fn publish(clients: &mut [Client], topic: &str, payload: &str, except: Except) {
    for (number, client) in clients.iter_mut().enumerate() {
        if client.topics.contains(topic) && except != Except::Client(number) {
            client.receive(payload);
        }
    }
}

/// Does something at random, and records what it means.
fn act(rng: &mut StdRng, clients: &mut [Client], all: &Sender, payload: &str) {
    let number = rng.random_range(0..clients.len());
    let other = rng.random_range(0..clients.len());
    let topic = random_inputs::choose(rng, &TOPICS);
    let out = clients[number].out.clone();
    match rng.random_range(0..12) {
        0..3 => {
            out.subscribe(topic).unwrap();
            clients[number].topics.insert(topic);
        }
        3 => {
            out.unsubscribe(topic).unwrap();
            clients[number].topics.remove(topic);
        }
        4..6 => {
            out.publish(topic, payload).unwrap();
            publish(clients, topic, payload, Except::Client(number));
        }
        6 => {
            all.publish(topic, payload).unwrap();
            publish(clients, topic, payload, Except::Nobody);
        }
        7 => {
            out.publish_with(Publication::new(topic, payload).to_self().uncompressed()).unwrap();
            publish(clients, topic, payload, Except::Nobody);
        }
        8 => {
            let except = clients[other].out.clone();
            out.publish_with(Publication::new(topic, payload).except(&except)).unwrap();
            publish(clients, topic, payload, Except::Client(other));
        }
        9 => {
            all.broadcast(payload).unwrap();
            clients.iter_mut().for_each(|client| client.receive(payload));
        }
        10 => {
            out.send(payload).unwrap();
            clients[number].receive(payload);
        }
        _ if rng.random_range(0..10) == 0 => {
            out.close(CloseCode::Normal).unwrap();
            let client = &mut clients[number];
            if std::mem::take(&mut client.is_open) {
                client.expected.extend([0x88, 2, 0x03, 0xe8]);
            }
        }
        _ => {}
    }
}

/// Any sequence of commands gives each connection exactly the messages of its topics, in order, however long the turns are.
#[test]
fn every_subscriber_receives_exactly_what_is_published_while_it_subscribes() {
    random_inputs::for_each(|rng| {
        let (system, shared) = (Fake::new(), Shared::default());
        let (mut reactor, _entered) = listening(shared.clone(), Settings::without_timeouts(), &system);
        let mut clients: Vec<Client> =
            (0..rng.random_range(1..100)).map(|_| Client::connect(&mut reactor, &system, &shared)).collect();
        let all = Sender::all(Arc::clone(&reactor.state.queue));
        system.set_pace(Duration::from_millis(rng.random_range(0..5)));
        let slow = rng.random_range(0..clients.len());
        clients[slow].wire.set_room(10);
        for number in 0..200 {
            act(rng, &mut clients, &all, &number.to_string());
            if rng.random_range(0..20) == 0 && reactor.has_work() {
                reactor.turn().unwrap();
            }
        }
        run_until_idle(&mut reactor);
        clients[slow].wire.set_room(usize::MAX);
        run_until_idle(&mut reactor);
        for (number, client) in clients.iter().enumerate() {
            let received = client.wire.take_received();
            assert_eq!(
                String::from_utf8_lossy(&received),
                String::from_utf8_lossy(&client.expected),
                "client {number}"
            );
        }
        // A connection that is closing subscribes until it has ended.
        for topic in TOPICS.into_iter().filter(|_| clients.iter().all(|client| client.is_open)) {
            let count = clients.iter().filter(|client| client.topics.contains(topic)).count();
            assert_eq!(all.subscriber_count(topic), count);
            assert_eq!(shared.topics.borrow().contains(topic), count > 0);
        }
        // Nothing is left when the connections have ended.
        clients.iter().for_each(|client| client.wire.end());
        run_until_idle(&mut reactor);
        assert!(shared.topics.borrow().is_empty());
        assert_eq!((reactor.state.publications.len(), reactor.state.topics.subscriptions()), (0, 0));
        assert_eq!((reactor.state.memory.held(), *shared.errors.borrow()), (0, 0));
    });
}

#[test]
fn a_volatile_message_is_left_out_for_those_that_are_behind() {
    let (system, shared) = (Fake::new(), Shared::default());
    let (mut reactor, _entered) = listening(shared.clone(), Settings::without_timeouts(), &system);
    let fast = Client::connect(&mut reactor, &system, &shared);
    let slow = Client::connect(&mut reactor, &system, &shared);
    slow.wire.set_room(1);
    let all = Sender::all(Arc::clone(&reactor.state.queue));
    all.subscribe("topic").unwrap();
    for (number, is_volatile) in [(0, false), (1, true), (2, false)] {
        let publication = Publication::new("topic", number.to_string());
        let publication = if is_volatile { publication.volatile() } else { publication };
        all.publish_with(publication).unwrap();
        run_until_idle(&mut reactor);
    }
    slow.wire.set_room(usize::MAX);
    run_until_idle(&mut reactor);
    assert_eq!(fast.wire.take_received(), b"\x81\x010\x81\x011\x81\x012");
    assert_eq!(slow.wire.take_received(), b"\x81\x010\x81\x012");
}

#[test]
fn subscriptions_are_limited_per_connection_and_in_total() {
    let (system, shared) = (Fake::new(), Shared::default());
    let settings = Settings { max_topics: 3, max_topics_per_connection: 2, ..Settings::without_timeouts() };
    let (mut reactor, _entered) = listening(shared.clone(), settings, &system);
    let first = Client::connect(&mut reactor, &system, &shared);
    let second = Client::connect(&mut reactor, &system, &shared);
    let mut subscribe = |client: &Client, topic: &str| {
        client.out.subscribe(topic).unwrap();
        run_until_idle(&mut reactor);
        *shared.errors.borrow()
    };
    assert_eq!([subscribe(&first, "a"), subscribe(&first, "b"), subscribe(&first, "a")], [0, 0, 0]);
    assert_eq!(subscribe(&first, "c"), 1, "of this connection");
    assert_eq!([subscribe(&second, "c"), subscribe(&second, "d")], [1, 2]);
    assert_eq!(shared.topics.borrow().len(), 3);
    second.out.unsubscribe("c").unwrap();
    assert_eq!(subscribe(&second, "d"), 2, "there is room again");
    let long = "x".repeat(257);
    assert!(matches!(first.out.subscribe(&long).unwrap_err().kind, ErrorKind::Capacity));
    assert!(matches!(first.out.publish(&long, "text").unwrap_err().kind, ErrorKind::Capacity));
    assert!(first.out.publish(&long[1..], "text").is_ok(), "a topic without subscribers");
}

/// Subscriptions of connections that end, in any order.
#[test]
fn subscriptions_end_with_their_connections() {
    random_inputs::for_each(|rng| {
        let mut topics = Topics::new(Common::new(&Settings::default()), 1000);
        let mut model: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for _ in 0..500 {
            let (slot, topic) = (rng.random_range(0..20), rng.random_range(0..20_u32));
            let name: Arc<str> = topic.to_string().into();
            match rng.random_range(0..8) {
                0..5 => {
                    let is_new = topics.subscribe(slot, &name).unwrap().is_some();
                    assert_eq!(is_new, model.entry(topic).or_default().insert(slot));
                }
                5..7 => {
                    let was_member = topics.unsubscribe(slot, &name).is_some();
                    assert_eq!(was_member, model.entry(topic).or_default().remove(&slot));
                }
                _ => {
                    let left = topics.remove(slot).len();
                    let expected =
                        model.values_mut().filter_map(|members| members.remove(&slot).then_some(()));
                    assert_eq!(left, expected.count());
                }
            }
            for (topic, members) in &model {
                let found: Option<BTreeSet<u32>> =
                    topics.find(&topic.to_string()).map(|topic| topics.subscribers(topic).collect());
                assert_eq!(found.unwrap_or_default(), *members);
            }
        }
    });
}

/// A handler that subscribes on "in", and unsubscribes on any other message. Another thread publishes before and after the call.
struct Observed {
    out: Sender,
    all: Rc<RefCell<Option<Sender>>>,
}

impl Handler for Observed {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        let all = self.all.borrow().clone().unwrap();
        publish_elsewhere(&all, "before");
        match msg.as_text()? {
            "in" => self.out.subscribe("topic")?,
            _ => self.out.unsubscribe("topic")?,
        }
        publish_elsewhere(&all, "after");
        self.out.send(msg)
    }
}

/// Publishes on another thread, and waits until the call has returned.
fn publish_elsewhere(all: &Sender, message: &'static str) {
    thread::scope(|scope| scope.spawn(|| all.publish("topic", message)).join().unwrap().unwrap());
}

#[test]
fn a_subscription_of_a_handler_begins_and_ends_with_the_call_for_publishers_on_other_threads() {
    let (system, shared) = (Fake::new(), Rc::new(RefCell::new(None)));
    let all = Rc::clone(&shared);
    let factory = move |out| Observed { out, all: Rc::clone(&all) };
    let (mut reactor, _entered) = listening(factory, Settings::without_timeouts(), &system);
    *shared.borrow_mut() = Some(Sender::all(Arc::clone(&reactor.state.queue)));
    let client = open_client(&mut reactor, &system);
    let mut receive = |request| {
        client.send(&text(request));
        run_until_idle(&mut reactor);
        client.take_received()
    };
    assert_eq!(receive("in"), b"\x81\x02in\x81\x05after");
    assert_eq!(receive("out"), b"\x81\x06before\x81\x03out");
}

/// What other threads have queued before a handler subscribes waits with the commands of handlers. It still fills the queue.
#[test]
fn w10_commands_that_precede_a_subscription_count_until_they_are_executed() {
    let (system, shared) = (Fake::new(), Shared::default());
    let settings = Settings { max_connections: 2, queue_size: 1, ..Settings::without_timeouts() };
    let (mut reactor, _entered) = listening(shared.clone(), settings, &system);
    let client = Client::connect(&mut reactor, &system, &shared);
    let all = Sender::all(Arc::clone(&reactor.state.queue));
    let publish = || thread::scope(|scope| scope.spawn(|| all.publish("topic", "text")).join().unwrap());
    assert!(publish().is_ok() && publish().is_ok());
    client.out.subscribe("topic").unwrap();
    client.out.unsubscribe("topic").unwrap();
    assert!(matches!(publish().unwrap_err().kind, ErrorKind::Queue(QueueError::Full)));
    assert_eq!(reactor.state.memory.held(), 8);
    run_until_idle(&mut reactor);
    assert_eq!(reactor.state.memory.held(), 0);
    assert!(publish().is_ok() && publish().is_ok());
    assert!(matches!(publish().unwrap_err().kind, ErrorKind::Queue(QueueError::Full)));
}

/// A message that the program sends to each connection by itself.
#[test]
fn a_shared_message_is_stored_once_while_connections_have_not_sent_it() {
    let (system, shared) = (Fake::new(), Shared::default());
    let (mut reactor, _entered) = listening(shared.clone(), Settings::without_timeouts(), &system);
    let clients: Vec<Client> = (0..10).map(|_| Client::connect(&mut reactor, &system, &shared)).collect();
    clients.iter().for_each(|client| client.wire.set_room(0));
    let message = SharedMessage::from(vec![7; 100_000]);
    for _ in 0..2 {
        clients.iter().for_each(|client| client.out.send_shared(&message).unwrap());
        run_until_idle(&mut reactor);
    }
    let held = reactor.state.memory.held();
    assert!((100_000..150_000).contains(&held), "{held} bytes for 20 messages");
    clients.iter().for_each(|client| client.wire.set_room(usize::MAX));
    run_until_idle(&mut reactor);
    assert_eq!(reactor.state.memory.held(), 0, "a message that the program keeps does not count");
    let received = clients[0].wire.take_received();
    assert!(clients[1..].iter().all(|client| client.wire.take_received() == received));
    assert_eq!(received.iter().filter(|byte| **byte == 7).count(), 200_000);

    Sender::all(Arc::clone(&reactor.state.queue)).send_shared(&SharedMessage::from("to all")).unwrap();
    run_until_idle(&mut reactor);
    assert!(clients.iter().all(|client| client.wire.take_received() == b"\x81\x06to all"));
}

#[test]
fn the_topic_that_was_found_last_is_not_confused_with_the_next_one_of_its_number() {
    let mut topics = Topics::new(Common::new(&Settings::default()), 9);
    let red = topics.subscribe(0, &"red".into()).unwrap();
    assert_eq!((topics.find("red"), topics.find("red")), (red, red));
    topics.unsubscribe(0, "red");
    assert_eq!(topics.find("red"), None);
    let green = topics.subscribe(0, &"green".into()).unwrap();
    assert_eq!(green, red, "the number is used again");
    assert_eq!((topics.find("red"), topics.find("green")), (None, green));
}
