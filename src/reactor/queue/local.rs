//! The commands that handlers queue on the thread of their loop, in a vector that belongs to the thread.
//!
//! Loops can be nested: a handler of one loop can run another loop. The commands for the outer loop are then kept until the
//! inner one has ended.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Instant;

use super::sync::thread_local;
use super::{Batch, Command, CommandQueue, QueuedCommand, SharedCommand, Target, TimeoutChange};
use crate::message::Message;
use crate::reactor::MAX_KEPT_COMMANDS;
use crate::reactor::api::util::{Timeout, Token};
use crate::reactor::entries::ConnectionId;

/// A timeout that a handler sets.
#[derive(Debug, Clone, Copy)]
struct NewTimeout {
    target: Target,
    at: Option<Instant>,
    token: Token,
}

/// What a handler asks for a timeout that is set.
#[derive(Debug, Clone, Copy)]
struct ChangedTimeout {
    place: u32,
    serial: u64,
    change: TimeoutChange,
}

thread_local! {
    /// The number of the innermost loop that runs on this thread, or 0.
    static LOOP: Cell<u64> = const { Cell::new(0) };
    /// The commands of its handlers.
    static COMMANDS: RefCell<Batch> = const { RefCell::new(Vec::new()) };
    /// A timeout that precedes the commands. A handler that sets one with each message thus queues only the message in the vector.
    static FIRST: Cell<Option<NewTimeout>> = const { Cell::new(None) };
    /// Whether there is one. This is read often, and is shorter.
    static HAS_FIRST: Cell<bool> = const { Cell::new(false) };
    /// A message that precedes the commands, and follows that timeout. Usually it is the answer of a handler, and the only command. It
    /// costs less to take it from here than from the vector.
    static ANSWER: Cell<Option<Message>> = const { Cell::new(None) };
    /// The connection that sends the message, if there is one.
    static ANSWER_TARGET: Cell<Option<Target>> = const { Cell::new(None) };
    /// What its handlers have asked last for a timeout that is set. This has no order with the commands, because it only decides
    /// whether and when timers fire, which is a phase of its own.
    static LAST_CHANGE: Cell<Option<ChangedTimeout>> = const { Cell::new(None) };
    /// Whether there is any of it.
    static HAS_CHANGE: Cell<bool> = const { Cell::new(false) };
    /// What they have asked for other timeouts before.
    static CHANGES: RefCell<Vec<ChangedTimeout>> = const { RefCell::new(Vec::new()) };
    /// The approximate number of bytes that the commands send.
    static WEIGHT: Cell<usize> = const { Cell::new(0) };
    /// Whether the commands contain a change of a subscription, and what other threads had queued before it.
    static COMES_FIRST: Cell<bool> = const { Cell::new(false) };
    /// What handlers have sent to other loops of the pool: the number of the loop, and the commands.
    static FOR_PEERS: RefCell<Vec<(u64, Batch)>> = const { RefCell::new(Vec::new()) };
    /// The queue of the innermost loop.
    static QUEUE: RefCell<Option<Arc<CommandQueue>>> = const { RefCell::new(None) };
    /// The connection whose handler is being called.
    static RECEIVER: Cell<Option<ConnectionId>> = const { Cell::new(None) };
    /// Whether the loop fires timers.
    static FIRES_TIMERS: Cell<bool> = const { Cell::new(false) };
    /// The numbers and commands of the outer loops.
    static OUTER: RefCell<Vec<(u64, Batch)>> = const { RefCell::new(Vec::new()) };
}

/// Marks the thread as that of a loop until the value is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    /// Whether the commands of the outer loop come first.
    outer_comes_first: bool,
    outer_queue: Option<Arc<CommandQueue>>,
    outer_receiver: Option<ConnectionId>,
}

/// Makes this the thread of the loop with this queue.
pub(crate) fn enter(queue: &Arc<CommandQueue>) -> Entered {
    spill();
    let mut outer = (LOOP.replace(queue.number), COMMANDS.take());
    take_timeout_changes(|timeout, change| {
        let command = SharedCommand::ChangeTimeout(timeout, change).into();
        outer.1.push(QueuedCommand { target: Target::All, command });
    });
    OUTER.with_borrow_mut(|all| all.push(outer));
    Entered {
        outer_comes_first: COMES_FIRST.replace(false),
        outer_queue: QUEUE.with_borrow_mut(|current| current.replace(Arc::clone(queue))),
        outer_receiver: RECEIVER.replace(None),
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let (number, commands) = OUTER.with_borrow_mut(Vec::pop).unwrap_or_default();
        LOOP.set(number);
        COMMANDS.set(commands);
        HAS_FIRST.set(false);
        drop(take_answer());
        take_timeout_changes(|_, _| {});
        COMES_FIRST.set(self.outer_comes_first);
        QUEUE.set(self.outer_queue.take());
        RECEIVER.set(self.outer_receiver);
    }
}

