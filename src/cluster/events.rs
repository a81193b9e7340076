//! What a node reports to the event loop.

use std::collections::VecDeque;
use std::sync::Arc;

use super::broker::NodeId;
use super::envelope::Flags;
use crate::Message;

/// Why a subscriber may have missed messages of other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Missed {
    /// The node has begun to receive the topic. What other nodes published before is missing.
    Joined,
    /// Messages were lost, for example because the queue of a node or of its broker was full.
    Hole,
    /// The node was not connected to the server, and is again. What other nodes published in the meantime is missing.
    Reconnected,
    /// Another node that has published to the topic does not answer any more. What it published last may be missing.
    NodeLost,
}

/// Whether publications reach other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum BrokerState {
    /// The broker is connected to its server.
    Up,
    /// The broker is connected, but nothing comes back from the server. It reconnects.
    Stale,
    /// The broker is not connected to its server.
    Down,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A message for the local subscribers of a topic, or, without a topic, for all local connections.
    Deliver {
        topic: Option<Arc<str>>,
        message: Message,
        flags: Flags,
        /// The connection that does not receive it. Always `None` if another node has published the message.
        except: Option<u64>,
    },
    /// The local subscribers of a topic, or all connections, may have missed messages.
    Gap { topic: Option<Arc<str>>, missed: Missed },
    /// Another node asks how many local subscribers a topic has. `Node::answer_count` answers.
    CountAsked { node: NodeId, query: u64, topic: Arc<str> },
    /// How many subscribers a topic has on other nodes. Some have not answered in time if `answered` is less than `nodes`.
    Counted { query: u64, count: u64, answered: usize, nodes: usize },
}

/// What a node has counted since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counters {
    /// Gaps that were reported, one for each topic.
    pub(crate) gaps: u64,
    /// Messages that arrived again and were dropped.
    pub(crate) duplicates: u64,
    /// What arrived in an unknown form and was dropped.
    pub(crate) malformed: u64,
    /// Own publications that were not sent to the broker.
    pub(crate) dropped: u64,
    /// How often the broker has connected again.
    pub(crate) reconnects: u64,
}

/// The events that the event loop has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Events {
    queue: VecDeque<Event>,
    pub(super) counters: Counters,
}

impl Events {
    pub(super) fn push(&mut self, event: Event) {
        self.queue.push_back(event);
    }

    pub(super) fn report_gap(&mut self, topic: Option<&Arc<str>>, missed: Missed) {
        self.counters.gaps += 1;
        self.push(Event::Gap { topic: topic.cloned(), missed });
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.queue.pop_front()
    }
}
