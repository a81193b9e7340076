//! The queues between senders and their loop.
//!
//! On the thread of the loop, a command is added to a vector of the thread, without a lock or an atomic operation and without
//! a limit. On other threads, it is added to a queue behind a lock, which is bounded in commands and in bytes. The first
//! command after the loop has emptied the queue wakes the loop.
//!
//! The loop executes the commands of other threads before those of handlers. When a handler subscribes to a topic or unsubscribes, what
//! other threads have queued by then is moved to the commands of handlers, and the loop executes these first. A subscription thus begins and
//! ends with the call, for publications of all threads.

mod command;
mod control;
mod local;
pub(crate) mod loop_set;
#[cfg(all(test, loom))]
pub(super) mod models;
pub(crate) mod node;
pub(crate) mod peers;
mod remote;
pub(crate) mod routing;
pub(crate) mod status;
mod sync;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub(crate) use self::command::{
    AcceptedStream, Assigned, Batch, Command, ConnectMode, ConnectionRequest, Established, NewConnection,
    QueuedCommand, QueuedPublication, SharedCommand, Target, TimeoutChange,
};
use self::local::Entered;
pub(in crate::reactor) use self::local::{Receiving, receiver};
use self::peers::{LoopPlace, Membership};
use self::remote::RemoteQueue;
use self::status::ConnectionStatus;
pub(crate) use self::status::Phase;
use super::api::settings::{Overflow, Settings};
use super::api::util::{Timeout, Token};
use super::common::Common;
use super::memory::MemoryBudget;
use super::monitoring::Monitor;
use crate::error::{Error, ErrorKind, QueueError, Result};
use crate::message::Message;
use crate::protocol::ProtocolError;

/// The queues and the connection status that the senders of a loop share with it.
pub(crate) struct CommandQueue {
    /// Identifies the loop.
    number: u64,
    /// The commands of other threads.
    pub(crate) remote: RemoteQueue,
    /// The maximum number of bytes that are queued for a connection.
    limit: usize,
    overflow: Overflow,
    /// What the loop shares with others of its pool.
    pub(crate) common: Common,
    /// What the loop has counted and measured.
    pub(crate) monitor: Arc<Monitor>,
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
}

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

