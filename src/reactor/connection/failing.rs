//! What becomes of a connection when its handler, its peer or its socket fails.

use log::debug;

use super::{Connection, Stage, output_of};
use crate::close::CloseCode;
use crate::error::{Error, ErrorKind};
use crate::protocol::{Frame, Output as _, ProtocolError, Role, State};
use crate::reactor::api::handler::Handler;
use crate::reactor::loop_state::LoopState;
use crate::reactor::queue::{Command, Phase, QueuedCommand};

impl<H: Handler> Connection<H> {
    /// The handler has panicked.
    #[cold]
    pub(super) fn dismiss_handler(&mut self, state: &mut LoopState) {
        self.handler = None;
        self.stage = Stage::Ended;
        self.show(Phase::Closed, state);
        let out = output_of(&mut self.output, state).buffer();
        let closing = self.protocol.close(CloseCode::Error, "", state.now, out);
        if closing.is_err() {
            self.protocol.abandon();
        }
    }

    /// An error that a method of the handler has returned: the handler is told, and the kind decides what becomes of the
    /// connection.
    #[cold]
    pub(super) fn handle_error(&mut self, err: Error, state: &mut LoopState) {
        let consequence = Consequence::of(&err.kind);
        self.report(err, state);
        match consequence {
            Consequence::None => {}
            Consequence::Close(_) if self.stage == Stage::Opening => self.protocol.abandon(),
            Consequence::Close(code) => {
                self.flags.has_failed = true;
                self.send_last(Frame::close(code, ""), state);
            }
            Consequence::Drop => self.protocol.abandon(),
        }
    }

    /// The peer has broken the protocol, or a limit: the handler is told, and the peer gets its Close (§7.1.7).
    pub(super) fn handle_violation(&mut self, err: ProtocolError, state: &mut LoopState) {
        match err {
            // The end of a connection is told by `on_close`, and that of a handshake that never was, not at all.
            ProtocolError::ConnectionLost | ProtocolError::IdleTimeout => debug!("connection lost: {err}"),
            ProtocolError::HandshakeCut | ProtocolError::HandshakeTimeout
                if self.protocol.role() == Role::Server =>
            {
                debug!("opening handshake abandoned: {err}");
            }
            _ => self.report(err.into(), state),
        }
        if let Some(failure) = self.protocol.failure(err) {
            self.send_last(failure, state);
        }
    }

    /// Queues a Close frame behind all that the handler has sent so far: what it has answered to good messages goes out
    /// before the connection ends.
    pub(super) fn send_last(&self, close: Frame, state: &LoopState) {
        // On the loop's own thread the queue takes everything.
        let _ = state
            .queue
            .push(QueuedCommand { target: self.target(), command: Command::Frame(Box::new(close)) });
    }

    /// The socket has failed. A server is not told of clients that go before they have said anything.
    pub(super) fn handle_socket_error(&mut self, err: Error, state: &mut LoopState) {
        let is_over = matches!(self.protocol.state(), State::Closing | State::Closed);
        let is_gone = self.protocol.role() == Role::Server && matches!(err.kind, ErrorKind::Io(_));
        self.protocol.abandon();
        if self.stage == Stage::Opened || !(is_over || is_gone) {
            self.report(err, state);
        } else {
            debug!("socket failed before or after its connection: {err}");
        }
    }

    /// Tells the handler of an error, or panics if the settings want that.
    pub(super) fn report(&mut self, err: Error, state: &mut LoopState) {
        let settings = state.settings;
        let must_panic = match err.kind {
            ErrorKind::Internal => settings.panic_on_internal,
            ErrorKind::Capacity => settings.panic_on_capacity,
            ErrorKind::Protocol => settings.panic_on_protocol,
            ErrorKind::Encoding(_) => settings.panic_on_encoding,
            ErrorKind::Queue(_) => settings.panic_on_queue,
            ErrorKind::Http(_) | ErrorKind::Custom(_) => false,
            // Those of the socket, TLS included.
            _ => settings.panic_on_io,
        };
        if self.stage == Stage::Opening && self.protocol.role() == Role::Client {
            state.record_connect_failure(self.id, &err);
            assert!(!settings.panic_on_new_connection, "a connection could not be made: {err}");
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
            // Of the socket, TLS included, or of HTTP: there is nothing left to talk through.
            _ => Self::Drop,
        }
    }
}
