//! The node of a process: joins the state of the node with its broker, and with the event loops.
//!
//! Senders publish on any thread. The broker reports on a thread of its own. A third thread, which runs while the loops run, sends heartbeats
//! and notices what has not happened in time. A lock protects the state. What the loops receive is passed on without this lock, because the
//! directory of topics calls the node while it is locked itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::{info, warn};

use super::broker::{Broker, BrokerEvents, Inbox, NodeId, Queued};
use super::config::{Cluster, Order};
use super::envelope::{Content, Flags};
use super::events::{Event, Missed};
use super::node::{Node, Outcome, ToBroker};
use super::stats::ClusterStats;
use crate::error::{Error, ErrorKind, QueueError, Result};
use crate::message::Message;
use crate::protocol::{Frame, OpCode};

/// The event loops of the process, as the node uses them.
pub(crate) trait EventLoops: Send + Sync {
    /// Queues something for its receivers. Nothing is refused.
    fn deliver(&self, delivery: Delivery);
    /// Whether the loops keep up with what is delivered.
    fn has_room(&self) -> bool;
    /// Returns how many connections subscribe to a topic.
    fn subscribers(&self, topic: &str) -> usize;
}

/// What the subscribers of a topic receive or, without a topic, all connections.
#[derive(Debug)]
pub(crate) enum Delivery {
    Message {
        topic: Option<Arc<str>>,
        message: Message,
        is_compressible: bool,
        is_volatile: bool,
        /// The slot and the serial number of the connection that does not receive it.
        except: Option<(u32, u32)>,
    },
    Gap {
        topic: Option<Arc<str>>,
        missed: Missed,
    },
}

/// The longest time until the thread of the node looks for work.
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// The number of publications that are processed without releasing the lock, at most.
const MAX_GROUP: usize = 64;

/// The node of a loop or of a pool.
pub(crate) struct Hub {
    id: NodeId,
    state: Mutex<State>,
    /// Wakes the thread of the node when it must end, and when an event has no other cause than a call of this process.
    wake: Condvar,
    /// Held while events are passed to the loops, so that they stay in order.
    passing: Mutex<()>,
    loops: OnceLock<Box<dyn EventLoops>>,
    order: Box<dyn Fn(&str) -> Order + Send + Sync>,
}

struct State {
    node: Node,
    /// `None` while it starts, and after it was stopped.
    broker: Option<Box<dyn Broker>>,
    /// Whether the thread of the node must end.
    is_ending: bool,
    /// What waits for the counts of other nodes, by the number of the question.
    counts: HashMap<u64, (Arc<str>, CountHandler)>,
}

type CountHandler = Box<dyn FnOnce(SubscriberCount) + Send>;

/// How many connections of a cluster subscribe to a topic. See
/// [`Sender::count_subscribers`](crate::Sender::count_subscribers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriberCount {
    /// The number of connections, of this node and of the other nodes that have answered in time.
    pub subscribers: usize,
    /// How many nodes have answered in time, this one included.
    pub answered: usize,
    /// How many nodes are known, this one included.
    pub nodes: usize,
}

impl Hub {
    pub(crate) fn new(cluster: Cluster) -> Self {
        let Cluster { broker, options, order } = cluster;
        let id = NodeId::random();
        let node = Node::new(id, options, Instant::now());
        let state = State { node, broker: Some(broker), is_ending: false, counts: HashMap::new() };
        Self {
            id,
            state: Mutex::new(state),
            wake: Condvar::new(),
            passing: Mutex::default(),
            loops: OnceLock::new(),
            order,
        }
    }

