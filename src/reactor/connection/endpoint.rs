//! One end of a WebSocket connection: a socket, the protocol, the handler, and the output.

use super::opening::Opening;
use super::write_side::WriteSide;
use crate::close::CloseCode;
use crate::error::Result;
use crate::protocol::manual::ManualConnection;
use crate::protocol::{Encode, Role, State};
use crate::reactor::api::handler::Handler;
use crate::reactor::entries::ConnectionId;
use crate::reactor::frame_hooks::Hook;
use crate::reactor::loop_state::LoopState;
use crate::reactor::queue::status::ConnectionStatus;
use crate::reactor::queue::{Phase, Receiving};
use crate::reactor::system::{System, Transport as _};
use crate::reactor::work_lists::Listed;

/// Connects the handler with the protocol. [`Connection`](super::Connection) connects both with the loop.
#[derive(Debug)]
pub(super) struct Endpoint<H, S: System> {
    pub(super) id: ConnectionId,
    pub(super) socket: S::Socket,
    pub(super) protocol: ManualConnection,
    /// `None` for a client that was rejected because the loop is full, and after the handler has panicked.
    pub(super) handler: Option<H>,
    pub(super) stage: Stage,
    pub(super) write: WriteSide,
    /// What is needed only until the connection is open.
    pub(super) opening: Option<Box<Opening>>,
    /// The work lists of the loop that contain the connection.
    pub(super) listed: Listed,
    /// How much memory the connection has reported, in bytes. A connection of more than 4 GiB reports 4 GiB.
    pub(super) reported: u32,
}

/// Which hooks the handler has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// `on_open` has not been called.
    Opening,
    /// `on_open` has been called, `on_close` has not.
    Open,
    /// The same, but the handler has failed, and a Close frame is queued: the handler receives no more messages.
    Failing,
    /// The same, but the connection has ended, and the client may connect again.
    Lost,
    /// `on_close` has been called or will never be called.
    Ended,
}

impl Stage {
    /// Whether `on_close` will follow.
    #[inline]
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Failing)
    }
}

impl<H: Handler, S: System> Endpoint<H, S> {
    /// Whether the handler sees every frame in a hook, so that messages must become frames.
    ///
    /// This is also the case without a handler: then only the end of the connection is left to do.
    #[inline]
    pub(super) fn wants_frames(&self, hook: Hook) -> bool {
        self.handler.as_ref().is_none_or(|handler| handler.wants_frames() && hook.is_needed())
    }

    /// Whether the handler sees this frame or message as a frame in a hook. It always sees control frames and frames that only an
    /// extension understands.
    #[inline]
    pub(super) fn shows(&self, frame: &impl Encode, hook: Hook) -> bool {
        let is_shown = |handler: &H| {
            handler.wants_frames() && hook.is_needed()
                || frame.header().opcode.is_control()
                || frame.has_foreign_bits()
        };
        self.handler.as_ref().is_some_and(is_shown)
    }

    /// Calls a method of the handler, unless the handler has panicked.
    ///
    /// A handler that panics is not called again, because its state is unknown. Without
    /// [`Settings::catch_panics`](crate::Settings::catch_panics) the panic leaves the loop.
    #[inline]
    pub(super) fn call<R>(
        &mut self,
        state: &mut LoopState<S>,
        method: impl FnOnce(&mut H) -> R,
    ) -> Option<R> {
        let handler = self.handler.as_mut()?;
        let _receiving = Receiving::begin(self.id);
        let called = state.guard(|| method(handler));
        if called.is_none() {
            self.dismiss_handler(state);
        }
        called
    }

    /// Calls a method of the handler that can fail, and handles the error.
    #[inline]
    pub(super) fn call_fallible<R>(
        &mut self,
        state: &mut LoopState<S>,
        method: impl FnOnce(&mut H) -> Result<R>,
    ) -> Option<R> {
        match self.call(state, method)? {
            Ok(value) => Some(value),
            Err(err) => {
                self.handle_error(err, state);
                None
            }
        }
    }

    /// Calls `on_close`, once, if `on_open` was called and the client does not connect again.
    pub(super) fn end(&mut self, code: CloseCode, reason: &str, state: &mut LoopState<S>) {
        if !self.stage.is_open() {
            return;
        }
        state.queue.monitor.connections().close(code);
        if self.protocol.role() == Role::Client {
            state.record_close(self.id, code, reason);
        }
        if state.reconnecting.on_close(self.id.slot, code, reason) {
            self.stage = Stage::Lost;
            // What is sent from now on waits for the next connection.
            if let Some(status) = self.status(state) {
                status.reopen(self.id.serial);
            }
        } else {
            self.stage = Stage::Ended;
            self.set_phase(Phase::Closed, state);
            self.call(state, |handler| handler.on_close(code, reason));
        }
    }

    /// Whether the connection is not open yet, here, where a redirect leads, or when the client connects again.
    #[inline]
    pub(super) fn is_opening(&self) -> bool {
        match self.stage {
            Stage::Opening => self.protocol.state() == State::Connecting || self.is_redirecting(),
            Stage::Lost => true,
            Stage::Open | Stage::Failing | Stage::Ended => false,
        }
    }

    /// Whether this connection has ended and begins again at another URL.
    pub(super) fn is_redirecting(&self) -> bool {
        self.stage == Stage::Opening && self.opening.as_ref().is_some_and(|opening| opening.is_redirecting())
    }

    /// The status that senders see.
    #[inline]
    pub(super) fn status<'a>(&self, state: &'a LoopState<S>) -> Option<&'a ConnectionStatus> {
        state.queue.status(self.id.slot)
    }

    /// Publishes the phase of the connection to senders.
    pub(super) fn set_phase(&self, phase: Phase, state: &LoopState<S>) {
        if let Some(status) = self.status(state) {
            status.advance(phase);
        }
    }

    /// Publishes the amount of output to senders, and returns it in bytes.
    #[inline]
    pub(super) fn publish(&mut self, state: &LoopState<S>) -> usize {
        let (unsent, waiting) = (self.socket.unsent(), self.protocol.steps().waiting_len());
        self.write.publish(unsent, waiting, state.queue.status(self.id.slot))
    }
}
