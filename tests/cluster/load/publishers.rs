//! The publishers of a node: its handlers, and threads.

use std::str::FromStr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender as Channel, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sockeye::{ErrorKind, Publication, QueueError, Result, Sender};
use sockeye_test_support::misbehavior::Dice;

use crate::ledger::{Ledger, PER_NODE, THREADS, WORKERS, publisher};
use crate::packet::{Packet, now};
use crate::topics::{self, Topics};

/// The pause while a queue is full.
const PAUSE: Duration = Duration::from_millis(1);

/// Which of these a thread leaves out or repeats with a [`Defect`].
const RARE: u32 = 20;

/// What a node does wrong on purpose, to show that the rows can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Handlers do not pass on gaps.
    Silent,
    /// Threads do not publish some of the messages that they count.
    Lossy,
    /// Threads publish some messages twice.
    Twice,
    /// Threads publish some messages in the wrong order.
    Swapped,
}

impl FromStr for Defect {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        match name {
            "silent" => Ok(Self::Silent),
            "lossy" => Ok(Self::Lossy),
            "twice" => Ok(Self::Twice),
            "swapped" => Ok(Self::Swapped),
            other => Err(format!("no defect is called {other}")),
        }
    }
}

/// Numbers the messages of all publishers of a node.
#[derive(Debug)]
pub(crate) struct Publishing {
    pub(crate) ledger: Ledger,
    pub(crate) node: usize,
    pub(crate) topics: Topics,
    pub(crate) defect: Option<Defect>,
    /// The next numbers, by publisher and topic.
    next: [Mutex<Vec<u32>>; PER_NODE],
}

impl Publishing {
    pub(crate) fn new(ledger: Ledger, node: usize, topics: Topics, defect: Option<Defect>) -> Self {
        let next = std::array::from_fn(|_| Mutex::new(vec![0; topics.all().count()]));
        Self { ledger, node, topics, defect, next }
    }

    /// Publishes the next message of a publisher on a topic. Returns `false` if a queue is full. The next attempt then has the same number.
    ///
    /// Only one thread at a time calls this for a publisher.
    pub(crate) fn publish(&self, out: &Sender, index: usize, topic: u16) -> Result<bool> {
        let publisher = publisher(self.node, index);
        let mut next = self.next[index].lock().unwrap();
        let number = &mut next[usize::from(topic)];
        self.ledger.set_next(topic, publisher, *number + 1);
        let publisher = u16::try_from(publisher).unwrap();
        let packet = Packet { publisher, topic, number: *number, time: now() };
        match self.pass_on(out, index, packet) {
            Ok(()) => {
                *number += 1;
                Ok(true)
            }
            Err(err) => {
                self.ledger.set_next(topic, publisher.into(), *number);
                if matches!(err.kind, ErrorKind::Queue(QueueError::Full)) { Ok(false) } else { Err(err) }
            }
        }
    }

    fn pass_on(&self, out: &Sender, index: usize, packet: Packet) -> Result<()> {
        let send = |packet: Packet| self.send(out, packet);
        let place = packet.number + u32::from(packet.topic);
        let is_rare = index >= WORKERS && packet.number > 0 && place.is_multiple_of(RARE);
        match self.defect.filter(|_| is_rare) {
            None | Some(Defect::Silent) => send(packet),
            Some(Defect::Lossy) => Ok(()),
            Some(Defect::Twice) => send(packet).and_then(|()| send(packet)),
            // The number that was left out comes with the next message.
            Some(Defect::Swapped) => {
                send(Packet { number: packet.number + 1, ..packet }).and_then(|()| send(packet))
            }
        }
    }

    fn send(&self, out: &Sender, packet: Packet) -> Result<()> {
        if packet.topic == self.topics.broadcasts() {
            return out.broadcast(packet.encode());
        }
        out.publish_with(Publication::new(topics::name(packet.topic), packet.encode()).to_self())
    }
}

/// What threads do.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// Publish on each topic once.
    Round,
    /// Publish now and then, until another order comes.
    Act,
    Rest,
}

/// Threads that publish on random topics.
pub(crate) struct Publishers {
    orders: Vec<Channel<Order>>,
    done: Receiver<()>,
}

impl Publishers {
    /// Starts threads, which rest. When they act, they wait this long after each message.
    pub(crate) fn start(all: &Sender, publishing: &Arc<Publishing>, pause: Duration) -> Self {
        let (report, done) = channel();
        let start = |number| {
            let (sender, orders) = channel();
            let (all, publishing, report) = (all.clone(), Arc::clone(publishing), report.clone());
            let publisher = Thread { all, publishing, index: WORKERS + number, pause };
            thread::spawn(move || publisher.run(&orders, &report));
            sender
        };
        Self { orders: (0..THREADS).map(start).collect(), done }
    }

    pub(crate) fn round(&self) {
        self.give(Order::Round);
    }

    pub(crate) fn act(&self) {
        self.give(Order::Act);
    }

    pub(crate) fn rest(&self) {
        self.give(Order::Rest);
    }

    /// Returns when all threads have followed the order.
    fn give(&self, order: Order) {
        for orders in &self.orders {
            // A thread ends when the node drains.
            let _ = orders.send(order);
        }
        let _ = self.orders.iter().try_for_each(|_| self.done.recv());
    }
}

struct Thread {
    all: Sender,
    publishing: Arc<Publishing>,
    index: usize,
    pause: Duration,
}

impl Thread {
    fn run(&self, orders: &Receiver<Order>, done: &Channel<()>) {
        let mut dice = Dice(0x5eed + (self.publishing.node * PER_NODE + self.index) as u64);
        let topics = self.publishing.topics;
        let mut is_acting = false;
        while !self.all.is_draining() {
            let order = if is_acting {
                orders.recv_timeout(self.pause)
            } else {
                orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match order {
                Ok(order) => {
                    is_acting = matches!(order, Order::Act);
                    if matches!(order, Order::Round) {
                        topics.all().for_each(|topic| self.publish(topic));
                    }
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => {
                    // A message that finds a full queue is left out, and does not count.
                    let _ = self.publishing.publish(&self.all, self.index, topics.random(&mut dice));
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Publishes once the queue has room, or not at all once the node has ended.
    fn publish(&self, topic: u16) {
        while matches!(self.publishing.publish(&self.all, self.index, topic), Ok(false)) {
            thread::sleep(PAUSE);
        }
    }
}