/// The handler of a connection is called until this value is dropped. Meanwhile, [`receiver`] returns the connection.
#[derive(Debug)]
pub(in crate::reactor) struct Receiving {
    outer: Option<ConnectionId>,
}

impl Receiving {
    #[inline]
    pub(in crate::reactor) fn begin(id: ConnectionId) -> Self {
        Self { outer: RECEIVER.replace(Some(id)) }
    }
}

impl Drop for Receiving {
    #[inline]
    fn drop(&mut self) {
        RECEIVER.set(self.outer);
    }
}

/// Returns the connection whose handler is being called on this thread, and the queue of its loop.
pub(in crate::reactor) fn receiver() -> Option<(Arc<CommandQueue>, ConnectionId)> {
    let queue = QUEUE.with_borrow(Option::clone)?;
    Some((queue, RECEIVER.get()?))
}

/// Returns whether this is the innermost loop that runs on this thread.
#[inline]
pub(crate) fn is_current(number: u64) -> bool {
    LOOP.get() == number
}

/// Returns whether the loop runs on this thread and waits for an inner one.
pub(crate) fn is_outer(number: u64) -> bool {
    OUTER.with_borrow(|all| all.iter().any(|(outer, _)| *outer == number))
}

/// Returns whether the loop runs on this thread, as the innermost one or as an outer one.
pub(crate) fn is_here(number: u64) -> bool {
    is_current(number) || is_outer(number)
}

/// Queues a command for the [innermost](is_current) loop.
#[inline(always)]
pub(crate) fn push(queued: QueuedCommand, weight: usize) {
    WEIGHT.with(|sum| sum.set(sum.get() + weight));
    if has_answer() {
        spill();
    }
    COMMANDS.with_borrow_mut(|commands| commands.push(queued));
}

/// Queues a message for the [innermost](is_current) loop.
#[inline(always)]
pub(crate) fn push_message(target: Target, message: Message) {
    if has_answer() || COMMANDS.with_borrow(|commands| !commands.is_empty()) {
        let weight = message.len();
        return push(QueuedCommand { target, command: Command::Message(message) }, weight);
    }
    ANSWER.with(|answer| answer.set(Some(message)));
    ANSWER_TARGET.set(Some(target));
}

/// Queues a timeout for the [innermost](is_current) loop.
#[inline]
pub(crate) fn push_timeout(target: Target, at: Option<Instant>, token: Token) {
    if is_empty() {
        FIRST.set(Some(NewTimeout { target, at, token }));
        HAS_FIRST.set(true);
    } else {
        push(QueuedCommand { target, command: Command::Timeout(at, token) }, 0);
    }
}

#[inline]
fn has_first() -> bool {
    HAS_FIRST.get()
}

#[inline]
fn has_answer() -> bool {
    ANSWER_TARGET.get().is_some()
}

/// Takes the message that precedes the commands, and its connection.
#[inline]
fn take_answer() -> Option<(Target, Message)> {
    let target = ANSWER_TARGET.take()?;
    Some((target, ANSWER.take()?))
}

/// Adds to the commands what precedes them.
#[inline]
fn spill() {
    if has_first() || has_answer() {
        spill_some();
    }
}

#[inline(never)]
fn spill_some() {
    let first = if HAS_FIRST.replace(false) { FIRST.get() } else { None };
    let first = first.map(|NewTimeout { target, at, token }| QueuedCommand {
        target,
        command: Command::Timeout(at, token),
    });
    let answer = take_answer().map(|(target, message)| {
        WEIGHT.with(|sum| sum.set(sum.get() + message.len()));
        QueuedCommand { target, command: Command::Message(message) }
    });
    COMMANDS.with_borrow_mut(|commands| drop(commands.splice(0..0, first.into_iter().chain(answer))));
}

