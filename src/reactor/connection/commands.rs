//! Commands of senders and of the loop, as a connection executes them.

use log::trace;

use super::{Connection, Stage, deferring};
use crate::error::{Error, ErrorKind};
use crate::protocol::State;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::util::Token;
use crate::reactor::loop_state::LoopState;
use crate::reactor::queue::{Command, SharedCommand};
use crate::reactor::system::{System, Transport as _};
use crate::reactor::timers::{TimerEvent, TimerKind};

impl<H: Handler, S: System> Connection<H, S> {
    /// Executes a command, or keeps it until the connection is open. The caller calls [`update`](Self::update) after the
    /// last of several commands.
    #[inline]
    pub(in crate::reactor) fn on_command(&mut self, command: Command, state: &mut LoopState<S>) {
        // Everything that is sent before the connection is open waits, so the order is preserved.
        if self.endpoint.is_opening() && waits_for_open(&command) {
            if matches!(command, Command::Close(..)) {
                state.reconnecting.stop(self.endpoint.id.slot);
            }
            self.endpoint.opening.get_or_insert_default().commands.push(command);
        } else {
            self.execute(command, state);
        }
    }

    #[inline]
    fn execute(&mut self, command: Command, state: &mut LoopState<S>) {
        match command {
            Command::Message(_) | Command::Frame(_) => self.endpoint.send_command(command, state),
            command => self.execute_rare(command, state),
        }
    }

    /// Executes a command that is no message. Separate, so that messages need little code.
    #[inline(never)]
    fn execute_rare(&mut self, command: Command, state: &mut LoopState<S>) {
        match command {
            Command::Overflow => self.overflow(state),
            Command::Timeout(at, token) => self.set_timeout(at, token, state),
            Command::Shared(command) if command.shared().is_none() => match &*command {
                SharedCommand::Gap(topic, missed) => {
                    let topic = topic.as_deref().unwrap_or_default();
                    self.endpoint.call_fallible(state, |handler| handler.on_gap(topic, *missed));
                    // Later publications are encoded next. What the handler sends precedes them, if nothing else waits.
                    self.execute_own(state);
                }
                SharedCommand::Answer => deferring::answer(self, state),
                change => self.change_subscription(change, state),
            },
            Command::Pause => self.read.pause(&mut self.endpoint.protocol, state.now),
            Command::Resume => self.resume(state),
            Command::EndConnection => self.shut_down(state),
            // The loop executes these.
            Command::NewConnection(_) | Command::Shutdown | Command::Drain(_) => {
                trace!("a command of the loop was sent to a connection");
            }
            sent => self.endpoint.send_command(sent, state),
        }
    }

    /// Subscribes to a topic, or ends the subscription.
    pub(in crate::reactor) fn change_subscription(
        &mut self,
        command: &SharedCommand,
        state: &mut LoopState<S>,
    ) {
        if let Err(err) = state.change_subscription(self.endpoint.id.slot, command) {
            self.endpoint.report(err, state);
        }
    }

    /// A timeout of the handler has expired.
    pub(in crate::reactor) fn on_timeout(&mut self, token: Token, state: &mut LoopState<S>) {
        if self.endpoint.stage != Stage::Ended {
            self.endpoint.call_fallible(state, |handler| handler.on_timeout(token));
        }
        self.update(state);
    }

    /// Passes an error to the handler that does not concern its own connection.
    pub(in crate::reactor) fn on_error(&mut self, err: Error, state: &mut LoopState<S>) {
        self.endpoint.call(state, |handler| handler.on_error(err));
    }

    /// The loop begins to shut down. The handler can still send messages.
    pub(in crate::reactor) fn on_shutdown(&mut self, state: &mut LoopState<S>) {
        if !self.endpoint.listed.is_to_close() {
            self.endpoint.call(state, Handler::on_shutdown);
            self.update(state);
        }
    }

    /// The loop shuts down: the peer receives a Close frame or, during the opening handshake, a rejection.
    pub(in crate::reactor) fn shut_down(&mut self, state: &mut LoopState<S>) {
        let endpoint = &mut self.endpoint;
        match endpoint.protocol.state() {
            // Nothing can be sent during the TLS handshake.
            State::Connecting if endpoint.socket.is_handshaking() => endpoint.protocol.abandon(),
            State::Connecting => self.reject_with_503(state),
            _ => endpoint.send(state.draining.close_frame(), state),
        }
        // A handler that drops the Close frame does not delay the loop.
        let protocol = &mut self.endpoint.protocol;
        if protocol.state() == State::Open && !protocol.steps().is_compressing() {
            protocol.abandon();
        }
        self.update(state);
    }

    pub(super) fn set_timeout(
        &mut self,
        at: Option<std::time::Instant>,
        token: Token,
        state: &mut LoopState<S>,
    ) {
        let event = TimerEvent { id: self.endpoint.id, kind: TimerKind::User(token) };
        let timeout = state.deadlines.schedule_timeout(at, self.timers.get_or_insert_default(), event);
        assert!(timeout.is_some() || !state.settings.panic_on_timeout, "too many timeouts are pending");
        match timeout {
            Some(timeout) => {
                self.endpoint.call_fallible(state, |handler| handler.on_new_timeout(token, timeout));
                // A handler that cancels the timeout before this one frees its memory for the next.
                state.change_timeouts();
            }
            None => {
                let err = Error::new(ErrorKind::Capacity, "too many timeouts are pending");
                self.endpoint.report(err, state);
            }
        }
    }

    /// More output is queued than the limit allows: this connection fails, and no other one (RUSTSEC-2020-0043).
    pub(super) fn overflow(&mut self, state: &mut LoopState<S>) {
        if self.endpoint.stage != Stage::Failing && !self.endpoint.protocol.state().is_ending() {
            let err = Error::new(ErrorKind::Capacity, "too much output is queued for this connection");
            self.endpoint.handle_error(err, state);
        }
    }
}

/// Whether a command sends something to the peer. Timeouts and pauses do not wait.
fn waits_for_open(command: &Command) -> bool {
    match command {
        Command::Message(_) | Command::Frame(_) | Command::Close(..) => true,
        Command::Shared(command) => command.waits_for_open(),
        _ => false,
    }
}
