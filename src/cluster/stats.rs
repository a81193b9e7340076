//! `ClusterStats`: what a node has counted.

use std::ops::AddAssign;
use std::time::Duration;

use super::events::BrokerState;

/// What a node of a cluster has counted since its start, as [`Stats::cluster`](crate::Stats::cluster) contains it.
///
/// # Examples
///
/// ```
/// use sockeye::Sender;
/// use sockeye::cluster::BrokerState;
///
/// /// Whether other nodes receive what this one publishes.
/// fn reaches_others(all: &Sender) -> bool {
///     all.stats().cluster.is_some_and(|node| node.state == BrokerState::Up)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterStats {
    /// Whether publications reach other nodes.
    pub state: BrokerState,
    /// How long the last heartbeat took through the broker and back. Zero before the first one.
    pub round_trip: Duration,
    /// Gaps that were reported, one for each topic and one for broadcasts. Most of them are [`Missed::Joined`](super::Missed::Joined).
    pub gaps: u64,
    /// Messages that arrived a second time and were dropped.
    pub duplicates: u64,
    /// Publications of an unknown form, which were dropped.
    pub malformed: u64,
    /// Publications of this node that did not reach the server, because too many waited for it or because it refused them.
    pub lost: u64,
    /// How often the broker has connected again.
    pub reconnects: u64,
}

impl AddAssign for ClusterStats {
    fn add_assign(&mut self, other: Self) {
        self.state = self.state.max(other.state);
        self.round_trip = self.round_trip.max(other.round_trip);
        self.gaps += other.gaps;
        self.duplicates += other.duplicates;
        self.malformed += other.malformed;
        self.lost += other.lost;
        self.reconnects += other.reconnects;
    }
}
