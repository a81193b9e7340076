//! What the sockets without handlers share: a connection, the replies to the peer, an extension of the program, and how the
//! connection has ended.

use std::sync::Arc;
use std::time::Instant;

use super::read_buffer::ReadBuffer;
use crate::close::{CloseCode, Closed};
use crate::message::Message;
use crate::protocol::handshake::{Request, Response};
#[cfg(feature = "futures")]
use crate::protocol::manual::FIRST_STEP;
use crate::protocol::manual::{ManualConnection, Received};
use crate::protocol::{
    Config, Connection, Event, Frame, FrameExtension, OpCode, Output, ProgramExtension, ProtocolError, State,
};

/// How many fragments of a message one call processes. They return nothing, so that a flood of them would otherwise keep the
/// caller as long as the input lasts.
const MAX_FRAGMENTS: u32 = 16;

/// Selects who replies to the Pings and to the Close of the peer.
///
/// See the example of `WebSocket::set_reply_mode` in `blocking` and `futures`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyMode {
    /// The socket replies while it is used.
    #[default]
    Automatic,
    /// The program replies.
    Manual,
}

/// What the program receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Event,
    Frame,
}

/// An event or a frame that was received.
#[derive(Debug)]
pub(crate) enum Item {
    Event(Event),
    /// A frame that has been accepted, and the event that it completed.
    Frame(Frame, Option<Event>),
}

/// A connection of a front end, which calls these methods where they exist and those of the connection otherwise.
pub(crate) struct Session {
    pub(crate) connection: ManualConnection,
    pub(crate) reply_mode: ReplyMode,
    extension: ProgramExtension,
    /// How much of a long message is decompressed when it arrives, in bytes.
    first_step: usize,
    /// The Close of the peer. Boxed, because few connections have one at a time, and all have room for it.
    closed: Option<Box<Closed>>,
    /// Whether a rule was broken or the stream has failed. A Close that arrives after that does not count.
    has_failed: bool,
}

