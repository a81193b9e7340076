//! What the peer sends, as the handler receives it.

use std::sync::Arc;

use super::endpoint::{Endpoint, Stage};
use crate::close::CloseCode;
use crate::error::Result;
use crate::message::Message;
use crate::protocol::manual::{Received, receive_rest, receive_whole};
use crate::protocol::{Event, Frame, MessageRef, buffer_pool};
use crate::reactor::api::handler::Handler;
use crate::reactor::api::reply::{Reply, ReplyOutput};
use crate::reactor::loop_state::{LoopState, guard};
use crate::reactor::queue::status::ConnectionStatus;
use crate::reactor::queue::{CommandQueue, Receiving};
use crate::reactor::system::{System, Transport as _};

/// The queue of the loop, and the status of the connection, in which replies are counted.
pub(super) type Place<'a> = (&'a CommandQueue, Option<&'a ConnectionStatus>);

impl<H: Handler, S: System> Endpoint<H, S> {
    /// Receives the next message, frame or event and passes it to the handler. Returns whether there was one. The caller has to create
    /// a [`Receiving`].
    #[inline]
    pub(super) fn process(
        &mut self,
        input: &mut &mut [u8],
        place: Place<'_>,
        state: &mut LoopState<S>,
    ) -> bool {
        match receive_whole(&mut self.protocol, input, state.now) {
            Ok(Some(message)) if is_frame(self, state) => {
                self.on_frame(Frame::from(message.into_owned()), state);
            }
            Ok(Some(message)) => lend(self, message, place, state),
            Ok(None) => return process_rest(self, input, state),
            Err(err) => self.handle_violation(err, state),
        }
        true
    }

    /// A message was received into memory of its own.
    pub(super) fn on_large_message(&mut self, message: Message, state: &mut LoopState<S>) {
        if is_frame(self, state) {
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
            Event::Close(code, reason) => on_close(self, code, &reason, state),
            Event::Request(request) => self.on_request(request, state),
            Event::Response { request, response } => self.on_response(request, *response, state),
            Event::Rejected(response) => self.on_rejected(&response, state),
            Event::Pong(_) => {}
        }
    }

    /// Passes a message to the handler that has memory of its own.
    pub(super) fn on_message(&mut self, mut message: Message, state: &mut LoopState<S>) {
        let _receiving = Receiving::begin(self.id);
        let queue = Arc::clone(&state.queue);
        let place = (&*queue, queue.status(self.id.slot));
        lend(self, MessageRef::whole(&mut message), place, state);
        buffer_pool::give(message.into_data());
    }

    #[inline]
    pub(super) fn on_frame(&mut self, frame: Frame, state: &mut LoopState<S>) {
        if matches!(self.stage, Stage::Failing | Stage::Lost) && !frame.is_control() {
            return;
        }
        let mut hook = state.hooks.on_frame;
        let allowed = match self.shows(&frame, hook) {
            true => self.call_fallible(state, |handler| hook.call::<H, _>(|| handler.on_frame(frame))),
            false => Some(Some(frame)),
        };
        state.hooks.on_frame = hook;
        let Some(Some(frame)) = allowed else { return };
        match self.protocol.accept(frame, state.now) {
            Ok(Some(Event::Message(message))) => self.on_message(message, state),
            Ok(Some(event)) => self.on_event(event, state),
            Ok(None) => {}
            Err(err) => self.handle_violation(err, state),
        }
    }
}

/// Receives what is not a message in a single frame.
fn process_rest<H: Handler, S: System>(
    endpoint: &mut Endpoint<H, S>,
    input: &mut &mut [u8],
    state: &mut LoopState<S>,
) -> bool {
    let out = endpoint.write.buffer(&mut state.pool);
    match receive_rest(&mut endpoint.protocol, input, state.now, out) {
        Ok(Some(Received::Frame(frame))) => endpoint.on_frame(frame, state),
        Ok(Some(Received::Event(event))) => endpoint.on_event(event, state),
        Ok(None) => return false,
        Err(err) => endpoint.handle_violation(err, state),
    }
    true
}

/// Whether a message that has arrived in a single frame becomes that frame: because the handler sees frames, or receives no more messages.
#[inline]
fn is_frame<H: Handler, S: System>(endpoint: &Endpoint<H, S>, state: &LoopState<S>) -> bool {
    endpoint.wants_frames(state.hooks.on_frame) || matches!(endpoint.stage, Stage::Failing | Stage::Lost)
}

/// Lends a message to the handler.
#[inline(always)]
fn lend<H: Handler, S: System>(
    endpoint: &mut Endpoint<H, S>,
    message: MessageRef<'_>,
    place: Place<'_>,
    state: &mut LoopState<S>,
) {
    state.fairness.add_work(message.len());
    state.traffic.messages_received += 1;
    let called = if state.settings.catch_panics {
        call_guarded(endpoint, message, place, state)
    } else {
        call(endpoint, message, place, state, false)
    };
    match called {
        Some(Ok(())) => {}
        Some(Err(err)) => endpoint.handle_error(err, state),
        None => endpoint.dismiss_handler(state),
    }
}

/// Calls the handler, and catches a panic. This is a separate function because the reply must be in memory here. Otherwise it is in
/// registers.
#[cold]
fn call_guarded<H: Handler, S: System>(
    endpoint: &mut Endpoint<H, S>,
    message: MessageRef<'_>,
    place: Place<'_>,
    state: &mut LoopState<S>,
) -> Option<Result<()>> {
    call(endpoint, message, place, state, true)
}

#[inline(always)]
fn call<H: Handler, S: System>(
    endpoint: &mut Endpoint<H, S>,
    message: MessageRef<'_>,
    (queue, status): Place<'_>,
    state: &mut LoopState<S>,
    catches: bool,
) -> Option<Result<()>> {
    let is_direct = endpoint.protocol.is_plain_server() && !endpoint.wants_frames(state.hooks.on_send_frame);
    let Some(handler) = &mut endpoint.handler else { return Some(Ok(())) };
    let output = status.filter(|_| is_direct).map(|status| ReplyOutput {
        status,
        write: &mut endpoint.write,
        pool: &mut state.pool,
        fragment_size: state.config.fragment_size,
    });
    let mut reply = Reply::new(queue, endpoint.id, output);
    // The call of a handler that may panic is a function of its own, and the other one is inlined.
    let called = if catches {
        guard(true, || handler.on_message_ref(message, &mut reply))
    } else {
        Some(handler.on_message_ref(message, &mut reply))
    };
    state.traffic.messages_sent += reply.sent();
    called
}

/// The peer has sent a Close frame, which must be answered unless it is an answer itself (§5.5.1).
fn on_close<H: Handler, S: System>(
    endpoint: &mut Endpoint<H, S>,
    code: CloseCode,
    reason: &str,
    state: &mut LoopState<S>,
) {
    endpoint.end(code, reason, state);
    match endpoint.protocol.close_reply(code) {
        // What is queued waits for the next connection.
        Some(reply) if endpoint.stage == Stage::Lost => endpoint.send(reply, state),
        Some(reply) => endpoint.send_last(reply, state),
        None => {}
    }
}
