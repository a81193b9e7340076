//! What the clients of a process have received, and what was wrong with it.

use super::wire::Packet;
use crate::crowd::{Crowd, print_number};

/// Counts of the clients of a process, or of all.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The connections that were opened.
    pub(super) opened: usize,
    /// The connections that clients have closed, or have asked the server to close, in order to open another one.
    pub(super) reconnections: usize,
    /// The publications that were received.
    pub(super) received: usize,
    /// Those that were the last one of their publisher on a topic.
    pub(super) last: usize,
    /// The publications that do not follow the one before, and the replies that do not fit to what was received.
    pub(super) out_of_sequence: usize,
    /// The publications on topics to which the client does not subscribe.
    pub(super) unexpected: usize,
    pub(super) corrupt: usize,
    /// The last publications that subscribers did not receive.
    pub(super) missing: usize,
    /// The connections that failed.
    pub(super) lost: usize,
}

impl Tally {
    fn fields(&mut self) -> [&mut usize; 9] {
        [
            &mut self.opened,
            &mut self.reconnections,
            &mut self.received,
            &mut self.last,
            &mut self.out_of_sequence,
            &mut self.unexpected,
            &mut self.corrupt,
            &mut self.missing,
            &mut self.lost,
        ]
    }

    /// Counts a publication. `is_expected` is `None` if the client does not subscribe to the topic.
    pub(super) fn add(&mut self, packet: Packet, is_expected: Option<bool>) {
        self.received += 1;
        self.last += usize::from(packet.is_last);
        match is_expected {
            Some(is_expected) => self.out_of_sequence += usize::from(!is_expected),
            None => self.unexpected += 1,
        }
    }

    /// Prints the counts for the row.
    pub(super) fn print(&mut self) {
        self.fields().into_iter().for_each(|count| print_number(*count));
    }

    /// Adds the counts that a process prints.
    pub(super) fn read(&mut self, crowd: &Crowd) {
        self.fields().into_iter().for_each(|count| *count += crowd.number());
    }
}
