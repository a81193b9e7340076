//! Commands for all connections, as the connections receive them.

use super::{Pending, PendingCommand};
use crate::reactor::api::handler::Handler;
use crate::reactor::connection::is_compressing;
use crate::reactor::entries::{ConnectionId, Entries, Entry};
use crate::reactor::loop_state::LoopState;
use crate::reactor::queue::{Command, QueuedCommand};
use crate::reactor::system::System;

/// The number of connections that receive broadcasts even if the turn is over.
const MIN_RECEIVERS: usize = 64;

/// Delivers the commands to the connections that have not received them, until the turn is over. Some connections receive them in
/// any case. Returns whether all have.
pub(in crate::reactor) fn deliver<H: Handler, S: System>(
    entries: &mut Entries<H, S>,
    state: &mut LoopState<S>,
) -> bool {
    let mut receivers = 0;
    while state.broadcasts.is_pending() {
        if is_being_compressed(entries, state) {
            return false;
        }
        let pending = state.broadcasts.take();
        let is_complete = continue_round(&pending, &mut receivers, entries, state);
        state.broadcasts.put_back(pending);
        if !is_complete {
            return false;
        }
        state.broadcasts.end_round();
    }
    true
}

/// The connection in a slot receives the commands that were executed before, so that those that follow do not overtake them.
#[inline]
pub(in crate::reactor) fn catch_up<H: Handler, S: System>(
    slot: u32,
    entries: &mut Entries<H, S>,
    state: &mut LoopState<S>,
) {
    if state.broadcasts.is_pending() {
        let pending = state.broadcasts.take();
        deliver_to(slot, &pending, false, entries, state);
        state.broadcasts.put_back(pending);
    }
}

/// Continues a round over all slots. Returns whether it is complete. The output is written at once, so that the memory in which
/// frames are joined is used for the next connection while it is in the processor's cache.
fn continue_round<H: Handler, S: System>(
    pending: &Pending,
    receivers: &mut usize,
    entries: &mut Entries<H, S>,
    state: &mut LoopState<S>,
) -> bool {
    while let Some(slot) = state.broadcasts.next_slot(entries.slots()) {
        let Some(id) = deliver_to(slot, pending, true, entries, state) else { continue };
        if pending.is_long() {
            state.broadcasts.last = Some(id);
            if is_being_compressed(entries, state) {
                return false;
            }
        }
        *receivers += 1;
        state.fairness.add_work(pending.bytes);
        if state.step() && *receivers >= MIN_RECEIVERS {
            return false;
        }
    }
    true
}

/// Whether the last receiver compresses a long message. The others share the result, so they wait for it.
fn is_being_compressed<H: Handler, S: System>(entries: &mut Entries<H, S>, state: &mut LoopState<S>) -> bool {
    let Some(last) = state.broadcasts.last else { return false };
    let is_compressing = entries.connected(last).is_some_and(|connection| is_compressing(connection));
    if !is_compressing {
        state.broadcasts.last = None;
    }
    is_compressing
}

/// Delivers what the connection in a slot has not received. Returns the connection, if there is one.
fn deliver_to<H: Handler, S: System>(
    slot: u32,
    pending: &Pending,
    flushes: bool,
    entries: &mut Entries<H, S>,
    state: &mut LoopState<S>,
) -> Option<ConnectionId> {
    let entry = entries.in_slot(slot)?;
    let id = entry.id()?;
    let missing = state.broadcasts.receive(slot, pending);
    if missing.is_empty() {
        return Some(id);
    }
    match entry {
        Entry::Connected(connection) => connection.on_broadcasts(missing, flushes, state),
        Entry::Connecting(attempt) => {
            for command in missing.commands() {
                match command {
                    PendingCommand::Frame(one) => attempt.on_broadcast(&one.frame, state),
                    PendingCommand::Other(command) => {
                        push(command, id, state);
                        // Nothing follows a Close.
                        if matches!(command, Command::Close(..)) {
                            break;
                        }
                    }
                }
            }
        }
        Entry::Vacating => {}
    }
    Some(id)
}

/// Queues a command for a connection attempt, which may end because of it.
fn push<S: System>(command: &Command, id: ConnectionId, state: &LoopState<S>) {
    if let Some(command) = command.for_another() {
        // The queue of the loop's own thread has no limit.
        let _ = state.queue.push(QueuedCommand { target: id.target(), command });
    }
}
