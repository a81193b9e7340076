//! What senders ask of a connection.

use log::trace;

use super::{Connection, Stage, output_of};
use crate::close::CloseCode;
use crate::error::{Error, ErrorKind};
use crate::protocol::{Frame, Output as _, State};
use crate::reactor::api::handler::Handler;
use crate::reactor::api::settings::Overflow;
use crate::reactor::api::util::Token;
use crate::reactor::commands::Broadcast;
use crate::reactor::loop_state::{LoopState, TimerEvent, TimerKind};
use crate::reactor::queue::Command;

impl<H: Handler> Connection<H> {
    /// Does what a sender of this connection, or of all, has asked for. It is settled after it, or after several.
    pub(in crate::reactor) fn on_command(&mut self, command: Command, state: &mut LoopState) {
        // Order is kept: what comes before the connection is open waits together.
        if self.is_opening() && waits_for_open(&command) {
            self.early.get_or_insert_default().commands.push(command);
        } else {
            self.execute(command, state);
        }
    }

    /// Sends frames that all connections get, as far as there is room for them, and hands them to the system if asked to.
    pub(in crate::reactor) fn on_broadcast(
        &mut self,
        broadcast: &Broadcast,
        flushes: bool,
        state: &mut LoopState,
    ) {
        let Broadcast { frames, len, encoded } = broadcast;
        if self.is_opening() || !state.queue.has_room_for_all(self.id.slot, *len) {
            frames.iter().for_each(|frame| self.send_shared(frame, state));
        } else if let Some(encoded) = encoded.as_ref().filter(|_| self.sends_as_encoded()) {
            output_of(&mut self.output, state).buffer().extend_from_slice(encoded);
        } else {
            frames.iter().for_each(|frame| self.send_frame(frame.clone(), state));
        }
        let has_output = self.output.as_ref().is_some_and(|output| !output.is_empty());
        if flushes && has_output && !self.flags.is_blocked {
            self.flush(state);
        } else {
            self.update(state);
        }
    }

    /// Whether a message becomes the same bytes as on any other such connection.
    fn sends_as_encoded(&self) -> bool {
        self.protocol.is_plain_server() && !self.sees_frames()
    }

    fn send_shared(&mut self, frame: &Frame, state: &mut LoopState) {
        let len = frame.as_slice().len();
        if !state.queue.has_room(self.id.slot, len) {
            if state.queue.overflow() == Overflow::Fail {
                self.overflow(state);
            }
            return;
        }
        if let Some(status) = state.queue.status(self.id.slot) {
            status.add_local(len);
        }
        if self.is_opening() {
            self.early.get_or_insert_default().commands.push(Command::Frame(Box::new(frame.clone())));
        } else {
            self.reported_len += len;
            self.send_frame(frame.clone(), state);
        }
    }

    pub(super) fn execute(&mut self, command: Command, state: &mut LoopState) {
        // It goes off the status when the output is next measured that it becomes.
        self.reported_len += command.buffered_len();
        match command {
            Command::Message(message) => self.send_message(message, state),
            Command::Frame(frame) => self.send_frame(*frame, state),
            Command::Close(code, reason) => self.send_frame(Frame::close(code, &reason), state),
            Command::Overflow => self.overflow(state),
            Command::Timeout(at, token) => self.set_timeout(at, token, state),
            Command::Cancel(timeout) => {
                state.cancel(&timeout);
            }
            Command::Pause => self.flags.is_paused = true,
            Command::Resume => self.resume(state),
            // These concern the loop, not a connection.
            Command::Connect(..) | Command::Accept(_) | Command::AcceptUpgraded(..) | Command::Shutdown => {
                trace!("not for a connection");
            }
        }
    }

    /// A time-out of the handler has passed.
    pub(in crate::reactor) fn on_timeout(&mut self, token: Token, state: &mut LoopState) {
        if self.stage != Stage::Ended {
            self.call_fallible(state, |handler| handler.on_timeout(token));
        }
        self.update(state);
    }

    /// The loop shuts down: the handler may have a last word, unless its connection has ended already.
    pub(in crate::reactor) fn on_shutdown(&mut self, state: &mut LoopState) {
        if !self.flags.is_dead {
            self.call(state, Handler::on_shutdown);
            self.update(state);
        }
    }

    /// The loop shuts down: the peer is told.
    pub(in crate::reactor) fn shut_down(&mut self, state: &mut LoopState) {
        match self.protocol.state() {
            // No answer can be sent, and the handshake is not waited for.
            State::Connecting if self.socket.is_handshaking() => self.protocol.abandon(),
            State::Connecting => self.reject_with_503(state),
            _ => self.send_frame(Frame::close(CloseCode::Away, "shutting down"), state),
        }
        // A handler that keeps the Close back does not keep the loop back.
        if self.protocol.state() == State::Open {
            self.protocol.abandon();
        }
        self.update(state);
    }

    fn set_timeout(&mut self, at: Option<std::time::Instant>, token: Token, state: &mut LoopState) {
        let event = TimerEvent { id: self.id, kind: TimerKind::User(token) };
        let timeout = state.schedule_timeout(at, &mut self.timers, event);
        assert!(timeout.is_some() || !state.settings.panic_on_timeout, "no more time-outs can be set");
        match timeout {
            Some(timeout) => {
                self.call_fallible(state, |handler| handler.on_new_timeout(token, timeout));
            }
            None => self.report(Error::new(ErrorKind::Capacity, "no more time-outs can be set"), state),
        }
    }

    /// More is queued than the limit allows: the connection fails, and no other one (RUSTSEC-2020-0043).
    fn overflow(&mut self, state: &mut LoopState) {
        if !self.flags.has_failed && !self.protocol.state().is_ending() {
            let err = Error::new(ErrorKind::Capacity, "too much output is queued for this connection");
            self.handle_error(err, state);
        }
    }
}

/// Time-outs and reading do not depend on the peer; everything else is said to it.
fn waits_for_open(command: &Command) -> bool {
    matches!(command, Command::Message(_) | Command::Frame(_) | Command::Close(..))
}
