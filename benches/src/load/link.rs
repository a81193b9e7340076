//! One connection of the load generator, with its unsent frames and the replies that it expects.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::Instant;

use super::connect::Opened;
use super::latency::Times;
use super::replies::Replies;
use super::ring::Ring;
use super::stream::Stream;
use crate::Result;
use crate::spec::Spec;

/// The size of the buffer that all connections use for reading, in bytes.
pub(super) const BUFFER: usize = 1 << 20;

/// A connection and its position in the ring.
pub(super) struct Link<S> {
    stream: S,
    replies: Replies,
    /// The current frame, the number of its bytes that have been sent, and the number of unsent frames.
    next: usize,
    sent: usize,
    owed: usize,
    /// The time at which each message in flight was added to the output.
    under_way: VecDeque<Instant>,
}

impl<S: Stream> Link<S> {
    pub(super) fn new(stream: S, spec: &Spec) -> Self {
        Self { stream, replies: Replies::new(spec), next: 0, sent: 0, owed: 0, under_way: VecDeque::new() }
    }

    /// Turns all connections into links, and registers each with its index as the token.
    pub(super) fn all(opened: Vec<Opened<S>>, spec: &Spec, poll: &mio::Poll) -> Result<Vec<Self>> {
        let mut links: Vec<_> = opened.into_iter().map(|one| Self::new(one.stream, spec)).collect();
        for (token, link) in links.iter_mut().enumerate() {
            link.register(poll, token)?;
        }
        Ok(links)
    }

    pub(super) fn register(&mut self, poll: &mio::Poll, token: usize) -> Result<()> {
        Ok(self.stream.register(poll, token)?)
    }

    /// Adds frames to the output.
    pub(super) fn owe(&mut self, count: usize, now: Instant) {
        self.owed += count;
        self.under_way.extend(std::iter::repeat_n(now, count));
    }

    /// Sends the output until the socket would block.
    pub(super) fn send(&mut self, ring: &Ring) -> Result<()> {
        while self.owed > 0 {
            match self.stream.write(ring.frames(self.next, self.owed, self.sent)) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            while self.owed > 0 && self.sent >= ring.length(self.next) {
                self.sent -= ring.length(self.next);
                self.next = (self.next + 1) % ring.len();
                self.owed -= 1;
            }
        }
        Ok(())
    }

    /// Reads all available bytes, and returns the number of messages that they complete.
    pub(super) fn receive(&mut self, buffer: &mut [u8], ring: &Ring) -> Result<usize> {
        let mut complete = 0;
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(count) => {
                    complete += self.replies.take(&buffer[..count], ring)?;
                    if S::SHORT_READ_IS_ALL && count < buffer.len() {
                        return Ok(complete);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(complete),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Records the latency of the oldest messages in flight.
    pub(super) fn arrived(&mut self, count: usize, now: Instant, times: &mut Times) -> Result<()> {
        for _ in 0..count {
            times.note(self.answered()?, now);
        }
        Ok(())
    }

    /// Removes the oldest message in flight, and returns the time at which it was added to the output.
    pub(super) fn answered(&mut self) -> Result<Instant> {
        Ok(self.under_way.pop_front().ok_or("a reply without a message was received")?)
    }

    /// Returns the number of messages whose replies have not been received.
    pub(super) fn in_flight(&self) -> usize {
        self.under_way.len()
    }

    /// Returns the number of received payload bytes, before decompression.
    pub(super) fn payload(&self) -> u64 {
        self.replies.payload
    }
}

/// Returns the number of frames in each reply, or 0 if they were not counted.
pub(super) fn frames_each<S>(links: &[Link<S>]) -> f64 {
    let (frames, messages) = links.iter().fold((0, 0), |(frames, messages), link| {
        (frames + link.replies.frames, messages + link.replies.messages)
    });
    if messages == 0 { 0.0 } else { frames as f64 / messages as f64 }
}

/// Waits for events. Returns an error after ten seconds without any event.
pub(super) fn wait(poll: &mut mio::Poll, events: &mut mio::Events) -> Result<()> {
    match poll.poll(events, Some(std::time::Duration::from_secs(10))) {
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) if events.is_empty() => Err("the server has not sent anything for ten seconds".into()),
        Ok(()) => Ok(()),
    }
}
