//! The commands that other threads queue for a loop, behind a lock.

use std::collections::VecDeque;
use std::fmt;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::control::{Control, QueuedControl};
use super::status::{ConnectionStatus, Phase, StatusTable};
use super::sync::atomic::AtomicUsize;
use super::sync::{Mutex, MutexGuard};
use super::{Batch, Command, QueuedCommand, Target};
use crate::error::QueueError;
use crate::reactor::api::settings::Settings;
use crate::reactor::memory::MemoryBudget;

/// The queue for the commands of other threads, and the status of each connection, which changes hands under the same lock.
pub(crate) struct RemoteQueue {
    queue: Mutex<Queue>,
    /// The number of commands. It changes while the lock is held.
    len: AtomicUsize,
    pub(super) capacity: usize,
    /// The maximum number of bytes that the commands send.
    pub(super) max_bytes: usize,
    memory: MemoryBudget,
    pub(super) statuses: StatusTable,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// The commands that other threads have queued.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) commands: VecDeque<QueuedCommand>,
    /// The number of commands that are no control commands.
    pub(super) ordinary: usize,
    /// How many bytes the commands send.
    pub(super) bytes: usize,
    /// How many of the ordinary commands, and of their bytes, have been moved to those of handlers and not been executed.
    pub(super) moved: (usize, usize),
    /// The control commands that are queued for the loop or for all connections.
    control: QueuedControl,
    /// Whether the loop has been woken for the commands in the queue.
    pub(super) is_announced: bool,
    /// The loops of the pool that do not read before the queue is shorter.
    pub(super) waiting: Vec<usize>,
    pub(super) is_closed: bool,
}