impl CommandQueue {
    pub(crate) fn new(
        settings: &Settings,
        common: Common,
        wake: Box<dyn Fn() + Send + Sync>,
        clock: Box<dyn Fn() -> Instant + Send + Sync>,
    ) -> Self {
        Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            remote: RemoteQueue::new(settings, common.memory.clone(), wake),
            limit: settings.output_limit(),
            overflow: settings.overflow,
            common,
            monitor: Arc::new(Monitor::new(clock())),
            clock,
        }
    }

    /// The memory that the connections of the loop hold.
    pub(crate) fn memory(&self) -> &MemoryBudget {
        &self.common.memory
    }

    /// The place of the loop in its pool, if it is in one.
    #[inline]
    pub(crate) fn membership(&self) -> Option<&Membership> {
        self.common.membership.as_ref()
    }

    /// The time of the loop.
    pub(crate) fn now(&self) -> Instant {
        (self.clock)()
    }

    /// Makes this the thread of the loop.
    pub(crate) fn enter(self: &Arc<Self>) -> Entered {
        local::enter(self)
    }

    /// Queues a command, whatever is queued for its connection already.
    #[inline]
    pub(crate) fn push(&self, queued: QueuedCommand) -> std::result::Result<(), QueueError> {
        let queued = match self.membership() {
            Some(own) => match routing::route(self, own, queued) {
                Ok(queued) => queued,
                Err(result) => return result,
            },
            None => queued,
        };
        self.order_with_others(&queued);
        let QueuedCommand { target, command } = queued;
        let len = command.buffered_len();
        let counted = self.remote.counted_status(target, len).map(|status| (status, len));
        self.enqueue(target, command, counted)
    }

    /// Queues a timeout.
    #[inline]
    pub(crate) fn set_timeout(
        &self,
        target: Target,
        at: Option<Instant>,
        token: Token,
    ) -> std::result::Result<(), QueueError> {
        if matches!(target, Target::One { .. }) && local::is_current(self.number) {
            local::push_timeout(target, at, token);
            return Ok(());
        }
        self.push(QueuedCommand { target, command: Command::Timeout(at, token) })
    }

    /// Cancels a timeout, or changes when it fires.
    ///
    /// What a handler of the loop asks for waits apart from the commands, which then cost less. It takes effect before the next timer fires.
    #[inline]
    pub(crate) fn change_timeout(
        &self,
        target: Target,
        timeout: &Timeout,
        change: TimeoutChange,
    ) -> std::result::Result<(), QueueError> {
        // In a pool, a sender for all connections is that of all loops.
        let is_own = matches!(target, Target::One { .. }) || self.membership().is_none();
        if is_own && local::is_current(self.number) {
            local::change_timeout(timeout, change);
            return Ok(());
        }
        let command = SharedCommand::ChangeTimeout(timeout.clone(), change).into();
        self.push(QueuedCommand { target, command })
    }

    /// Takes what handlers have asked for timeouts.
    #[inline]
    pub(crate) fn take_timeout_changes(&self, take: impl FnMut(Timeout, TimeoutChange)) {
        local::take_timeout_changes(take);
    }

    /// Prepares for a command of a handler that changes a subscription: what other threads have queued is executed before it, and what they
    /// queue later is executed after it. All other commands of handlers have no order with those of other threads.
    #[inline]
    fn order_with_others(&self, queued: &QueuedCommand) {
        if queued.command.changes_subscription() && local::is_current(self.number) {
            let mut earlier = Batch::new();
            self.remote.move_all(&mut earlier);
            local::push_in_order(earlier);
        }
    }

    /// Queues that a connection has exceeded its limit. Nothing more is accepted for it.
    #[cold]
    pub(crate) fn push_overflow(&self, target: Target) -> std::result::Result<(), QueueError> {
        if local::is_here(self.number) {
            self.remote.mark_full(target);
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
        match (target, command) {
            (Target::One { .. }, Command::Message(message)) => local::push_message(target, message),
            (_, command) => local::push(QueuedCommand { target, command }, len),
        }
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
            return match self.membership() {
                Some(own) if own.peers.is_running_here() => routing::push_to_peer(self, queued),
                _ => self.remote.push(queued),
            };
        }
        if let Some((status, len)) = counted {
            status.add_local(len);
        }
        local::push_outer(self.number, queued);
        Ok(())
    }

    /// Queues a message or a control frame, if the output of its connection stays within the limit.
    pub(crate) fn send(&self, target: Target, command: Command) -> Result<()> {
        send_any(self, target, command)
    }

    /// Whether the loop has ended. On its own thread, it has not.
    pub(crate) fn has_closed(&self) -> bool {
        !local::is_here(self.number) && self.remote.is_closed()
    }

    /// Queues a message if its connection is open and has room for it.
    pub(crate) fn try_send(&self, target: Target, message: Message) -> Result<()> {
        if self.has_closed() {
            return Err(disconnected());
        }
        if let Target::One { slot, id } = target {
            let status = self.remote.statuses.find(slot);
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

    /// Whether nothing that handlers have queued comes before a message of this length, and it can be added to the output of its
    /// connection.
    #[inline]
    pub(crate) fn has_room_for_reply(&self, status: &ConnectionStatus, len: usize) -> bool {
        local::is_empty() && local::is_current(self.number) && self.fits(Some(status), len)
    }

    /// Returns whether a broadcast can be added to the output of one of its receivers.
    #[inline]
    pub(crate) fn has_room(&self, slot: u32, len: usize) -> bool {
        self.fits(self.remote.statuses.find(slot), len)
    }

    /// Returns whether several broadcasts of this total length can be added to it.
    #[inline]
    pub(crate) fn has_room_for_all(&self, slot: u32, len: usize) -> bool {
        self.remote
            .statuses
            .find(slot)
            .is_some_and(|status| status.buffered().saturating_add(len) <= self.limit)
    }

    pub(crate) fn overflow(&self) -> Overflow {
        self.overflow
    }

    pub(crate) fn buffered_amount(&self, slot: u32, id: u32) -> usize {
        let status = self.remote.statuses.find(slot).filter(|status| status.phase(id) != Phase::Free);
        status.map_or(0, ConnectionStatus::buffered)
    }

    pub(crate) fn is_open(&self, slot: u32, id: u32) -> bool {
        self.remote.statuses.find(slot).is_some_and(|status| status.phase(id) == Phase::Open)
    }

    /// Whether a connection has ended: its handler receives no further calls.
    pub(crate) fn has_ended(&self, slot: u32, id: u32) -> bool {
        let status = self.remote.statuses.find(slot);
        status.is_none_or(|status| matches!(status.phase(id), Phase::Free | Phase::Closed))
    }

    /// Returns the status of the connection in a slot.
    #[inline]
    pub(crate) fn status(&self, slot: u32) -> Option<&ConnectionStatus> {
        self.remote.statuses.find(slot)
    }

    /// Counts a connection for the pool, until it is removed. `place` is its place if it is counted already.
    pub(crate) fn count_connection(&self, place: Option<LoopPlace>) {
        let place = place.or_else(|| self.membership().map(Membership::take_place));
        place.into_iter().for_each(LoopPlace::keep);
    }

    /// Adds a connection in a slot.
    pub(crate) fn insert_connection(&self, slot: u32, id: u32) {
        self.remote.insert_connection(slot, id);
    }

    pub(crate) fn remove_connection(&self, slot: u32) {
        self.remote.remove_connection(slot);
        if let Some(own) = self.membership() {
            own.peers.remove_connection(own.index);
        }
    }

    /// Drops the commands of other threads, because the loop no longer executes them.
    pub(crate) fn clear(&self) {
        let waiting = self.remote.clear();
        routing::wake(self, &waiting);
    }

    /// Takes up to `most` commands of other threads. Returns whether there are more.
    #[inline]
    pub(crate) fn take_remote(&self, most: usize, batch: &mut Batch) -> bool {
        let (has_more, released) = self.remote.take(most, batch);
        if !released.is_empty() {
            routing::wake(self, &released);
        }
        has_more
    }

    /// The loop begins or ends to fire timers.
    pub(crate) fn set_fires_timers(&self, fires: bool) {
        if self.membership().is_some() {
            local::set_fires_timers(fires);
        }
    }

    /// Swaps the commands of handlers with an empty batch. Returns whether [`end_order`](Self::end_order) must be called once they have
    /// been executed.
    pub(crate) fn swap_local(&self, batch: &mut Batch) -> bool {
        local::swap(batch)
    }

    /// Whether the commands of handlers must be executed before those of other threads.
    #[inline]
    pub(crate) fn is_local_first(&self) -> bool {
        local::comes_first()
    }

    /// Commands of handlers that had to be executed in order with those of other threads have been executed, or were put back.
    #[cold]
    pub(crate) fn end_order(&self, is_done: bool) {
        if is_done {
            routing::wake(self, &self.remote.release_moved());
        } else {
            local::push_in_order(Batch::new());
        }
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

    /// Removes a timeout that precedes all commands of handlers, if it is one of this target.
    #[inline]
    pub(crate) fn pop_first_timeout(&self, target: Target) -> Option<(Option<Instant>, Token)> {
        local::pop_first_timeout(target)
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
}

/// Queues a message, as [`CommandQueue::send`] does. This is a function of its own, because most commands are messages.
#[inline(never)]
pub(crate) fn send_message(queue: &CommandQueue, target: Target, message: Message) -> Result<()> {
    send_any(queue, target, Command::Message(message))
}

#[inline(always)]
fn send_any(queue: &CommandQueue, target: Target, command: Command) -> Result<()> {
    let Target::One { slot, id } = target else {
        return Ok(queue.push(QueuedCommand { target, command })?);
    };
    let status = queue.remote.statuses.find(slot);
    let Some(status) = status.filter(|status| matches!(status.phase(id), Phase::Connecting | Phase::Open))
    else {
        // The message is dropped, unless the loop itself has ended.
        return if local::is_here(queue.number) || !queue.remote.is_closed() {
            Ok(())
        } else {
            Err(disconnected())
        };
    };
    let len = command.buffered_len();
    if queue.fits(Some(status), len) {
        return Ok(queue.enqueue(target, command, Some((status, len)))?);
    }
    if queue.overflow == Overflow::Drop {
        Monitor::add(&queue.monitor.dropped, 1);
        return Ok(());
    }
    Ok(queue.push_overflow(target)?)
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
