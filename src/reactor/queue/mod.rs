//! The queues between senders and their loop.
//!
//! On the loop's own thread a command goes into a plain vector that belongs to the thread: no lock, no atomic, no wake-up,
//! no limit. From other threads it goes through a bounded queue under a lock, and the first one after the loop has looked
//! wakes it.

mod command;
mod local;
pub(crate) mod status;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use self::command::{Batch, Command, QueuedCommand, Target};
use self::local::Entered;
pub(crate) use self::status::Phase;
use self::status::{ConnectionStatus, StatusTable};
use super::api::settings::{Overflow, Settings};
use crate::error::{Error, ErrorKind, QueueError, Result};
use crate::message::Message;
use crate::protocol::ProtocolError;

/// What the senders of one loop share with it.
pub(crate) struct CommandQueue {
    /// Tells loops apart.
    number: u64,
    queue: Mutex<Queue>,
    capacity: usize,
    /// The most bytes that may be queued for one connection.
    limit: usize,
    overflow: Overflow,
    statuses: StatusTable,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// The commands of other threads.
#[derive(Debug, Default)]
struct Queue {
    commands: VecDeque<QueuedCommand>,
    /// Whether the loop has been woken for what is in the queue.
    is_announced: bool,
    is_closed: bool,
}

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

impl CommandQueue {
    pub(crate) fn new(settings: &Settings, wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            queue: Mutex::default(),
            capacity: settings.queue_capacity(),
            limit: settings.output_limit(),
            overflow: settings.overflow,
            statuses: StatusTable::new(),
            wake,
        }
    }

    /// Makes this thread the loop's own.
    pub(crate) fn enter(&self) -> Entered {
        local::enter(self.number)
    }

    /// Queues a command.
    #[inline]
    pub(crate) fn push(&self, queued: QueuedCommand) -> std::result::Result<(), QueueError> {
        let counted = self.counted(&queued);
        if local::is_current(self.number) {
            self.count_local(&queued, counted);
            local::push(queued, counted.map_or(0, |(_, len)| len));
            return Ok(());
        }
        self.push_elsewhere(queued, counted)
    }

    /// Queues a command that counts so much on this status, when the loop is not the current one of this thread.
    #[cold]
    fn push_elsewhere(
        &self,
        queued: QueuedCommand,
        counted: Option<(&ConnectionStatus, usize)>,
    ) -> std::result::Result<(), QueueError> {
        if !local::is_outer(self.number) {
            return self.push_remote(queued);
        }
        self.count_local(&queued, counted);
        local::push_outer(self.number, queued);
        Ok(())
    }

    #[inline]
    fn count_local(&self, queued: &QueuedCommand, counted: Option<(&ConnectionStatus, usize)>) {
        if let Some((status, len)) = counted {
            status.add_local(len);
        }
        self.close_if_full(queued);
    }

    /// Whether this thread is the loop's own: it runs here, or waits for a loop that runs within one of its callbacks.
    fn is_here(&self) -> bool {
        local::is_current(self.number) || local::is_outer(self.number)
    }

    /// Queues a message or a control frame, within the limit of what may be queued for its connection.
    #[inline]
    pub(crate) fn send(&self, target: Target, command: Command) -> Result<()> {
        let Target::One { slot, id } = target else {
            return Ok(self.push(QueuedCommand { target, command })?);
        };
        let status = self.statuses.find(slot);
        let Some(status) =
            status.filter(|status| matches!(status.phase(id), Phase::Connecting | Phase::Open))
        else {
            // Nobody would read it; whether the loop itself is gone is another question.
            return if self.is_here() || !self.is_closed() { Ok(()) } else { Err(disconnected()) };
        };
        let len = command.buffered_len();
        if self.fits(Some(status), len) {
            // As `push` does it, without a look at what else a command may be.
            if local::is_current(self.number) {
                status.add_local(len);
                local::push(QueuedCommand { target, command }, len);
                return Ok(());
            }
            return Ok(self.push_elsewhere(QueuedCommand { target, command }, Some((status, len)))?);
        }
        if self.overflow == Overflow::Drop {
            return Ok(());
        }
        Ok(self.push(QueuedCommand { target, command: Command::Overflow })?)
    }

