//! What the program sends, as the handler allows it.

use log::trace;

use super::endpoint::Endpoint;
use super::failing::Consequence;
use super::work::work_later;
use crate::message::Message;
use crate::protocol::{Encode, Frame, OpCode, ProtocolError, Role, write_frame};
use crate::reactor::api::handler::Handler;
use crate::reactor::loop_state::LoopState;
use crate::reactor::monitoring::is_message;
use crate::reactor::publishing::EncodedFrames;
use crate::reactor::queue::Command;
use crate::reactor::system::System;

impl<H: Handler, S: System> Endpoint<H, S> {
    /// Executes a command that sends something.
    #[inline]
    pub(super) fn send_command(&mut self, command: Command, state: &mut LoopState<S>) {
        self.write.add_published(command.buffered_len());
        match command {
            Command::Message(message) => self.send(message, state),
            Command::Frame(frame) => self.send(*frame, state),
            Command::Shared(command) => {
                if let Some(message) = command.shared() {
                    self.send_shared(message.frame(), |state| EncodedFrames::of(message, state), state);
                }
            }
            Command::Close(code, reason) => {
                state.reconnecting.stop(self.id.slot);
                self.send(Frame::close(code, &reason), state);
            }
            _ => trace!("a command that sends nothing was kept until the connection was open"),
        }
    }

    /// Sends a message, or a frame that the handler can replace or drop. A handler that wants frames receives a message as a frame.
    #[inline]
    pub(super) fn send(&mut self, outgoing: impl Encode, state: &mut LoopState<S>) {
        let opcode = outgoing.header().opcode;
        if !self.protocol.can_send(opcode) {
            return trace!("a {opcode} frame was not sent, because the connection is closing");
        }
        if self.shows(&outgoing, state.hooks.on_send_frame) {
            if let Some(frame) = self.allow(outgoing.into(), state) {
                self.encode(frame, state);
            }
        } else {
            self.encode(outgoing, state);
        }
        if opcode == OpCode::Close && !self.protocol.steps().is_compressing() {
            // A Close frame that was owed and that the handler dropped is never sent.
            self.protocol.skip_close(state.now);
        }
    }

    /// Sends a frame that other connections receive as well. Servers without compression share the encoded frame, unless there is none
    /// or the handler replaces the frame.
    pub(super) fn send_shared(
        &mut self,
        frame: &Frame,
        encoded: impl FnOnce(&LoopState<S>) -> Option<EncodedFrames>,
        state: &mut LoopState<S>,
    ) {
        if frame.is_control() || !self.protocol.is_plain_server() {
            return self.send(frame.clone(), state);
        }
        if self.shows(frame, state.hooks.on_send_frame) {
            match self.allow(frame.clone(), state) {
                Some(allowed) if allowed.is_same(frame) => {}
                Some(allowed) => return self.encode(allowed, state),
                None => return,
            }
        }
        // The handler may have closed the connection in `on_send_frame`.
        if self.protocol.can_send(frame.opcode()) {
            match encoded(state) {
                Some(encoded) => {
                    encoded.append_to(self.write.queue(&mut state.pool));
                    state.traffic.messages_sent += u64::from(is_message(frame));
                }
                None => self.encode(frame.clone(), state),
            }
        }
    }

    /// Sends the Pong that waits, if there is one. Returns whether there was.
    #[inline]
    pub(super) fn send_pending_pong(&mut self, state: &mut LoopState<S>) -> bool {
        let pending = self.protocol.pending_pong();
        let is_pending = pending.is_some();
        if let Some(pong) = pending {
            self.send(pong, state);
        }
        is_pending
    }

    #[inline]
    fn encode(&mut self, outgoing: impl Encode, state: &mut LoopState<S>) {
        let messages = u64::from(is_message(&outgoing));
        let queue = self.write.queue(&mut state.pool);
        match self.protocol.transmit(outgoing, state.now, queue) {
            Ok(()) => state.traffic.messages_sent += messages,
            // The handler may have closed the connection in `on_send_frame`.
            Err(ProtocolError::NotOpen) => {}
            Err(err) => self.report(err.into(), state),
        }
        if self.protocol.steps().is_compressing() {
            work_later(self, state);
        }
    }

    /// Passes a frame to the handler. Returns what the handler allows to be sent.
    #[inline]
    fn allow(&mut self, frame: Frame, state: &mut LoopState<S>) -> Option<Frame> {
        if frame.opcode() == OpCode::Close {
            return self.allow_close(frame, state);
        }
        let mut hook = state.hooks.on_send_frame;
        let allowed = self.call_fallible(state, |handler| hook.call::<H, _>(|| handler.on_send_frame(frame)));
        state.hooks.on_send_frame = hook;
        allowed.flatten()
    }

    /// Passes a Close frame to the handler.
    ///
    /// If the handler returns an error, the Close frame that follows from the error is not passed to it, because the
    /// handler would only fail again.
    fn allow_close(&mut self, frame: Frame, state: &mut LoopState<S>) -> Option<Frame> {
        let err = match self.call(state, |handler| handler.on_send_frame(frame))? {
            Ok(allowed) => return allowed,
            Err(err) => err,
        };
        let consequence = Consequence::of(&err.kind);
        self.report(err, state);
        match consequence {
            Consequence::None => None,
            Consequence::Close(code) => Some(Frame::close(code, "")),
            Consequence::Drop => {
                self.protocol.abandon();
                None
            }
        }
    }
}

/// Sends a message that the handler has queued.
#[inline(never)]
pub(super) fn send_answer<H: Handler, S: System>(
    endpoint: &mut Endpoint<H, S>,
    message: Message,
    state: &mut LoopState<S>,
) {
    endpoint.write.add_published(message.len());
    if endpoint.protocol.is_plain_server() && !endpoint.wants_frames(state.hooks.on_send_frame) {
        state.traffic.messages_sent += 1;
        let fragment_size = state.config.fragment_size;
        write_frame(message, Role::Server, fragment_size, endpoint.write.queue(&mut state.pool));
    } else {
        endpoint.send(message, state);
    }
}
