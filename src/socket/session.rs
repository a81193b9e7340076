//! A connection for the sockets without handlers: it receives events or frames, and records how the connection has ended.
//!
//! The front ends only move bytes.

use std::sync::Arc;
use std::time::Instant;

use super::read_buffer::ReadBuffer;
use crate::close::{CloseCode, Closed};
use crate::message::Message;
use crate::protocol::handshake::{Extension, Request, Response};
use crate::protocol::{Config, Connection, Event, Frame, FrameExtension, OpCode, ProtocolError, State};

/// The status that opens a connection (§4.2.2).
const SWITCHING_PROTOCOLS: u16 = 101;

/// Whether the program receives events or frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Event,
    Frame,
}

/// An event or a frame that was received.
#[derive(Debug)]
pub(crate) enum Item {
    Event(Event),
    /// A frame that has been acted on, and the event that it caused.
    Frame(Frame, Option<Event>),
}

/// A connection, which the front end drives as [`Connection`] describes. Where there is a method of the same name here, it
/// calls this one.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    /// The extension of the program: before the handshake the offered one, after it the accepted one.
    extension: Option<Box<dyn FrameExtension>>,
    /// The Close of the peer.
    closed: Option<Closed>,
    /// Whether a rule was broken or the stream has failed. A Close that arrives after that does not count.
    has_failed: bool,
}