    /// Queues a message if its connection is open and has room.
    pub(crate) fn try_send(&self, target: Target, message: Message) -> Result<()> {
        if !self.is_here() && self.is_closed() {
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

    /// Whether a message may be added to what is queued; a single one always may.
    #[inline]
    fn fits(&self, status: Option<&ConnectionStatus>, len: usize) -> bool {
        let buffered = status.map_or(0, ConnectionStatus::buffered);
        buffered == 0 || buffered.saturating_add(len) <= self.limit
    }

    /// Whether a broadcast may be added to what is queued for one of its receivers.
    #[inline]
    pub(crate) fn has_room(&self, slot: u32, len: usize) -> bool {
        self.fits(self.statuses.find(slot), len)
    }

    /// Whether several broadcasts of this length together may be.
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

    /// The status of a slot that has a connection.
    #[inline]
    pub(crate) fn status(&self, slot: u32) -> Option<&ConnectionStatus> {
        self.statuses.find(slot)
    }

    /// A new connection moves into a slot.
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

    /// From now on other threads are refused; what they have queued is still taken.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
    }

    /// Drops what other threads have queued, as nobody takes it any more.
    pub(crate) fn clear(&self) {
        self.lock().commands.clear();
    }

    /// Takes commands again, for another run.
    pub(crate) fn reopen(&self) {
        self.lock().is_closed = false;
    }

    /// Exchanges what the callbacks have asked for with an empty batch.
    pub(crate) fn swap_local(&self, batch: &mut Batch) {
        local::swap(batch);
    }

    /// Takes what the callbacks have asked for if that is one message, and to this target.
    #[inline]
    pub(crate) fn pop_only_message(&self, target: Target) -> Option<Message> {
        local::pop_only_message(target)
    }

    /// Whether the callbacks have asked for something, and only for what concerns this connection.
    #[inline]
    pub(crate) fn has_only(&self, target: Target) -> bool {
        local::has_only(target)
    }

    #[inline]
    pub(crate) fn has_local(&self) -> bool {
        !local::is_empty()
    }

    /// How many commands the callbacks have given that are not yet taken, and how many bytes they have to send.
    #[inline]
    pub(crate) fn local_load(&self) -> (usize, usize) {
        local::load()
    }

    /// Takes up to `most` commands of other threads; returns whether there are more.
    pub(crate) fn take_remote(&self, most: usize, batch: &mut Batch) -> bool {
        let mut queue = self.lock();
        let count = most.min(queue.commands.len());
        batch.extend(queue.commands.drain(..count));
        // As long as there are more the loop comes back by itself, and nobody needs to wake it.
        let has_more = !queue.commands.is_empty();
        queue.is_announced = has_more;
        drop(queue);
        // What one connection is told in a row is taken over at once.
        for alike in batch.chunk_by(|one, next| one.target == next.target) {
            let Some(first) = alike.first() else { continue };
            let len = alike.iter().map(|queued| queued.command.buffered_len()).sum();
            if let Some(status) = self.counted_status(first.target, len) {
                status.take_over(len);
            }
        }
        has_more
    }

    pub(crate) fn has_remote(&self) -> bool {
        !self.lock().commands.is_empty()
    }

    fn push_remote(&self, queued: QueuedCommand) -> std::result::Result<(), QueueError> {
        let mut queue = self.lock();
        if queue.is_closed {
            return Err(QueueError::Disconnected);
        }
        if queue.commands.len() >= self.capacity {
            return Err(QueueError::Full);
        }
        if let Some((status, len)) = self.counted(&queued) {
            status.add_remote(len);
        }
        self.close_if_full(&queued);
        queue.commands.push_back(queued);
        let must_wake = !std::mem::replace(&mut queue.is_announced, true);
        drop(queue);
        if must_wake {
            (self.wake)();
        }
        Ok(())
    }

    /// Once it is queued that a connection fails, nothing more is taken for it. This thread is the loop's own, or holds
    /// the lock, so that the slot keeps its connection meanwhile.
    #[inline]
    fn close_if_full(&self, queued: &QueuedCommand) {
        if let (Target::One { slot, id }, Command::Overflow) = (queued.target, &queued.command)
            && let Some(status) = self.statuses.find(slot).filter(|status| status.phase(id) != Phase::Free)
        {
            status.advance(Phase::Closing);
        }
    }

    /// The status on which a command counts, and how much; `None` if it has no weight, or its connection has gone.
    #[inline]
    fn counted(&self, queued: &QueuedCommand) -> Option<(&ConnectionStatus, usize)> {
        let len = queued.command.buffered_len();
        self.counted_status(queued.target, len).map(|status| (status, len))
    }

    /// The status of a connection on which so much is to be counted.
    #[inline]
    fn counted_status(&self, target: Target, len: usize) -> Option<&ConnectionStatus> {
        let Target::One { slot, id } = target else { return None };
        if len == 0 {
            return None;
        }
        self.statuses.find(slot).filter(|status| status.phase(id) != Phase::Free)
    }

    /// A thread that panics within one of the few lines that hold the lock leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error of a message that finds no room.
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
