//! What the broker has not acknowledged.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::envelope::{set_after_loss, set_has_lost};

/// The number of heartbeats, questions and answers that wait at most.
const MAX_OTHERS: usize = 1024;

/// The publications of this node, in order: first those that the broker has, then those that it has not.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: VecDeque<Entry>,
    /// How many of them the broker has.
    handed: usize,
    /// How many publications since the connection began are acknowledged, and not in the queue any more.
    acknowledged: u64,
    messages: usize,
    bytes: usize,
    limits: Limits,
    /// The channels whose next message in the queue comes after one that the broker has refused.
    after_refusal: HashSet<Arc<str>>,
    /// Whether the queue may contain heartbeats that do not know of a refused message before them.
    has_refused: bool,
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) messages: usize,
    /// The bytes of all messages.
    pub(super) bytes: usize,
}

#[derive(Debug)]
struct Entry {
    channel: Arc<str>,
    envelope: Vec<u8>,
    kind: Kind,
}

/// What an entry is, so that its acknowledgement or refusal takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is published again after a reconnect.
    Message,
    /// A part of a heartbeat.
    Heartbeat {
        beat: u64,
        is_last: bool,
    },
    Other,
}

impl Outbox {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            queue: VecDeque::new(),
            handed: 0,
            acknowledged: 0,
            messages: 0,
            bytes: 0,
            limits,
            after_refusal: HashSet::new(),
            has_refused: false,
        }
    }

    /// Whether there is room for a message of this length.
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.messages < self.limits.messages && self.bytes.saturating_add(len) <= self.limits.bytes
    }

    /// Whether there is room for something that is not a message.
    pub(super) fn has_room_for_other(&self) -> bool {
        self.queue.len() - self.messages < MAX_OTHERS
    }

    pub(super) fn push(&mut self, channel: Arc<str>, envelope: Vec<u8>, kind: Kind) {
        if kind == Kind::Message {
            self.messages += 1;
            self.bytes += envelope.len();
        }
        self.queue.push_back(Entry { channel, envelope, kind });
    }

    /// Returns the next publication for the broker.
    pub(super) fn hand_over(&mut self) -> Option<(&str, &[u8])> {
        let Some(entry) = self.queue.get_mut(self.handed) else {
            self.after_refusal.clear();
            self.has_refused = false;
            return None;
        };
        self.handed += 1;
        match entry.kind {
            Kind::Message if self.after_refusal.remove(&entry.channel) => set_after_loss(&mut entry.envelope),
            Kind::Heartbeat { .. } if self.has_refused => set_has_lost(&mut entry.envelope),
            _ => {}
        }
        Some((&entry.channel, &entry.envelope))
    }

    /// The broker has refused what was handed over last. Returns its channel if it was a message.
    pub(super) fn refuse(&mut self) -> Option<Arc<str>> {
        self.handed = self.handed.checked_sub(1)?;
        let entry = self.queue.remove(self.handed)?;
        self.release(&entry);
        match entry.kind {
            Kind::Message => {
                self.after_refusal.insert(Arc::clone(&entry.channel));
                self.has_refused = true;
                return Some(entry.channel);
            }
            Kind::Heartbeat { beat, .. } => self.mark_incomplete(beat),
            Kind::Other => {}
        }
        None
    }

    /// The server has refused the publication with this number since the connection began. Returns its channel if it was a message. It is
    /// acknowledged like the others.
    pub(super) fn reject(&mut self, number: u64) -> Option<Arc<str>> {
        let place = usize::try_from(number.checked_sub(self.acknowledged + 1)?).ok()?;
        let entry = self.queue.get_mut(place).filter(|_| place < self.handed)?;
        let kind = std::mem::replace(&mut entry.kind, Kind::Other);
        let (channel, len) = (Arc::clone(&entry.channel), entry.envelope.len());
        match kind {
            Kind::Message => {
                self.messages -= 1;
                self.bytes -= len;
                self.after_refusal.insert(Arc::clone(&channel));
                self.has_refused = true;
                return Some(channel);
            }
            Kind::Heartbeat { beat, .. } => self.mark_incomplete(beat),
            Kind::Other => {}
        }
        None
    }

    /// The acknowledgement of the last part does not count if another part was refused.
    fn mark_incomplete(&mut self, refused: u64) {
        for entry in &mut self.queue {
            if matches!(entry.kind, Kind::Heartbeat { beat, .. } if beat == refused) {
                entry.kind = Kind::Other;
            }
        }
    }

    /// The broker has accepted this many publications since the connection began. Passes complete heartbeats to `on_heartbeat`.
    pub(super) fn acknowledge(&mut self, count: u64, mut on_heartbeat: impl FnMut(u64)) {
        while self.acknowledged < count && self.handed > 0 {
            let Some(entry) = self.queue.pop_front() else { return };
            self.release(&entry);
            self.handed -= 1;
            self.acknowledged += 1;
            if let Kind::Heartbeat { beat, is_last: true } = entry.kind {
                on_heartbeat(beat);
            }
        }
    }

    /// The connection has ended. Only messages are published again on the next one.
    pub(super) fn disconnect(&mut self) {
        self.queue.retain(|entry| entry.kind == Kind::Message);
        self.handed = 0;
        self.acknowledged = 0;
    }

    fn release(&mut self, entry: &Entry) {
        if entry.kind == Kind::Message {
            self.messages -= 1;
            self.bytes -= entry.envelope.len();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}