impl Session {
    /// Creates a session without an extension of the program.
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, extension: None, closed: None, has_failed: false }
    }

    pub(crate) fn server(
        config: Arc<Config>,
        extension: Option<Box<dyn FrameExtension>>,
        now: Instant,
    ) -> Self {
        Self { extension, ..Self::new(Connection::server(config, now)) }
    }

    /// Creates the session of a client, and writes the request.
    pub(crate) fn client(
        config: Arc<Config>,
        mut request: Request,
        extension: Option<Box<dyn FrameExtension>>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Self, ProtocolError> {
        if let Some(extension) = &extension {
            request.add_extension(&extension.offer().to_string());
        }
        Ok(Self { extension, ..Self::new(Connection::client(config, request, now, out)?) })
    }

    /// Answers the request of a client. See [`Connection::respond`].
    pub(crate) fn respond(
        &mut self,
        request: &Request,
        response: &mut Response,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        if response.status() == SWITCHING_PROTOCOLS {
            self.answer_offers(request, response);
        }
        self.connection.respond(request, response, now, out)
    }

    /// Processes input, and returns the next item. If this fails, the answer for the peer is in the output.
    pub(crate) fn receive(
        &mut self,
        input: &mut ReadBuffer,
        unit: Unit,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Item>, ProtocolError> {
        let mut unread = input.unread();
        let is_by_frame = unit == Unit::Frame || self.connection.is_extended();
        let received = if is_by_frame && self.connection.state() != State::Connecting {
            self.receive_frame(&mut unread, now, out)
        } else {
            self.receive_event(&mut unread, now, out)
        };
        let left = unread.len();
        input.keep(left);
        let received = received.inspect_err(|err| self.fail(*err, now, out))?;
        if let Some(Event::Close(code, reason)) = received.as_ref().and_then(Item::event) {
            self.closed = Some(Closed { code: *code, reason: reason.clone(), was_clean: true });
        }
        Ok(received)
    }

    /// Records that the peer has ended its side of the stream. See [`Connection::receive_eof`].
    pub(crate) fn receive_eof(&mut self) -> Result<(), ProtocolError> {
        self.connection.receive_eof().inspect_err(|_| self.has_failed = true)
    }

    /// Records that reading has failed, and returns whether this is an error. After the Close of the peer it does not matter
    /// how TCP ends (§7.1.1).
    pub(crate) fn on_read_error(&mut self) -> bool {
        self.connection.abandon();
        self.has_failed |= self.closed.is_none();
        self.closed.is_none()
    }

    /// Does what is due at `now`. See [`Connection::tick`].
    pub(crate) fn tick(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        match self.connection.tick(now, out).inspect_err(|_| self.has_failed = true)? {
            Some(ping) => self.connection.send_frame(ping, now, out),
            None => Ok(()),
        }
    }

    pub(crate) fn send(
        &mut self,
        message: impl Into<Message>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        self.send_frame(Frame::from(message.into()), now, out)
    }

    pub(crate) fn send_frame(
        &mut self,
        mut frame: Frame,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        if let Some(extension) = &mut self.extension
            && !frame.is_control()
            && self.connection.can_send(frame.opcode())
        {
            extension.encode(&mut frame)?;
        }
        self.connection.send_frame(frame, now, out)
    }

    /// Begins to close, or answers the Close of the peer. If our Close was sent already, this does nothing.
    pub(crate) fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        if self.connection.can_send(OpCode::Close) {
            self.connection.close(code, reason, now, out)
        } else {
            Ok(())
        }
    }

    /// Sends a Close with 1001 on an open connection that is dropped.
    pub(crate) fn leave(&mut self, now: Instant, out: &mut Vec<u8>) {
        // This cannot fail: the code and the reason may be sent.
        let _ = self.close(CloseCode::Away, "", now, out);
    }

    /// Sends the Pong that was held back while the output was blocked, and returns whether there was one.
    pub(crate) fn release_pongs(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let Some(pong) = self.connection.release_pongs() else { return false };
        self.connection.send_frame(pong, now, out).is_ok()
    }

    /// Whether the Close of the peer has arrived.
    #[cfg(feature = "futures")]
    pub(crate) fn has_received_close(&self) -> bool {
        self.closed.is_some()
    }

    /// How the connection has ended or will end; `None` while this is unknown.
    pub(crate) fn closed(&self) -> Option<Closed> {
        let is_closed = self.connection.state() == State::Closed;
        let closed = self.closed.clone().filter(|_| !self.has_failed);
        closed.or_else(|| is_closed.then(Closed::abnormal))
    }

    /// With manual answers the program passes the frames on, except for the Close of a failure.
    fn receive_event(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Item>, ProtocolError> {
        while let Some(event) = self.connection.receive(input, now, out)? {
            let event = match event {
                Event::Frame(frame) => self.connection.accept(frame, now, out)?,
                event => Some(event),
            };
            if let Some(Event::Response { response, .. }) = &event {
                self.accept_answer(response).inspect_err(|err| self.connection.fail(*err, now, out))?;
            }
            if let Some(event) = event {
                return Ok(Some(Item::Event(event)));
            }
        }
        Ok(None)
    }

    fn receive_frame(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Item>, ProtocolError> {
        let Some(mut frame) = self.connection.receive_frame(input, now, out)? else { return Ok(None) };
        if let Some(extension) = self.extension.as_mut().filter(|_| !frame.is_control()) {
            let decoded = extension.decode(&mut frame);
            decoded.inspect_err(|err| self.connection.fail(*err, now, out))?;
        }
        let event = self.connection.accept(frame.clone(), now, out)?;
        Ok(Some(Item::Frame(frame, event)))
    }

    fn fail(&mut self, err: ProtocolError, now: Instant, out: &mut Vec<u8>) {
        self.has_failed = true;
        if let Some(close) = self.connection.failure(err) {
            // This cannot fail: the connection owes this Close.
            let _ = self.connection.send_frame(close, now, out);
        }
    }

    /// Answers the first offer that the extension of the program accepts (§9.1).
    fn answer_offers(&mut self, request: &Request, response: &mut Response) {
        let Some(mut extension) = self.extension.take() else { return };
        let name = extension.offer().name;
        let offers = Extension::parse_all(request.headers()).unwrap_or_default();
        let mut offers = offers.iter().filter(|offer| offer.name == name);
        if let Some(answer) = offers.find_map(|offer| extension.answer(offer)) {
            response.add_extension(&answer.to_string());
            self.extension = Some(extension);
        }
    }

    /// The extension is used only if the server has accepted it (§9.1).
    fn accept_answer(&mut self, response: &Response) -> Result<(), ProtocolError> {
        let Some(mut extension) = self.extension.take() else { return Ok(()) };
        let name = extension.offer().name;
        let answers = Extension::parse_all(response.headers())?;
        if let Some(answer) = answers.iter().find(|answer| answer.name == name) {
            extension.agree(answer)?;
            self.extension = Some(extension);
        }
        Ok(())
    }
}

impl Item {
    /// The event, or the event that the frame has caused.
    pub(crate) fn into_event(self) -> Option<Event> {
        match self {
            Self::Event(event) => Some(event),
            Self::Frame(_, event) => event,
        }
    }

    /// The frame, or for an event that was received earlier a frame with the same content.
    pub(crate) fn into_frame(self) -> Option<Frame> {
        match self {
            Self::Frame(frame, _) => Some(frame),
            Self::Event(Event::Message(message)) => Some(message.into()),
            Self::Event(Event::Ping(payload)) => Some(Frame::ping(payload)),
            Self::Event(Event::Pong(payload)) => Some(Frame::pong(payload)),
            Self::Event(Event::Close(code, reason)) => Some(Frame::close(code, &reason)),
            Self::Event(_) => None,
        }
    }

    pub(crate) fn event(&self) -> Option<&Event> {
        match self {
            Self::Event(event) => Some(event),
            Self::Frame(_, event) => event.as_ref(),
        }
    }

    /// Whether this is a message or a part of one, and no control frame.
    #[cfg(feature = "futures")]
    pub(crate) fn is_data(&self) -> bool {
        match self {
            Self::Event(event) => !matches!(event, Event::Ping(_) | Event::Pong(_) | Event::Close(..)),
            Self::Frame(frame, _) => !frame.is_control(),
        }
    }
}