impl Session {
    /// Continues after the opening handshake, or without an extension of the program.
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection: connection.into(),
            reply_mode: ReplyMode::Automatic,
            extension: ProgramExtension::default(),
            first_step: usize::MAX,
            closed: None,
            has_failed: false,
        }
    }

    pub(crate) fn server(
        config: Arc<Config>,
        extension: Option<Box<dyn FrameExtension>>,
        now: Instant,
    ) -> Self {
        let extension = ProgramExtension::new(extension);
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
        let extension = ProgramExtension::new(extension);
        extension.offer(&mut request);
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
        self.extension.answer(request, response);
        self.connection.respond(request, response, now, out)
    }

    /// Takes the next event or frame off the input. Replies, also to a violation, are in `out`.
    ///
    /// If it returns `None` and has processed only a part of the input, it must be called again.
    pub(crate) fn receive(
        &mut self,
        input: &mut ReadBuffer,
        unit: Unit,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Item>, ProtocolError> {
        let mut unread = input.unread();
        let received = self.receive_item(&mut unread, unit, now, out);
        let left = unread.len();
        input.keep(left);
        let received = received.inspect_err(|err| self.reply_to_failure(*err, now, out))?;
        if let Some(event) = received.as_ref().and_then(Item::event) {
            if let Event::Close(code, reason) = event {
                let closed = Closed { code: *code, reason: reason.clone(), was_clean: true };
                self.closed = Some(Box::new(closed));
            }
            if self.reply_mode == ReplyMode::Automatic {
                self.connection.reply(event, now, out);
            }
        }
        Ok(received)
    }

    /// From now on, long messages are decompressed in steps, if the program receives events.
    #[cfg(feature = "futures")]
    pub(crate) fn decompress_in_steps(&mut self) {
        self.first_step = FIRST_STEP;
    }

    /// Whether a message is being decompressed. [`receive`](Self::receive) then leaves the input.
    #[cfg(feature = "futures")]
    pub(crate) fn is_decompressing(&self) -> bool {
        self.connection.steps().is_decompressing()
    }

    /// Decompresses the next part of a message. Returns the message if it is complete.
    #[cfg(feature = "futures")]
    pub(crate) fn decompress(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Item>, ProtocolError> {
        let message = self.connection.steps_mut().decompress(now);
        let message = message.inspect_err(|err| self.reply_to_failure(*err, now, out))?;
        Ok(message.map(|message| Item::Event(Event::Message(message))))
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
        let due = self.connection.tick(now, out).inspect_err(|err| self.reply_to_failure(*err, now, out));
        match due? {
            Some(ping) => self.connection.send_frame(ping, now, out),
            None => Ok(()),
        }
    }

    /// Records that the peer accepts no output. The connection is closed.
    #[cfg(feature = "blocking")]
    pub(crate) fn on_write_timeout(&mut self) {
        self.connection.abandon();
        self.has_failed = true;
    }

    pub(crate) fn send<O: Output>(
        &mut self,
        message: impl Into<Message>,
        now: Instant,
        out: &mut O,
    ) -> Result<(), ProtocolError> {
        self.send_frame(Frame::from(message.into()), now, out)
    }

    pub(crate) fn send_frame<O: Output>(
        &mut self,
        mut frame: Frame,
        now: Instant,
        out: &mut O,
    ) -> Result<(), ProtocolError> {
        self.extension.encode(&mut frame, &self.connection)?;
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

    /// Sends the Pong that was waiting for output to be written; returns whether there was one.
    pub(crate) fn send_pending_pong(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let Some(pong) = self.connection.pending_pong() else { return false };
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
        let closed = self.closed.as_deref().filter(|_| !self.has_failed).cloned();
        closed.or_else(|| is_closed.then(Closed::abnormal))
    }

    fn receive_item(
        &mut self,
        input: &mut &mut [u8],
        unit: Unit,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Item>, ProtocolError> {
        for _ in 0..MAX_FRAGMENTS {
            // Without the extension, the frames of a message cannot be interpreted.
            let is_by_frame = unit == Unit::Frame || self.connection.is_extended();
            let received = match is_by_frame {
                true => self.connection.receive_frame(input, now, out)?,
                false => self.connection.receive(input, now, out)?,
            };
            match received {
                Some(Received::Frame(frame)) if is_by_frame => {
                    return self.accept_frame(frame, now, out).map(Some);
                }
                Some(Received::Frame(frame)) => {
                    if let Some(event) = self.connection.steps_mut().accept(frame, self.first_step, now)? {
                        return Ok(Some(Item::Event(event)));
                    }
                }
                Some(Received::Event(event)) => {
                    if let Event::Response { response, .. } = &event {
                        let agreed = self.extension.agree(response);
                        agreed.inspect_err(|err| self.connection.fail(*err, now, out))?;
                    }
                    return Ok(Some(Item::Event(event)));
                }
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    fn accept_frame(
        &mut self,
        mut frame: Frame,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Item, ProtocolError> {
        let decoded = self.extension.decode(&mut frame);
        decoded.inspect_err(|err| self.connection.fail(*err, now, out))?;
        let event = self.connection.accept(frame.clone(), now)?;
        Ok(Item::Frame(frame, event))
    }

    /// Sends the Close that fails the connection, if one is owed. Programs that reply themselves do not send this one.
    fn reply_to_failure(&mut self, err: ProtocolError, now: Instant, out: &mut Vec<u8>) {
        self.has_failed = true;
        if let Some(close) = self.connection.failure(err) {
            // This cannot fail: the connection owes this Close.
            let _ = self.connection.send_frame(close, now, out);
        }
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

    /// The length of the payload, in bytes, if it is a message or a frame.
    #[cfg(feature = "futures")]
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Event(Event::Message(message)) => message.len(),
            Self::Event(_) => 0,
            Self::Frame(frame, _) => frame.payload().len(),
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
