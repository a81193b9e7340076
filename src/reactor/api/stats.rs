//! `Stats`: what a loop has counted.

use std::ops::AddAssign;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::close::CloseCode;
use crate::cluster::ClusterStats;
use crate::reactor::common::Common;
use crate::reactor::memory::HeldParts;
use crate::reactor::monitoring::Monitor;
use crate::reactor::queue::CommandQueue;

/// What an event loop has counted since it was created. [`Sender::stats`](crate::Sender::stats) returns it.
///
/// Messages, bytes and turns are those of the turns that have ended: what a handler does in the current turn is counted when the
/// turn ends. All other values are those of the moment of the call. `docs/monitoring.md` in the repository describes how to collect the values, and
/// which alerts are useful.
///
/// In a [`Pool`](crate::Pool), the values are the sums of all loops, except those of fields that are described differently. Each value of
/// [`Sender::worker_stats`](crate::Sender::worker_stats) belongs to one loop, but the fields `held_by_*`, `topics` and `subscriptions` are those
/// of the whole pool.
///
/// The values of several loops that do not form a pool are added with `+=`.
///
/// # Examples
///
/// ```
/// use sockeye::{Sender, Stats};
///
/// /// The sum of several loops.
/// fn total(loops: &[Sender]) -> Stats {
///     let mut total = Stats::default();
///     for all in loops {
///         total += all.stats();
///     }
///     total
/// }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that are open now: `on_open` was called, and `on_close` was not. Opening handshakes and clients that were refused do not
    /// count.
    ///
    /// This is always the number of connections that were opened, minus those that were closed.
    pub connections_open: u64,
    /// Connections that were opened in the role of a server.
    pub opened_as_server: u64,
    /// Connections that were opened in the role of a client.
    pub opened_as_client: u64,
    /// Requests that received another HTTP status than 101, by status: those that break a rule, those that the loop has no room for, and those
    /// that `on_request` answered with a page. Sorted by status.
    pub refused_by_status: Vec<(u16, u64)>,
    /// Clients that were disconnected without a response, because the loop has reached
    /// [`Settings::max_connections`](crate::Settings::max_connections) and was already sending 64 responses with status 503.
    pub clients_dropped: u64,
    /// Connections that have ended, by the code that `on_close` received. Sorted by code.
    ///
    /// Only the codes 1000 to 1015 are counted one by one, because peers can choose any other. A connection whose handler has
    /// panicked counts as 1011.
    pub closed_by_code: Vec<(CloseCode, u64)>,
    /// Connections that have ended with any other code.
    pub closed_otherwise: u64,
    /// Connections that were closed because all connections together exceeded [`Settings::max_memory`](crate::Settings::max_memory).
    pub failed_for_memory: u64,
    /// Messages that were passed to `on_message`.
    pub messages_received: u64,
    /// Messages that were encoded for a connection. A broadcast counts once for each receiver.
    pub messages_sent: u64,
    /// Bytes that were read from sockets, including opening handshakes and the headers of frames. With TLS, the decrypted bytes.
    pub bytes_received: u64,
    /// Bytes that sockets have accepted, including opening handshakes and the headers of frames. With TLS, the bytes before encryption.
    pub bytes_sent: u64,
    /// Messages that were dropped because of [`Overflow::Drop`](crate::Overflow::Drop), once for each receiver.
    pub messages_dropped: u64,
    /// Volatile publications that were left out because the receiver had unsent output, once for each receiver.
    pub messages_left_out: u64,
    /// Bytes that connections hold alone: unfinished messages, input that has not been processed, and unsent output. Connections that
    /// hold only a few kilobytes are not included.
    pub held_by_connections: u64,
    /// Bytes of unsent broadcasts and publications that several connections share.
    pub held_by_broadcasts: u64,
    /// Bytes that commands of other threads are going to send.
    pub held_by_commands: u64,
    /// Commands of other threads that wait for the loop.
    pub commands_queued: u64,
    /// Topics with at least one subscriber. In a sum, a topic counts once for each loop.
    pub topics: u64,
    /// Subscriptions of all connections.
    pub subscriptions: u64,
    /// Turns of the loop. A turn handles all events that have arrived since the last one.
    pub turns: u64,
    /// How long all turns took together. The rest of the time, the loop waited for events.
    ///
    /// It is extrapolated: all turns of a millisecond and more are measured, and one of 16 shorter ones.
    pub busy: Duration,
    /// The longest turn since the loop was created. In a sum, the longest turn of any loop. Turns of less than a millisecond can be left out.
    pub longest_turn: Duration,
    /// The longest turn of the last 30 to 60 seconds. In a sum, the longest of any loop.
    pub longest_recent_turn: Duration,
    /// How long the current turn has lasted, as in [`Health::lag`](crate::Health::lag). In a sum, the longest of any loop.
    pub lag: Duration,
    /// What the node has counted, if the loop or the pool belongs to a cluster. In a sum of several nodes, the worst state and the sum of their
    /// counts.
    pub cluster: Option<ClusterStats>,
}

impl Stats {
    /// Returns the sum of all loops of the pool, or the values of the only loop.
    pub(super) fn of(queue: &CommandQueue) -> Self {
        let now = queue.now();
        let mut sum = Self::default();
        match queue.membership() {
            Some(own) => {
                let each = own.peers.monitors();
                each.into_iter().for_each(|(monitor, queued)| sum += Self::of_loop(monitor, queued, now));
            }
            None => sum = Self::of_loop(&queue.monitor, queue.remote.len(), now),
        }
        sum.with_common(&queue.common)
    }

