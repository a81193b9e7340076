//! A node: decides what is sent to the broker, and what local subscribers receive. It knows no thread, clock or event loop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::broker::NodeId;
use super::channels::Channels;
use super::envelope::{Body, Content, Flags};
use super::events::{BrokerState, Counters, Event, Events};
use super::liveness::Liveness;
use super::options::Options;
use super::outbox::Limits;
use super::outgoing::Outgoing;
use super::peers::Peers;
use super::queries::Queries;
use super::returning::Returning;
use super::stats::ClusterStats;
use super::subscriptions::{Command, Subscriptions};

/// What the event loop must do with the broker. The order matters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToBroker<'a> {
    Subscribe(Vec<Arc<str>>),
    Unsubscribe(Vec<Arc<str>>),
    /// If the broker refuses it, `Node::refused` must follow before anything else.
    Publish {
        channel: &'a str,
        envelope: &'a [u8],
    },
    Reconnect,
}

/// Whether a message reaches other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Outcome {
    Queued,
    /// The queue is full. The subscribers on other nodes learn that they have missed something.
    Lost,
    /// The queue is full, and the message has [`Flags::TOTAL_ORDER`]: no node delivers it.
    Refused,
}

/// The state of a node, except for its thread and its broker.
#[derive(Debug)]
pub(crate) struct Node {
    pub(super) id: NodeId,
    pub(super) options: Options,
    pub(super) channels: Channels,
    pub(super) subscriptions: Subscriptions,
    pub(super) peers: Peers,
    pub(super) outgoing: Outgoing,
    pub(super) returning: Returning,
    pub(super) queries: Queries,
    pub(super) liveness: Liveness,
    pub(super) events: Events,
    pub(super) broker: Broker,
}

/// What is known about the broker.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) state: BrokerState,
    has_been_up: bool,
    must_reconnect: bool,
    next_heartbeat: Instant,
    /// When a heartbeat was sent that has not come back.
    pub(super) heartbeat_sent: Option<Instant>,
    /// How long the last one was on its way.
    pub(super) round_trip: Duration,
}

impl Node {
    pub(crate) fn new(id: NodeId, options: Options, now: Instant) -> Self {
        let limits = Limits { messages: options.max_unacknowledged, bytes: options.max_unacknowledged_bytes };
        let channels = Channels::new(&options.prefix, id);
        Self {
            id,
            subscriptions: Subscriptions::new(&channels.cluster, &channels.own),
            channels,
            peers: Peers::default(),
            outgoing: Outgoing::new(id, limits, options.max_announced),
            returning: Returning::default(),
            queries: Queries::default(),
            liveness: Liveness::new(options.heartbeat, now),
            events: Events::default(),
            broker: Broker {
                state: BrokerState::Down,
                has_been_up: false,
                must_reconnect: false,
                next_heartbeat: now,
                heartbeat_sent: None,
                round_trip: Duration::ZERO,
            },
            options,
        }
    }

