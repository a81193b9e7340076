//! Commands for all connections, which they receive one after the other.
//!
//! A broadcast to many connections takes longer than a turn. The loop therefore keeps the commands for all connections until each
//! connection has received them, and delivers them in *rounds* over all slots, a part of a round in each turn. A connection that is
//! read from or that receives a command of its own first catches up, so that every connection receives everything in order.

pub(super) mod delivery;
mod encoded;

use std::cell::OnceCell;
use std::collections::VecDeque;

pub(super) use self::encoded::BroadcastFrame;
use self::encoded::EncodedFrames;
use super::entries::{ConnectionId, index};
use super::loop_state::LoopState;
use super::queue::Command;
use super::system::System;
use crate::protocol::Frame;

/// While this many commands wait, the loop takes no commands of other threads.
const BUSY: usize = 64;

/// The same for the bytes that several commands send to each connection.
const BUSY_BYTES: usize = 1024 * 1024;

/// While this many commands wait, nothing is read whose handler could add more.
const FULL: usize = 16 * BUSY;

/// The same for bytes.
const FULL_BYTES: usize = 16 * BUSY_BYTES;

/// Messages of at least this length may be compressed in steps, in bytes.
const LONG: usize = 64 * 1024;

/// The most bytes of consecutive broadcasts that are joined for all connections.
const MAX_JOINED: usize = 256 * 1024;

/// The number of slots whose memory is kept while nothing is pending.
const MAX_KEPT_SLOTS: usize = 1024;

/// The commands that some connections have not received yet, and how many of them each connection has received.
#[derive(Debug, Default)]
pub(super) struct Broadcasts {
    pending: Pending,
    /// The number of the first command that the connection in each slot has not received. Slots beyond the end have received
    /// nothing.
    next: Vec<u64>,
    /// The next slot of this round.
    cursor: u32,
    /// Every connection has received the commands before this number when the round ends.
    goal: u64,
    /// The last receiver of long messages, which may be compressing one of them.
    last: Option<ConnectionId>,
}

/// Commands for all connections. They have consecutive numbers.
#[derive(Debug, Default)]
pub(super) struct Pending {
    commands: VecDeque<PendingCommand>,
    /// The number of the first command.
    first: u64,
    /// The bytes of all payloads.
    bytes: usize,
    /// The frames of all commands together, once a connection has needed them.
    joined: OnceCell<EncodedFrames>,
}

/// A command for all connections.
#[derive(Debug)]
pub(super) enum PendingCommand {
    Frame(BroadcastFrame),
    Other(Command),
}

/// The commands that a connection has not received yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing<'p> {
    pending: &'p Pending,
    /// How many commands the connection has received.
    received: usize,
}

impl Broadcasts {
    /// Whether a connection may have to receive something.
    #[inline]
    pub(super) fn is_pending(&self) -> bool {
        !self.pending.commands.is_empty()
    }

    /// Whether so much waits that other threads must not add more.
    pub(super) fn is_busy(&self) -> bool {
        self.exceeds(BUSY, BUSY_BYTES)
    }

    /// Whether so much waits that nothing may be added before a round has ended.
    pub(super) fn is_full(&self) -> bool {
        self.exceeds(FULL, FULL_BYTES)
    }

    fn exceeds(&self, commands: usize, bytes: usize) -> bool {
        let count = self.pending.commands.len();
        count >= commands || count > 1 && self.pending.bytes >= bytes
    }

    /// The number of commands.
    #[cfg(test)]
    pub(super) fn pending_len(&self) -> usize {
        self.pending.commands.len()
    }

    /// Adds a command for all connections.
    pub(super) fn push(&mut self, command: Command) {
        let was_pending = self.is_pending();
        self.pending.bytes += command.buffered_len();
        self.pending.joined.take();
        self.pending.commands.push_back(PendingCommand::from(command));
        if !was_pending {
            self.begin_round();
        }
    }

    /// Takes the commands out, so that connections can receive them. [`put_back`](Self::put_back) must follow.
    pub(super) fn take(&mut self) -> Pending {
        std::mem::take(&mut self.pending)
    }

