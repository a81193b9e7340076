//! Models of the queue: programs of two or three threads. [loom](https://docs.rs/loom) runs each of them in every order in which
//! the threads can execute, with every value that a relaxed atomic operation can return.
//!
//! They are built with `--cfg loom` only, which replaces the primitives in `sync`. The thread that runs a model is the thread of
//! the loop. [`Loop::turn`] does to the queue what a turn of the loop does: it waits for a wake-up, and takes commands.

mod control;
mod ending;
mod limits;
mod pool;
mod slots;
mod subscriptions;
pub(super) mod sync;
mod wakeups;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use loom::sync::Notify;
use loom::thread::{self, JoinHandle};

use super::control::Control;
use super::{Batch, Command, CommandQueue, Phase, QueuedCommand, Target};
use crate::reactor::api::settings::Settings;
use crate::reactor::common::Common;

/// Runs a model in every order of its threads, or in those with up to this many preemptions. The variable
/// `LOOM_MAX_PREEMPTIONS` takes precedence.
#[expect(clippy::print_stdout, reason = "cargo shows it with `--show-output`")]
pub(in crate::reactor) fn check(preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let executions = Arc::new(AtomicUsize::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(preemptions);
    builder.max_branches = 10_000;
    let (count, started) = (Arc::clone(&executions), Instant::now());
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let executions = executions.load(Ordering::Relaxed);
    assert!(executions > 1, "the threads share nothing that loom controls");
    println!("{executions} executions in {} ms", started.elapsed().as_millis());
}

/// The queue with the part of the loop that it depends on.
struct Loop {
    queue: Arc<CommandQueue>,
    waker: Arc<Waker>,
}

impl Loop {
    fn new(settings: &Settings) -> Arc<Self> {
        Self::with_common(settings, Common::new(settings))
    }

    fn with_common(settings: &Settings, common: Common) -> Arc<Self> {
        let waker = Arc::new(Waker::default());
        let wake = Arc::clone(&waker);
        let queue =
            CommandQueue::new(settings, common, Box::new(move || wake.wake()), Box::new(Instant::now));
        Arc::new(Self { queue: Arc::new(queue), waker })
    }

    /// Waits for a wake-up, unless there are more commands after the last turn. Then takes up to `most` commands. Returns them,
    /// and whether there are more.
    fn turn(&self, has_more: bool, most: usize) -> (Batch, bool) {
        if has_more {
            self.waker.clear();
        } else {
            self.waker.wait();
        }
        self.take(most)
    }

    /// Takes up to `most` commands without waiting.
    fn take(&self, most: usize) -> (Batch, bool) {
        let mut batch = Batch::new();
        let has_more = self.queue.take_remote(most, &mut batch);
        assert!(batch.len() <= most);
        self.assert_consistent();
        (batch, has_more)
    }

    /// Runs turns until this many commands have been taken. A command that is queued without a wake-up is a deadlock.
    fn take_all(&self, count: usize) -> Batch {
        let mut taken = Batch::new();
        while taken.len() < count {
            taken.extend(self.turn(false, usize::MAX).0);
        }
        taken
    }

    /// Checks that the counts are those of the commands in the queue, and that they respect the limits.
    fn assert_consistent(&self) {
        let queue = self.queue.remote.lock();
        let ordinary = queue.commands.iter().filter(|queued| Control::of(&queued.command).is_none());
        let lens: Vec<usize> = ordinary.map(|queued| queued.command.buffered_len()).collect();
        let bytes = lens.iter().sum::<usize>();
        assert_eq!((queue.ordinary, queue.bytes), (lens.len(), bytes));
        assert_eq!(self.queue.memory().held(), bytes);
        assert!(lens.len() <= self.queue.remote.capacity, "too many commands");
        let is_single = lens.iter().filter(|len| **len > 0).count() == 1;
        assert!(is_single || bytes <= self.queue.remote.max_bytes, "too many bytes");
        // A command in the queue has been announced.
        assert!(queue.commands.is_empty() || queue.is_announced, "a wake-up is lost");
    }

    /// Moves the connection forward to a phase.
    fn advance(&self, phase: Phase) {
        self.queue.status(0).expect("the slot has had a connection").advance(phase);
    }

    /// Returns whether the queue accepts the command.
    fn push(&self, target: Target, command: Command) -> bool {
        self.queue.push(QueuedCommand { target, command }).is_ok()
    }
}

/// The waker of the system: a wake-up during the wait ends it, and one before it ends it at once. A wait can also end without
/// a wake-up.
#[derive(Debug, Default)]
pub(in crate::reactor) struct Waker {
    event: Notify,
    /// Whether the next wait ends at once. Loom does not control this value, so that it adds no orders.
    is_pending: AtomicBool,
    /// The number of wake-ups.
    count: AtomicUsize,
}

impl Waker {
    pub(in crate::reactor) fn wake(&self) {
        self.event.notify();
        self.is_pending.store(true, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::reactor) fn is_pending(&self) -> bool {
        self.is_pending.load(Ordering::Relaxed)
    }

    pub(in crate::reactor) fn wait(&self) {
        self.event.wait();
        self.is_pending.store(false, Ordering::Relaxed);
    }

    /// Returns whether a wake-up was pending. None is afterwards.
    pub(in crate::reactor) fn clear(&self) -> bool {
        let is_pending = self.is_pending();
        if is_pending {
            self.wait();
        }
        is_pending
    }
}

/// Runs a thread of the program, which shares the queue with the loop.
fn spawn<T: 'static>(event_loop: &Arc<Loop>, run: impl FnOnce(&Loop) -> T + 'static) -> JoinHandle<T> {
    let event_loop = Arc::clone(event_loop);
    thread::spawn(move || run(&event_loop))
}

/// The connection with this id. All connections of the models are in the same slot.
fn connection(id: u32) -> Target {
    Target::One { slot: 0, id }
}

/// Returns a message of this length that contains the number.
fn message(number: u8, len: usize) -> Command {
    Command::Message(vec![number; len].into())
}

/// Returns the number of a [`message`].
fn number(command: &Command) -> Option<u8> {
    match command {
        Command::Message(message) => message.as_bytes().first().copied(),
        _ => None,
    }
}

/// Returns the numbers of the messages among the commands, in order.
fn numbers(batch: &[QueuedCommand]) -> Vec<u8> {
    batch.iter().filter_map(|queued| number(&queued.command)).collect()
}
