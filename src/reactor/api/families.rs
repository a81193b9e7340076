//! The names, texts and labels under which the values of [`Stats`] are exported.

use std::borrow::Cow;
use std::time::Duration;

use super::stats::Stats;
use crate::cluster::{BrokerState, ClusterStats};

/// All samples with one name.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) samples: Vec<Sample>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A value that only grows.
    Counter,
    /// A value that also falls.
    Gauge,
}

#[derive(Debug)]
pub(super) struct Sample {
    /// The name and the value of the label.
    pub(super) label: Option<(&'static str, Cow<'static, str>)>,
    pub(super) value: Value,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    Count(u64),
    Time(Duration),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

fn counter(name: &'static str, help: &'static str, value: impl Into<Value>) -> Family {
    Family { name, help, kind: Kind::Counter, samples: vec![Sample { label: None, value: value.into() }] }
}

fn gauge(name: &'static str, help: &'static str, value: impl Into<Value>) -> Family {
    Family { kind: Kind::Gauge, ..counter(name, help, value) }
}

/// Adds a label, with a sample for each of its values.
fn labeled<L: Into<Cow<'static, str>>>(
    family: Family,
    label: &'static str,
    values: impl IntoIterator<Item = (L, u64)>,
) -> Family {
    let sample = |(text, count): (L, u64)| Sample { label: Some((label, text.into())), value: count.into() };
    Family { samples: values.into_iter().map(sample).collect(), ..family }
}

impl Stats {
    /// Returns all values in the order in which they are exported.
    pub(super) fn families(&self) -> Vec<Family> {
        let mut families = self.connection_families();
        families.extend(self.message_families());
        families.extend(self.loop_families());
        families.extend(self.cluster.iter().flat_map(cluster_families));
        families
    }

    fn connection_families(&self) -> Vec<Family> {
        let refused = self.refused_by_status.iter().map(|(status, count)| (status.to_string(), *count));
        let closed = self.closed_by_code.iter().map(|(code, count)| (u16::from(*code).to_string(), *count));
        let closed = closed.chain([("other".to_owned(), self.closed_otherwise)]);
        vec![
            gauge("sockeye_connections_open", "Open connections.", self.connections_open),
            labeled(
                counter("sockeye_connections_opened_total", "Connections that were opened.", 0),
                "role",
                [("server", self.opened_as_server), ("client", self.opened_as_client)],
            ),
            labeled(
                counter("sockeye_connections_closed_total", "Connections that have ended, by close code.", 0),
                "code",
                closed,
            ),
            labeled(
                counter("sockeye_requests_refused_total", "Requests without an upgrade, by HTTP status.", 0),
                "status",
                refused,
            ),
            counter(
                "sockeye_clients_dropped_total",
                "Clients that were dropped without a response.",
                self.clients_dropped,
            ),
            counter(
                "sockeye_connections_failed_for_memory_total",
                "Connections that were closed because all of them held too much memory.",
                self.failed_for_memory,
            ),
        ]
    }

    fn message_families(&self) -> Vec<Family> {
        vec![
            counter("sockeye_messages_received_total", "Messages received.", self.messages_received),
            counter("sockeye_messages_sent_total", "Messages sent.", self.messages_sent),
            counter(
                "sockeye_received_bytes_total",
                "Bytes read from sockets, without TLS.",
                self.bytes_received,
            ),
            counter("sockeye_sent_bytes_total", "Bytes written to sockets, without TLS.", self.bytes_sent),
            labeled(
                counter("sockeye_messages_dropped_total", "Messages that were not sent, by reason.", 0),
                "reason",
                [("overflow", self.messages_dropped), ("volatile", self.messages_left_out)],
            ),
            gauge("sockeye_topics", "Topics with subscribers.", self.topics),
            gauge("sockeye_subscriptions", "Subscriptions to topics.", self.subscriptions),
        ]
    }

    fn loop_families(&self) -> Vec<Family> {
        vec![
            labeled(
                gauge("sockeye_held_bytes", "Memory for input and output, by owner.", 0),
                "owner",
                [
                    ("connections", self.held_by_connections),
                    ("broadcasts", self.held_by_broadcasts),
                    ("commands", self.held_by_commands),
                ],
            ),
            gauge("sockeye_commands_queued", "Commands of other threads that wait.", self.commands_queued),
            counter("sockeye_turns_total", "Turns of the event loop.", self.turns),
            counter("sockeye_busy_seconds_total", "Time that all turns took together.", self.busy),
            gauge("sockeye_turn_longest_seconds", "The longest turn since the start.", self.longest_turn),
            gauge(
                "sockeye_turn_longest_recent_seconds",
                "The longest turn of the last 30 to 60 seconds.",
                self.longest_recent_turn,
            ),
            gauge("sockeye_lag_seconds", "How long the current turn has lasted.", self.lag),
        ]
    }
}

fn cluster_families(node: &ClusterStats) -> Vec<Family> {
    vec![
        gauge(
            "sockeye_broker_up",
            "Whether other nodes are reached.",
            u64::from(node.state == BrokerState::Up),
        ),
        gauge("sockeye_broker_round_trip_seconds", "The way of the last heartbeat.", node.round_trip),
        counter("sockeye_broker_reconnects_total", "New connections to the server.", node.reconnects),
        counter("sockeye_gaps_total", "Gaps that were reported, one for each topic.", node.gaps),
        counter("sockeye_duplicates_total", "Messages that arrived again and were dropped.", node.duplicates),
        counter(
            "sockeye_malformed_total",
            "Publications of an unknown form, which were dropped.",
            node.malformed,
        ),
        counter("sockeye_publications_lost_total", "Publications that did not reach the server.", node.lost),
    ]
}
