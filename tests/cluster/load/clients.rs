//! The clients of a process, and what they have in common.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sockeye::{Builder, Sender, Settings};
use sockeye_test_support::misbehavior::Dice;
use url::Url;

use crate::client::Client;
use crate::ledger::{Ledger, Next};
use crate::membership::{Ends, Membership, Nodes};
use crate::packet::{Packet, now};
use crate::process;
use crate::tally::{PHASES, PLACES, Tally};
use crate::topics::Topics;
use crate::words::{self, Words};

/// The number of processes of clients.
pub(crate) const PROCESSES: usize = 2;

/// How many clients of a process connect at the same time.
const CHAINS: usize = 16;

/// What a process of clients is asked to do.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Which of the processes it is.
    pub(crate) process: usize,
    pub(crate) count: usize,
    pub(crate) topics: Topics,
    /// About how many milliseconds a client waits before it makes its node publish.
    pub(crate) pause: usize,
    pub(crate) ledger: PathBuf,
    /// The addresses of the nodes.
    pub(crate) places: Vec<String>,
}

impl Plan {
    pub(crate) fn arguments(&self) -> Vec<String> {
        let numbers = [self.process, self.count, self.topics.count(), self.pause];
        let ledger = self.ledger.to_str().unwrap().to_owned();
        let numbers = numbers.iter().map(ToString::to_string);
        numbers.chain([ledger]).chain(self.places.iter().cloned()).collect()
    }

    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words = Words(arguments);
        Ok(Self {
            process: words.next()?,
            count: words.next()?,
            topics: words.next()?,
            pause: words.next()?,
            ledger: words.next()?,
            places: words.rest()?,
        })
    }

    /// Returns the place to which a client connects first, and its topics. Each topic has subscribers on all nodes.
    fn member(&self, number: usize, dice: &mut Dice) -> Member {
        let number = number * PROCESSES + self.process;
        let topics = self.topics.count();
        let first = number % topics;
        let second = (first + 1 + dice.roll(topics - 1)) % topics;
        let place = number / topics % PLACES;
        let topics = [first, second, topics].map(|topic| u16::try_from(topic).unwrap());
        Member { place, topics, memberships: Vec::new(), leads: None }
    }
}

#[derive(Debug)]
struct Member {
    place: usize,
    /// The last one stands for broadcasts.
    topics: [u16; 3],
    memberships: Vec<Membership>,
    /// The node and the worker of the connection, and its sender.
    leads: Option<((usize, usize), Sender)>,
}

pub(crate) struct Clients {
    plan: Plan,
    ledger: Ledger,
    dice: Dice,
    members: Vec<Member>,
    /// The clients that connect, in the order in which the loop does it.
    dialed: VecDeque<usize>,
    /// The clients that have not connected for the first time.
    unopened: VecDeque<usize>,
    /// How many have subscribed for the first time.
    joined: usize,
    is_acting: bool,
    /// When the phases begin, except for the first one.
    phases: Vec<u64>,
    /// How many rounds of handlers have not ended.
    rounds: usize,
    pub(crate) tally: Tally,
}

/// Runs the clients until the row has ended.
pub(crate) fn run(plan: Plan) -> ExitCode {
    let settings = Settings {
        max_connections: 2 * plan.count + CHAINS,
        handshake_timeout: Duration::from_secs(60),
        ..Settings::default()
    };
    let clients = Arc::new(Mutex::new(Clients::new(plan)));
    let shared = Arc::clone(&clients);
    let mut socket =
        Builder::new().with_settings(settings).build(move |out| Client::new(out, &shared)).unwrap();
    for _ in 0..CHAINS {
        let next = clients.lock().unwrap().dial_next();
        next.map(|url| socket.connect(url).unwrap());
    }
    thread::spawn(move || socket.run().unwrap());
    process::orders().for_each(|order| follow(&order, &clients));
    ExitCode::SUCCESS
}

/// Follows an order of the row.
fn follow(order: &str, clients: &Mutex<Clients>) {
    let mut words = words::of(order);
    let kind: String = words.next().unwrap();
    let mut clients = clients.lock().unwrap();
    match kind.as_str() {
        "act" => clients.is_acting = true,
        "rest" => clients.is_acting = false,
        "phase" => clients.phases.push(now()),
        "round" => clients.begin_round(),
        "check" => {
            let ends = clients.ends(&nodes(words));
            let unsettled = ends.missing + ends.open + ends.deaths_unreported;
            println!("{unsettled} {} {}", ends.not_begun, ends.stalled);
        }
        "report" => {
            clients.finish(&nodes(words));
            clients.tally.lines().iter().for_each(|line| println!("{line}"));
        }
        other => panic!("{other} is no order"),
    }
}

/// Reads the number of nodes that were killed, these nodes, and those that run.
fn nodes<'a>(mut words: Words<impl Iterator<Item = &'a str>>) -> Nodes {
    let count = words.next().unwrap();
    let mut killed: Vec<usize> = words.rest().unwrap();
    let running = killed.split_off(count);
    Nodes { killed, running }
}

impl Clients {
    fn new(plan: Plan) -> Self {
        let mut dice = Dice(0x5eed + plan.process as u64);
        let members = (0..plan.count).map(|number| plan.member(number, &mut dice)).collect();
        Self {
            ledger: Ledger::open(&plan.ledger).unwrap(),
            members,
            dice,
            dialed: VecDeque::new(),
            unopened: (0..plan.count).collect(),
            joined: 0,
            is_acting: false,
            phases: Vec::new(),
            rounds: 0,
            tally: Tally::default(),
            plan,
        }
    }

