//! What a subscriber must receive: for each publisher, consecutive numbers without a gap.

use super::wire::{Next, PUBLISHERS, Packet, Publisher};

/// The publications of a publisher on a topic, as a subscriber receives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    /// Nothing was received. The first number is this one.
    BeginsAt(u32),
    /// Nothing was received. The first number is this one or a lower one: the publisher is another thread, which can have published while
    /// the subscription was queued.
    BeginsBy(u32),
    Continues(u32),
    HasEnded,
}

/// A subscription of a client to a topic, after the reply of the server.
#[derive(Debug)]
pub(super) struct Membership {
    streams: [Stream; PUBLISHERS],
}

impl Membership {
    /// A worker has confirmed the subscription. What the handlers of this worker publish later, and nothing else of them, is received: they
    /// run on the thread on which the subscription was made.
    pub(super) fn new(worker: usize, next: Next) -> Self {
        let stream = |publisher| match Publisher::is_of_worker(publisher, worker) {
            true => Stream::BeginsAt(next[publisher]),
            false => Stream::BeginsBy(next[publisher]),
        };
        Self { streams: std::array::from_fn(stream) }
    }

    /// Returns whether this is the publication that must follow.
    pub(super) fn receive(&mut self, packet: Packet) -> bool {
        let stream = &mut self.streams[usize::from(packet.publisher)];
        let is_expected = match *stream {
            Stream::BeginsAt(number) | Stream::Continues(number) => packet.number == number,
            Stream::BeginsBy(number) => packet.number <= number,
            Stream::HasEnded => false,
        };
        *stream = if packet.is_last { Stream::HasEnded } else { Stream::Continues(packet.number + 1) };
        is_expected
    }

    /// Returns whether this publication was received, or was published before the subscription.
    pub(super) fn has_received(&self, publisher: Publisher, number: u32) -> bool {
        match self.streams[publisher.index()] {
            Stream::BeginsAt(next) | Stream::BeginsBy(next) | Stream::Continues(next) => next > number,
            Stream::HasEnded => true,
        }
    }

    /// A worker has confirmed the end of the subscription. Returns whether everything was received that was published before: by the handlers
    /// of this worker, all numbers below `next`, and by others, no number from there.
    pub(super) fn is_complete(&self, worker: usize, next: Next) -> bool {
        (0..PUBLISHERS).all(|publisher| match self.streams[publisher] {
            Stream::BeginsAt(number) => number == next[publisher],
            Stream::Continues(number) if Publisher::is_of_worker(publisher, worker) => {
                number == next[publisher]
            }
            Stream::Continues(number) => number <= next[publisher],
            Stream::BeginsBy(_) | Stream::HasEnded => true,
        })
    }

    /// The number of publishers whose last publication was not received.
    pub(super) fn unended(&self) -> usize {
        self.streams.iter().filter(|stream| **stream != Stream::HasEnded).count()
    }
}
