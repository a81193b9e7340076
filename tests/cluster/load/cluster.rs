//! The nodes, clients and server of a row.

use std::fs;
use std::iter;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::access::Access;
use crate::clients::{self, PROCESSES};
use crate::ledger::{Ledger, MAX_NODES};
use crate::node;
use crate::options::Options;
use crate::process::{LIMIT, Process};
use crate::relay::Relay;
use crate::server::Server;
use crate::tally::{PLACES, Tally};
use crate::topics::Topics;
use crate::words;

/// How often every publisher publishes its first messages, at most, and how long to wait for their arrival.
const ROUNDS: usize = 10;
const SOON: Duration = Duration::from_secs(5);

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(20);

/// How large a row is, and how its nodes reach the server.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) clients: usize,
    pub(crate) topics: Topics,
    /// The milliseconds between two messages of a thread, and about those between two messages of a client.
    pub(crate) thread_pause: u64,
    pub(crate) client_pause: usize,
    pub(crate) heartbeat: Duration,
    pub(crate) drain: Duration,
    pub(crate) unacknowledged: usize,
    /// The nodes that reach the server through a relay.
    pub(crate) relayed: &'static [usize],
    pub(crate) access: Access,
}

#[derive(Debug)]
struct Node {
    process: Process,
    /// Its place in the order in which all nodes were started.
    number: usize,
}

pub(crate) struct Cluster<'o> {
    options: &'o Options,
    setup: Setup,
    folder: PathBuf,
    ledger: Ledger,
    pub(crate) server: Server,
    pub(crate) relay: Relay,
    /// By place. `None` after the node was killed.
    nodes: Vec<Option<Node>>,
    addresses: Vec<String>,
    clients: Vec<Process>,
    started: usize,
    /// The numbers of the nodes that were killed.
    dead: Vec<usize>,
    /// The numbers of the nodes that were stopped.
    stopped: Vec<usize>,
}

impl<'o> Cluster<'o> {
    /// Starts everything, and waits until every client has received something of every publisher of its topics. Returns `None` if there is
    /// no program for the server.
    pub(crate) fn start(options: &'o Options, setup: Setup) -> Option<Self> {
        let server = setup.access.start_server()?;
        let folder = server.folder().to_owned();
        let ledger = Ledger::create(&folder.join("ledger"), setup.topics).unwrap();
        let relay = Relay::start(server.port);
        let mut new = Self {
            options,
            setup,
            folder,
            ledger,
            server,
            relay,
            nodes: Vec::new(),
            // The ports of one address would not suffice for all clients.
            addresses: (1..=PLACES).map(|place| format!("127.0.0.{place}:0")).collect(),
            clients: Vec::new(),
            started: 0,
            dead: Vec::new(),
            stopped: Vec::new(),
        };
        for place in 0..PLACES {
            let node = new.start_node(place);
            new.nodes.push(Some(node));
        }
        new.clients = (0..PROCESSES).map(|process| new.start_clients(process)).collect();
        new.clients.iter().for_each(|clients| assert_eq!(clients.answer(), "joined"));
        new.begin();
        Some(new)
    }

    fn start_node(&mut self, place: usize) -> Node {
        let setup = &self.setup;
        let port = if setup.relayed.contains(&place) { self.relay.port } else { self.server.port };
        let (server, root) = setup.access.url(port);
        let number = self.started;
        assert!(number < MAX_NODES);
        self.started += 1;
        let plan = node::Plan {
            node: number,
            address: self.addresses[place].clone(),
            server,
            root: root.to_owned(),
            ledger: self.folder.join("ledger"),
            topics: setup.topics,
            pause: setup.thread_pause,
            heartbeat: millis(setup.heartbeat),
            unacknowledged: setup.unacknowledged,
            max_connections: 2 * setup.clients,
            drain: millis(setup.drain),
            defect: self.options.defect,
        };
        let process = Process::start("--node", &plan.arguments());
        self.addresses[place] = process.answer();
        Node { process, number }
    }

    fn start_clients(&self, process: usize) -> Process {
        let Setup { clients, topics, client_pause, .. } = self.setup;
        let plan = clients::Plan {
            process,
            count: clients / PROCESSES,
            topics,
            pause: client_pause,
            ledger: self.folder.join("ledger"),
            places: self.addresses.clone(),
        };
        Process::start("--clients", &plan.arguments())
    }

    fn running(&mut self) -> impl Iterator<Item = &mut Process> {
        self.nodes.iter_mut().flatten().map(|node| &mut node.process)
    }

    /// Makes every publisher publish on each topic.
    fn round(&mut self) {
        self.clients[0].order("round");
        self.running().for_each(|node| node.order("round"));
        self.running().for_each(|node| assert_eq!(node.answer(), "done"));
        assert_eq!(self.clients[0].answer(), "done");
    }

    /// Makes publishers publish until [`rest`](Self::rest).
    pub(crate) fn act(&mut self) {
        self.running().for_each(|node| assert_eq!(node.ask("act"), "done"));
        self.clients.iter_mut().for_each(|clients| clients.order("act"));
        self.next_phase();
    }

    /// The failure begins or has ended.
    pub(crate) fn next_phase(&mut self) {
        self.clients.iter_mut().for_each(|clients| clients.order("phase"));
    }