    /// The loop has begun to connect a client.
    pub(crate) fn next_dialed(&mut self) -> usize {
        self.dialed.pop_front().expect("a client connects")
    }

    fn dial_next(&mut self) -> Option<Url> {
        self.unopened.pop_front().map(|number| self.dial(number))
    }

    pub(crate) fn dial_elsewhere(&mut self, number: usize) -> Url {
        let place = &mut self.members[number].place;
        *place = (*place + 1 + self.dice.roll(PLACES - 1)) % PLACES;
        self.dial(number)
    }

    fn dial(&mut self, number: usize) -> Url {
        self.dialed.push_back(number);
        let place = &self.plan.places[self.members[number].place];
        format!("ws://{place}/{number}").parse().unwrap()
    }

    pub(crate) fn random_delay(&mut self) -> u64 {
        1 + self.dice.roll(2 * self.plan.pause) as u64
    }

    pub(crate) fn topic_to_publish(&mut self) -> Option<u16> {
        let topic = self.plan.topics.random(&mut self.dice);
        self.is_acting.then_some(topic)
    }

    pub(crate) fn on_open(&mut self, number: usize) -> [u16; 3] {
        self.tally.opened += 1;
        self.members[number].topics
    }

    /// A subscription is made. Returns where another client connects, after the last one of the first connection.
    pub(crate) fn on_joined(&mut self, number: usize, out: &Sender, numbers: &[u32]) -> Option<Url> {
        let (head, next) = numbers.split_at(4);
        let [node, worker, exact, topic] = head.try_into().unwrap();
        let (node, next) = (node as usize, Next::try_from(next).unwrap());
        let member = &mut self.members[number];
        let topic = u16::try_from(topic).unwrap();
        member.memberships.push(Membership::new(topic, self.plan.topics, node, exact == 1, &next));
        if member.memberships.len() < member.topics.len() {
            return None;
        }
        member.leads = Some(((node, worker as usize), out.clone()));
        self.joined += 1;
        if self.joined == self.plan.count {
            println!("joined");
        }
        self.dial_next()
    }

    pub(crate) fn on_gap(&mut self, number: usize, topic: u16, kind: u8) {
        let mut memberships = self.members[number].memberships.iter_mut();
        let membership = memberships.find(|membership| membership.topic == topic);
        match membership {
            Some(membership) => membership.gap(kind, &mut self.tally),
            None => self.count_unexpected(topic),
        }
    }

    pub(crate) fn on_publication(&mut self, number: usize, packet: Packet) {
        let Member { place, memberships, .. } = &mut self.members[number];
        let Some(membership) = memberships.iter_mut().find(|membership| membership.topic == packet.topic)
        else {
            self.count_unexpected(packet.topic);
            return;
        };
        membership.receive(packet, &mut self.tally);
        let phase = self.phases.iter().take(PHASES - 1).filter(|begin| **begin <= packet.time).count();
        let is_own = membership.is_own(packet.publisher.into());
        let times = &mut self.tally.latency[*place][phase][usize::from(is_own)];
        times.add(now().saturating_sub(packet.time));
    }

    /// Something has arrived without a subscription. Broadcasts do not need one, but are only checked from the reply on.
    fn count_unexpected(&mut self, topic: u16) {
        self.tally.unexpected += u64::from(topic != self.plan.topics.broadcasts());
    }

    /// A connection has ended, as its node does (`is_drained`), or without a reason.
    pub(crate) fn on_lost(&mut self, number: usize, is_drained: bool) {
        let member = &mut self.members[number];
        member.leads = None;
        for mut membership in member.memberships.drain(..) {
            membership.finish(&mut self.tally);
        }
        if is_drained {
            self.tally.drained += 1;
        } else {
            self.tally.lost += 1;
        }
    }

    /// Makes the handlers of one connection on each worker publish on each topic.
    fn begin_round(&mut self) {
        let mut done = HashSet::new();
        for (worker, out) in self.members.iter().filter_map(|member| member.leads.as_ref()) {
            if done.insert(*worker) {
                out.send("round").unwrap();
            }
        }
        self.rounds = done.len();
    }

    pub(crate) fn on_round_done(&mut self) {
        self.rounds -= 1;
        if self.rounds == 0 {
            println!("done");
        }
    }

    /// Compares what was received with what was published.
    fn ends(&self, nodes: &Nodes) -> Ends {
        let published: Vec<_> = self.plan.topics.all().map(|topic| self.ledger.next(topic)).collect();
        let mut ends = Ends::default();
        for membership in self.members.iter().flat_map(|member| &member.memberships) {
            membership.ends(&published[usize::from(membership.topic)], nodes, &mut ends);
        }
        ends
    }

    /// Completes the tally.
    fn finish(&mut self, nodes: &Nodes) {
        let Ends { missing, stalled, reported, deaths_unreported, .. } = self.ends(nodes);
        let tally = &mut self.tally;
        let memberships = self.members.iter_mut().flat_map(|member| &mut member.memberships);
        memberships.for_each(|membership| membership.finish(tally));
        tally.end_missing = missing;
        tally.end_reported = reported;
        tally.end_stalled = stalled;
        tally.deaths_unreported = deaths_unreported;
    }
}
