//! A node that records what its broker reports.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use sockeye::cluster::{Broker, BrokerEvents, Inbox, NodeId, Queued, Redis};
use sockeye_test_support::LIMIT;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Report {
    Up,
    Down(String),
    Subscribed(Vec<String>),
    Acknowledged(u64),
    Rejected(u64),
    Message(String, Vec<u8>),
}

/// A broker that was started, and its reports.
pub(crate) struct Node {
    pub(crate) broker: Redis,
    reports: Receiver<Report>,
    has_room: Arc<AtomicBool>,
}

struct Recorder {
    reports: Sender<Report>,
    has_room: Arc<AtomicBool>,
}

impl Node {
    /// Starts a broker and waits until it is connected.
    pub(crate) fn start(broker: Redis) -> Self {
        let mut node = Self::try_start(broker).unwrap();
        assert_eq!(node.next(), Report::Up);
        node
    }

    pub(crate) fn try_start(mut broker: Redis) -> sockeye::Result<Self> {
        let (sender, reports) = channel();
        let has_room = Arc::new(AtomicBool::new(true));
        let recorder = Recorder { reports: sender, has_room: Arc::clone(&has_room) };
        broker.start(NodeId::random(), Inbox::new(Arc::new(recorder)))?;
        Ok(Self { broker, reports, has_room })
    }

    pub(crate) fn set_room(&self, has_room: bool) {
        self.has_room.store(has_room, Ordering::SeqCst);
    }

    pub(crate) fn next(&mut self) -> Report {
        self.reports.recv_timeout(LIMIT).unwrap()
    }

    /// Subscribes, and waits until everything is confirmed.
    pub(crate) fn subscribe(&mut self, channels: &[&str]) {
        self.broker.subscribe(channels);
        self.wait_subscribed(channels);
    }

    pub(crate) fn wait_subscribed(&mut self, channels: &[&str]) {
        let mut missing: HashSet<_> = channels.iter().map(ToString::to_string).collect();
        while !missing.is_empty() {
            match self.next() {
                Report::Subscribed(channels) => {
                    for channel in channels {
                        assert!(
                            missing.remove(&channel),
                            "{channel} was confirmed twice, or not subscribed to"
                        );
                    }
                }
                report => panic!("{report:?}"),
            }
        }
    }

    pub(crate) fn publish(&mut self, channel: &str, payload: &[u8]) {
        assert_eq!(self.broker.publish(channel, payload), Queued::Accepted);
    }

    /// Returns the next two reports, which come from two connections: a message, and the number of publications that are acknowledged.
    pub(crate) fn message_and_acknowledgment(&mut self) -> (String, Vec<u8>, u64) {
        match (self.next(), self.next()) {
            (Report::Message(channel, payload), Report::Acknowledged(count))
            | (Report::Acknowledged(count), Report::Message(channel, payload)) => (channel, payload, count),
            reports => panic!("{reports:?}"),
        }
    }

    /// Waits until the publications are acknowledged. Returns the messages that arrive before.
    pub(crate) fn wait_acknowledged(&mut self, count: u64) -> usize {
        self.await_acknowledged(count).unwrap_or_else(|reason| panic!("the connection is lost: {reason}"))
    }

    /// Waits until the publications are acknowledged, or the connection is lost. Returns the messages that arrive before, or the reason.
    pub(crate) fn await_acknowledged(&mut self, count: u64) -> Result<usize, String> {
        let mut messages = 0;
        loop {
            match self.next() {
                Report::Acknowledged(found) if found == count => return Ok(messages),
                Report::Acknowledged(found) => assert!(found < count),
                Report::Message(..) => messages += 1,
                Report::Down(reason) => return Err(reason),
                report => panic!("{report:?}"),
            }
        }
    }

    /// Returns the reason if the broker has reported that it has lost the connection. Skips other reports.
    pub(crate) fn reported_down(&mut self) -> Option<String> {
        self.reports.try_iter().find_map(|report| match report {
            Report::Down(reason) => Some(reason),
            _ => None,
        })
    }

    /// Waits until the broker reports that it has lost the connection. Returns the reason.
    pub(crate) fn wait_down(&mut self) -> String {
        loop {
            if let Report::Down(reason) = self.next() {
                return reason;
            }
        }
    }

    /// Stops the broker. Returns what it has reported since the last call.
    pub(crate) fn stop(mut self) -> Vec<Report> {
        self.broker.stop();
        // The thread of the broker owns the sender.
        self.reports.iter().collect()
    }
}

impl BrokerEvents for Recorder {
    fn up(&self) {
        self.record(Report::Up);
    }

    fn down(&self, reason: &str) {
        self.record(Report::Down(reason.to_owned()));
    }

    fn subscribed(&self, channels: &[&str]) {
        self.record(Report::Subscribed(channels.iter().map(ToString::to_string).collect()));
    }

    fn acknowledged(&self, count: u64) {
        self.record(Report::Acknowledged(count));
    }

    fn rejected(&self, number: u64) {
        self.record(Report::Rejected(number));
    }

    fn deliver(&self, channel: &str, payload: &[u8]) {
        self.record(Report::Message(channel.to_owned(), payload.to_vec()));
    }

    fn has_room(&self) -> bool {
        self.has_room.load(Ordering::SeqCst)
    }
}

impl Recorder {
    fn record(&self, report: Report) {
        // A test that needs no more reports has dropped the receiver.
        let _ = self.reports.send(report);
    }
}