    /// Waits until all nodes are connected to the server.
    pub(crate) fn recover(&mut self) {
        let end = Instant::now() + LIMIT;
        while !self.running().all(|node| node.ask("state") == "up") {
            assert!(Instant::now() < end, "a node stays without its server");
            thread::park_timeout(PAUSE);
        }
    }

    /// Ends the load. Every publisher publishes a last message on each topic. Returns whether everything has arrived or was reported.
    pub(crate) fn rest(&mut self) -> bool {
        self.next_phase();
        self.clients.iter_mut().for_each(|clients| clients.order("rest"));
        self.running().for_each(|node| assert_eq!(node.ask("rest"), "done"));
        let limit = self.options.pick(LIMIT / 4, LIMIT / 2);
        // In one row, the queues of the nodes have room for this round, and for nothing else.
        self.settle(limit, |waits| waits.unsettled == 0) && {
            self.round();
            // After a gap, the last messages count as reported until they have arrived.
            self.settle(limit, |waits| waits.unsettled + waits.stalled == 0)
        }
    }

    /// Publishes until every client has received something of each publisher. The first messages are missing where the server has not
    /// confirmed the subscription.
    fn begin(&mut self) {
        for _ in 0..ROUNDS {
            self.round();
            if self.settle(SOON, |waits| waits.not_begun == 0) {
                return;
            }
        }
        panic!("some clients receive nothing of a publisher");
    }

    /// Waits until this holds for all clients together. Returns whether it does in time.
    fn settle(&mut self, limit: Duration, holds: impl Fn(&Waits) -> bool) -> bool {
        let end = Instant::now() + limit;
        let order = format!("check {}", self.node_numbers());
        loop {
            let mut waits = Waits::default();
            for clients in &mut self.clients {
                waits.add(&clients.ask(&order));
            }
            if holds(&waits) || Instant::now() > end {
                return holds(&waits);
            }
            thread::park_timeout(PAUSE);
        }
    }

    /// Returns the number of nodes that were killed, these nodes, and those that run.
    fn node_numbers(&self) -> String {
        let running = self.nodes.iter().flatten().map(|node| &node.number);
        let killed = self.dead.len();
        let numbers = iter::once(&killed).chain(&self.dead).chain(running);
        numbers.map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// Returns what all clients have counted.
    pub(crate) fn tally(&mut self) -> Tally {
        let order = format!("report {}", self.node_numbers());
        let mut tally = Tally::default();
        for clients in &mut self.clients {
            clients.order(&order);
            tally.add(|| clients.answer());
        }
        tally
    }

    pub(crate) fn published(&self) -> u64 {
        self.ledger.published(self.setup.topics)
    }

    /// Returns how often nodes have connected to the server again, how many messages have arrived twice, and how many were not sent.
    pub(crate) fn counts(&mut self) -> [u64; 3] {
        let mut sums = [0; 3];
        for node in self.running() {
            let counts: Vec<u64> = words::of(&node.ask("counts")).rest().unwrap();
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        sums
    }

    /// Kills a node.
    pub(crate) fn kill(&mut self, place: usize) {
        let mut node = self.nodes[place].take().expect("the node runs");
        node.process.signal("KILL");
        node.process.wait();
        self.dead.push(node.number);
    }

    /// Stops a node for some time.
    pub(crate) fn stop(&mut self, place: usize, time: Duration) {
        let node = self.nodes[place].as_ref().expect("the node runs");
        self.stopped.push(node.number);
        node.process.signal("STOP");
        thread::sleep(time);
        node.process.signal("CONT");
    }

    /// Drains a node, and starts another one in its place.
    pub(crate) fn restart(&mut self, place: usize) {
        let mut node = self.nodes[place].take().expect("the node runs");
        node.process.signal("TERM");
        assert!(node.process.wait().success(), "a drained node ends without an error");
        let mut node = self.start_node(place);
        assert_eq!(node.process.ask("act"), "done");
        self.nodes[place] = Some(node);
    }

    /// Returns how many messages of nodes that were neither killed nor stopped are missing because of the loss of a node.
    pub(crate) fn wrongly_lost(&self, tally: &Tally) -> u64 {
        let is_excused = |number: &usize| self.dead.contains(number) || self.stopped.contains(number);
        let by_node = tally.reported_as_lost.iter().enumerate();
        by_node.filter(|(number, _)| !is_excused(number)).map(|(_, missing)| missing).sum()
    }
}

/// What all clients wait for.
#[derive(Default)]
struct Waits {
    /// Missing messages, holes that a gap can still explain, and ended nodes that were not reported.
    unsettled: u64,
    /// The streams of which nothing was received, although something was published.
    not_begun: u64,
    /// Missing messages with a gap, although their node runs.
    stalled: u64,
}

impl Waits {
    /// Adds what a process of clients answers to the order `check`.
    fn add(&mut self, answer: &str) {
        let mut counts = words::of(answer);
        for sum in [&mut self.unsettled, &mut self.not_begun, &mut self.stalled] {
            *sum += counts.next::<u64>().unwrap();
        }
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        // The server deletes the folder.
        let _ = fs::remove_file(self.folder.join("ledger"));
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap()
}
