//! The server of the row: a pool whose handlers join, leave and publish for their clients, and publish when a timeout fires.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use sockeye::util::Token;
use sockeye::{
    Builder, CloseCode, Error, Handler, Handshake, Message, Result, Sender, Settings, Worker, Workers,
};
use sockeye_test_support::misbehavior::Dice;
use sockeye_test_support::{LIMIT, join};

use super::ledger::Ledger;
use super::wire::{ORDERS, Publisher, Reply, Request, WORKERS, topic_name};
use crate::dial::{OTHER_HOST, SAME_HOST, small_listener_at};
use crate::handlers::{AnyFactory, TopicEvent};

/// The timeout at which a handler publishes.
const TICK: Token = Token(1);

/// The milliseconds after which a publication is repeated that found a full queue.
const SOON: u64 = 2;

/// A pool on threads of its own.
pub(super) struct PoolServer {
    /// The addresses on which it listens, one for each process of clients: the ports of one would not suffice for all clients.
    pub(super) addresses: [SocketAddr; 2],
    pub(super) all: Sender,
    thread: JoinHandle<Result<()>>,
}

impl PoolServer {
    /// Starts the workers. Each connection has a timeout that fires about once in `tick` milliseconds.
    pub(super) fn start(settings: Settings, ledger: &Arc<Ledger>, tick: u64) -> Self {
        let listeners = [SAME_HOST, OTHER_HOST].map(small_listener_at);
        let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        let (started, start) = channel();
        let ledger = Arc::clone(ledger);
        let thread = thread::spawn(move || {
            let open_topics = Arc::default();
            let factory = |worker| factory(worker, &ledger, &open_topics, tick);
            let pool = Builder::new().with_settings(settings).workers(Workers::Exactly(WORKERS), factory)?;
            let pool = listeners
                .into_iter()
                .try_fold(pool, |pool, listener: TcpListener| pool.bind_listener(listener))?;
            started.send(pool.broadcaster()).unwrap();
            pool.run()
        });
        let all = start.recv_timeout(LIMIT).expect("the pool starts");
        Self { addresses, all, thread }
    }

    /// Shuts the pool down, and waits until it has ended.
    pub(super) fn stop(self) {
        self.all.shutdown().unwrap();
        join(self.thread).unwrap().unwrap();
    }
}

/// Returns the factory of a worker.
fn factory(
    worker: Worker,
    ledger: &Arc<Ledger>,
    open_topics: &Arc<Mutex<BTreeSet<String>>>,
    tick: u64,
) -> AnyFactory {
    let (made, counted, open) = (Arc::clone(ledger), Arc::clone(ledger), Arc::clone(open_topics));
    let worker = worker.index();
    let mut seed = 0x5eed + worker as u64;
    let make = move |out| {
        seed += 2;
        Serving { out, worker, ledger: Arc::clone(&made), dice: Dice(seed), tick, refused: None }
    };
    AnyFactory::new(make).on_topics(move |event, topic| count_topic(event, topic, &counted, &open))
}

/// Checks that the calls for each topic alternate.
fn count_topic(event: TopicEvent, topic: &str, ledger: &Ledger, open_topics: &Mutex<BTreeSet<String>>) {
    let mut open = open_topics.lock().unwrap();
    let is_in_order = match event {
        TopicEvent::Opened => open.insert(topic.to_owned()),
        TopicEvent::Closed => open.remove(topic),
    };
    ledger.calls.out_of_order.fetch_add((!is_in_order).into(), SeqCst);
    ledger.calls.open_topics.store(open.len(), SeqCst);
}

/// The handler of a connection.
struct Serving {
    out: Sender,
    worker: usize,
    ledger: Arc<Ledger>,
    dice: Dice,
    tick: u64,
    /// The topic of the last publication of a timer, if it found a full queue.
    refused: Option<u16>,
}

impl Serving {
    /// Publishes on a topic, if handlers have published enough. Returns the milliseconds until the next time.
    fn tick(&mut self) -> Result<u64> {
        if self.ledger.must_end() {
            self.ledger.end_some(&self.out, self.worker)?;
            return Ok(self.random_delay());
        }
        let topic = match self.refused.take() {
            Some(topic) => topic,
            None if self.ledger.take_credits(1) => self.random_topic(),
            None => return Ok(self.random_delay()),
        };
        let publisher = Publisher::Timers(self.worker);
        if self.ledger.publish(&self.out, publisher, topic, false)?.is_some() {
            return Ok(self.random_delay());
        }
        self.refused = Some(topic);
        Ok(SOON)
    }

    fn random_topic(&mut self) -> u16 {
        u16::try_from(self.dice.roll(self.ledger.topics())).unwrap()
    }

    fn random_delay(&mut self) -> u64 {
        let most = usize::try_from(2 * self.tick).unwrap();
        1 + self.dice.roll(most) as u64
    }

    fn reply(&self, reply: Reply) -> Result<()> {
        self.out.send(reply.encode())
    }
}

impl Handler for Serving {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.ledger.calls.opened.fetch_add(1, SeqCst);
        let delay = self.random_delay();
        self.out.timeout(delay, TICK)
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        let worker = self.worker;
        match Request::decode(msg.as_text()?).expect("the clients send requests") {
            Request::Orders => self.out.subscribe(ORDERS),
            Request::Join(topic) => {
                self.out.subscribe(topic_name(topic))?;
                self.reply(Reply::Joined { topic, worker, next: self.ledger.next(topic) })
            }
            Request::Leave(topic) => {
                self.out.unsubscribe(topic_name(topic))?;
                self.reply(Reply::Left { topic, worker, next: self.ledger.next(topic) })
            }
            Request::Publish(topic) => {
                self.ledger.add_credit();
                let number = self.ledger.publish(&self.out, Publisher::Handlers(worker), topic, false)?;
                let number = number.expect("the queue of handlers has no limit");
                self.reply(Reply::Published { topic, worker, number })
            }
            Request::Close => self.out.close(CloseCode::Away),
        }
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        let delay = self.tick()?;
        self.out.timeout(delay, TICK)
    }

    fn on_close(&mut self, _: CloseCode, _: &str) {
        self.ledger.calls.closed.fetch_add(1, SeqCst);
    }

    fn on_error(&mut self, _: Error) {
        self.ledger.calls.errors.fetch_add(1, SeqCst);
    }
}
