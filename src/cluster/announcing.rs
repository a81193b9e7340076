//! What heartbeats announce: the last numbers of this node on its channels.
//!
//! A heartbeat lists the channels to which the node has published since the third heartbeat before, or since the last one that the broker
//! has acknowledged if that is older. All other channels are forgotten. The heartbeat also contains the *floor*, the highest number of the
//! channels that are forgotten. A node that has received one of the heartbeats since then misses nothing up to there.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How many heartbeats announce a number, at least.
const REPEATS: u64 = 3;

#[derive(Debug)]
pub(super) struct Announcer {
    records: HashMap<Arc<str>, Record>,
    /// For each heartbeat that is not forgotten, the channels that it announced for the first time. The last one is the next heartbeat.
    recent: VecDeque<Vec<Arc<str>>>,
    /// The place of the next heartbeat in the sequence of all heartbeats.
    next_beat: u64,
    /// The last heartbeat that the broker has acknowledged.
    acknowledged: Option<u64>,
    floor: u64,
    unlisted: Unlisted,
    max_records: usize,
}

/// The last message to a channel.
#[derive(Debug)]
struct Record {
    channel: Arc<str>,
    number: u64,
    /// The first heartbeat that announces it.
    beat: u64,
    /// Whether it was not sent, or some before it.
    is_lost: bool,
}

/// Messages to channels for which there was no room in the list.
#[derive(Debug, Default)]
struct Unlisted {
    highest: u64,
    /// If one of them was not sent: the heartbeat that announces it.
    lost: Option<u64>,
}

/// What a message must contain about the one before it.
#[derive(Debug)]
pub(super) struct Predecessor {
    pub(super) channel: Arc<str>,
    pub(super) previous: u64,
    pub(super) is_lost: bool,
}

/// A heartbeat that begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beat {
    pub(super) index: u64,
    pub(super) floor: u64,
    pub(super) has_lost: bool,
}

impl Announcer {
    pub(super) fn new(max_records: usize) -> Self {
        Self {
            records: HashMap::new(),
            recent: VecDeque::from([Vec::new()]),
            next_beat: 0,
            acknowledged: None,
            floor: 0,
            unlisted: Unlisted::default(),
            max_records,
        }
    }

    /// A message gets a number.
    pub(super) fn note(&mut self, channel: &str, number: u64) -> Predecessor {
        let Some(record) = self.records.get_mut(channel) else { return self.note_first(channel, number) };
        let predecessor = Predecessor {
            channel: Arc::clone(&record.channel),
            previous: record.number,
            is_lost: std::mem::take(&mut record.is_lost),
        };
        record.number = number;
        if std::mem::replace(&mut record.beat, self.next_beat) != self.next_beat {
            self.announce_first(Arc::clone(&predecessor.channel));
        }
        predecessor
    }

    /// The same for a channel without a record.
    fn note_first(&mut self, channel: &str, number: u64) -> Predecessor {
        let channel: Arc<str> = channel.into();
        let predecessor = Predecessor {
            channel: Arc::clone(&channel),
            // The loss may have been on this channel.
            previous: if self.unlisted.lost.is_some() {
                self.floor.max(self.unlisted.highest)
            } else {
                self.floor
            },
            is_lost: self.unlisted.lost.is_some(),
        };
        if self.records.len() < self.max_records {
            let record =
                Record { channel: Arc::clone(&channel), number, beat: self.next_beat, is_lost: false };
            self.records.insert(Arc::clone(&channel), record);
            self.announce_first(Arc::clone(&channel));
        } else {
            self.unlisted.highest = number;
        }
        predecessor
    }

    fn announce_first(&mut self, channel: Arc<str>) {
        if let Some(channels) = self.recent.back_mut() {
            channels.push(channel);
        }
    }

    /// The last message to a channel, or one before it, is not sent.
    pub(super) fn note_loss(&mut self, channel: &str) {
        match self.records.get_mut(channel) {
            Some(record) => record.is_lost = true,
            None => self.unlisted.lost = Some(self.next_beat),
        }
    }

    /// The broker has accepted all of a heartbeat.
    pub(super) fn acknowledge(&mut self, beat: u64) {
        self.acknowledged = self.acknowledged.max(Some(beat));
        self.unlisted.lost.take_if(|lost| *lost <= beat);
    }

    /// Begins the next heartbeat. `announce` receives what it lists: the channel, the last number, and whether it was lost.
    pub(super) fn begin(&mut self, mut announce: impl FnMut(&str, u64, bool)) -> Beat {
        while self.oldest() + REPEATS <= self.next_beat && self.acknowledged >= Some(self.oldest()) {
            self.forget_oldest();
        }
        self.floor = self.floor.max(self.unlisted.highest);
        for (beat, channels) in (self.oldest()..).zip(&self.recent) {
            for channel in channels {
                if let Some(record) = self.records.get(channel).filter(|record| record.beat == beat) {
                    announce(channel, record.number, record.is_lost);
                }
            }
        }
        let beat = Beat { index: self.next_beat, floor: self.floor, has_lost: self.unlisted.lost.is_some() };
        self.next_beat += 1;
        self.recent.push_back(Vec::new());
        beat
    }

    /// The oldest heartbeat that is not forgotten.
    fn oldest(&self) -> u64 {
        let later = u64::try_from(self.recent.len()).unwrap_or(u64::MAX).saturating_sub(1);
        self.next_beat.saturating_sub(later)
    }

    fn forget_oldest(&mut self) {
        let oldest = self.oldest();
        for channel in self.recent.pop_front().unwrap_or_default() {
            if let Some(record) = self.records.get(&channel).filter(|record| record.beat == oldest) {
                self.floor = self.floor.max(record.number);
                self.records.remove(&channel);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }
}