    /// Connects to the broker. The node runs until the returned value is dropped.
    pub(crate) fn start(self: &Arc<Self>, loops: impl EventLoops + 'static) -> Result<RunningNode> {
        let _ = self.loops.set(Box::new(loops));
        // The broker can report while it starts, which needs the lock.
        let Some(mut broker) = self.lock().broker.take() else {
            return Err(Error::new(
                ErrorKind::Internal,
                "the broker of this event loop was stopped when the loop ended",
            ));
        };
        broker.start(self.id, Inbox::new(Arc::clone(self) as Arc<dyn BrokerEvents>))?;
        self.lock().broker = Some(broker);
        let mut running = RunningNode { hub: Arc::clone(self), thread: None };
        let hub = Arc::clone(self);
        let thread = thread::Builder::new().name("sockeye-cluster".to_owned()).spawn(move || hub.run());
        running.thread = Some(thread.map_err(|err| Error::io("cannot start the thread of the node", err))?);
        Ok(running)
    }

    /// The thread of the node.
    fn run(&self) {
        let mut state = self.lock();
        while !state.is_ending {
            let now = Instant::now();
            state.node.tick(now);
            state.request();
            let next = state.node.next_deadline().map_or(MAX_PAUSE, |at| at.saturating_duration_since(now));
            drop(state);
            self.pass_events();
            state = self.lock();
            if !state.is_ending {
                let waited = self.wake.wait_timeout(state, next.min(MAX_PAUSE));
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        drop(state);
        // The node has answered what was open when it ended.
        self.pass_events();
    }

    /// The order of the messages of a topic.
    pub(crate) fn order(&self, topic: &str) -> Order {
        (self.order)(topic)
    }

    /// Publishes a message to the subscribers of a topic on other nodes or, without a topic, to all of their connections.
    pub(crate) fn publish(
        &self,
        topic: Option<&str>,
        frame: &Frame,
        order: Order,
        is_volatile: bool,
        except: Option<(u32, u32)>,
    ) -> Result<()> {
        let payload = frame.as_slice();
        let content = match frame.opcode() {
            OpCode::Text => {
                simdutf8::basic::from_utf8(payload).map_or(Content::Binary(payload), Content::Text)
            }
            _ => Content::Binary(payload),
        };
        let flags = Flags::COMPRESSIBLE.when(frame.is_compressible())
            | Flags::VOLATILE.when(is_volatile)
            | Flags::TOTAL_ORDER.when(order == Order::Total);
        match self.change(|node, _| node.publish(topic, content, flags, except.map(pack))) {
            // The subscribers on other nodes learn what was lost.
            Outcome::Queued | Outcome::Lost => Ok(()),
            Outcome::Refused => Err(QueueError::Full.into()),
        }
    }

    /// A topic has its first local subscriber.
    pub(crate) fn open(&self, topic: &str) {
        self.change(|node, _| node.open(topic));
    }

    /// A topic has lost its last local subscriber.
    pub(crate) fn close(&self, topic: &str) {
        self.change(|node, now| node.close(topic, now));
    }

    /// Asks all nodes how many subscribers a topic has, and passes the answer to `then`.
    pub(crate) fn count(&self, topic: &str, within: Duration, then: CountHandler) -> Result<()> {
        let mut state = self.lock();
        if state.is_ending {
            return Err(QueueError::Disconnected.into());
        }
        let deadline = Instant::now() + within;
        let Some(query) = state.node.ask_count(topic, deadline) else {
            return Err(Error::new(ErrorKind::Capacity, "too many subscriber counts are being determined"));
        };
        state.counts.insert(query, (topic.into(), then));
        state.request();
        // There may be no other node to wait for.
        self.wake.notify_all();
        Ok(())
    }

    pub(crate) fn stats(&self) -> ClusterStats {
        self.lock().node.stats()
    }

    /// Changes the state, and requests from the broker what follows from it.
    fn change<R>(&self, change: impl FnOnce(&mut Node, Instant) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state.node, Instant::now());
        state.request();
        result
    }

    /// The same for a report of the broker, from which events can follow.
    fn report(&self, change: impl FnOnce(&mut Node, Instant)) {
        self.change(change);
        self.pass_events();
    }

    fn pass_events(&self) {
        let _in_order = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(loops) = self.loops.get() else { return };
        loop {
            let Some(event) = self.lock().node.next_event() else { return };
            self.pass(event, &**loops);
        }
    }

    fn pass(&self, event: Event, loops: &dyn EventLoops) {
        match event {
            Event::Deliver { topic, message, flags, except } => {
                loops.deliver(Delivery::Message {
                    topic,
                    message,
                    is_compressible: flags.contains(Flags::COMPRESSIBLE),
                    is_volatile: flags.contains(Flags::VOLATILE),
                    except: except.map(unpack),
                });
            }
            Event::Gap { topic, missed } => loops.deliver(Delivery::Gap { topic, missed }),
            Event::CountAsked { node, query, topic } => {
                let count = loops.subscribers(&topic) as u64;
                self.change(|state, _| state.answer_count(node, query, count));
            }
            Event::Counted { query, count, answered, nodes } => {
                let waiting = self.lock().counts.remove(&query);
                if let Some((topic, then)) = waiting {
                    let others = usize::try_from(count).unwrap_or(usize::MAX);
                    let subscribers = others.saturating_add(loops.subscribers(&topic));
                    then(SubscriberCount { subscribers, answered: answered + 1, nodes: nodes + 1 });
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Requests from the broker what the node wants.
    fn request(&mut self) {
        let Self { node, broker: Some(broker), .. } = self else { return };
        loop {
            let mut is_refused = false;
            match node.next_output() {
                Some(ToBroker::Subscribe(channels)) => broker.subscribe(&borrowed(&channels)),
                Some(ToBroker::Unsubscribe(channels)) => broker.unsubscribe(&borrowed(&channels)),
                Some(ToBroker::Publish { channel, envelope }) => {
                    is_refused = broker.publish(channel, envelope) == Queued::Full;
                }
                Some(ToBroker::Reconnect) => broker.reconnect(),
                None => return,
            }
            if is_refused {
                node.refused();
            }
        }
    }
}

/// A slot and a serial number as one value.
fn pack((slot, serial): (u32, u32)) -> u64 {
    u64::from(slot) << 32 | u64::from(serial)
}

fn unpack(packed: u64) -> (u32, u32) {
    let low = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default();
    (low(packed >> 32), low(packed))
}

fn borrowed(channels: &[Arc<str>]) -> Vec<&str> {
    channels.iter().map(|channel| &**channel).collect()
}

impl BrokerEvents for Hub {
    fn up(&self) {
        info!("connected to the broker");
        self.report(Node::up);
    }

    fn down(&self, reason: &str) {
        warn!("not connected to the broker: {reason}");
        self.report(Node::down);
    }

    fn subscribed(&self, channels: &[&str]) {
        self.report(|node, _| node.subscribed(channels));
    }

    fn acknowledged(&self, count: u64) {
        self.change(|node, _| node.acknowledged(count));
    }

    fn rejected(&self, number: u64) {
        self.change(|node, _| node.rejected(number));
    }

    fn deliver(&self, channel: &str, payload: &[u8]) {
        self.deliver_all(&[(channel, payload)]);
    }

    fn deliver_all(&self, publications: &[(&str, &[u8])]) {
        for group in publications.chunks(MAX_GROUP) {
            self.report(|node, now| {
                group.iter().for_each(|(channel, payload)| node.received(channel, payload, now));
            });
        }
    }

    fn has_room(&self) -> bool {
        self.loops.get().is_none_or(|loops| loops.has_room())
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A node that runs, until this is dropped.
#[derive(Debug)]
pub(crate) struct RunningNode {
    hub: Arc<Hub>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for RunningNode {
    /// Leaves the cluster, and closes the connection to the broker.
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        state.is_ending = true;
        state.node.stop(Instant::now());
        state.request();
        let broker = state.broker.take();
        drop(state);
        self.hub.wake.notify_all();
        if let Some(mut broker) = broker {
            broker.stop();
        }
        if let Some(thread) = self.thread.take() {
            // A handler of a count can have panicked.
            let _ = thread.join();
        }
    }
}
