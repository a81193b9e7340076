//! Nodes that are connected by a server in memory, with a clock and with faults.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::super::broker::NodeId;
use super::super::envelope::{Body, Envelope, Flags};
use super::super::events::{BrokerState, Event};
use super::super::node::{Node, Outcome, ToBroker};
use super::super::options::Options;
use super::checker::Checker;
use crate::Message;

/// The topics of all tests. The first one is that of all connections.
pub(super) const TOPICS: [Option<&str>; 4] = [None, Some("a"), Some("b"), Some("c")];

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) nodes: Vec<SimNode>,
    pub(super) checker: Checker,
    options: Options,
    /// Who subscribes to which channel.
    subscribers: BTreeMap<String, BTreeSet<usize>>,
    /// What lost connections have sent and the server has not processed.
    leftovers: Vec<(usize, VecDeque<Sent>)>,
}

type Sent = (String, Vec<u8>);

pub(super) struct SimNode {
    pub(super) node: Node,
    pub(super) connection: Option<Connection>,
    pub(super) is_alive: bool,
    pub(super) is_paused: bool,
    /// Whether the broker refuses the next publications.
    pub(super) refuses: u32,
    /// When a subscription became effective last.
    subscribed: u64,
    /// When a heartbeat of another node came last.
    heartbeats: HashMap<usize, u64>,
}

/// A connection of a node to the server, with what is on the way. Like Redis, it has one stream for subscriptions and one for publications.
#[derive(Default)]
pub(super) struct Connection {
    commands: VecDeque<(bool, Vec<String>)>,
    publications: VecDeque<Sent>,
    reports: VecDeque<Report>,
    acknowledged: VecDeque<u64>,
    accepted: u64,
    /// Nothing passes any more, and neither end notices it.
    pub(super) swallows: bool,
}

enum Report {
    Subscribed(Vec<String>),
    Delivery(String, Vec<u8>),
}

impl World {
    pub(super) fn new(nodes: usize, options: Options) -> Self {
        let mut world = Self {
            now: Instant::now(),
            nodes: Vec::new(),
            checker: Checker::default(),
            options,
            subscribers: BTreeMap::new(),
            leftovers: Vec::new(),
        };
        (0..nodes).for_each(|_| world.start_node());
        world
    }

    pub(super) fn start_node(&mut self) {
        let index = self.nodes.len();
        let node = Node::new(id(index), self.options.clone(), self.now);
        self.nodes.push(SimNode {
            node,
            connection: None,
            is_alive: true,
            is_paused: false,
            refuses: 0,
            subscribed: 0,
            heartbeats: HashMap::new(),
        });
        self.checker.open(index, None, false);
    }

    pub(super) fn is_running(&self, index: usize) -> bool {
        self.nodes[index].is_alive && !self.nodes[index].is_paused
    }

    /// Connects a node that is not connected.
    pub(super) fn connect(&mut self, index: usize) {
        if self.is_running(index) && self.nodes[index].connection.is_none() {
            self.nodes[index].connection = Some(Connection::default());
            self.nodes[index].node.up(self.now);
            self.drive(index);
        }
    }

    /// The connection of a node is lost. The server processes later what it has received.
    pub(super) fn disconnect(&mut self, index: usize) {
        let Some(connection) = self.nodes[index].connection.take() else { return };
        self.subscribers.values_mut().for_each(|nodes| {
            nodes.remove(&index);
        });
        if !connection.swallows {
            self.leftovers.push((index, connection.publications));
        }
        if self.is_running(index) {
            self.nodes[index].node.down(self.now);
            self.drive(index);
        }
    }

    pub(super) fn restart_server(&mut self) {
        for index in 0..self.nodes.len() {
            // A stopped node notices it when it continues.
            self.disconnect(index);
        }
        self.leftovers.clear();
    }

    pub(super) fn kill(&mut self, index: usize) {
        self.nodes[index].is_alive = false;
        self.disconnect(index);
        self.checker.end(index);
    }

    pub(super) fn stop(&mut self, index: usize) {
        self.nodes[index].node.stop(self.now);
        self.drive(index);
        self.kill(index);
    }

    pub(super) fn resume(&mut self, index: usize) {
        if std::mem::take(&mut self.nodes[index].is_paused) && self.nodes[index].connection.is_none() {
            self.nodes[index].node.down(self.now);
        }
        self.drive(index);
    }

