//! The commands that callbacks give on the thread of their loop: a plain vector that belongs to the thread.
//!
//! Loops may be nested: one may run within a callback of another. Then the commands for the outer one wait.

use std::cell::{Cell, RefCell};

use super::{Batch, Command, QueuedCommand, Target};
use crate::message::Message;

thread_local! {
    /// The number of the loop that runs on this thread; 0 if there is none.
    static LOOP: Cell<u64> = const { Cell::new(0) };
    /// What its callbacks have asked for.
    static COMMANDS: RefCell<Batch> = const { RefCell::new(Vec::new()) };
    /// About how many bytes the commands have to send.
    static WEIGHT: Cell<usize> = const { Cell::new(0) };
    /// The same of the loops within whose callbacks this one runs.
    static OUTER: RefCell<Vec<(u64, Batch)>> = const { RefCell::new(Vec::new()) };
}

/// Marks the thread as that of a loop, until it is dropped.
#[derive(Debug)]
pub(crate) struct Entered(());

/// Makes this thread that of the loop with this number.
pub(crate) fn enter(number: u64) -> Entered {
    let outer = (LOOP.replace(number), COMMANDS.take());
    OUTER.with_borrow_mut(|all| all.push(outer));
    Entered(())
}

impl Drop for Entered {
    fn drop(&mut self) {
        let (number, commands) = OUTER.with_borrow_mut(Vec::pop).unwrap_or_default();
        LOOP.set(number);
        COMMANDS.set(commands);
    }
}

/// Whether the loop runs on this thread, and not another one within a callback of it.
#[inline]
pub(crate) fn is_current(number: u64) -> bool {
    LOOP.get() == number
}

/// Whether the loop runs on this thread, but waits for another one that runs within a callback of it.
pub(crate) fn is_outer(number: u64) -> bool {
    OUTER.with_borrow(|all| all.iter().any(|(outer, _)| *outer == number))
}

/// Queues a command for the loop that [is current](is_current).
#[inline(always)]
pub(crate) fn push(queued: QueuedCommand, weight: usize) {
    WEIGHT.with(|sum| sum.set(sum.get() + weight));
    COMMANDS.with_borrow_mut(|commands| commands.push(queued));
}

/// Queues a command for a loop that [is an outer one](is_outer).
pub(crate) fn push_outer(number: u64, queued: QueuedCommand) {
    OUTER.with_borrow_mut(|all| {
        if let Some((_, commands)) = all.iter_mut().find(|(outer, _)| *outer == number) {
            commands.push(queued);
        }
    });
}

/// Exchanges the commands with an empty batch.
pub(crate) fn swap(batch: &mut Batch) {
    WEIGHT.with(|sum| sum.set(0));
    COMMANDS.with_borrow_mut(|commands| std::mem::swap(commands, batch));
}

#[inline]
pub(crate) fn is_empty() -> bool {
    COMMANDS.with_borrow(Vec::is_empty)
}

/// How many commands there are, and how many bytes they have to send.
#[inline]
pub(crate) fn load() -> (usize, usize) {
    (COMMANDS.with_borrow(Vec::len), WEIGHT.get())
}

/// Takes the commands if that is one message, and to this target.
#[inline]
pub(crate) fn pop_only_message(target: Target) -> Option<Message> {
    COMMANDS.with_borrow_mut(|commands| {
        match commands.as_slice() {
            [QueuedCommand { target: only, command: Command::Message(_) }] if *only == target => {}
            _ => return None,
        }
        WEIGHT.with(|sum| sum.set(0));
        match commands.pop()?.command {
            Command::Message(message) => Some(message),
            _ => None,
        }
    })
}

/// Whether there are commands, and all of them concern this target, and not the loop.
#[inline]
pub(crate) fn has_only(target: Target) -> bool {
    COMMANDS.with_borrow(|commands| {
        !commands.is_empty()
            && commands.iter().all(|queued| queued.target == target && queued.command.is_for_connection())
    })
}
