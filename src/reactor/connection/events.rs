//! What the peer sends, brought to the handler.

use std::time::Instant;

use log::trace;

use super::failing::Consequence;
use super::{Connection, Stage, output_of};
use crate::close::CloseCode;
use crate::error::{Error, ErrorKind};
use crate::message::Message;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Event, Frame, OpCode, Output as _, ProtocolError, State};
use crate::reactor::MAX_KEPT_COMMANDS;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::handshake::Handshake;
use crate::reactor::loop_state::LoopState;
use crate::reactor::queue::Phase;

/// The most frames of one connection that are handled in one turn: many small ones take longer than their bytes tell.
const EVENT_BUDGET: usize = 256;

/// The number of times that commands queued while commands are executed are executed at once, too.
const OWN_ROUNDS: usize = 4;

impl<H: Handler> Connection<H> {
    /// Brings bytes from the peer to the protocol, and what comes of them to the handler. What exceeds the share of one
    /// turn, which has begun then, is kept for the next.
    pub(super) fn take_input(&mut self, mut input: &mut [u8], begun: Option<Instant>, state: &mut LoopState) {
        for frames in 1..=EVENT_BUDGET {
            if !self.take_message(&mut input, state) && !self.take_event(&mut input, state) {
                return;
            }
            self.execute_own(state);
            // A handler that takes its time is not to take that of its neighbours, too.
            if !input.is_empty() && state.exceeds_budget(frames, begun) {
                break;
            }
        }
        self.unread = Box::from(&*input);
        self.read_again(state);
    }

    /// Takes a message that need not be shown as a frame, if that comes next; returns whether it was.
    #[inline]
    fn take_message(&mut self, input: &mut &mut [u8], state: &mut LoopState) -> bool {
        if self.sees_frames() || self.flags.has_failed {
            return false;
        }
        let out = output_of(&mut self.output, state).buffer();
        match self.protocol.receive_message(input, state.now, out) {
            Ok(Some(message)) => self.on_message(message, state),
            Ok(None) => return false,
            Err(err) => self.handle_violation(err, state),
        }
        true
    }

    /// Takes whatever comes next; returns whether anything was complete.
    #[inline]
    fn take_event(&mut self, input: &mut &mut [u8], state: &mut LoopState) -> bool {
        let out = output_of(&mut self.output, state).buffer();
        match self.protocol.receive(input, state.now, out) {
            Ok(Some(Event::Frame(frame))) => self.on_frame(frame, state),
            Ok(Some(event)) => self.on_event(event, state),
            Ok(None) => return false,
            Err(err) => self.handle_violation(err, state),
        }
        true
    }

    /// Whether messages have to become frames, since the handler is to see them; also when it is gone, and only the end of
    /// the connection is left.
    #[inline]
    pub(super) fn sees_frames(&self) -> bool {
        self.handler.as_ref().is_none_or(Handler::sees_frames)
    }

    /// Whether the handler is there, and to see a frame; those that only an extension understands are its own affair.
    #[inline]
    fn shows(&self, frame: &Frame) -> bool {
        let is_wanted = |handler: &H| handler.sees_frames() || frame.is_control() || frame.has_foreign_bits();
        self.handler.as_ref().is_some_and(is_wanted)
    }

    /// Does at once what the handler has just asked for, if that concerns its own connection only, and nobody else has asked
    /// for anything before: payloads are still in the processor's cache, and their memory serves for the next message.
    #[inline]
    fn execute_own(&mut self, state: &mut LoopState) {
        if self.stage != Stage::Opened {
            return;
        }
        if let Some(message) = state.queue.pop_only_message(self.target()) {
            self.reported_len += message.len();
            self.send_message(message, state);
        } else if state.queue.has_only(self.target()) {
            self.execute_all_own(state);
        }
    }

    fn execute_all_own(&mut self, state: &mut LoopState) {
        let mut batch = std::mem::take(&mut state.own);
        // What these bring about in turn concerns the connection only, as well, or waits for the others.
        for _ in 0..OWN_ROUNDS {
            state.queue.swap_local(&mut batch);
            batch.drain(..).for_each(|queued| self.on_command(queued.command, state));
            if !state.queue.has_only(self.target()) {
                break;
            }
        }
        batch.shrink_to(MAX_KEPT_COMMANDS);
        state.own = batch;
    }

