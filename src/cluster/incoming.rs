//! What has arrived from other nodes on one channel: duplicates and holes.
//!
//! A node knows that it has missed nothing up to a certain number of another one: that of the last message on the channel, or that
//! of the last heartbeat, which has announced all numbers before. A message or a heartbeat whose predecessor is above it reveals
//! a hole.
//!
//! Both count only if they have arrived since the subscription became effective. Before, and until the first of them arrives, nothing is
//! known: what is missing was published earlier, or the message of the other node contains the flag that the one before could not be sent.

use std::collections::HashMap;

use super::broker::NodeId;
use super::peers::{Beat, Peer};

/// Counts the moments at which subscriptions begin or end, so that later events can be compared with them.
pub(super) type Era = u64;

/// The last messages of other nodes on a channel.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// When the subscription became effective. `None` while it is not.
    since: Option<Era>,
    seen: HashMap<NodeId, Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    number: u64,
    era: Era,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    Duplicate,
    InOrder,
    AfterHole,
}

impl Ledger {
    /// The subscription becomes effective.
    pub(super) fn begin(&mut self, era: Era) {
        self.since = Some(era);
    }

    /// The subscription ends. Duplicates are still recognized later.
    pub(super) fn suspend(&mut self) {
        self.since = None;
    }

    /// A message has arrived.
    pub(super) fn receive(
        &mut self,
        (node, peer): (NodeId, &Peer),
        number: u64,
        previous: u64,
        after_loss: bool,
        era: Era,
    ) -> Arrival {
        let last = self.seen.get(&node).map_or(peer.received_before, |seen| seen.number);
        if number <= last {
            return Arrival::Duplicate;
        }
        let is_lost = after_loss && self.is_effective();
        let has_hole = is_lost || self.misses((node, peer), previous, false);
        self.seen.insert(node, Seen { number, era });
        if has_hole { Arrival::AfterHole } else { Arrival::InOrder }
    }

    /// Whether messages up to `number` are missing. With `is_lost`, the other node could not send one of them.
    pub(super) fn misses(&self, (node, peer): (NodeId, &Peer), number: u64, is_lost: bool) -> bool {
        let Some(since) = self.since else { return false };
        let seen = self.seen.get(&node);
        // What came before the node was lost is missing in its topics only, and was reported there.
        let received_before = if seen.is_none() && !is_lost { peer.received_before } else { 0 };
        match known(since, seen, peer.beat) {
            Some(known) => number > known.max(received_before),
            None => is_lost && seen.is_none_or(|seen| number > seen.number),
        }
    }

    /// Whether messages up to `number` are missing, other than those whose absence is revealed by `other`.
    pub(super) fn misses_beyond(
        &self,
        peer: (NodeId, &Peer),
        (other, other_is_lost): (u64, bool),
        number: u64,
        is_lost: bool,
    ) -> bool {
        self.misses(peer, number, is_lost) && !self.misses(peer, other, other_is_lost)
    }

    /// Forgets a node. Returns whether messages of it have arrived.
    pub(super) fn remove(&mut self, node: NodeId) -> bool {
        self.seen.remove(&node).is_some()
    }

    /// Whether the subscription is effective.
    pub(super) fn is_effective(&self) -> bool {
        self.since.is_some()
    }

    /// Whether the subscription was already effective then.
    pub(super) fn is_effective_since(&self, era: Era) -> bool {
        self.since.is_some_and(|since| since <= era)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }
}

/// Returns the number up to which nothing is missing.
fn known(since: Era, seen: Option<&Seen>, beat: Option<Beat>) -> Option<u64> {
    let seen = seen.filter(|seen| seen.era >= since).map(|seen| seen.number);
    let beat = beat.filter(|beat| beat.era >= since).map(|beat| beat.number);
    seen.max(beat)
}
