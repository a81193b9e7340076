//! The queues between senders and their loop.
//!
//! On the thread of the loop, a command is added to a vector of the thread, without a lock or an atomic operation and without
//! a limit. On other threads, it is added to a queue behind a lock, which is bounded in commands and in bytes. The first
//! command after the loop has emptied the queue wakes the loop.

mod command;
mod control;
mod local;
#[cfg(all(test, loom))]
pub(super) mod models;
pub(crate) mod status;
mod sync;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

pub(crate) use self::command::{
    Batch, BoxedCommand, Command, Established, NewConnection, QueuedCommand, QueuedPublication, Target,
};
use self::control::{Control, QueuedControl};
use self::local::Entered;
pub(crate) use self::status::Phase;
use self::status::{ConnectionStatus, StatusTable};
use self::sync::atomic::AtomicUsize;
use self::sync::{Mutex, MutexGuard};
use super::api::settings::{Overflow, Settings};
use super::memory::MemoryBudget;
use super::monitoring::Monitor;
use super::publishing::topics::SubscriberCounts;
use crate::error::{Error, ErrorKind, QueueError, Result};
use crate::message::Message;
use crate::protocol::ProtocolError;

/// The queues and the connection status that the senders of a loop share with it.
pub(crate) struct CommandQueue {
    /// Identifies the loop.
    number: u64,
    queue: Mutex<Queue>,
    /// The number of commands that other threads have queued. It changes while the lock is held.
    pub(crate) remote_len: AtomicUsize,
    capacity: usize,
    /// The maximum number of bytes that the commands of other threads send.
    max_bytes: usize,
    /// The maximum number of bytes that are queued for a connection.
    limit: usize,
    overflow: Overflow,
    memory: MemoryBudget,
    /// How many connections subscribe to each topic.
    pub(crate) subscribers: Arc<SubscriberCounts>,
    /// What the loop has counted and measured.
    pub(crate) monitor: Monitor,
    statuses: StatusTable,
    wake: Box<dyn Fn() + Send + Sync>,
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
}

/// The commands that other threads have queued.
#[derive(Debug, Default)]
struct Queue {
    commands: VecDeque<QueuedCommand>,
    /// The number of commands that are no control commands.
    ordinary: usize,
    /// How many bytes the commands send.
    bytes: usize,
    /// The control commands that are queued for the loop or for all connections.
    control: QueuedControl,
    /// Whether the loop has been woken for the commands in the queue.
    is_announced: bool,
    is_closed: bool,
}

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

