//! What the node of a cluster does with the loops of its process.

use std::sync::{Arc, Weak};

use super::routing::{Route, for_each_copy};
use super::{Command, CommandQueue, QueuedCommand, QueuedPublication, SharedCommand, Target};
use crate::cluster::{Delivery, EventLoops, RunningNode};
use crate::error::Result;
use crate::protocol::Frame;

/// The loops, until they have ended.
struct Loops(Weak<CommandQueue>);

impl Loops {
    /// `queue` is that of one of the loops.
    fn new(queue: &Arc<CommandQueue>) -> Self {
        Self(Arc::downgrade(queue))
    }
}

impl EventLoops for Loops {
    fn deliver(&self, delivery: Delivery) {
        if let Some(queue) = self.0.upgrade() {
            push(&queue, command(delivery));
        }
    }

    fn has_room(&self) -> bool {
        let Some(queue) = self.0.upgrade() else { return true };
        match queue.membership() {
            Some(own) => {
                (0..own.workers()).filter_map(|index| own.peers.queue(index)).all(|queue| has_room(&queue))
            }
            None => has_room(&queue),
        }
    }

    fn subscribers(&self, topic: &str) -> usize {
        self.0.upgrade().map_or(0, |queue| queue.common.topics.count(topic))
    }
}

/// Connects the node to its broker, if the loop belongs to a cluster. The node leaves the cluster when the result is dropped.
pub(crate) fn start(queue: &Arc<CommandQueue>) -> Result<Option<RunningNode>> {
    queue.common.node().map(|node| node.start(Loops::new(queue))).transpose()
}

/// Returns the command that passes something to its receivers.
fn command(delivery: Delivery) -> Command {
    match delivery {
        Delivery::Message { topic, message, is_compressible, is_volatile, except } => {
            let mut frame = Frame::shared(message);
            frame.set_compressible(is_compressible);
            match topic {
                None => Command::Frame(Box::new(frame)),
                Some(topic) => {
                    let message = None;
                    let publication = QueuedPublication { topic, frame, message, except, is_volatile };
                    SharedCommand::Publish(publication).into()
                }
            }
        }
        Delivery::Gap { topic, missed } => SharedCommand::Gap(topic, missed).into(),
    }
}

/// Queues a command for the loops that it concerns. Nothing is refused.
fn push(queue: &CommandQueue, command: Command) {
    let Some(own) = queue.membership() else {
        return add(queue, QueuedCommand { target: Target::All, command });
    };
    let loops = Route::of(Target::All, &command).loops(&command, own, queue);
    let command = if loops.has_several() { command.into_shared() } else { command };
    for_each_copy(QueuedCommand { target: Target::All, command }, loops, |index, copy| {
        if let Some(queue) = own.peers.queue(index) {
            add(&queue, copy);
        }
    });
}

fn add(queue: &CommandQueue, queued: QueuedCommand) {
    let mut guard = queue.remote.lock();
    if guard.is_closed {
        return;
    }
    let must_wake = queue.remote.add(&mut guard, queued);
    drop(guard);
    if must_wake {
        queue.remote.wake();
    }
}

/// Whether other threads may queue more.
fn has_room(queue: &CommandQueue) -> bool {
    let guard = queue.remote.lock();
    guard.is_closed || !queue.remote.is_long(&guard)
}
