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
use crate::reactor::loop_state::Context;
use crate::reactor::queue::Phase;

/// The most frames of one connection that are handled in one turn: many small ones take longer than their bytes tell.
const EVENT_BUDGET: usize = 256;

/// How often what the handler asks for while it is obeyed is obeyed at once, too.
const OWN_ROUNDS: usize = 4;

impl<H: Handler> Connection<H> {
    /// Brings bytes from the peer to the protocol, and what comes of them to the handler. What exceeds the share of one
    /// turn, which has begun then, is kept for the next.
    pub(super) fn take_input(&mut self, mut input: &mut [u8], begun: Option<Instant>, cx: &mut Context) {
        for frames in 1..=EVENT_BUDGET {
            if !self.take_message(&mut input, cx) && !self.take_event(&mut input, cx) {
                return;
            }
            self.obey_own(cx);
            // A handler that takes its time is not to take that of its neighbours, too.
            if !input.is_empty() && cx.ends_share(frames, begun) {
                break;
            }
        }
        self.unread = Box::from(&*input);
        self.read_again(cx);
    }

    /// Takes a message that need not be shown as a frame, if that comes next; returns whether it was.
    #[inline]
    fn take_message(&mut self, input: &mut &mut [u8], cx: &mut Context) -> bool {
        if self.sees_frames() || self.flags.is_condemned {
            return false;
        }
        let out = output_of(&mut self.output, cx).buffer();
        match self.protocol.receive_message(input, cx.now, out) {
            Ok(Some(message)) => self.on_message(message, cx),
            Ok(None) => return false,
            Err(err) => self.handle_violation(err, cx),
        }
        true
    }

