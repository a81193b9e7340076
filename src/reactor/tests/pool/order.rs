//! What each subscriber receives, in which order, whatever its loop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::super::frame;
use super::super::topics::Shared;
use super::{Worker, is_accepted, pool, settle};
use crate::random_inputs;
use crate::reactor::api::publication::Publication;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::system::fake::Wire;

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
