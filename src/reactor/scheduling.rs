//! Functions that the loop calls at a later time. They belong to the loop, and not to a connection.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use log::error;
use slab::Slab;

use super::api::sender::Sender;
use super::entries::{ConnectionId, index};
use super::loop_state::LoopState;
use super::queue::Target;
use super::system::System;
use super::timers::{TimerEvent, TimerKind, TimerList};
use crate::error::Result;

/// What a program wants to be called.
type Action = Box<dyn FnOnce(&Sender) -> Result<()> + Send>;

/// A function that is queued for its loop. Commands are shared between loops, although only one of them executes this one.
pub(crate) struct Schedule {
    /// `None` is beyond the range of the clock.
    at: Option<Instant>,
    action: Mutex<Option<Action>>,
}

impl Schedule {
    pub(crate) fn new(at: Option<Instant>, action: Action) -> Self {
        Self { at, action: Mutex::new(Some(action)) }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("at", &self.at).finish_non_exhaustive()
    }
}

/// The functions that wait for their time.
pub(super) struct Scheduled {
    actions: Slab<(Action, Target)>,
    timers: TimerList,
}

impl Default for Scheduled {
    fn default() -> Self {
        Self { actions: Slab::new(), timers: TimerList::default() }
    }
}

impl fmt::Debug for Scheduled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduled").field("count", &self.actions.len()).finish_non_exhaustive()
    }
}

/// Schedules a function. `target` is that of the sender which it receives.
pub(super) fn schedule<S: System>(schedule: &Schedule, target: Target, state: &mut LoopState<S>) {
    let action = schedule.action.lock().unwrap_or_else(PoisonError::into_inner).take();
    let (Some(action), Some(at)) = (action, schedule.at) else { return };
    let slot = state.scheduled.actions.insert((action, target));
    // There is memory for fewer than 2^32 functions.
    let id = ConnectionId { slot: u32::try_from(slot).unwrap_or(u32::MAX), serial: 0 };
    let event = TimerEvent { id, kind: TimerKind::Scheduled };
    if state.deadlines.schedule_at(at, &mut state.scheduled.timers, event).is_none() {
        drop(state.scheduled.actions.remove(slot));
        error!("too many timers are pending: a function is not called");
    }
}

/// Calls the function of a timer that has fired.
pub(super) fn call<S: System>(id: ConnectionId, state: &mut LoopState<S>) {
    let slot = index(id.slot);
    if !state.scheduled.actions.contains(slot) {
        return;
    }
    let (action, target) = state.scheduled.actions.remove(slot);
    let queue = Arc::clone(&state.queue);
    let sender = match target {
        Target::All => Sender::all(queue),
        Target::One { slot, id } => Sender::connection(queue, slot, id),
    };
    if let Some(Err(err)) = state.guard(|| action(&sender)) {
        error!("a scheduled function has failed: {err}");
    }
}

/// Drops the functions that wait, because the loop has ended.
pub(super) fn clear<S: System>(state: &mut LoopState<S>) {
    state.deadlines.cancel_all(&mut state.scheduled.timers);
    state.scheduled.actions.clear();
}