    pub(super) fn publish(&mut self, index: usize, topic: Option<&'static str>, flags: Flags) -> Outcome {
        let total = flags.contains(Flags::TOTAL_ORDER);
        let payload = self.checker.next_payload(index, topic);
        let outcome = self.nodes[index].node.publish(topic, &Message::from(payload), flags, Some(7));
        assert!((outcome == Outcome::Refused) <= total);
        if outcome != Outcome::Refused {
            self.checker.published(index, topic, total);
        }
        self.drive(index);
        outcome
    }

    pub(super) fn open(&mut self, index: usize, topic: &'static str) {
        if !self.checker.is_open(index, Some(topic)) {
            let node = &mut self.nodes[index].node;
            node.open(topic);
            let is_effective = node.is_effective(topic);
            self.checker.open(index, Some(topic), is_effective);
            self.drive(index);
        }
    }

    pub(super) fn close(&mut self, index: usize, topic: &'static str) {
        if self.checker.is_open(index, Some(topic)) {
            self.nodes[index].node.close(topic, self.now);
            self.checker.close(index, Some(topic));
            self.drive(index);
        }
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now += by;
        for index in 0..self.nodes.len() {
            if self.is_running(index) {
                self.nodes[index].node.tick(self.now);
                self.drive(index);
            }
        }
    }

    /// Does what a node wants.
    pub(super) fn drive(&mut self, index: usize) {
        self.take_events(index);
        let sim = &mut self.nodes[index];
        let mut reconnects = false;
        while let Some(output) = sim.node.next_output() {
            let connection = sim.connection.as_mut().expect("a node that is connected");
            match output {
                ToBroker::Subscribe(channels) => connection.commands.push_back((true, strings(&channels))),
                ToBroker::Unsubscribe(channels) => {
                    connection.commands.push_back((false, strings(&channels)));
                }
                ToBroker::Publish { .. } if sim.refuses > 0 => {
                    sim.refuses -= 1;
                    sim.node.refused();
                }
                ToBroker::Publish { channel, envelope } => {
                    connection.publications.push_back((channel.to_owned(), envelope.to_vec()));
                }
                ToBroker::Reconnect => reconnects = true,
            }
        }
        if reconnects {
            self.disconnect(index);
        }
    }

    fn take_events(&mut self, index: usize) {
        let sim = &mut self.nodes[index];
        while let Some(event) = sim.node.next_event() {
            match event {
                Event::CountAsked { node, query, topic } => {
                    let count = u64::from(self.checker.is_open(index, Some(&topic)));
                    sim.node.answer_count(node, query, count);
                }
                event => self.checker.event(index, event),
            }
        }
    }

    /// The server processes up to `count` entries of a connection of a node.
    pub(super) fn serve(&mut self, index: usize, count: usize) {
        for _ in 0..count {
            let Some(connection) = &mut self.nodes[index].connection else { return };
            let command = connection.commands.pop_front();
            let publication = connection.publications.pop_front();
            if connection.swallows {
                continue;
            }
            if let Some((subscribes, channels)) = command {
                for channel in &channels {
                    let nodes = self.subscribers.entry(channel.clone()).or_default();
                    if subscribes {
                        nodes.insert(index)
                    } else {
                        nodes.remove(&index)
                    };
                }
                if subscribes {
                    connection.reports.push_back(Report::Subscribed(channels));
                }
            }
            if let Some(publication) = publication {
                connection.accepted += 1;
                connection.acknowledged.push_back(connection.accepted);
                self.pass_on(&publication);
            }
        }
    }

    /// The server processes what a lost connection has sent.
    pub(super) fn serve_leftovers(&mut self, count: usize) {
        for _ in 0..count {
            let Some((_, sent)) = self.leftovers.first_mut() else { return };
            match sent.pop_front() {
                Some(publication) => self.pass_on(&publication),
                None => {
                    self.leftovers.remove(0);
                }
            }
        }
    }

    /// What a lost connection has sent does not reach the server.
    pub(super) fn drop_leftovers(&mut self) {
        self.leftovers.clear();
    }

    fn pass_on(&mut self, (channel, envelope): &Sent) {
        self.checker.processed(envelope);
        for index in self.subscribers.get(channel).into_iter().flatten() {
            if let Some(connection) = &mut self.nodes[*index].connection
                && !connection.swallows
            {
                connection.reports.push_back(Report::Delivery(channel.clone(), envelope.clone()));
            }
        }
    }

