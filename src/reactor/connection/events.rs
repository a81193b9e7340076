//! What the peer sends, as the handler receives it.

use super::endpoint::{Endpoint, Stage};
use crate::close::CloseCode;
use crate::message::Message;
use crate::protocol::manual::Received;
use crate::protocol::{Event, Frame};
use crate::reactor::api::handler::Handler;
use crate::reactor::loop_state::LoopState;
use crate::reactor::system::{System, Transport as _};

impl<H: Handler, S: System> Endpoint<H, S> {
    /// Receives the next message, frame or event and passes it to the handler. Returns whether there was one.
    #[inline]
    pub(super) fn process(&mut self, input: &mut &mut [u8], state: &mut LoopState<S>) -> bool {
        let out = self.write.buffer(&mut state.pool);
        match self.protocol.receive(input, state.now, out) {
            Ok(Some(Received::Event(Event::Message(message)))) => self.on_whole_message(message, state),
            Ok(Some(Received::Frame(frame))) => self.on_frame(frame, state),
            Ok(Some(Received::Event(event))) => self.on_event(event, state),
            Ok(None) => return false,
            Err(err) => self.handle_violation(err, state),
        }
        true
    }

    /// A message has arrived in a single frame. It becomes that frame if the handler sees frames.
    #[inline]
    fn on_whole_message(&mut self, message: Message, state: &mut LoopState<S>) {
        if self.wants_frames() || matches!(self.stage, Stage::Failing | Stage::Lost) {
            self.on_frame(Frame::from(message), state);
        } else {
            self.on_message(message, state);
        }
    }

    fn on_event(&mut self, event: Event, state: &mut LoopState<S>) {
        match event {
            Event::Message(message) => self.on_message(message, state),
            Event::Ping(payload) => {
                let unsent = self.write.len() + self.socket.unsent();
                if let Some(pong) = self.protocol.pong_for(payload, unsent) {
                    self.send(pong, state);
                }
            }
            Event::Close(code, reason) => self.on_close(code, &reason, state),
            Event::Request(request) => self.on_request(*request, state),
            Event::Response { request, response } => self.on_response(*request, *response, state),
            Event::Rejected(response) => self.on_rejected(&response, state),
            Event::Pong(_) => {}
        }
    }

    #[inline]
    pub(super) fn on_message(&mut self, message: Message, state: &mut LoopState<S>) {
        state.fairness.add_work(message.len());
        state.traffic.messages_received += 1;
        self.call_fallible(state, |handler| handler.on_message(message));
    }

    #[inline]
    fn on_frame(&mut self, frame: Frame, state: &mut LoopState<S>) {
        if matches!(self.stage, Stage::Failing | Stage::Lost) && !frame.is_control() {
            return;
        }
        let allowed = match self.shows(&frame) {
            true => self.call_fallible(state, |handler| handler.on_frame(frame)),
            false => Some(Some(frame)),
        };
        let Some(Some(frame)) = allowed else { return };
        match self.protocol.accept(frame, state.now) {
            Ok(Some(Event::Message(message))) => self.on_message(message, state),
            Ok(Some(event)) => self.on_event(event, state),
            Ok(None) => {}
            Err(err) => self.handle_violation(err, state),
        }
    }

    /// The peer has sent a Close frame, which must be answered unless it is an answer itself (§5.5.1).
    fn on_close(&mut self, code: CloseCode, reason: &str, state: &mut LoopState<S>) {
        self.end(code, reason, state);
        match self.protocol.close_reply(code) {
            // What is queued waits for the next connection.
            Some(reply) if self.stage == Stage::Lost => self.send(reply, state),
            Some(reply) => self.send_last(reply, state),
            None => {}
        }
    }
}
