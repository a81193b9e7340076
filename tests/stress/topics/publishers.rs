//! The threads that publish.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockeye::Sender;
use sockeye_test_support::join;
use sockeye_test_support::misbehavior::Dice;

use super::ledger::Ledger;
use super::wire::{Publisher, THREADS};

/// The publications on a topic that a thread queues one after the other: more than the queue holds.
const BURST: usize = 64;

/// The pause while there is nothing to do, or while the queue is full.
const PAUSE: Duration = Duration::from_millis(1);

/// Threads that publish on random topics.
pub(super) struct Publishers {
    must_end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Publishers {
    pub(super) fn start(all: &Sender, ledger: &Arc<Ledger>) -> Self {
        let must_end = Arc::new(AtomicBool::new(false));
        let start = |number| {
            let (all, ledger, must_end) = (all.clone(), Arc::clone(ledger), Arc::clone(&must_end));
            thread::spawn(move || publish(&all, &ledger, number, &must_end))
        };
        let threads = (0..THREADS).map(start).collect();
        Self { must_end, threads }
    }

    /// Makes each thread publish its last publication on each topic, and waits until they are queued.
    pub(super) fn end(self) {
        self.must_end.store(true, SeqCst);
        self.threads.into_iter().for_each(|thread| join(thread).unwrap());
    }
}

fn publish(all: &Sender, ledger: &Ledger, number: usize, must_end: &AtomicBool) {
    let publisher = Publisher::Thread(number);
    let mut dice = Dice(0x5eed_0001 + number as u64);
    while !must_end.load(SeqCst) {
        if !ledger.take_credits(BURST) {
            thread::sleep(PAUSE);
            continue;
        }
        let topic = u16::try_from(dice.roll(ledger.topics())).unwrap();
        (0..BURST).for_each(|_| publish_at_last(all, ledger, publisher, topic, false));
    }
    let topics = u16::try_from(ledger.topics()).unwrap();
    (0..topics).for_each(|topic| publish_at_last(all, ledger, publisher, topic, true));
}

/// Publishes once the queue has room.
fn publish_at_last(all: &Sender, ledger: &Ledger, publisher: Publisher, topic: u16, is_last: bool) {
    while ledger.publish(all, publisher, topic, is_last).unwrap().is_none() {
        thread::sleep(PAUSE);
    }
}
