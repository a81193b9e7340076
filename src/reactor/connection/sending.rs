//! What the program sends, as the handler allows it.

use log::trace;

use super::endpoint::Endpoint;
use super::failing::Consequence;
use crate::message::Message;
use crate::protocol::{Frame, OpCode, ProtocolError};
use crate::reactor::api::handler::Handler;
use crate::reactor::loop_state::LoopState;
use crate::reactor::queue::Command;
use crate::reactor::system::System;

impl<H: Handler, S: System> Endpoint<H, S> {
    /// Executes a command that sends something.
    #[inline]
    pub(super) fn send_command(&mut self, command: Command, state: &mut LoopState<S>) {
        self.write.add_published(command.buffered_len());
        match command {
            Command::Message(message) => self.send_message(message, state),
            Command::Frame(frame) => self.send_frame(*frame, state),
            Command::Close(code, reason) => self.send_frame(Frame::close(code, &reason), state),
            _ => trace!("a command that sends nothing was kept until the connection was open"),
        }
    }

    /// Sends a message. A handler that wants frames receives it as a frame first.
    #[inline]
    pub(super) fn send_message(&mut self, message: Message, state: &mut LoopState<S>) {
        if self.wants_frames() {
            return self.send_frame(Frame::from(message), state);
        }
        let queue = self.write.queue(&mut state.pool);
        match self.protocol.send(message, state.now, queue) {
            Ok(()) | Err(ProtocolError::NotOpen) => {}
            Err(err) => self.report(err.into(), state),
        }
    }

    /// Sends a frame that the handler can replace or drop.
    #[inline]
    pub(super) fn send_frame(&mut self, frame: Frame, state: &mut LoopState<S>) {
        let is_close = frame.opcode() == OpCode::Close;
        if !self.protocol.can_send(frame.opcode()) {
            return trace!("a {} frame was not sent, because the connection is closing", frame.opcode());
        }
        let allowed = match self.shows(&frame) {
            true if is_close => self.allow_close(frame, state),
            true => self.call_fallible(state, |handler| handler.on_send_frame(frame)).flatten(),
            false => Some(frame),
        };
        if let Some(frame) = allowed {
            let queue = self.write.queue(&mut state.pool);
            match self.protocol.send_frame(frame, state.now, queue) {
                // The handler may have closed the connection in `on_send_frame`.
                Ok(()) | Err(ProtocolError::NotOpen) => {}
                Err(err) => self.report(err.into(), state),
            }
        }
        if is_close {
            // A Close frame that was owed and that the handler dropped is never sent.
            self.protocol.skip_close(state.now);
        }
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