    /// Takes whatever comes next; returns whether anything was complete.
    #[inline]
    fn take_event(&mut self, input: &mut &mut [u8], cx: &mut Context) -> bool {
        let out = output_of(&mut self.output, cx).buffer();
        match self.protocol.receive(input, cx.now, out) {
            Ok(Some(Event::Frame(frame))) => self.on_frame(frame, cx),
            Ok(Some(event)) => self.on_event(event, cx),
            Ok(None) => return false,
            Err(err) => self.handle_violation(err, cx),
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
    fn obey_own(&mut self, cx: &mut Context) {
        if self.stage != Stage::Opened {
            return;
        }
        if let Some(message) = cx.hub.pop_only_message(self.target()) {
            self.gauged += message.len();
            self.send_message(message, cx);
        } else if cx.hub.has_only(self.target()) {
            self.obey_all_own(cx);
        }
    }

    fn obey_all_own(&mut self, cx: &mut Context) {
        let mut batch = std::mem::take(&mut cx.own);
        // What these bring about in turn concerns the connection only, as well, or waits for the others.
        for _ in 0..OWN_ROUNDS {
            cx.hub.swap_local(&mut batch);
            batch.drain(..).for_each(|command| self.on_signal(command.signal, cx));
            if !cx.hub.has_only(self.target()) {
                break;
            }
        }
        batch.shrink_to(MAX_KEPT_COMMANDS);
        cx.own = batch;
    }

    fn on_event(&mut self, event: Event, cx: &mut Context) {
        match event {
            Event::Frame(frame) => self.on_frame(frame, cx),
            Event::Message(message) => self.on_message(message, cx),
            Event::Ping(payload) => {
                if let Some(pong) = self.protocol.answer(payload) {
                    self.send_frame(pong, cx);
                }
            }
            Event::Close(code, reason) => self.on_close(code, &reason, cx),
            Event::Request(request) => self.on_request(*request, cx),
            Event::Response { request, response } => self.on_response(*request, *response, cx),
            Event::Rejected(response) => self.on_rejected(&response, cx),
            Event::Pong(_) => {}
        }
    }

    #[inline]
    fn on_message(&mut self, message: Message, cx: &mut Context) {
        self.call_fallible(cx, |handler| handler.on_message(message));
    }

    #[inline]
    fn on_frame(&mut self, frame: Frame, cx: &mut Context) {
        if self.flags.is_condemned && !frame.is_control() {
            return;
        }
        let allowed = match self.shows(&frame) {
            true => self.call_fallible(cx, |handler| handler.on_frame(frame)),
            false => Some(Some(frame)),
        };
        let Some(Some(frame)) = allowed else { return };
        let out = output_of(&mut self.output, cx).buffer();
        match self.protocol.accept(frame, cx.now, out) {
            Ok(Some(Event::Message(message))) => self.on_message(message, cx),
            Ok(Some(event)) => self.on_event(event, cx),
            Ok(None) => {}
            Err(err) => self.handle_violation(err, cx),
        }
    }

    /// The peer's Close has come: ours is owed if it was not first.
    fn on_close(&mut self, code: CloseCode, reason: &str, cx: &mut Context) {
        self.end(code, reason, cx);
        if let Some(reply) = self.protocol.close_reply(code) {
            self.send_last(reply, cx);
        }
    }

    fn on_request(&mut self, request: Request, cx: &mut Context) {
        let Some(answer) = self.call(cx, |handler| handler.on_request(&request)) else {
            return self.protocol.abandon();
        };
        let mut response = match answer {
            Ok(response) => response,
            Err(err) => return self.refuse(&request, err, cx),
        };
        let out = output_of(&mut self.output, cx).buffer();
        match self.protocol.respond(&request, &mut response, cx.now, out) {
            Ok(()) if self.protocol.state() == State::Open => self.on_open(request, response, cx),
            Ok(()) => {}
            Err(err) => self.report(err.into(), cx),
        }
    }

    /// The handler has refused the request: the status tells the client what it needs to know, and no more (H13).
    fn refuse(&mut self, request: &Request, err: Error, cx: &mut Context) {
        let reason = match err.kind {
            ErrorKind::Io(_) => None,
            ErrorKind::Protocol if !request.is_upgrade() => Some(ProtocolError::NotAnUpgrade),
            ErrorKind::Protocol => Some(ProtocolError::MalformedHead),
            _ => Some(ProtocolError::UnsendableHead),
        };
        self.report(err, cx);
        let out = output_of(&mut self.output, cx).buffer();
        match reason {
            Some(reason) => self.protocol.refuse(reason, cx.now, out),
            None => self.protocol.abandon(),
        }
    }

    fn on_response(&mut self, request: Request, response: Response, cx: &mut Context) {
        match self.call(cx, |handler| handler.on_response(&response)) {
            Some(Ok(())) => self.on_open(request, response, cx),
            Some(Err(err)) => {
                self.report(err, cx);
                self.protocol.abandon();
            }
            None => {}
        }
    }

    fn on_rejected(&mut self, response: &Response, cx: &mut Context) {
        if self.begin_redirect(response) {
            return;
        }
        self.call(cx, |handler| handler.on_rejected(response));
        self.report(ProtocolError::UnexpectedStatus(response.status()).into(), cx);
    }

    pub(super) fn on_open(&mut self, request: Request, response: Response, cx: &mut Context) {
        self.stage = Stage::Opened;
        self.show(Phase::Open, cx);
        let early = self.early.take().map(|early| *early).unwrap_or_default();
        let (peer_addr, local_addr) = match early.addresses {
            Some((peer, local)) => (Some(peer), Some(local)),
            None => self.socket.addresses(),
        };
        let trusted_proxies = cx.settings.trusted_proxies;
        let encryption = self.socket.encryption();
        let shake = Handshake { request, response, peer_addr, local_addr, trusted_proxies, encryption };
        self.call_fallible(cx, |handler| handler.on_open(shake));
        // What was sent before goes out first; what `on_open` has sent is in the queue of the loop.
        for signal in early.signals {
            self.obey(signal, cx);
        }
    }

    /// Sends a message, as the handler lets it.
    #[inline]
    pub(super) fn send_message(&mut self, message: Message, cx: &mut Context) {
        if self.sees_frames() {
            return self.send_frame(Frame::from(message), cx);
        }
        let out = output_of(&mut self.output, cx);
        match self.protocol.send(message, cx.now, out) {
            Ok(()) | Err(ProtocolError::NotOpen) => {}
            Err(err) => self.report(err.into(), cx),
        }
    }

    /// Sends a frame, as the handler lets it.
    #[inline]
    pub(super) fn send_frame(&mut self, frame: Frame, cx: &mut Context) {
        let is_close = frame.opcode() == OpCode::Close;
        if !self.protocol.can_send(frame.opcode()) {
            return trace!("a {} frame comes too late", frame.opcode());
        }
        let allowed = match self.shows(&frame) {
            true if is_close => self.allow_close(frame, cx),
            true => self.call_fallible(cx, |handler| handler.on_send_frame(frame)).flatten(),
            false => Some(frame),
        };
        if let Some(frame) = allowed {
            let out = output_of(&mut self.output, cx);
            match self.protocol.send_frame(frame, cx.now, out) {
                // The handler may have closed the connection meanwhile.
                Ok(()) | Err(ProtocolError::NotOpen) => {}
                Err(err) => self.report(err.into(), cx),
            }
        }
        if is_close {
            // If it was owed, and has not been sent, it never will be.
            self.protocol.skip_close(cx.now);
        }
    }

    /// Asks the handler for a Close frame. The Close by which an error of its own is answered is not shown to it again:
    /// it would only fail once more.
    fn allow_close(&mut self, frame: Frame, cx: &mut Context) -> Option<Frame> {
        let err = match self.call(cx, |handler| handler.on_send_frame(frame))? {
            Ok(allowed) => return allowed,
            Err(err) => err,
        };
        let consequence = Consequence::of(&err.kind);
        self.report(err, cx);
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
