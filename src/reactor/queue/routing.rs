//! Commands between the loops of a pool.
//!
//! A handler can send to connections of other loops. These commands wait in the *outbox* of its thread until the turn ends, and
//! are then added to the queue of the other loop together, with one lock and one wake-up. Neither waits for the other, and nothing is
//! dropped: the queue accepts all of them. While it is longer than its limit, the loop that has sent them does not read from its own
//! clients.
//!
//! Commands for all connections, and publications, go to several loops, in the order in which they were called. On other threads,
//! either all of these loops accept the command or none.

use std::borrow::Borrow;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::loop_set::LoopSet;
use super::peers::{LoopPlace, Membership, Peers};
use super::remote::Queue;
use super::sync::MutexGuard;
use super::{
    Assigned, Batch, Command, CommandQueue, NewConnection, QueuedCommand, SharedCommand, Target, local,
};
use crate::error::QueueError;
use crate::reactor::publishing::directory::Announcement;
use crate::reactor::publishing::topics::TopicChange;

/// Which loops execute a command.
pub(super) enum Route {
    /// The loop of the sender.
    Own,
    /// All workers and the acceptor.
    All,
    Workers,
    LeastLoaded,
    /// Those that are interested in the topic.
    Interested,
}

impl Route {
    pub(super) fn of(target: Target, command: &Command) -> Self {
        match (command, target) {
            (Command::Shutdown, _) => Self::All,
            (Command::Drain(_), _) => Self::Workers,
            (Command::Shared(shared), _) if shared.topic().is_some() => Self::Interested,
            (_, Target::One { .. }) => Self::Own,
            (Command::NewConnection(_), Target::All) => Self::LeastLoaded,
            (Command::Shared(shared), Target::All) if matches!(**shared, SharedCommand::Schedule(_)) => {
                Self::LeastLoaded
            }
            (_, Target::All) => Self::Workers,
        }
    }

    /// Returns the loops.
    pub(super) fn loops(&self, command: &Command, own: &Membership, queue: &CommandQueue) -> LoopSet {
        match self {
            Self::Own => LoopSet::from_iter([own.index]),
            Self::All => (0..own.peers.all().len()).collect(),
            Self::Workers => (0..own.workers()).collect(),
            Self::LeastLoaded => own.peers.least_loaded().into_iter().collect(),
            Self::Interested => match command {
                Command::Shared(shared) => shared
                    .topic()
                    .map_or_else(LoopSet::default, |topic| queue.common.topics.interested(topic)),
                _ => LoopSet::default(),
            },
        }
    }
}

/// Queues a command of a sender whose loop belongs to a pool. `Ok` contains the command if only its own loop executes it, and `Err`
/// the result otherwise.
pub(super) fn route(
    queue: &CommandQueue,
    own: &Membership,
    queued: QueuedCommand,
) -> std::result::Result<QueuedCommand, std::result::Result<(), QueueError>> {
    let route = Route::of(queued.target, &queued.command);
    if matches!(route, Route::Own) {
        return Ok(announced(queue, own.index, queued));
    }
    let loops = route.loops(&queued.command, own, queue);
    let QueuedCommand { target, command } = queued;
    let command = match (&route, loops.first()) {
        (Route::LeastLoaded, Some(index)) => placed(command, own, index),
        _ if loops.has_several() => command.into_shared(),
        _ => command,
    };
    let queued = QueuedCommand { target, command };
    Err(if own.peers.is_running_here() {
        push_here(queue, own, loops, queued)
    } else {
        push_remote(queue, own, loops, queued)
    })
}

/// Queues a command on the thread of one of the pool's loops, in order with what it sends to single connections.
fn push_here(
    queue: &CommandQueue,
    own: &Membership,
    loops: LoopSet,
    queued: QueuedCommand,
) -> std::result::Result<(), QueueError> {
    check_room_for_timers(loops.iter().filter_map(|index| own.peers.queue(index)))?;
    for_each_copy(queued, loops, |index, copy| {
        let Some(peer) = own.peers.all().get(index) else { return };
        let copy = announced(queue, index, copy);
        if !local::is_current(peer.number) {
            let changes = copy.command.changes_subscription();
            local::push_for_peer(peer.number, copy);
            if changes {
                flush_to(&own.peers, index);
            }
            return;
        }
        if copy.command.changes_subscription()
            && let Some(queue) = own.peers.queue(index)
        {
            queue.order_with_others(&copy);
        }
        local::push(copy, 0);
    });
    Ok(())
}

