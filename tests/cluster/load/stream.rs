//! What a subscriber must receive of one publisher on one topic: consecutive numbers, or a gap where some are missing.

use crate::packet::{JOINED, NODE_LOST};

/// The messages of a publisher on a topic, as a subscriber receives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stream {
    /// The number that must come next. Until something was received, a lower number may come instead: it was published before the
    /// subscription.
    next: u32,
    has_begun: bool,
    /// Whether a gap was reported since the last message, except for [`NODE_LOST`].
    has_gap: bool,
    /// Whether the loss of a node was reported since the last message.
    has_node_lost: bool,
}

/// What a message shows about the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    InOrder,
    /// This many are missing, and a gap has reported it.
    Reported(u32),
    /// The same, but the gap was the loss of a node.
    ReportedAsLost(u32),
    /// This many are missing, and no gap has come.
    Unreported(u32),
    /// It comes after a message with a higher number.
    Late,
}

/// What is known about the last messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    /// The last ones are missing, and a gap has reported it.
    Reported(u32),
    Missing(u32),
    /// The node was killed, and its loss was not reported.
    DeathUnreported,
}

impl Stream {
    /// The subscription is made. Numbers from `next` must be received.
    pub(crate) fn new(next: u32) -> Self {
        Self { next, has_begun: false, has_gap: false, has_node_lost: false }
    }

    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// A gap was reported. That the node has begun to receive the topic explains only what is missing at the beginning.
    pub(crate) fn gap(&mut self, kind: u8) {
        match kind {
            JOINED => self.has_gap |= !self.has_begun,
            NODE_LOST => self.has_node_lost = true,
            _ => self.has_gap = true,
        }
    }

    /// A message has arrived. No gap explains a hole in what the subscriber's own node has published (`is_own`).
    pub(crate) fn receive(&mut self, number: u32, is_own: bool) -> Arrival {
        if number < self.next && self.has_begun {
            return Arrival::Late;
        }
        let missing = number.saturating_sub(self.next);
        let arrival = match self {
            _ if missing == 0 => Arrival::InOrder,
            _ if is_own => Arrival::Unreported(missing),
            Self { has_gap: true, .. } => Arrival::Reported(missing),
            Self { has_node_lost: true, .. } => Arrival::ReportedAsLost(missing),
            _ => Arrival::Unreported(missing),
        };
        *self = Self { next: number + 1, has_begun: true, has_gap: false, has_node_lost: false };
        arrival
    }

    /// The publisher has published all numbers below `end`. After its death (`is_dead`), subscribers that have received something need a report.
    pub(crate) fn end(&self, end: u32, is_own: bool, is_dead: bool) -> End {
        if is_dead && self.has_begun && !is_own && !self.has_node_lost {
            return End::DeathUnreported;
        }
        match end.saturating_sub(self.next) {
            0 => End::Complete,
            missing if !is_own && (self.has_gap || self.has_node_lost) => End::Reported(missing),
            missing => End::Missing(missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::OTHER;

    fn begun() -> Stream {
        let mut stream = Stream::new(5);
        assert_eq!(stream.receive(4, false), Arrival::InOrder, "published before the subscription");
        stream
    }

    #[test]
    fn a_hole_needs_a_gap_in_its_place() {
        let mut stream = begun();
        assert_eq!(stream.receive(7, false), Arrival::Unreported(2));
        stream.gap(OTHER);
        assert_eq!(stream.receive(8, false), Arrival::InOrder);
        assert_eq!(stream.receive(10, false), Arrival::Unreported(1), "the gap was before the message 8");
        stream.gap(OTHER);
        assert_eq!(stream.receive(12, false), Arrival::Reported(1));
        assert_eq!(stream.receive(11, false), Arrival::Late);
    }

    #[test]
    fn a_gap_does_not_explain_every_hole() {
        let mut stream = begun();
        stream.gap(JOINED);
        assert_eq!(stream.receive(6, false), Arrival::Unreported(1), "the stream had begun");
        stream.gap(OTHER);
        assert_eq!(stream.receive(8, true), Arrival::Unreported(1), "the own node loses nothing");
        stream.gap(NODE_LOST);
        assert_eq!(stream.receive(10, false), Arrival::ReportedAsLost(1));
        let mut new = Stream::new(5);
        new.gap(JOINED);
        assert_eq!(new.receive(7, false), Arrival::Reported(2));
    }

    #[test]
    fn the_end_must_arrive_or_be_reported() {
        let mut stream = begun();
        assert_eq!(stream.end(5, false, false), End::Complete);
        assert_eq!(stream.end(7, false, false), End::Missing(2));
        stream.gap(OTHER);
        assert_eq!(stream.end(7, false, false), End::Reported(2));
        assert_eq!(stream.end(7, true, false), End::Missing(2));
        assert_eq!(stream.end(5, false, true), End::DeathUnreported);
        stream.gap(NODE_LOST);
        assert_eq!(stream.end(7, false, true), End::Reported(2));
    }
}