    /// A node receives up to `count` reports.
    pub(super) fn deliver(&mut self, index: usize, count: usize) {
        for _ in 0..count {
            let (sim, now) = (&mut self.nodes[index], self.now);
            let Some(connection) = sim.connection.as_mut().filter(|_| sim.is_alive && !sim.is_paused) else {
                return;
            };
            if let Some(count) = connection.acknowledged.pop_front() {
                sim.node.acknowledged(count);
            }
            match connection.reports.pop_front() {
                Some(Report::Subscribed(channels)) => {
                    sim.subscribed = self.checker.step();
                    let channels: Vec<_> = channels.iter().map(String::as_str).collect();
                    sim.node.subscribed(&channels);
                }
                Some(Report::Delivery(channel, envelope)) => {
                    if let Some((author, true)) = author(&envelope) {
                        sim.heartbeats.insert(author, self.checker.step());
                    }
                    sim.node.received(&channel, &envelope, now);
                }
                None => {}
            }
            self.drive(index);
        }
    }

    /// Loses the next publication that a node would receive, while its connection continues. Only if a heartbeat has arrived from its
    /// author since the node's last subscription: before, the node cannot know where the numbers begin.
    pub(super) fn lose_delivery(&mut self, index: usize) {
        let sim = &mut self.nodes[index];
        let Some(connection) = &mut sim.connection else { return };
        let Some(Report::Delivery(_, envelope)) = connection.reports.front() else { return };
        let Some((author, _)) = author(envelope) else { return };
        if author == index || sim.heartbeats.get(&author).is_some_and(|step| *step > sim.subscribed) {
            connection.reports.pop_front();
        }
    }

    /// All nodes connect, everything that is on the way arrives, and time passes.
    pub(super) fn settle(&mut self, time: Duration) {
        const STEP: Duration = Duration::from_millis(250);
        for _ in 0..time.as_millis() / STEP.as_millis() {
            self.flush();
            self.advance(STEP);
        }
        self.flush();
    }

    fn flush(&mut self) {
        (0..self.nodes.len()).for_each(|index| self.connect(index));
        self.transmit();
    }

    /// Everything that is on the way arrives.
    pub(super) fn transmit(&mut self) {
        self.serve_leftovers(usize::MAX);
        for _ in 0..3 {
            (0..self.nodes.len()).for_each(|index| self.serve_all(index));
            (0..self.nodes.len()).for_each(|index| self.deliver_all(index));
        }
    }

    fn serve_all(&mut self, index: usize) {
        let len = |connection: &Connection| connection.commands.len().max(connection.publications.len());
        let count = self.nodes[index].connection.as_ref().map_or(0, len);
        self.serve(index, count);
    }

    fn deliver_all(&mut self, index: usize) {
        let len = |connection: &Connection| connection.reports.len().max(connection.acknowledged.len());
        let count = self.nodes[index].connection.as_ref().map_or(0, len);
        self.deliver(index, count);
    }

    /// All faults end, and the checker demands that every loss is reported.
    pub(super) fn heal_and_check(&mut self) {
        for index in 0..self.nodes.len() {
            self.nodes[index].refuses = 0;
            self.resume(index);
            if self.nodes[index].connection.as_ref().is_some_and(|connection| connection.swallows) {
                self.disconnect(index);
            }
        }
        self.settle(Duration::from_secs(25));
        for sim in self.nodes.iter().filter(|sim| sim.is_alive) {
            assert_eq!(sim.node.stats().state, BrokerState::Up);
            assert_eq!(sim.node.stats().malformed, 0);
        }
        self.checker.check_end();
    }
}

pub(super) fn id(index: usize) -> NodeId {
    NodeId::from_bytes(u64::try_from(index).unwrap().to_be_bytes())
}

/// Returns the author of an envelope, and whether it is a heartbeat.
fn author(envelope: &[u8]) -> Option<(usize, bool)> {
    let envelope = Envelope::decode(envelope).ok()?;
    let author = usize::try_from(u64::from_be_bytes(envelope.node.to_bytes())).ok()?;
    Some((author, matches!(envelope.body, Body::Heartbeat(_))))
}

fn strings(channels: &[std::sync::Arc<str>]) -> Vec<String> {
    channels.iter().map(|channel| channel.to_string()).collect()
}
