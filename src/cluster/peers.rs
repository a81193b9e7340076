//! The other nodes: their heartbeats, and when they are lost.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::broker::NodeId;
use super::incoming::Era;

/// The number of other nodes that are known at most.
pub(super) const MAX_PEERS: usize = 4096;

/// The number of lost nodes that are remembered.
pub(super) const MAX_LOST: usize = 1024;

/// Another node.
#[derive(Debug, Clone, Default)]
pub(super) struct Peer {
    /// When something arrived last, on the clock of [`Liveness`](super::liveness::Liveness).
    heard: Duration,
    /// The highest number that has arrived.
    highest: u64,
    /// The highest number that had arrived when the node was lost and its messages were forgotten.
    pub(super) received_before: u64,
    /// The last complete heartbeat.
    pub(super) beat: Option<Beat>,
    /// The heartbeat of which only some parts have arrived.
    partial: Option<Partial>,
}

/// A complete heartbeat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beat {
    /// The last number of the node then.
    pub(super) number: u64,
    /// When it arrived.
    pub(super) era: Era,
}

#[derive(Debug, Clone, Copy)]
struct Partial {
    beat: Beat,
    next_part: u32,
}

impl Peer {
    pub(super) fn note(&mut self, number: u64, clock: Duration) {
        self.heard = clock;
        self.highest = self.highest.max(number);
    }

    /// Whether a heartbeat is older than the last one, because it was sent on a connection that was lost.
    pub(super) fn is_outdated(&self, number: u64) -> bool {
        self.beat.is_some_and(|beat| number < beat.number)
    }

    /// A part of a heartbeat has arrived, and what it announces is checked.
    pub(super) fn complete_part(&mut self, number: u64, part: u32, is_last: bool, era: Era) {
        let partial = match self.partial.take() {
            _ if part == 0 => Partial { beat: Beat { number, era }, next_part: 0 },
            Some(partial) if partial.beat.number == number && partial.next_part == part => partial,
            _ => return,
        };
        match (is_last, part.checked_add(1)) {
            (true, _) => self.beat = Some(partial.beat),
            (false, Some(next_part)) => self.partial = Some(Partial { next_part, ..partial }),
            (false, None) => {}
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Peers {
    known: HashMap<NodeId, Peer>,
    /// Nodes that were lost, the oldest first. They may only have been stopped.
    lost: VecDeque<(NodeId, Peer)>,
}

impl Peers {
    /// Returns the node, which is added if it is new. `None` if there are too many.
    pub(super) fn get_or_insert(&mut self, node: NodeId) -> Option<&mut Peer> {
        if !self.known.contains_key(&node) {
            if self.known.len() >= MAX_PEERS {
                return None;
            }
            let lost = self.lost.iter().position(|(lost, _)| *lost == node);
            let peer = lost.and_then(|position| self.lost.remove(position)).map(|(_, peer)| peer);
            self.known.insert(node, peer.unwrap_or_default());
        }
        self.known.get_mut(&node)
    }

    pub(super) fn ids(&self) -> Vec<NodeId> {
        self.known.keys().copied().collect()
    }

    /// Removes a node that has ended or is lost, and remembers its numbers.
    pub(super) fn remove(&mut self, node: NodeId) {
        let Some(peer) = self.known.remove(&node) else { return };
        if self.lost.len() >= MAX_LOST {
            self.lost.pop_front();
        }
        let peer = Peer { received_before: peer.highest, partial: None, ..peer };
        self.lost.push_back((node, peer));
    }

    /// Returns the nodes of which nothing has arrived since `earliest`.
    pub(super) fn silent_since(&self, earliest: Duration) -> Vec<NodeId> {
        self.known.iter().filter(|(_, peer)| peer.heard < earliest).map(|(node, _)| *node).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, usize) {
        (self.known.len(), self.lost.len())
    }
}
