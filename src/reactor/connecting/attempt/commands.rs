//! Commands of senders, and timeouts, while a client is not connected.

use super::{ConnectAttempt, Next, Stage};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::Frame;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::settings::Overflow;
use crate::reactor::api::util::Token as UserToken;
use crate::reactor::loop_state::LoopState;
use crate::reactor::monitoring::Monitor;
use crate::reactor::queue::{Command, SharedCommand};
use crate::reactor::system::System;
use crate::reactor::timers::{TimerEvent, TimerKind};

impl<H: Handler, S: System> ConnectAttempt<H, S> {
    /// Executes a command, or keeps it until the connection is open.
    pub(in crate::reactor) fn on_command(
        &mut self,
        command: Command,
        state: &mut LoopState<S>,
    ) -> Next<S::Socket> {
        match command {
            Command::Timeout(at, token) => {
                let event = TimerEvent { id: self.id, kind: TimerKind::User(token) };
                let result = match state.deadlines.schedule_timeout(at, &mut self.timers, event) {
                    Some(timeout) => self.call(state, |handler| handler.on_new_timeout(token, timeout)),
                    None => Some(Err(Error::new(ErrorKind::Capacity, "too many timeouts are pending"))),
                };
                return self.after_callback(result, state);
            }
            Command::Overflow if state.reconnecting.continues(self.id.slot) => {
                return self.discard_commands(state);
            }
            Command::Overflow => {
                let details = "too much output is queued for this connection";
                return Next::Failed(Error::new(ErrorKind::Capacity, details));
            }
            Command::Shared(command) if !command.waits_for_open() => {
                self.change_subscription(&command, state);
            }
            Command::Pause => self.is_paused = true,
            Command::Resume => self.is_paused = false,
            Command::Close(..) if state.reconnecting.continues(self.id.slot) => {
                state.reconnecting.stop(self.id.slot);
                if matches!(self.stage, Stage::Waiting) {
                    self.abandon(state);
                    state.work.close_attempt_later(self.id.slot);
                } else {
                    self.commands.push(command);
                }
            }
            command => self.commands.push(command),
        }
        Next::Wait
    }

    /// Discards what waits for the next connection, because it exceeds the limit. The client still connects again.
    fn discard_commands(&mut self, state: &mut LoopState<S>) -> Next<S::Socket> {
        let discarded = self.commands.drain(..).map(|command| command.buffered_len()).sum();
        if let Some(status) = state.queue.status(self.id.slot) {
            status.sub_local(discarded);
            status.reopen(self.id.serial);
        }
        let details =
            format!("too much output waits for the next connection: {discarded} bytes are discarded");
        self.call(state, |handler| handler.on_error(Error::new(ErrorKind::Capacity, details)));
        Next::Wait
    }

    /// Subscribes to a topic, or ends the subscription.
    pub(in crate::reactor) fn change_subscription(
        &mut self,
        command: &SharedCommand,
        state: &mut LoopState<S>,
    ) {
        if let Err(err) = state.change_subscription(self.id.slot, command) {
            self.call(state, |handler| handler.on_error(err));
        }
    }

    /// Keeps a frame of a broadcast until the connection is open, if there is room for it.
    pub(in crate::reactor) fn on_broadcast(&mut self, frame: &Frame, state: &LoopState<S>) {
        let len = frame.as_slice().len();
        if state.queue.has_room(self.id.slot, len) {
            if let Some(status) = state.queue.status(self.id.slot) {
                status.add_local(len);
            }
            self.commands.push(Command::Frame(Box::new(frame.clone())));
        } else if state.queue.overflow() == Overflow::Fail {
            // The queue of the loop's own thread has no limit.
            let _ = state.queue.push_overflow(self.id.target());
        } else {
            Monitor::add(&state.queue.monitor.dropped, 1);
        }
    }

    /// A timeout of the handler has expired.
    pub(in crate::reactor) fn on_timeout(
        &mut self,
        token: UserToken,
        state: &mut LoopState<S>,
    ) -> Next<S::Socket> {
        let result = self.call(state, |handler| handler.on_timeout(token));
        self.after_callback(result, state)
    }

    /// Handles the result of a method of the handler. `None` means that it has panicked.
    fn after_callback(&mut self, result: Option<Result<()>>, state: &mut LoopState<S>) -> Next<S::Socket> {
        match result {
            None | Some(Ok(())) => Next::Wait,
            Some(Err(err)) if matches!(err.kind, ErrorKind::Queue(_) | ErrorKind::Custom(_)) => {
                self.call(state, |handler| handler.on_error(err));
                Next::Wait
            }
            Some(Err(err)) => Next::Failed(err),
        }
    }
}