impl CommandQueue {
    pub(crate) fn new(
        settings: &Settings,
        wake: Box<dyn Fn() + Send + Sync>,
        clock: Box<dyn Fn() -> Instant + Send + Sync>,
    ) -> Self {
        Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            queue: Mutex::default(),
            remote_len: AtomicUsize::new(0),
            capacity: settings.queue_capacity(),
            max_bytes: settings.queue_bytes,
            limit: settings.output_limit(),
            overflow: settings.overflow,
            memory: MemoryBudget::new(settings.max_memory),
            subscribers: Arc::default(),
            monitor: Monitor::new(clock()),
            statuses: StatusTable::new(),
            wake,
            clock,
        }
    }

    /// The memory that the connections of the loop hold.
    pub(crate) fn memory(&self) -> &MemoryBudget {
        &self.memory
    }

    /// The time of the loop.
    pub(crate) fn now(&self) -> Instant {
        (self.clock)()
    }

    /// Makes this the thread of the loop.
    pub(crate) fn enter(&self) -> Entered {
        local::enter(self.number)
    }

    /// Queues a command, whatever is queued for its connection already.
    #[inline]
    pub(crate) fn push(&self, queued: QueuedCommand) -> std::result::Result<(), QueueError> {
        let QueuedCommand { target, command } = queued;
        let len = command.buffered_len();
        let counted = self.counted_status(target, len).map(|status| (status, len));
        self.enqueue(target, command, counted)
    }

    /// Queues that a connection has exceeded its limit. Nothing more is accepted for it.
    #[cold]
    pub(crate) fn push_overflow(&self, target: Target) -> std::result::Result<(), QueueError> {
        if local::is_here(self.number) {
            self.mark_full(target);
        }
        self.push(QueuedCommand { target, command: Command::Overflow })
    }

    /// Adds a command to the queue of this thread, or to that of other threads. `counted` is the status of the connection to
    /// whose output the command adds, and the number of bytes.
    #[inline(always)]
    fn enqueue(
        &self,
        target: Target,
        command: Command,
        counted: Option<(&ConnectionStatus, usize)>,
    ) -> std::result::Result<(), QueueError> {
        if !local::is_current(self.number) {
            return self.enqueue_elsewhere(QueuedCommand { target, command }, counted);
        }
        let mut len = 0;
        if let Some((status, added)) = counted {
            status.add_local(added);
            len = added;
        }
        local::push(QueuedCommand { target, command }, len);
        Ok(())
    }

    /// Queues a command if the loop is not the innermost one that runs on this thread.
    #[cold]
    fn enqueue_elsewhere(
        &self,
        queued: QueuedCommand,
        counted: Option<(&ConnectionStatus, usize)>,
    ) -> std::result::Result<(), QueueError> {
        if !local::is_outer(self.number) {
            return self.push_remote(queued);
        }
        if let Some((status, len)) = counted {
            status.add_local(len);
        }
        local::push_outer(self.number, queued);
        Ok(())
    }

    /// Queues a message or a control frame, if the output of its connection stays within the limit.
    #[inline]
    pub(crate) fn send(&self, target: Target, command: Command) -> Result<()> {
        let Target::One { slot, id } = target else {
            return Ok(self.push(QueuedCommand { target, command })?);
        };
        let status = self.statuses.find(slot);
        let Some(status) =
            status.filter(|status| matches!(status.phase(id), Phase::Connecting | Phase::Open))
        else {
            // The message is dropped, unless the loop itself has ended.
            return if local::is_here(self.number) || !self.is_closed() {
                Ok(())
            } else {
                Err(disconnected())
            };
        };
        let len = command.buffered_len();
        if self.fits(Some(status), len) {
            return Ok(self.enqueue(target, command, Some((status, len)))?);
        }
        if self.overflow == Overflow::Drop {
            Monitor::add(&self.monitor.dropped, 1);
            return Ok(());
        }
        Ok(self.push_overflow(target)?)
    }

    /// Queues a message if its connection is open and has room for it.
    pub(crate) fn try_send(&self, target: Target, message: Message) -> Result<()> {
        if !local::is_here(self.number) && self.is_closed() {
            return Err(disconnected());
        }
        if let Target::One { slot, id } = target {
            let status = self.statuses.find(slot);
            if status.is_none_or(|status| status.phase(id) != Phase::Open) {
                return Err(ProtocolError::NotOpen.into());
            }
            if !self.fits(status, message.len()) {
                return Err(no_room());
            }
        }
        Ok(self.push(QueuedCommand { target, command: Command::Message(message) })?)
    }

    /// Returns whether a message can be added to the output. A single message always can.
    #[inline]
    fn fits(&self, status: Option<&ConnectionStatus>, len: usize) -> bool {
        let buffered = status.map_or(0, ConnectionStatus::buffered);
        buffered == 0 || buffered.saturating_add(len) <= self.limit
    }

    /// Returns whether a broadcast can be added to the output of one of its receivers.
    #[inline]
    pub(crate) fn has_room(&self, slot: u32, len: usize) -> bool {
        self.fits(self.statuses.find(slot), len)
    }

    /// Returns whether several broadcasts of this total length can be added to it.
    #[inline]
    pub(crate) fn has_room_for_all(&self, slot: u32, len: usize) -> bool {
        self.statuses.find(slot).is_some_and(|status| status.buffered().saturating_add(len) <= self.limit)
    }

    pub(crate) fn overflow(&self) -> Overflow {
        self.overflow
    }

    pub(crate) fn buffered_amount(&self, slot: u32, id: u32) -> usize {
        let status = self.statuses.find(slot).filter(|status| status.phase(id) != Phase::Free);
        status.map_or(0, ConnectionStatus::buffered)
    }

    pub(crate) fn is_open(&self, slot: u32, id: u32) -> bool {
        self.statuses.find(slot).is_some_and(|status| status.phase(id) == Phase::Open)
    }

    /// Whether a connection has ended: its handler receives no further calls.
    pub(crate) fn has_ended(&self, slot: u32, id: u32) -> bool {
        let status = self.statuses.find(slot);
        status.is_none_or(|status| matches!(status.phase(id), Phase::Free | Phase::Closed))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Returns the status of the connection in a slot.
    #[inline]
    pub(crate) fn status(&self, slot: u32) -> Option<&ConnectionStatus> {
        self.statuses.find(slot)
    }

    /// Adds a connection in a slot.
    pub(crate) fn insert_connection(&self, slot: u32, id: u32) {
        let _queue = self.lock();
        if let Some(status) = self.statuses.ensure(slot) {
            status.insert(id);
        }
    }

    pub(crate) fn remove_connection(&self, slot: u32) {
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

    /// Drops the commands of other threads, because the loop no longer executes them.
    pub(crate) fn clear(&self) {
        let mut queue = self.lock();
        self.memory.remove_queued(queue.bytes);
        self.remote_len.store(0, Ordering::Release);
        *queue = Queue { is_closed: queue.is_closed, is_announced: queue.is_announced, ..Queue::default() };
    }

    /// Accepts commands again, for another run.
    pub(crate) fn reopen(&self) {
        self.lock().is_closed = false;
    }

    /// Swaps the commands of handlers with an empty batch.
    pub(crate) fn swap_local(&self, batch: &mut Batch) {
        local::swap(batch);
    }

    /// Puts commands back to the front of those of handlers. They were taken and not executed.
    pub(crate) fn put_back(&self, rest: impl Iterator<Item = QueuedCommand>) {
        local::put_back(rest);
    }

    /// Removes the only command of handlers, if it is a message for this target.
    #[inline]
    pub(crate) fn pop_only_message(&self, target: Target) -> Option<Message> {
        local::pop_only_message(target)
    }

    /// Returns whether handlers have queued commands, and this connection executes all of them.
    #[inline]
    pub(crate) fn has_only(&self, target: Target) -> bool {
        local::has_only(target)
    }

    #[inline]
    pub(crate) fn has_local(&self) -> bool {
        !local::is_empty()
    }

    /// Returns the number of commands that handlers have queued, and the approximate number of bytes that they send.
    #[inline]
    pub(crate) fn local_load(&self) -> (usize, usize) {
        local::load()
    }

    /// Takes up to `most` commands of other threads. Returns whether there are more.
    ///
    /// The lock is not taken while there are none: a turn of an echo would take about 100 instructions more (callgrind). A thread
    /// that queues a command at the same time wakes the loop, so that the next turn takes it.
    pub(crate) fn take_remote(&self, most: usize, batch: &mut Batch) -> bool {
        if self.remote_len.load(Ordering::Acquire) == 0 {
            return false;
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
        self.remote_len.store(queue.commands.len(), Ordering::Release);
        let has_more = !queue.commands.is_empty();
        queue.is_announced = has_more;
        has_more
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn has_remote(&self) -> bool {
        !self.lock().commands.is_empty()
    }

    fn push_remote(&self, queued: QueuedCommand) -> std::result::Result<(), QueueError> {
        let mut queue = self.lock();
        if queue.is_closed {
            return Err(QueueError::Disconnected);
        }
        let len = queued.command.buffered_len();
        match Control::of(&queued.command) {
            Some(control) if !self.add_control(control, queued.target, &queue.control) => return Ok(()),
            Some(_) => {}
            None if queue.ordinary >= self.capacity || !self.has_room_for_bytes(&queue, len) => {
                return Err(QueueError::Full);
            }
            None => {
                queue.ordinary += 1;
                queue.bytes += len;
                self.memory.add_queued(len);
            }
        }
        if let Some(status) = self.counted_status(queued.target, len) {
            status.add_remote(len);
        }
        if matches!(queued.command, Command::Overflow) {
            self.mark_full(queued.target);
        }
        queue.commands.push_back(queued);
        self.remote_len.store(queue.commands.len(), Ordering::Release);
        let must_wake = !std::mem::replace(&mut queue.is_announced, true);
        drop(queue);
        if must_wake {
            (self.wake)();
        }
        Ok(())
    }

    /// Returns whether a command that sends this many bytes can be added. A single command can be larger than the limit of
    /// the queue.
    fn has_room_for_bytes(&self, queue: &Queue, len: usize) -> bool {
        let fits = queue.bytes == 0 || queue.bytes.saturating_add(len) <= self.max_bytes;
        len == 0 || (fits && self.memory.has_room(len))
    }

    /// Records a control command. Returns whether it must be queued: not if it is queued already, or if its connection has
    /// gone.
    fn add_control(&self, control: Control, target: Target, for_all: &QueuedControl) -> bool {
        match target {
            Target::All => for_all.add(control),
            Target::One { .. } if control.is_for_loop() => for_all.add(control),
            Target::One { slot, id } => {
                let status = self.statuses.find(slot).filter(|status| status.phase(id) != Phase::Free);
                status.is_some_and(|status| status.control.add(control))
            }
        }
    }

    /// Records that a control command leaves the queue, and returns the command to execute.
    fn remove_control(
        &self,
        control: Control,
        queued: QueuedCommand,
        for_all: &QueuedControl,
    ) -> QueuedCommand {
        let QueuedCommand { target, command } = queued;
        let command = match target {
            Target::One { slot, id } if !control.is_for_loop() => {
                let status = self.statuses.find(slot).filter(|status| status.phase(id) != Phase::Free);
                match status {
                    Some(status) => status.control.remove(control, command),
                    None => command,
                }
            }
            _ => for_all.remove(control, command),
        };
        QueuedCommand { target, command }
    }

    /// Drops what is sent to a connection from now on, because its failure is queued. This thread is the loop's own or
    /// holds the lock, so the slot cannot change hands meanwhile.
    fn mark_full(&self, target: Target) {
        if let Target::One { slot, id } = target
            && let Some(status) = self.statuses.find(slot).filter(|status| status.phase(id) != Phase::Free)
        {
            status.advance(Phase::Closing);
        }
    }

    /// Returns the status of the connection to whose output these bytes add. `None` for no bytes, for a broadcast, and for
    /// a connection that has gone.
    #[inline]
    fn counted_status(&self, target: Target, len: usize) -> Option<&ConnectionStatus> {
        let Target::One { slot, id } = target else { return None };
        if len == 0 {
            return None;
        }
        self.statuses.find(slot).filter(|status| status.phase(id) != Phase::Free)
    }

    /// Ignores poisoning: a thread that panics while it holds the lock does not leave the queue inconsistent.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the error for a message that exceeds the limit.
pub(crate) fn no_room() -> Error {
    Error::new(ErrorKind::Capacity, "too much output is queued for this connection")
}

pub(crate) fn disconnected() -> Error {
    Error::from(QueueError::Disconnected)
}

impl fmt::Debug for CommandQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandQueue").field("number", &self.number).finish_non_exhaustive()
    }
}
