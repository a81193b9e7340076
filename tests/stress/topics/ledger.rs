//! What the publishers have published, and what the handlers and the factories of the server have been called for.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};

use sockeye::{ErrorKind, Publication, QueueError, Result, Sender};

use super::wire::{Next, PUBLISHERS, Packet, Publisher, WORKERS, topic_name};

/// The number of the next publication of each publisher on each topic, and counts.
///
/// A number is taken before its publication is queued. After a handler has subscribed to a topic, the publication with the number that is then the
/// next one, and all later ones, must reach the subscriber.
#[derive(Debug)]
pub(super) struct Ledger {
    /// By topic, then by publisher.
    next: Vec<[AtomicU32; PUBLISHERS]>,
    /// The publications that were queued, by publisher.
    published: [AtomicUsize; PUBLISHERS],
    /// The publications that found a full queue, by publisher. They are repeated.
    refused: [AtomicUsize; PUBLISHERS],
    /// Whether a publication that finds a full queue is repeated. Otherwise, it is lost.
    repeats: bool,
    /// Threads and timers together publish as often as handlers. Otherwise, they would publish faster than clients receive.
    credits: AtomicUsize,
    pub(super) calls: Calls,
    /// Whether the timers publish the last publication of each topic.
    must_end: AtomicBool,
    /// How many of those each worker has published.
    ended: [AtomicUsize; WORKERS],
}

/// The calls of handlers and factories.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) opened: AtomicUsize,
    pub(super) closed: AtomicUsize,
    pub(super) errors: AtomicUsize,
    /// The calls of `topic_opened` for a topic that was open, and those of `topic_closed` for one that was not.
    pub(super) out_of_order: AtomicUsize,
    /// The topics that are open according to these calls.
    pub(super) open_topics: AtomicUsize,
}

impl Ledger {
    pub(super) fn new(topics: u16, repeats: bool) -> Self {
        Self {
            next: (0..topics).map(|_| Default::default()).collect(),
            published: Default::default(),
            refused: Default::default(),
            repeats,
            credits: AtomicUsize::new(0),
            calls: Calls::default(),
            must_end: AtomicBool::new(false),
            ended: Default::default(),
        }
    }

    /// The number of topics.
    pub(super) fn topics(&self) -> usize {
        self.next.len()
    }

    /// Publishes the next number on a topic. Returns `None` if a queue is full. The number is then used by the next attempt.
    ///
    /// Only one thread at a time calls this for a publisher.
    pub(super) fn publish(
        &self,
        out: &Sender,
        publisher: Publisher,
        topic: u16,
        is_last: bool,
    ) -> Result<Option<u32>> {
        let index = publisher.index();
        let next = &self.next[usize::from(topic)][index];
        let number = next.fetch_add(1, SeqCst);
        let packet = Packet { publisher: u8::try_from(index).unwrap(), is_last, topic, number };
        match out.publish_with(Publication::new(topic_name(topic), packet.encode()).to_self()) {
            Ok(()) => {
                self.published[index].fetch_add(1, SeqCst);
                Ok(Some(number))
            }
            Err(err) if matches!(err.kind, ErrorKind::Queue(QueueError::Full)) => {
                self.refused[index].fetch_add(1, SeqCst);
                if !self.repeats {
                    return Ok(Some(number));
                }
                next.fetch_sub(1, SeqCst);
                Ok(None)
            }
            Err(err) => Err(err),
        }
    }

    /// Returns the numbers that come next on a topic.
    pub(super) fn next(&self, topic: u16) -> Next {
        let next = &self.next[usize::from(topic)];
        std::array::from_fn(|publisher| next[publisher].load(SeqCst))
    }

    /// Returns how much was published by publishers for which this holds.
    pub(super) fn published(&self, publishers: &[Publisher]) -> usize {
        publishers.iter().map(|publisher| self.published[publisher.index()].load(SeqCst)).sum()
    }

    /// The same for publications that found a full queue.
    pub(super) fn refused(&self, publishers: &[Publisher]) -> usize {
        publishers.iter().map(|publisher| self.refused[publisher.index()].load(SeqCst)).sum()
    }

    /// A handler has published for its client.
    pub(super) fn add_credit(&self) {
        self.credits.fetch_add(1, SeqCst);
    }

    /// Returns whether this many publications are allowed, and removes them.
    pub(super) fn take_credits(&self, count: usize) -> bool {
        self.credits.fetch_update(SeqCst, SeqCst, |credits| credits.checked_sub(count)).is_ok()
    }

    /// Makes the timers publish the last publication of each topic.
    pub(super) fn end(&self) {
        self.must_end.store(true, SeqCst);
    }

    pub(super) fn must_end(&self) -> bool {
        self.must_end.load(SeqCst)
    }

    /// Publishes some of the last publications of the handlers and timers of a worker, on its thread, until the queue of another worker is
    /// full.
    pub(super) fn end_some(&self, out: &Sender, worker: usize) -> Result<()> {
        const MOST: usize = 100;
        let ended = &self.ended[worker];
        for _ in 0..MOST.min(2 * self.topics() - ended.load(SeqCst)) {
            let at = ended.load(SeqCst);
            let publisher =
                if at.is_multiple_of(2) { Publisher::Handlers(worker) } else { Publisher::Timers(worker) };
            let topic = u16::try_from(at / 2).unwrap();
            if self.publish(out, publisher, topic, true)?.is_none() {
                break;
            }
            ended.store(at + 1, SeqCst);
        }
        Ok(())
    }

    /// Whether the handlers and timers of all workers have published everything.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.iter().all(|ended| ended.load(SeqCst) == 2 * self.topics())
    }
}