/// Passes a copy of a command to each loop, and the command itself to the last one. A payload is shared.
pub(super) fn for_each_copy(
    queued: QueuedCommand,
    loops: LoopSet,
    mut pass: impl FnMut(usize, QueuedCommand),
) {
    let QueuedCommand { target, command } = queued;
    let mut left = loops;
    while left.has_several()
        && let Some(index) = left.first()
    {
        let copy = command.for_peer();
        copy.into_iter().for_each(|command| pass(index, QueuedCommand { target, command }));
        left = left.without_first();
    }
    if let Some(last) = left.first() {
        pass(last, QueuedCommand { target, command });
    }
}

/// Returns an error for a command of a timer if one of these queues of other loops is full. A loop does not read while the queue of another
/// one is full, but it fires timers, which could queue more without limit.
fn check_room_for_timers<Q: Borrow<CommandQueue>>(
    queues: impl IntoIterator<Item = Q>,
) -> std::result::Result<(), QueueError> {
    if local::fires_timers() && queues.into_iter().any(|queue| is_full_for_timers(queue.borrow())) {
        return Err(QueueError::Full);
    }
    Ok(())
}

fn is_full_for_timers(queue: &CommandQueue) -> bool {
    if local::is_current(queue.number) {
        return false;
    }
    let guard = queue.remote.lock();
    let count = guard.ordinary + local::len_for_peer(queue.number);
    let is_full = count >= queue.remote.capacity || guard.bytes >= queue.remote.max_bytes;
    is_full && !guard.is_closed
}

/// Announces a subscription to publishers, because they can reach the loop before it executes the command.
fn announced(queue: &CommandQueue, of_loop: usize, mut queued: QueuedCommand) -> QueuedCommand {
    if let Command::Shared(command) = &mut queued.command
        && let Some(command) = Arc::get_mut(command)
    {
        command.announce(|topic| Announcement::new(&queue.common.topics, topic, of_loop));
    }
    queued
}

/// Adds a command to the queues of several loops, or returns an error and adds it to no queue. Loops that have ended do not count, unless
/// all have. The queues are locked in the order of the pool, so that two threads cannot wait for each other.
fn push_remote(
    queue: &CommandQueue,
    own: &Membership,
    loops: LoopSet,
    queued: QueuedCommand,
) -> std::result::Result<(), QueueError> {
    let running = loops.iter().filter_map(|index| Some((index, own.peers.queue(index)?)));
    let queues: Vec<(usize, Arc<CommandQueue>)> = running.collect();
    let running = queues.iter().map(|(index, _)| *index).collect();
    // Dropping a command can lock the directory of topics, whose lock comes before those of queues.
    let (mut copies, mut unused) = (Batch::new(), Batch::new());
    for_each_copy(queued, running, |index, copy| copies.push(announced(queue, index, copy)));
    let mut locked: Vec<MutexGuard<'_, Queue>> =
        queues.iter().map(|(_, queue)| queue.remote.lock()).collect();
    if locked.iter().all(|guard| guard.is_closed) {
        drop(locked);
        return if queue.remote.is_closed() { Err(QueueError::Disconnected) } else { Ok(()) };
    }
    for (((_, queue), guard), copy) in queues.iter().zip(&locked).zip(&copies) {
        if !guard.is_closed {
            queue.remote.check_room(guard, copy)?;
        }
    }
    let mut to_wake = Vec::new();
    for (((_, queue), guard), copy) in queues.iter().zip(&mut locked).zip(copies) {
        if guard.is_closed {
            unused.push(copy);
        } else if queue.remote.is_new(&copy, guard) && queue.remote.add(guard, copy) {
            to_wake.push(queue);
        }
    }
    drop(locked);
    to_wake.into_iter().for_each(|queue| queue.remote.wake());
    Ok(())
}

/// Passes an accepted connection to the worker with the fewest connections. It is dropped if all workers have ended.
pub(crate) fn assign(queue: &CommandQueue, assigned: Assigned) {
    let Some(own) = queue.membership() else { return };
    let Some(index) = own.peers.least_loaded() else { return };
    let Some(worker) = own.peers.queue(index) else { return };
    let new = Command::NewConnection(Box::new(NewConnection::Assigned(assigned).into()));
    let command = placed(new, own, index);
    receive(&worker, &mut vec![QueuedCommand { target: Target::All, command }], own.index);
}