impl RemoteQueue {
    pub(super) fn new(settings: &Settings, memory: MemoryBudget, wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            queue: Mutex::default(),
            len: AtomicUsize::new(0),
            capacity: settings.queue_capacity(),
            max_bytes: settings.queue_bytes,
            memory,
            statuses: StatusTable::new(),
            wake,
        }
    }

    /// The number of commands.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether there are commands to take.
    #[inline]
    pub(crate) fn has_some(&self) -> bool {
        self.len.load(Ordering::Acquire) > 0
    }

    /// The most commands that other threads can queue.
    #[cfg(test)]
    pub(crate) fn len_limit(&self) -> usize {
        self.capacity
    }

    /// Whether commands are rejected.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Adds a connection in a slot.
    pub(super) fn insert_connection(&self, slot: u32, id: u32) {
        let _queue = self.lock();
        if let Some(status) = self.statuses.ensure(slot) {
            status.insert(id);
        }
    }

    pub(super) fn remove_connection(&self, slot: u32) {
        let _queue = self.lock();
        if let Some(status) = self.statuses.find(slot) {
            status.remove();
        }
    }

    /// Rejects commands of other threads from now on. Commands that they have queued are still executed.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
    }

    /// Rejects commands of other threads from now on, unless they have queued some. Returns whether it does. A command that is
    /// queued at the same time is thus either rejected or executed.
    pub(crate) fn close_if_empty(&self) -> bool {
        let mut queue = self.lock();
        let is_empty = queue.commands.is_empty();
        queue.is_closed |= is_empty;
        is_empty
    }

    /// Drops the commands of other threads, because the loop no longer executes them. Returns the loops that wait.
    pub(super) fn clear(&self) -> Vec<usize> {
        let mut queue = self.lock();
        self.memory.remove_queued(queue.bytes);
        self.len.store(0, Ordering::Release);
        let empty =
            Queue { is_closed: queue.is_closed, is_announced: queue.is_announced, ..Queue::default() };
        let mut dropped = std::mem::replace(&mut *queue, empty);
        // Commands are dropped without the lock, because the directory of topics takes it while it is locked itself.
        drop(queue);
        std::mem::take(&mut dropped.waiting)
    }

    /// Accepts commands again, for another run.
    pub(crate) fn reopen(&self) {
        self.lock().is_closed = false;
    }

    /// Takes up to `most` commands of other threads. Returns whether there are more, and the loops that can continue to read because of it.
    ///
    /// The lock is not taken while there are none: a turn of an echo would take about 100 instructions more (callgrind). A thread
    /// that queues a command at the same time wakes the loop, so that the next turn takes it.
    pub(super) fn take(&self, most: usize, batch: &mut Batch) -> (bool, Vec<usize>) {
        if !self.has_some() {
            return (false, Vec::new());
        }
        let mut queue = self.lock();
        let count = most.min(queue.commands.len());
        let Queue { commands, ordinary, bytes, control, .. } = &mut *queue;
        let before = *bytes;
        batch.extend(commands.drain(..count).map(|queued| match Control::of(&queued.command) {
            Some(kind) => self.remove_control(kind, queued, control),
            None => {
                *ordinary -= 1;
                *bytes -= queued.command.buffered_len();
                queued
            }
        }));
        self.memory.remove_queued(before - *bytes);
        // If there are more, the loop continues by itself. It need not be woken.
        self.len.store(queue.commands.len(), Ordering::Release);
        let has_more = !queue.commands.is_empty();
        queue.is_announced = has_more;
        let released = if self.is_long(&queue) { Vec::new() } else { std::mem::take(&mut queue.waiting) };
        (has_more, released)
    }

    /// Moves all commands to a batch. They count until [`release_moved`](Self::release_moved), so that other threads cannot queue more
    /// than the limits.
    pub(super) fn move_all(&self, batch: &mut Batch) {
        if !self.has_some() {
            return;
        }
        let mut queue = self.lock();
        let Queue { commands, ordinary, bytes, moved, control, .. } = &mut *queue;
        batch.extend(commands.drain(..).map(|queued| match Control::of(&queued.command) {
            Some(kind) => self.remove_control(kind, queued, control),
            None => queued,
        }));
        *moved = (*ordinary, *bytes);
        self.len.store(0, Ordering::Release);
        queue.is_announced = false;
    }

    /// The commands that were moved have been executed. Returns the loops that can continue to read because of it.
    pub(super) fn release_moved(&self) -> Vec<usize> {
        let mut queue = self.lock();
        let (ordinary, bytes) = std::mem::take(&mut queue.moved);
        queue.ordinary -= ordinary;
        queue.bytes -= bytes;
        self.memory.remove_queued(bytes);
        if self.is_long(&queue) { Vec::new() } else { std::mem::take(&mut queue.waiting) }
    }

    #[cfg(any(test, fuzzing, feature = "testing"))]
    pub(crate) fn has_commands(&self) -> bool {
        !self.lock().commands.is_empty()
    }

    /// Wakes the loop.
    pub(super) fn wake(&self) {
        (self.wake)();
    }

    /// Adds a command, if there is room for it.
    pub(super) fn push(&self, queued: QueuedCommand) -> std::result::Result<(), QueueError> {
        let mut queue = self.lock();
        self.check_room(&queue, &queued)?;
        if !self.is_new(&queued, &mut queue) {
            return Ok(());
        }
        if let Some(status) = self.counted_status(queued.target, queued.command.buffered_len()) {
            status.add_remote(queued.command.buffered_len());
        }
        let must_wake = self.add(&mut queue, queued);
        drop(queue);
        if must_wake {
            self.wake();
        }
        Ok(())
    }

    /// Returns an error if the queue does not accept a command. It always accepts control commands.
    pub(super) fn check_room(
        &self,
        queue: &Queue,
        queued: &QueuedCommand,
    ) -> std::result::Result<(), QueueError> {
        if queue.is_closed {
            return Err(QueueError::Disconnected);
        }
        let has_room = Control::of(&queued.command).is_some()
            || queue.ordinary < self.capacity
                && self.has_room_for_bytes(queue, queued.command.buffered_len());
        if has_room { Ok(()) } else { Err(QueueError::Full) }
    }

    /// Whether a command must be queued: not a control command that is queued already.
    pub(super) fn is_new(&self, queued: &QueuedCommand, queue: &mut Queue) -> bool {
        let control = Control::of(&queued.command);
        control.is_none_or(|control| self.add_control(control, queued.target, &mut queue.control))
    }

    /// Adds a command. Returns whether the loop must be woken.
    pub(super) fn add(&self, queue: &mut Queue, queued: QueuedCommand) -> bool {
        let len = queued.command.buffered_len();
        if Control::of(&queued.command).is_none() {
            queue.ordinary += 1;
            queue.bytes += len;
            self.memory.add_queued(len);
        }
        if matches!(queued.command, Command::Overflow) {
            self.mark_full(queued.target);
        }
        queue.commands.push_back(queued);
        self.len.store(queue.commands.len(), Ordering::Release);
        !std::mem::replace(&mut queue.is_announced, true)
    }

    /// Whether more is queued than other threads may queue.
    pub(super) fn is_long(&self, queue: &Queue) -> bool {
        queue.ordinary > self.capacity || queue.bytes > self.max_bytes
    }

    /// Returns whether a command that sends this many bytes can be added. A single command can be larger than the limit of
    /// the queue.
    fn has_room_for_bytes(&self, queue: &Queue, len: usize) -> bool {
        let fits = queue.bytes == 0 || queue.bytes.saturating_add(len) <= self.max_bytes;
        len == 0 || (fits && self.memory.has_room(len))
    }

    /// Records a control command. Returns whether it must be queued: not if it is queued already, or if its connection has
    /// gone.
    fn add_control(&self, control: Control, target: Target, for_all: &mut QueuedControl) -> bool {
        match target {
            Target::All => for_all.add(control),
            Target::One { .. } if control.is_for_loop() => for_all.add(control),
            Target::One { slot, id } => {
                let status = self.statuses.find(slot).filter(|status| status.phase(id) != Phase::Free);
                status.is_some_and(|status| status.change_control(|queued| queued.add(control)))
            }
        }
    }

    /// Records that a control command leaves the queue, and returns the command to execute.
    fn remove_control(
        &self,
        control: Control,
        queued: QueuedCommand,
        for_all: &mut QueuedControl,
    ) -> QueuedCommand {
        let QueuedCommand { target, command } = queued;
        let command = match target {
            Target::One { slot, id } if !control.is_for_loop() => {
                let status = self.statuses.find(slot).filter(|status| status.phase(id) != Phase::Free);
                match status {
                    Some(status) => status.change_control(|queued| queued.remove(control, command)),
                    None => command,
                }
            }
            _ => for_all.remove(control, command),
        };
        QueuedCommand { target, command }
    }

    /// Drops what is sent to a connection from now on, because its failure is queued. This thread is the loop's own or
    /// holds the lock, so the slot cannot change hands meanwhile.
    pub(super) fn mark_full(&self, target: Target) {
        if let Target::One { slot, id } = target
            && let Some(status) = self.statuses.find(slot).filter(|status| status.phase(id) != Phase::Free)
        {
            status.advance(Phase::Closing);
        }
    }

    /// Returns the status of the connection to whose output these bytes add. `None` for no bytes, for a broadcast, and for
    /// a connection that has gone.
    #[inline]
    pub(super) fn counted_status(&self, target: Target, len: usize) -> Option<&ConnectionStatus> {
        let Target::One { slot, id } = target else { return None };
        if len == 0 {
            return None;
        }
        self.statuses.find(slot).filter(|status| status.phase(id) != Phase::Free)
    }

    /// Ignores poisoning: a thread that panics while it holds the lock does not leave the queue inconsistent.
    pub(super) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RemoteQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteQueue").field("len", &self.len()).finish_non_exhaustive()
    }
}
