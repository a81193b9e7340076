//! What happens to a connection when its handler, its peer or its socket fails.

use log::{debug, error};

use super::endpoint::{Endpoint, Stage};
use super::opening::count_refusal;
use crate::close::CloseCode;
use crate::error::{Error, ErrorKind};
use crate::protocol::{Frame, ProtocolError, Role, State};
use crate::reactor::api::handler::Handler;
use crate::reactor::loop_state::LoopState;
use crate::reactor::queue::{Command, Phase, QueuedCommand};
use crate::reactor::system::System;

impl<H: Handler, S: System> Endpoint<H, S> {
    /// The handler has panicked: it is removed, and the connection is closed.
    #[cold]
    pub(super) fn dismiss_handler(&mut self, state: &mut LoopState<S>) {
        self.handler = None;
        if self.stage.is_open() {
            state.queue.monitor.connections().close(CloseCode::Error);
        }
        self.stage = Stage::Ended;
        self.set_phase(Phase::Closed, state);
        let out = self.write.buffer(&mut state.pool);
        let closing = self.protocol.close(CloseCode::Error, "", state.now, out);
        if closing.is_err() {
            self.protocol.abandon();
        }
    }

    /// Handles an error that a method of the handler returned. Its kind decides what happens to the connection.
    #[cold]
    pub(super) fn handle_error(&mut self, err: Error, state: &mut LoopState<S>) {
        let consequence = Consequence::of(&err.kind);
        self.report(err, state);
        match consequence {
            Consequence::None => {}
            Consequence::Close(_) if self.stage == Stage::Opening => self.protocol.abandon(),
            Consequence::Close(code) => {
                if self.stage == Stage::Open {
                    self.stage = Stage::Failing;
                }
                self.send_last(Frame::close(code, ""), state);
            }
            Consequence::Drop => self.protocol.abandon(),
        }
    }

    /// The peer violated the protocol or a limit: the handler receives the error, and the peer a Close frame (§7.1.7).
    pub(super) fn handle_violation(&mut self, err: ProtocolError, state: &mut LoopState<S>) {
        match err {
            // `on_close` reports the end of an open connection. A server does not report a handshake that was cut off.
            ProtocolError::ConnectionLost | ProtocolError::IdleTimeout | ProtocolError::WriteTimeout => {
                debug!("connection lost: {err}");
            }
            ProtocolError::HandshakeCut | ProtocolError::HandshakeTimeout
                if self.protocol.role() == Role::Server =>
            {
                count_refusal(self, err.http_status(), state);
                debug!("opening handshake abandoned: {err}");
            }
            _ => {
                count_refusal(self, err.http_status(), state);
                self.report(err.into(), state);
            }
        }
        if let Some(failure) = self.protocol.failure(err) {
            self.send_last(failure, state);
        }
    }

    /// Queues a Close frame after everything that the handler has sent, so that replies to earlier messages are sent
    /// before the connection ends.
    pub(super) fn send_last(&self, close: Frame, state: &LoopState<S>) {
        let command = Command::Frame(Box::new(close));
        // The queue of the loop's own thread has no limit.
        let _ = state.queue.push(QueuedCommand { target: self.id.target(), command });
    }

    /// The socket has failed. A server does not report clients that disconnect before their handshake is complete.
    pub(super) fn handle_socket_error(&mut self, err: Error, state: &mut LoopState<S>) {
        let is_over = matches!(self.protocol.state(), State::Closing | State::Closed);
        let has_disconnected = self.protocol.role() == Role::Server && matches!(err.kind, ErrorKind::Io(_));
        self.protocol.abandon();
        if self.stage.is_open() || !(is_over || has_disconnected) {
            self.report(err, state);
        } else {
            debug!("the socket failed before the connection was open or after it was closed: {err}");
        }
    }

    /// Passes an error to `on_error`, or panics if a `panic_on_*` setting demands it.
    pub(super) fn report(&mut self, err: Error, state: &mut LoopState<S>) {
        let settings = state.settings;
        let must_panic = match err.kind {
            ErrorKind::Internal => settings.panic_on_internal,
            ErrorKind::Capacity => settings.panic_on_capacity,
            ErrorKind::Protocol => settings.panic_on_protocol,
            ErrorKind::Encoding(_) => settings.panic_on_encoding,
            ErrorKind::Queue(_) => settings.panic_on_queue,
            ErrorKind::Http(_) | ErrorKind::Custom(_) => false,
            // The errors of sockets, including TLS.
            _ => settings.panic_on_io,
        };
        if self.stage == Stage::Opening && self.protocol.role() == Role::Client {
            state.record_connect_failure(self.id, &err);
            if err.is_peer_behavior() {
                // The default of `on_error` logs this at a lower level, because clients of a server can cause it often.
                error!("cannot establish a connection: {err}");
            }
            assert!(!settings.panic_on_new_connection, "cannot establish a connection: {err}");
        }
        assert!(!must_panic || self.stage == Stage::Opening, "{err}");
        self.call(state, |handler| handler.on_error(err));
    }
}

/// What an error that a handler returns does to its connection.
pub(super) enum Consequence {
    None,
    Close(CloseCode),
    Drop,
}

impl Consequence {
    pub(super) fn of(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::Internal => Self::Close(CloseCode::Error),
            ErrorKind::Capacity => Self::Close(CloseCode::Size),
            ErrorKind::Protocol => Self::Close(CloseCode::Protocol),
            ErrorKind::Encoding(_) => Self::Close(CloseCode::Invalid),
            ErrorKind::Queue(_) | ErrorKind::Custom(_) => Self::None,
            // After an error of the socket, of TLS or of HTTP, no Close frame can be sent.
            _ => Self::Drop,
        }
    }
}
