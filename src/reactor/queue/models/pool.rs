//! Commands between the loops of a pool: none is lost, none overtakes another, and no loop waits for ever.

use std::sync::Arc;

use loom::thread;

use super::{Batch, Loop, Settings, check, connection, message, numbers, spawn};
use crate::reactor::common::Common;
use crate::reactor::queue::peers::{Membership, Peers};
use crate::reactor::queue::{Command, QueuedCommand, Target, routing};

/// A pool with two workers. The model does not run its acceptor.
fn pool(settings: &Settings) -> [Arc<Loop>; 3] {
    let peers = Arc::new(Peers::default());
    let common = Common::new(settings).for_loops(2);
    let loops = [0, 1, 2].map(|index| {
        let membership = Membership { peers: Arc::clone(&peers), index };
        Loop::with_common(settings, common.for_member(membership))
    });
    peers.connect(loops.iter().map(|one| &one.queue));
    loops
}

/// A worker, which runs on this thread.
struct Worker<'l> {
    own: &'l Loop,
    blocked_by: Vec<usize>,
    taken: Batch,
}

impl<'l> Worker<'l> {
    fn new(own: &'l Loop) -> Self {
        Self { own, blocked_by: Vec::new(), taken: Batch::new() }
    }

    /// The end of a turn in which handlers have sent something.
    fn end_turn(&mut self) {
        self.blocked_by.extend(routing::flush(&self.own.queue));
    }

    /// Runs turns until this many commands have been taken, and no queue of another loop is too long. A missing wake-up is a deadlock.
    fn run_until(&mut self, count: usize) {
        while self.taken.len() < count || !self.blocked_by.is_empty() {
            self.own.waker.wait();
            self.blocked_by.retain(|index| routing::is_long(&self.own.queue, *index));
            while self.own.queue.take_remote(1, &mut self.taken) {}
        }
    }
}

fn send(target: &Loop, number: u8) -> bool {
    target.push(connection(1), message(number, 2))
}

fn broadcast(from: &Loop, number: u8) -> bool {
    from.push(Target::All, message(number, 2))
}

/// Returns the numbers of the messages and of the broadcasts, in order. For several loops, a short message is a frame.
fn all_numbers(batch: &[QueuedCommand]) -> Vec<u8> {
    let number = |queued: &QueuedCommand| match &queued.command {
        Command::Frame(frame) => frame.as_slice().first().copied(),
        command => super::number(command),
    };
    batch.iter().filter_map(number).collect()
}

/// A single message makes the queue too long.
fn small() -> Settings {
    Settings { queue_bytes: 1, ..Settings::default() }
}

/// Both workers send more than the queue of the other one should contain.
#[test]
fn loops_that_fill_the_queues_of_each_other_lose_nothing_and_continue() {
    check(Some(3), || {
        let [first, second, _acceptor] = pool(&small());
        let other = Arc::clone(&first);
        let thread = spawn(&second, move |second| {
            let _entered = second.queue.enter();
            let mut worker = Worker::new(second);
            assert!(send(&other, 21));
            worker.end_turn();
            worker.run_until(1);
            numbers(&worker.taken)
        });
        let _entered = first.queue.enter();
        let mut worker = Worker::new(&first);
        assert!(send(&second, 11));
        worker.end_turn();
        worker.run_until(1);
        assert_eq!(numbers(&worker.taken), [21]);
        assert_eq!(thread.join().unwrap(), [11]);
    });
}

/// A loop that ends while another one waits for it lets that one continue.
#[test]
fn a_loop_that_ends_keeps_no_other_waiting() {
    check(Some(3), || {
        let [first, second, _acceptor] = pool(&small());
        let thread = spawn(&second, |second| {
            let _entered = second.queue.enter();
            second.queue.remote.close();
            second.queue.clear();
        });
        let _entered = first.queue.enter();
        let mut worker = Worker::new(&first);
        assert!(send(&second, 11));
        worker.end_turn();
        worker.run_until(0);
        thread.join().unwrap();
        assert_eq!(second.queue.memory().held(), 0);
    });
}

/// A thread broadcasts while a worker broadcasts and sends: the queues of both workers accept the broadcast of the thread, or none does, and
/// what the worker sends stays in order.
#[test]
fn a_broadcast_reaches_all_loops_or_none() {
    check(Some(3), || {
        let [first, second, _acceptor] = pool(&small());
        let sender = Arc::clone(&first);
        let elsewhere = thread::spawn(move || broadcast(&sender, 31));
        {
            let _entered = first.queue.enter();
            assert!(broadcast(&first, 11) && send(&second, 12));
            routing::flush(&first.queue);
        }
        let expected: &[u8] = if elsewhere.join().unwrap() { &[31] } else { &[] };
        let [own, other] = [&first, &second].map(|one| {
            let mut batch = Batch::new();
            one.queue.take_remote(usize::MAX, &mut batch);
            all_numbers(&batch)
        });
        assert_eq!(own, expected);
        let (of_thread, of_worker): (Vec<u8>, Vec<u8>) = other.into_iter().partition(|number| *number == 31);
        assert_eq!((&*of_thread, &*of_worker), (expected, &[11, 12][..]));
    });
}