/// Counts a connection that a loop is going to create.
fn placed(mut command: Command, own: &Membership, index: usize) -> Command {
    if let Command::NewConnection(request) = &mut command {
        request.place = Some(LoopPlace::take(&own.peers, index));
    }
    command
}

/// Reports a change of a topic to its home, one of the workers. Returns the change if there is only this worker. Otherwise the home
/// receives all changes through its queue, in the order in which they happened.
pub(crate) fn report(own: &Membership, change: TopicChange) -> Option<TopicChange> {
    let workers = own.peers.workers().len().max(1);
    let mut hasher = DefaultHasher::new();
    change.topic().hash(&mut hasher);
    // The remainder is less than the number of workers.
    let home = usize::try_from(hasher.finish() % workers as u64).unwrap_or_default();
    if workers == 1 {
        return Some(change);
    }
    if let Some(queue) = own.peers.queue(home) {
        let command = SharedCommand::TopicChanged(change).into();
        receive(&queue, &mut vec![QueuedCommand { target: Target::All, command }], own.index);
    }
    None
}

/// Queues a command of a handler for a connection of another loop.
pub(super) fn push_to_peer(
    queue: &CommandQueue,
    queued: QueuedCommand,
) -> std::result::Result<(), QueueError> {
    check_room_for_timers([queue])?;
    let len = queued.command.buffered_len();
    let guard = queue.remote.lock();
    // Counted at once, so that a handler cannot exceed the limit of the connection.
    if let Some(status) = queue.remote.counted_status(queued.target, len) {
        status.add_remote(len);
    }
    drop(guard);
    let changes = queued.command.changes_subscription();
    local::push_for_peer(queue.number, queued);
    if changes && let Some(own) = queue.membership() {
        flush_to(&own.peers, own.index);
    }
    Ok(())
}

/// Sends what the handlers of a loop have sent to others. Returns the loops whose queues are too long.
pub(crate) fn flush(queue: &CommandQueue) -> Vec<usize> {
    let own = match queue.membership() {
        Some(own) if local::has_for_peers() => own,
        _ => return Vec::new(),
    };
    (0..own.peers.all().len()).filter(|index| flush_to(&own.peers, *index)).collect()
}

/// Sends what the handlers of this thread's loop have sent to another one. Returns whether the queue of that loop is too long.
///
/// A change of a subscription is sent at once: what other threads queue after the call must be executed after it.
fn flush_to(peers: &Peers, index: usize) -> bool {
    let Some(number) = peers.all().get(index).map(|peer| peer.number) else { return false };
    let mut commands = local::take_for_peer(number);
    if commands.is_empty() {
        return false;
    }
    let from = peers.all().iter().position(|peer| local::is_current(peer.number));
    // The commands for a loop that no longer exists are dropped.
    let (queue, from) = (peers.queue(index), from.unwrap_or_default());
    let is_long = queue.is_some_and(|queue| receive(&queue, &mut commands, from));
    local::give_back_for_peer(number, commands);
    is_long
}

/// Whether the queue of another loop is still too long.
pub(crate) fn is_long(queue: &CommandQueue, index: usize) -> bool {
    let peer = queue.membership().and_then(|own| own.peers.queue(index));
    peer.is_some_and(|peer| {
        let guard = peer.remote.lock();
        !guard.is_closed && peer.remote.is_long(&guard)
    })
}

/// Wakes other loops of the pool.
pub(crate) fn wake(queue: &CommandQueue, waiting: &[usize]) {
    let Some(own) = queue.membership() else { return };
    for peer in waiting.iter().filter_map(|index| own.peers.queue(*index)) {
        peer.remote.wake();
    }
}

/// Adds what a loop has sent to another one. Nothing is refused. Returns whether the queue is too long, so that the sender has to wait.
fn receive(queue: &CommandQueue, commands: &mut Batch, from: usize) -> bool {
    let mut guard = queue.remote.lock();
    if guard.is_closed {
        return false;
    }
    let mut must_wake = false;
    // The bytes for connections were counted when the commands were sent.
    for queued in commands.drain(..) {
        if queue.remote.is_new(&queued, &mut guard) {
            must_wake |= queue.remote.add(&mut guard, queued);
        }
    }
    let is_long = queue.remote.is_long(&guard);
    if is_long && !guard.waiting.contains(&from) {
        guard.waiting.push(from);
    }
    drop(guard);
    if must_wake {
        queue.remote.wake();
    }
    is_long
}