    pub(super) fn put_back(&mut self, pending: Pending) {
        self.pending = pending;
    }

    /// Returns the next slot of this round, of this many slots.
    pub(super) fn next_slot(&mut self, slots: usize) -> Option<u32> {
        let slot = self.cursor;
        self.cursor += 1;
        (index(slot) < slots).then_some(slot)
    }

    /// Records that the connection in a slot receives all commands now. Returns those that it has not received before.
    pub(super) fn receive<'p>(&mut self, slot: u32, pending: &'p Pending) -> Missing<'p> {
        let next = pending.next();
        let before = match self.next.get_mut(index(slot)) {
            Some(known) => std::mem::replace(known, next),
            None => {
                self.next.resize(index(slot), pending.first);
                self.next.push(next);
                pending.first
            }
        };
        // A slot that the last round has passed has received commands that are not pending any more.
        let received = usize::try_from(before.saturating_sub(pending.first)).unwrap_or(usize::MAX);
        Missing { pending, received }
    }

    /// A new connection uses the slot. It receives nothing that was sent before.
    pub(super) fn insert(&mut self, slot: u32) {
        if self.is_pending() {
            let pending = self.take();
            self.receive(slot, &pending);
            self.put_back(pending);
        }
    }

    /// The round is over: every connection has received the commands that were there when it began.
    pub(super) fn end_round(&mut self) {
        let pending = &mut self.pending;
        while pending.first < self.goal {
            let Some(command) = pending.commands.pop_front() else { break };
            pending.first += 1;
            pending.bytes -= command.len();
        }
        pending.joined.take();
        if pending.commands.is_empty() {
            pending.commands.shrink_to(BUSY);
            self.next.clear();
            self.next.shrink_to(MAX_KEPT_SLOTS);
        } else {
            self.begin_round();
        }
    }

    fn begin_round(&mut self) {
        self.cursor = 0;
        self.goal = self.pending.next();
    }
}

impl Pending {
    /// Whether a message may be so long that it is compressed in steps.
    fn is_long(&self) -> bool {
        self.bytes >= LONG
    }

    /// The number of the command that will be added next.
    fn next(&self) -> u64 {
        self.first + self.commands.len() as u64
    }
}

impl From<Command> for PendingCommand {
    fn from(command: Command) -> Self {
        match BroadcastFrame::new(command) {
            Ok(frame) => Self::Frame(frame),
            Err(command) => Self::Other(command),
        }
    }
}

impl PendingCommand {
    /// The number of bytes of the payload.
    fn len(&self) -> usize {
        match self {
            Self::Frame(one) => one.frame.as_slice().len(),
            Self::Other(_) => 0,
        }
    }

    /// Returns the frame, unless handlers must see it.
    fn data_frame(&self) -> Option<&Frame> {
        match self {
            Self::Frame(one) if !one.frame.is_control() => Some(&one.frame),
            Self::Frame(_) | Self::Other(_) => None,
        }
    }
}

impl<'p> Missing<'p> {
    pub(super) fn is_empty(self) -> bool {
        self.received >= self.pending.commands.len()
    }

    pub(super) fn commands(self) -> impl Iterator<Item = &'p PendingCommand> {
        self.pending.commands.iter().skip(self.received)
    }

    /// The bytes of all payloads.
    pub(super) fn len(self) -> usize {
        if self.received == 0 { self.pending.bytes } else { self.commands().map(PendingCommand::len).sum() }
    }

    /// Returns what a server without compression sends for all of it. `None` if that is too much, if the connection has received
    /// a part, or if it is more than data frames.
    pub(super) fn joined<S: System>(self, state: &LoopState<S>) -> Option<&'p EncodedFrames> {
        let Pending { commands, bytes, joined, .. } = self.pending;
        if self.received > 0 || commands.len() > 1 && *bytes > MAX_JOINED {
            return None;
        }
        joined.get().or_else(|| {
            let frames: Option<Vec<_>> = commands.iter().map(PendingCommand::data_frame).collect();
            frames.map(|frames| joined.get_or_init(|| EncodedFrames::new(frames, state)))
        })
    }
}