/// Records what a handler of the [innermost](is_current) loop asks for a timeout.
#[inline]
pub(crate) fn change_timeout(timeout: &Timeout, change: TimeoutChange) {
    let Timeout { place, serial } = *timeout;
    if let Some(last) = LAST_CHANGE.get() {
        if (last.place, last.serial) != (place, serial) {
            CHANGES.with_borrow_mut(|changes| changes.push(last));
        } else if matches!(last.change, TimeoutChange::Cancel) {
            return;
        }
        // A timeout that moves with every message is moved once for all messages of a read.
    }
    LAST_CHANGE.set(Some(ChangedTimeout { place, serial, change }));
    HAS_CHANGE.set(true);
}

/// Takes what handlers have asked for timeouts.
#[inline(always)]
pub(crate) fn take_timeout_changes(take: impl FnMut(Timeout, TimeoutChange)) {
    if HAS_CHANGE.get() {
        take_changes(take);
    }
}

#[inline(never)]
fn take_changes(mut take: impl FnMut(Timeout, TimeoutChange)) {
    HAS_CHANGE.set(false);
    let Some(last) = LAST_CHANGE.replace(None) else { return };
    let mut take = |ChangedTimeout { place, serial, change }| take(Timeout { place, serial }, change);
    CHANGES.with_borrow_mut(|changes| {
        if !changes.is_empty() {
            changes.drain(..).for_each(&mut take);
            changes.shrink_to(MAX_KEPT_COMMANDS);
        }
    });
    take(last);
}

/// Queues commands of other threads. They are executed before what other threads queue later.
pub(crate) fn push_in_order(mut commands: Batch) {
    COMES_FIRST.set(true);
    spill();
    COMMANDS.with_borrow_mut(|own| own.append(&mut commands));
}

/// Whether the commands must be executed before those of other threads.
#[inline]
pub(crate) fn comes_first() -> bool {
    COMES_FIRST.get()
}

/// Queues a command of the innermost loop for another loop of its pool.
pub(crate) fn push_for_peer(number: u64, queued: QueuedCommand) {
    FOR_PEERS.with_borrow_mut(|all| match all.iter_mut().find(|(peer, _)| *peer == number) {
        Some((_, commands)) => commands.push(queued),
        None => all.push((number, vec![queued])),
    });
}

/// Whether there are commands for other loops.
#[inline]
pub(crate) fn has_for_peers() -> bool {
    FOR_PEERS.with_borrow(|all| all.iter().any(|(_, commands)| !commands.is_empty()))
}

/// Returns the number of commands for another loop.
pub(crate) fn len_for_peer(number: u64) -> usize {
    FOR_PEERS.with_borrow(|all| {
        let found = all.iter().find(|(peer, _)| *peer == number);
        found.map_or(0, |(_, commands)| commands.len())
    })
}

/// The loop begins or ends to fire timers.
pub(crate) fn set_fires_timers(fires: bool) {
    FIRES_TIMERS.set(fires);
}

/// Whether the loop fires timers.
pub(crate) fn fires_timers() -> bool {
    FIRES_TIMERS.get()
}

/// Takes the commands for another loop. [`give_back_for_peer`] follows.
pub(crate) fn take_for_peer(number: u64) -> Batch {
    FOR_PEERS.with_borrow_mut(|all| {
        let found = all.iter_mut().find(|(peer, _)| *peer == number);
        found.map(|(_, commands)| std::mem::take(commands)).unwrap_or_default()
    })
}

/// Keeps the memory of a batch of commands for another loop, which have been passed on.
pub(crate) fn give_back_for_peer(number: u64, mut batch: Batch) {
    batch.clear();
    batch.shrink_to(MAX_KEPT_COMMANDS);
    FOR_PEERS.with_borrow_mut(|all| {
        let found = all.iter_mut().find(|(peer, commands)| *peer == number && commands.is_empty());
        found.into_iter().for_each(|(_, commands)| std::mem::swap(commands, &mut batch));
    });
}

/// Queues a command for an [outer](is_outer) loop.
pub(crate) fn push_outer(number: u64, queued: QueuedCommand) {
    OUTER.with_borrow_mut(|all| {
        if let Some((_, commands)) = all.iter_mut().find(|(outer, _)| *outer == number) {
            commands.push(queued);
        }
    });
}

/// Swaps the commands with an empty batch. Returns whether they had to [come first](comes_first).
pub(crate) fn swap(batch: &mut Batch) -> bool {
    spill();
    WEIGHT.with(|sum| sum.set(0));
    COMMANDS.with_borrow_mut(|commands| std::mem::swap(commands, batch));
    COMES_FIRST.replace(false)
}