    /// Returns the values of each worker of the pool.
    pub(super) fn of_workers(queue: &CommandQueue) -> Vec<Self> {
        let Some(own) = queue.membership() else { return vec![Self::of(queue)] };
        let monitors = own.peers.monitors().into_iter().take(own.workers());
        let now = queue.now();
        monitors
            .map(|(monitor, queued)| Self::of_loop(monitor, queued, now).with_common(&queue.common))
            .collect()
    }

    /// Adds what the loops of a pool have in common.
    fn with_common(self, common: &Common) -> Self {
        let HeldParts { owned, shared, queued } = common.memory.parts();
        Self {
            held_by_connections: owned as u64,
            held_by_broadcasts: shared as u64,
            held_by_commands: queued as u64,
            topics: common.topics.topics() as u64,
            subscriptions: common.topics.subscriptions() as u64,
            cluster: common.node().map(|node| node.stats()),
            ..self
        }
    }

    fn of_loop(monitor: &Monitor, queued: usize, now: Instant) -> Self {
        let (traffic, turns) = (&monitor.traffic, &monitor.turns);
        let connections = monitor.connections().clone();
        Self {
            connections_open: connections.open_now(),
            opened_as_server: connections.opened_as_server,
            opened_as_client: connections.opened_as_client,
            clients_dropped: connections.dropped,
            closed_by_code: connections.closed().collect(),
            closed_otherwise: connections.closed_otherwise,
            failed_for_memory: connections.failed_for_memory,
            refused_by_status: connections.refused,
            messages_received: traffic.messages_received.load(Relaxed),
            messages_sent: traffic.messages_sent.load(Relaxed),
            bytes_received: traffic.bytes_received.load(Relaxed),
            bytes_sent: traffic.bytes_sent.load(Relaxed),
            messages_dropped: monitor.dropped.load(Relaxed),
            messages_left_out: monitor.left_out.load(Relaxed),
            commands_queued: queued as u64,
            turns: turns.count(),
            busy: turns.busy(),
            longest_turn: turns.longest(),
            longest_recent_turn: turns.longest_recent(now),
            lag: turns.lag(now),
            ..Self::default()
        }
    }
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.connections_open += other.connections_open;
        self.opened_as_server += other.opened_as_server;
        self.opened_as_client += other.opened_as_client;
        add_by_key(&mut self.refused_by_status, other.refused_by_status, |status| status);
        self.clients_dropped += other.clients_dropped;
        add_by_key(&mut self.closed_by_code, other.closed_by_code, u16::from);
        self.closed_otherwise += other.closed_otherwise;
        self.failed_for_memory += other.failed_for_memory;
        self.messages_received += other.messages_received;
        self.messages_sent += other.messages_sent;
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
        self.messages_dropped += other.messages_dropped;
        self.messages_left_out += other.messages_left_out;
        self.held_by_connections += other.held_by_connections;
        self.held_by_broadcasts += other.held_by_broadcasts;
        self.held_by_commands += other.held_by_commands;
        self.commands_queued += other.commands_queued;
        self.topics += other.topics;
        self.subscriptions += other.subscriptions;
        self.turns += other.turns;
        self.busy += other.busy;
        self.longest_turn = self.longest_turn.max(other.longest_turn);
        self.longest_recent_turn = self.longest_recent_turn.max(other.longest_recent_turn);
        self.lag = self.lag.max(other.lag);
        self.cluster = match (self.cluster, other.cluster) {
            (Some(mut sum), Some(other)) => {
                sum += other;
                Some(sum)
            }
            (own, other) => own.or(other),
        };
    }
}

/// Adds counts to those with the same key, and sorts by key.
fn add_by_key<K: Copy + PartialEq>(
    counts: &mut Vec<(K, u64)>,
    others: Vec<(K, u64)>,
    number: impl Fn(K) -> u16,
) {
    for (key, count) in others {
        match counts.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known += count,
            None => counts.push((key, count)),
        }
    }
    counts.sort_by_key(|(key, _)| number(*key));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_two_loops_adds_counts_and_takes_the_longest_turn() {
        let seconds = Duration::from_secs;
        let mut sum = Stats {
            turns: 1,
            refused_by_status: vec![(400, 1), (503, 2)],
            closed_by_code: vec![(CloseCode::Away, 3)],
            longest_turn: seconds(1),
            busy: seconds(10),
            ..Stats::default()
        };
        sum += Stats {
            turns: 2,
            refused_by_status: vec![(403, 5), (503, 1)],
            closed_by_code: vec![(CloseCode::Normal, 1), (CloseCode::Away, 1)],
            longest_turn: seconds(2),
            busy: seconds(10),
            ..Stats::default()
        };
        assert_eq!((sum.turns, sum.longest_turn, sum.busy), (3, seconds(2), seconds(20)));
        assert_eq!(sum.refused_by_status, [(400, 1), (403, 5), (503, 3)]);
        assert_eq!(sum.closed_by_code, [(CloseCode::Normal, 1), (CloseCode::Away, 4)]);
    }
}
