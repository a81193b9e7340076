//! What this node publishes: numbers, the queue, and heartbeats.

use std::sync::Arc;

use super::announcements::{Announcement, Announcements};
use super::announcing::Announcer;
use super::broker::NodeId;
use super::envelope::{Body, Content, Envelope, Flags, Heartbeat};
use super::outbox::{Kind, Limits, Outbox};

/// The size of a part of a heartbeat at most.
const MAX_PART: usize = 64 * 1024;

/// The longest header of a message.
const MAX_OVERHEAD: usize = 40;

#[derive(Debug)]
pub(super) struct Outgoing {
    node: NodeId,
    /// The number of the last message.
    number: u64,
    announcer: Announcer,
    outbox: Outbox,
}

/// A message that has a number.
#[derive(Debug)]
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) channel: Arc<str>,
    /// Whether there was room for it in the queue.
    pub(super) is_queued: bool,
}

impl Outgoing {
    pub(super) fn new(node: NodeId, limits: Limits, max_records: usize) -> Self {
        Self { node, number: 0, announcer: Announcer::new(max_records), outbox: Outbox::new(limits) }
    }

    /// The number of the last message.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether there is room for a message with a payload of this length.
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.outbox.has_room(len.saturating_add(MAX_OVERHEAD))
    }

    /// Gives a message a number, and queues it if there is room.
    pub(super) fn publish(
        &mut self,
        channel: &str,
        flags: Flags,
        except: Option<u64>,
        content: Content<'_>,
    ) -> Numbered {
        self.number += 1;
        let number = self.number;
        let predecessor = self.announcer.note(channel, number);
        let is_queued = self.has_room(content.as_bytes().len());
        if is_queued {
            let flags = flags | Flags::AFTER_LOSS.when(predecessor.is_lost);
            let body = Body::Message { flags, except, content };
            let envelope = Envelope { node: self.node, number, previous: predecessor.previous, body };
            self.outbox.push(Arc::clone(&predecessor.channel), envelope.encode(), Kind::Message);
        } else {
            self.announcer.note_loss(channel);
        }
        Numbered { number, channel: predecessor.channel, is_queued }
    }

    /// Queues a question, an answer, or the end of the node. They are not published again after a reconnect.
    pub(super) fn push_other(&mut self, channel: &Arc<str>, body: Body<'_>) {
        if self.outbox.has_room_for_other() {
            let envelope = Envelope { node: self.node, number: self.number, previous: self.number, body };
            self.outbox.push(Arc::clone(channel), envelope.encode(), Kind::Other);
        }
    }

    /// Queues a heartbeat. `rest` returns the name of a channel without the prefix.
    pub(super) fn push_heartbeat(&mut self, cluster: &Arc<str>, rest: impl Fn(&str) -> &str) {
        if !self.outbox.has_room_for_other() {
            return;
        }
        let (node, number) = (self.node, self.number);
        let mut parts = vec![Vec::new()];
        let beat = self.announcer.begin(|channel, last, is_lost| {
            let channel = rest(channel);
            if parts.last().is_some_and(|part| part.len() + channel.len() + MAX_OVERHEAD > MAX_PART) {
                parts.push(Vec::new());
            }
            if let Some(part) = parts.last_mut() {
                Announcements::push(part, Announcement { channel, last, is_lost }, number);
            }
        });
        let count = parts.len();
        for (index, list) in parts.iter().enumerate() {
            let is_last = index + 1 == count;
            let heartbeat = Heartbeat {
                part: u32::try_from(index).unwrap_or(u32::MAX),
                is_last,
                has_lost: beat.has_lost,
                announcements: Announcements::new(list),
            };
            let body = Body::Heartbeat(heartbeat);
            let envelope = Envelope { node, number, previous: beat.floor, body };
            let kind = Kind::Heartbeat { beat: beat.index, is_last };
            self.outbox.push(Arc::clone(cluster), envelope.encode(), kind);
        }
    }

    /// Returns the next publication for the broker.
    pub(super) fn hand_over(&mut self) -> Option<(&str, &[u8])> {
        self.outbox.hand_over()
    }

    /// The broker has refused what was handed over last. Returns whether it was a message.
    pub(super) fn refuse(&mut self) -> bool {
        let channel = self.outbox.refuse();
        if let Some(channel) = &channel {
            self.announcer.note_loss(channel);
        }
        channel.is_some()
    }

    /// The server has refused a publication that the broker has. Returns whether it was a message.
    pub(super) fn reject(&mut self, number: u64) -> bool {
        let channel = self.outbox.reject(number);
        if let Some(channel) = &channel {
            self.announcer.note_loss(channel);
        }
        channel.is_some()
    }

    /// The broker has accepted this many publications since the connection began.
    pub(super) fn acknowledge(&mut self, count: u64) {
        let announcer = &mut self.announcer;
        self.outbox.acknowledge(count, |beat| announcer.acknowledge(beat));
    }

    pub(super) fn disconnect(&mut self) {
        self.outbox.disconnect();
    }

    /// How many publications wait for their acknowledgement, and how many channels the next heartbeat lists at most.
    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, usize) {
        (self.outbox.len(), self.announcer.len())
    }
}