    fn on_event(&mut self, event: Event, state: &mut LoopState) {
        match event {
            Event::Frame(frame) => self.on_frame(frame, state),
            Event::Message(message) => self.on_message(message, state),
            Event::Ping(payload) => {
                if let Some(pong) = self.protocol.answer(payload) {
                    self.send_frame(pong, state);
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
    fn on_message(&mut self, message: Message, state: &mut LoopState) {
        self.call_fallible(state, |handler| handler.on_message(message));
    }

    #[inline]
    fn on_frame(&mut self, frame: Frame, state: &mut LoopState) {
        if self.flags.has_failed && !frame.is_control() {
            return;
        }
        let allowed = match self.shows(&frame) {
            true => self.call_fallible(state, |handler| handler.on_frame(frame)),
            false => Some(Some(frame)),
        };
        let Some(Some(frame)) = allowed else { return };
        let out = output_of(&mut self.output, state).buffer();
        match self.protocol.accept(frame, state.now, out) {
            Ok(Some(Event::Message(message))) => self.on_message(message, state),
            Ok(Some(event)) => self.on_event(event, state),
            Ok(None) => {}
            Err(err) => self.handle_violation(err, state),
        }
    }

    /// The peer's Close has come: ours is owed if it was not first.
    fn on_close(&mut self, code: CloseCode, reason: &str, state: &mut LoopState) {
        self.end(code, reason, state);
        if let Some(reply) = self.protocol.close_reply(code) {
            self.send_last(reply, state);
        }
    }

    fn on_request(&mut self, request: Request, state: &mut LoopState) {
        let Some(answer) = self.call(state, |handler| handler.on_request(&request)) else {
            return self.protocol.abandon();
        };
        let mut response = match answer {
            Ok(response) => response,
            Err(err) => return self.refuse(&request, err, state),
        };
        let out = output_of(&mut self.output, state).buffer();
        match self.protocol.respond(&request, &mut response, state.now, out) {
            Ok(()) if self.protocol.state() == State::Open => self.on_open(request, response, state),
            Ok(()) => {}
            Err(err) => self.report(err.into(), state),
        }
    }

    /// The handler has refused the request: the status tells the client what it needs to know, and no more (H13).
    fn refuse(&mut self, request: &Request, err: Error, state: &mut LoopState) {
        let reason = match err.kind {
            ErrorKind::Io(_) => None,
            ErrorKind::Protocol if !request.is_upgrade() => Some(ProtocolError::NotAnUpgrade),
            ErrorKind::Protocol => Some(ProtocolError::MalformedHead),
            _ => Some(ProtocolError::UnsendableHead),
        };
        self.report(err, state);
        let out = output_of(&mut self.output, state).buffer();
        match reason {
            Some(reason) => self.protocol.refuse(reason, state.now, out),
            None => self.protocol.abandon(),
        }
    }

    fn on_response(&mut self, request: Request, response: Response, state: &mut LoopState) {
        match self.call(state, |handler| handler.on_response(&response)) {
            Some(Ok(())) => self.on_open(request, response, state),
            Some(Err(err)) => {
                self.report(err, state);
                self.protocol.abandon();
            }
            None => {}
        }
    }

    fn on_rejected(&mut self, response: &Response, state: &mut LoopState) {
        if self.begin_redirect(response) {
            return;
        }
        self.call(state, |handler| handler.on_rejected(response));
        self.report(ProtocolError::UnexpectedStatus(response.status()).into(), state);
    }

    pub(super) fn on_open(&mut self, request: Request, response: Response, state: &mut LoopState) {
        self.stage = Stage::Opened;
        self.show(Phase::Open, state);
        let early = self.early.take().map(|early| *early).unwrap_or_default();
        let (peer_addr, local_addr) = match early.addresses {
            Some((peer, local)) => (Some(peer), Some(local)),
            None => self.socket.addresses(),
        };
        let trusted_proxies = state.trusted_proxies.clone();
        let encryption = self.socket.encryption();
        let shake = Handshake { request, response, peer_addr, local_addr, trusted_proxies, encryption };
        self.call_fallible(state, |handler| handler.on_open(shake));
        // What was sent before goes out first; what `on_open` has sent is in the queue of the loop.
        for command in early.commands {
            self.execute(command, state);
        }
    }

    /// Sends a message, as the handler lets it.
    #[inline]
    pub(super) fn send_message(&mut self, message: Message, state: &mut LoopState) {
        if self.sees_frames() {
            return self.send_frame(Frame::from(message), state);
        }
        let out = output_of(&mut self.output, state);
        match self.protocol.send(message, state.now, out) {
            Ok(()) | Err(ProtocolError::NotOpen) => {}
            Err(err) => self.report(err.into(), state),
        }
    }

    /// Sends a frame, as the handler lets it.
    #[inline]
    pub(super) fn send_frame(&mut self, frame: Frame, state: &mut LoopState) {
        let is_close = frame.opcode() == OpCode::Close;
        if !self.protocol.can_send(frame.opcode()) {
            return trace!("a {} frame comes too late", frame.opcode());
        }
        let allowed = match self.shows(&frame) {
            true if is_close => self.allow_close(frame, state),
            true => self.call_fallible(state, |handler| handler.on_send_frame(frame)).flatten(),
            false => Some(frame),
        };
        if let Some(frame) = allowed {
            let out = output_of(&mut self.output, state);
            match self.protocol.send_frame(frame, state.now, out) {
                // The handler may have closed the connection meanwhile.
                Ok(()) | Err(ProtocolError::NotOpen) => {}
                Err(err) => self.report(err.into(), state),
            }
        }
        if is_close {
            // If it was owed, and has not been sent, it never will be.
            self.protocol.skip_close(state.now);
        }
    }

    /// Asks the handler for a Close frame. The Close by which an error of its own is answered is not shown to it again:
    /// it would only fail once more.
    fn allow_close(&mut self, frame: Frame, state: &mut LoopState) -> Option<Frame> {
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
