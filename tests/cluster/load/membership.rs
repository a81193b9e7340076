//! A subscription of a client: the streams of all publishers on a topic.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::ledger::{Next, PUBLISHERS, node_of};
use crate::packet::{JOINED, NODE_LOST, Packet};
use crate::stream::{Arrival, End, Stream};
use crate::tally::Tally;
use crate::topics::Topics;

/// How much later than the next publication the handler's message about a gap may come. Handlers whose messages about gaps are
/// in order ([`Serving`](crate::serving::Serving)) do not need it.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) topic: u16,
    /// The node of the client.
    node: usize,
    /// Whether the messages about gaps are in order.
    is_exact: bool,
    /// Whether the messages of the own node take the way through the server.
    has_total_order: bool,
    streams: Box<[Stream; PUBLISHERS]>,
    /// The messages that were missing when a later one came.
    holes: Vec<Hole>,
}

#[derive(Debug)]
struct Hole {
    publisher: usize,
    numbers: Range<u32>,
    /// If no gap has explained it yet: when it was found.
    open_since: Option<Instant>,
    /// Whether no message had come before.
    is_first: bool,
}

/// The nodes of the row at its end.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub(crate) killed: Vec<usize>,
    pub(crate) running: Vec<usize>,
}

/// What is missing at the end of the streams.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) missing: u64,
    /// Missing with a gap, although their node runs.
    pub(crate) stalled: u64,
    /// Missing with a gap. Their node has ended.
    pub(crate) reported: u64,
    pub(crate) deaths_unreported: u64,
    /// The holes that a gap can still explain.
    pub(crate) open: u64,
    /// The streams of which nothing was received, although something was published.
    pub(crate) not_begun: u64,
}

impl Membership {
    pub(crate) fn new(topic: u16, topics: Topics, node: usize, is_exact: bool, next: &Next) -> Self {
        let has_total_order = topics.has_total_order(topic);
        let streams = Box::new(next.map(Stream::new));
        Self { topic, node, is_exact, has_total_order, streams, holes: Vec::new() }
    }

    /// Whether a publisher reaches the client without the server.
    pub(crate) fn is_own(&self, publisher: usize) -> bool {
        !self.has_total_order && node_of(publisher) == self.node
    }

    pub(crate) fn receive(&mut self, packet: Packet, tally: &mut Tally) {
        let publisher = usize::from(packet.publisher);
        let is_own = self.is_own(publisher);
        let before = self.streams[publisher];
        let arrival = self.streams[publisher].receive(packet.number, is_own);
        tally.delivered += 1;
        let mut open_since = None;
        match arrival {
            Arrival::InOrder => return,
            Arrival::Late => return self.count_late(publisher, packet.number, tally),
            Arrival::Reported(missing) => tally.reported += u64::from(missing),
            Arrival::ReportedAsLost(missing) => {
                tally.reported_as_lost[node_of(publisher)] += u64::from(missing);
            }
            Arrival::Unreported(missing) if self.is_exact || is_own => {
                tally.unreported += u64::from(missing);
            }
            Arrival::Unreported(_) => open_since = Some(Instant::now()),
        }
        let numbers = before.next()..packet.number;
        self.holes.push(Hole { publisher, numbers, open_since, is_first: !before.has_begun() });
    }

    /// A message that was missing has come after all, or one has come twice.
    fn count_late(&self, publisher: usize, number: u32, tally: &mut Tally) {
        let was_missing =
            self.holes.iter().any(|hole| hole.publisher == publisher && hole.numbers.contains(&number));
        if was_missing {
            tally.out_of_order += 1;
        } else {
            tally.duplicates += 1;
        }
    }

    pub(crate) fn gap(&mut self, kind: u8, tally: &mut Tally) {
        tally.gaps[usize::from(kind)] += 1;
        self.streams.iter_mut().for_each(|stream| stream.gap(kind));
        for hole in &mut self.holes {
            let explains = kind != JOINED || hole.is_first;
            let in_time = |since: &mut Instant| explains && since.elapsed() <= PATIENCE;
            if hole.open_since.take_if(in_time).is_none() {
                continue;
            }
            match kind {
                NODE_LOST => tally.reported_as_lost[node_of(hole.publisher)] += missing(&hole.numbers),
                _ => tally.reported_late += missing(&hole.numbers),
            }
        }
    }

    /// The subscription ends. Holes that are not explained remain so.
    pub(crate) fn finish(&mut self, tally: &mut Tally) {
        for hole in &mut self.holes {
            if hole.open_since.take().is_some() {
                tally.unreported += missing(&hole.numbers);
            }
        }
    }

    /// Compares what was received with what was published.
    pub(crate) fn ends(&self, published: &Next, nodes: &Nodes, ends: &mut Ends) {
        ends.open += self.holes.iter().filter(|hole| hole.open_since.is_some()).count() as u64;
        for (publisher, (stream, end)) in self.streams.iter().zip(published).enumerate() {
            let node = node_of(publisher);
            let is_dead = nodes.killed.contains(&node);
            match stream.end(*end, self.is_own(publisher), is_dead) {
                End::Complete => {}
                End::Reported(missing) if nodes.running.contains(&node) => {
                    ends.stalled += u64::from(missing);
                }
                End::Reported(missing) => ends.reported += u64::from(missing),
                End::Missing(missing) => ends.missing += u64::from(missing),
                End::DeathUnreported => ends.deaths_unreported += 1,
            }
            ends.not_begun += u64::from(*end > 0 && !stream.has_begun());
        }
    }
}

fn missing(numbers: &Range<u32>) -> u64 {
    numbers.len() as u64
}
