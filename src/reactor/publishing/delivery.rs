//! The delivery of inboxes.

use super::{Content, Publications, Run};
use crate::reactor::api::handler::Handler;
use crate::reactor::connecting::attempt::ConnectAttempt;
use crate::reactor::connection::{finish_runs, is_compressing, receive_run};
use crate::reactor::entries::{ConnectionId, Entries, Entry};
use crate::reactor::loop_state::LoopState;
use crate::reactor::queue::{Command, QueuedCommand};
use crate::reactor::system::System;

/// The number of connections whose inboxes are delivered even if the turn is over.
const MIN_RECEIVERS: usize = 64;

/// Delivers inboxes until the turn is over, and some in any case. Returns whether all are empty.
pub(in crate::reactor) fn deliver<H: Handler, S: System>(
    entries: &mut Entries<H, S>,
    state: &mut LoopState<S>,
) -> bool {
    if is_being_compressed(entries, state) {
        return false;
    }
    let mut publications = std::mem::take(&mut state.publications);
    let mut receivers = 0;
    let mut is_complete = true;
    while let Some(slot) = publications.next_waiting() {
        let bytes = deliver_to(slot, &mut publications, true, entries, state);
        receivers += 1;
        state.fairness.add_work(bytes);
        let is_over = state.fairness.short_step(|| state.system.now()) && receivers >= MIN_RECEIVERS;
        if is_over || publications.last.is_some() {
            is_complete = !publications.is_pending();
            break;
        }
    }
    state.publications = publications;
    is_complete
}

/// Delivers the inbox of the connection in a slot, so that the commands that follow do not overtake it.
#[inline]
pub(in crate::reactor) fn catch_up<H: Handler, S: System>(
    slot: u32,
    entries: &mut Entries<H, S>,
    state: &mut LoopState<S>,
) {
    if state.publications.is_pending() {
        let mut publications = std::mem::take(&mut state.publications);
        let last = publications.last;
        deliver_to(slot, &mut publications, false, entries, state);
        // Only `deliver` waits.
        publications.last = last;
        state.publications = publications;
    }
}

/// Whether the last receiver compresses a long message. The others share the result, so they wait for it.
fn is_being_compressed<H: Handler, S: System>(entries: &mut Entries<H, S>, state: &mut LoopState<S>) -> bool {
    let Some(last) = state.publications.last else { return false };
    let is_compressing = entries.connected(last).is_some_and(|connection| is_compressing(connection));
    if !is_compressing {
        state.publications.last = None;
    }
    is_compressing
}

/// Delivers an inbox. With `flushes`, the output is written at once, so that the memory in which frames are joined is used for the
/// next connection while it is in the processor's cache. Returns the bytes of all payloads.
fn deliver_to<H: Handler, S: System>(
    slot: u32,
    publications: &mut Publications,
    flushes: bool,
    entries: &mut Entries<H, S>,
    state: &mut LoopState<S>,
) -> usize {
    match entries.in_slot(slot) {
        Some(Entry::Connected(connection)) => {
            let (mut has_received, mut last) = (false, None);
            let bytes = publications.empty_inbox(slot, |run| {
                receive_run(connection, run, state);
                if run.is_long() && is_compressing(connection) {
                    last = Some(connection.id());
                }
                has_received = true;
            });
            publications.last = last.or(publications.last);
            if has_received {
                finish_runs(connection, flushes, state);
            }
            bytes
        }
        Some(Entry::Connecting(attempt)) => {
            publications.empty_inbox(slot, |run| deliver_to_attempt(attempt, run, state))
        }
        Some(Entry::Arriving(_) | Entry::Vacating) | None => {
            publications.remove(slot);
            0
        }
    }
}

/// Delivers a run to a connection attempt, which keeps it.
fn deliver_to_attempt<H: Handler, S: System>(
    attempt: &mut ConnectAttempt<H, S>,
    run: &Run,
    state: &LoopState<S>,
) {
    let id = attempt.id;
    for content in run.commands_for(id, false) {
        match content {
            Content::Frame(one) => attempt.on_broadcast(&one.frame, state),
            Content::Other(command) => push(command, id, state),
        }
    }
}

/// Queues a command for a connection attempt, which may end because of it.
fn push<S: System>(command: &Command, id: ConnectionId, state: &LoopState<S>) {
    if let Some(command) = command.for_another() {
        // The queue of the loop's own thread has no limit.
        let _ = state.queue.push(QueuedCommand { target: id.target(), command });
    }
}