    /// Publishes a message to the subscribers of a topic on other nodes, or, without a topic, to all of their connections.
    ///
    /// The caller delivers it to local subscribers, unless it has [`Flags::TOTAL_ORDER`]. Then an event delivers it.
    pub(crate) fn publish<'m>(
        &mut self,
        topic: Option<&str>,
        message: impl Into<Content<'m>>,
        flags: Flags,
        except: Option<u64>,
    ) -> Outcome {
        let content = message.into();
        let returns = flags.contains(Flags::TOTAL_ORDER);
        let has_room = self.outgoing.has_room(content.as_bytes().len())
            && self.returning.len() < self.options.max_unacknowledged;
        if returns && !has_room {
            return Outcome::Refused;
        }
        let numbered = self.outgoing.publish(self.channels.of(topic), flags, except, content);
        if !numbered.is_queued {
            self.events.counters.dropped += 1;
            return Outcome::Lost;
        }
        if returns {
            self.returning.expect(numbered.number, numbered.channel, self.subscriptions.era());
        }
        Outcome::Queued
    }

    /// A topic has its first local subscriber.
    pub(crate) fn open(&mut self, topic: &str) {
        self.subscriptions.open(self.channels.of(Some(topic)), topic);
    }

    /// A topic has lost its last local subscriber.
    pub(crate) fn close(&mut self, topic: &str, now: Instant) {
        self.subscriptions.close(self.channels.of(Some(topic)), now);
    }

    /// The broker is connected.
    pub(crate) fn up(&mut self, now: Instant) {
        if self.broker.state != BrokerState::Down {
            self.down(now);
        }
        self.liveness.advance(now);
        self.liveness.start();
        self.events.counters.reconnects += u64::from(self.broker.has_been_up);
        self.broker.has_been_up = true;
        self.broker.state = BrokerState::Up;
        self.subscriptions.connect();
        self.send_heartbeat(now);
    }

    /// The broker is not connected any more.
    pub(crate) fn down(&mut self, now: Instant) {
        self.liveness.advance(now);
        self.liveness.stop();
        self.broker.state = BrokerState::Down;
        self.broker.must_reconnect = false;
        self.broker.heartbeat_sent = None;
        self.subscriptions.disconnect();
        self.outgoing.disconnect();
    }

    /// Subscriptions have become effective.
    pub(crate) fn subscribed(&mut self, channels: &[&str]) {
        self.subscriptions.confirm(channels, &mut self.events);
    }

    /// The broker has accepted this many publications since it was connected.
    pub(crate) fn acknowledged(&mut self, count: u64) {
        self.outgoing.acknowledge(count);
    }

    /// The broker has refused what [`next_output`](Self::next_output) returned last.
    pub(crate) fn refused(&mut self) {
        self.events.counters.dropped += u64::from(self.outgoing.refuse());
    }

    /// The broker's server has refused the publication with this number, counted from the beginning of the connection.
    pub(crate) fn rejected(&mut self, number: u64) {
        self.events.counters.dropped += u64::from(self.outgoing.reject(number));
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.liveness.advance(now);
        self.subscriptions.tick(now);
        self.queries.tick(now, &mut self.events);
        if self.broker.state == BrokerState::Down {
            return;
        }
        if self.liveness.take_stale() {
            self.broker.state = BrokerState::Stale;
            self.broker.must_reconnect = true;
        }
        for node in self.peers.silent_since(self.liveness.lost_before()) {
            self.lose(node);
        }
        if self.broker.next_heartbeat <= now {
            self.send_heartbeat(now);
        }
    }

    /// When [`tick`](Self::tick) must be called.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let heartbeat = (self.broker.state != BrokerState::Down).then_some(self.broker.next_heartbeat);
        let others = [self.subscriptions.next_deadline(), self.queries.next_deadline()];
        others.into_iter().chain([heartbeat]).flatten().min()
    }

    /// The node ends. What is queued must still be sent, and events answer all questions.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.queries.end(&mut self.events);
        if self.broker.state != BrokerState::Down {
            self.send_heartbeat(now);
            self.outgoing.push_other(&self.channels.cluster, Body::Goodbye);
        }
    }

    fn send_heartbeat(&mut self, now: Instant) {
        let Self { outgoing, channels, .. } = self;
        outgoing.push_heartbeat(&channels.cluster, |channel| channels.without_prefix(channel));
        self.broker.next_heartbeat = now + self.options.heartbeat;
        self.broker.heartbeat_sent.get_or_insert(now);
    }

    /// Asks other nodes how many subscribers a topic has. An event with the returned number follows at the deadline at the latest. `None` if too
    /// many questions are open.
    pub(crate) fn ask_count(&mut self, topic: &str, deadline: Instant) -> Option<u64> {
        let query = self.queries.begin(self.peers.ids(), deadline, &mut self.events)?;
        self.outgoing_if_connected(|outgoing, channels| {
            outgoing.push_other(&channels.cluster, Body::CountQuery { query, topic });
        });
        Some(query)
    }

    /// Answers [`Event::CountAsked`].
    pub(crate) fn answer_count(&mut self, node: NodeId, query: u64, count: u64) {
        self.outgoing_if_connected(|outgoing, channels| {
            outgoing.push_other(&channels.of_node(node), Body::CountAnswer { query, count });
        });
    }

    fn outgoing_if_connected(&mut self, push: impl FnOnce(&mut Outgoing, &Channels)) {
        if self.broker.state != BrokerState::Down {
            push(&mut self.outgoing, &self.channels);
        }
    }

    /// Returns what the broker must do next.
    pub(crate) fn next_output(&mut self) -> Option<ToBroker<'_>> {
        if self.broker.state == BrokerState::Down {
            return None;
        }
        if std::mem::take(&mut self.broker.must_reconnect) {
            return Some(ToBroker::Reconnect);
        }
        match self.subscriptions.next_command() {
            Some(Command::Subscribe(channels)) => return Some(ToBroker::Subscribe(channels)),
            Some(Command::Unsubscribe(channels)) => return Some(ToBroker::Unsubscribe(channels)),
            None => {}
        }
        let (channel, envelope) = self.outgoing.hand_over()?;
        Some(ToBroker::Publish { channel, envelope })
    }

    /// Returns what the event loop must do next.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    pub(crate) fn stats(&self) -> ClusterStats {
        let Counters { gaps, duplicates, malformed, dropped, reconnects } = self.events.counters;
        let &Broker { state, round_trip, .. } = &self.broker;
        ClusterStats { state, round_trip, gaps, duplicates, malformed, lost: dropped, reconnects }
    }

    /// Whether the subscription to a topic is effective.
    #[cfg(test)]
    pub(super) fn is_effective(&mut self, topic: &str) -> bool {
        let known = self.subscriptions.get(self.channels.of(Some(topic)));
        known.is_some_and(|known| known.ledger.is_effective())
    }
}