/// Puts commands back to the front that were taken and not executed.
pub(crate) fn put_back(rest: impl Iterator<Item = QueuedCommand>) {
    spill();
    COMMANDS.with_borrow_mut(|commands| drop(commands.splice(0..0, rest)));
}

#[inline]
pub(crate) fn is_empty() -> bool {
    !has_first() && !has_answer() && COMMANDS.with_borrow(Vec::is_empty)
}

/// Returns the number of commands, and the approximate number of bytes that they send.
#[inline]
pub(crate) fn load() -> (usize, usize) {
    spill();
    (COMMANDS.with_borrow(Vec::len), WEIGHT.get())
}

/// Removes the only command, if it is a message for this target.
#[inline]
pub(crate) fn pop_only_message(target: Target) -> Option<Message> {
    // While there is such a message, the vector is empty.
    if has_first() || ANSWER_TARGET.get() != Some(target) {
        return None;
    }
    ANSWER_TARGET.set(None);
    ANSWER.take()
}

/// Removes a timeout that precedes the commands, if it is one of this target.
#[inline]
pub(crate) fn pop_first_timeout(target: Target) -> Option<(Option<Instant>, Token)> {
    if !has_first() {
        return None;
    }
    let first = FIRST.get().filter(|first| first.target == target)?;
    HAS_FIRST.set(false);
    Some((first.at, first.token))
}

/// Returns whether there are commands, and this target executes all of them.
#[inline]
pub(crate) fn has_only(target: Target) -> bool {
    spill();
    COMMANDS.with_borrow(|commands| {
        !commands.is_empty()
            && commands.iter().all(|queued| queued.target == target && queued.command.is_for_connection())
    })
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const TARGETS: [Target; 2] = [Target::One { slot: 0, id: 1 }, Target::One { slot: 1, id: 2 }];

    /// Queues a command of one of the kinds that are kept in different places. The number identifies it.
    fn push_kind(kind: usize, number: usize) {
        let Some(target) = TARGETS.get(kind % 2).copied() else { unreachable!("there are two") };
        match kind {
            0 | 1 => push_message(target, Message::text(number.to_string())),
            2 | 3 => push_timeout(target, None, Token(number)),
            _ => push(
                QueuedCommand { target, command: Command::Message(Message::text(number.to_string())) },
                1,
            ),
        }
    }

    fn number_of(queued: &QueuedCommand) -> usize {
        match &queued.command {
            Command::Message(message) => message.as_text().unwrap().parse().unwrap(),
            Command::Timeout(_, token) => token.0,
            command => unreachable!("{command:?} was not queued"),
        }
    }

    #[test]
    fn commands_leave_in_the_order_in_which_they_were_queued() {
        const KINDS: usize = 5;
        for sequence in 0..KINDS.pow(5) {
            for len in 0..=5 {
                assert!(is_empty());
                for number in 0..len {
                    push_kind(sequence / KINDS.pow(u32::try_from(number).unwrap()) % KINDS, number);
                }
                assert_eq!(is_empty(), len == 0);
                if sequence % 2 == 0 {
                    assert_eq!(load().0, len);
                }
                let mut batch = Batch::new();
                swap(&mut batch);
                let numbers: Vec<usize> = batch.iter().map(number_of).collect();
                assert_eq!(numbers, (0..len).collect::<Vec<_>>(), "sequence {sequence}");
            }
        }
    }

    #[test]
    fn only_a_message_that_nothing_precedes_is_taken_alone() {
        let [own, other] = TARGETS;
        push_kind(0, 7);
        assert!(pop_only_message(other).is_none(), "it is for another connection");
        assert_eq!(pop_only_message(own).unwrap().as_text().unwrap(), "7");
        assert!(is_empty() && pop_only_message(own).is_none());
        push_kind(2, 0);
        push_kind(0, 1);
        assert!(pop_only_message(own).is_none(), "a timeout precedes it");
        assert!(pop_first_timeout(own).is_some() && pop_only_message(own).is_some() && is_empty());
        push_kind(0, 0);
        push_kind(0, 1);
        assert!(pop_only_message(own).is_none() && has_only(own), "there are two");
        let mut batch = Batch::new();
        swap(&mut batch);
        assert_eq!((batch.len(), is_empty()), (2, true));
    }
}
