//! Connections whose front end sees every frame and sends every reply itself.
//!
//! [`Connection`](super::Connection) replies to Pings, to the peer's Close and to violations by itself. A front end whose
//! program may inspect, change or suppress each frame uses a [`manual::Connection`](Connection) instead:
//!
//! 1. [`receive`](Connection::receive) or [`receive_frame`](Connection::receive_frame) returns a frame before anything has
//!    been done with it.
//! 2. The front end passes the frame to [`accept`](Connection::accept), changed or not. A frame that is not accepted has no
//!    effect.
//! 3. The front end sends the reply to each event: [`pong_for`](Connection::pong_for) to a Ping,
//!    [`close_reply`](Connection::close_reply) to a Close, [`failure`](Connection::failure) to an error. Or it calls
//!    [`reply`](Connection::reply), which does what the other type does.
//!
//! All other steps are those of the [protocol](crate::protocol) module.
//!
//! # Examples
//!
//! A server that does not react to Pings.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use sockeye::OpCode;
//! use sockeye::protocol::manual::{Connection, Received};
//! use sockeye::protocol::{self, Config, Event, Role};
//!
//! let now = Instant::now();
//! let server = protocol::Connection::after_handshake(Role::Server, Arc::new(Config::default()), &[], now)?;
//! let (mut server, mut out) = (Connection::from(server), Vec::new());
//!
//! // A Ping, and a message with the payload "hi". The key of both is zero.
//! let mut bytes = *b"\x89\x80\0\0\0\0\x82\x82\0\0\0\0hi";
//! let (mut input, mut messages) = (&mut bytes[..], 0);
//! while let Some(received) = server.receive(&mut input, now, &mut out)? {
//!     let event = match received {
//!         Received::Frame(frame) if frame.opcode() == OpCode::Ping => None,
//!         Received::Frame(frame) => server.accept(frame, now)?,
//!         Received::Event(event) => Some(event),
//!     };
//!     messages += usize::from(matches!(event, Some(Event::Message(_))));
//! }
//! assert_eq!((messages, out.len()), (1, 0));
//! # Ok::<(), protocol::ProtocolError>(())
//! ```

use std::time::Instant;

use super::{Event, Phase, State};
use crate::close::CloseCode;
use crate::message::Message;
#[cfg(feature = "reactor")]
use crate::protocol::framing::encoder::Encode;
use crate::protocol::framing::encoder::Output;
use crate::protocol::framing::frame::Frame;
use crate::protocol::framing::header::OpCode;
#[cfg(any(feature = "blocking", feature = "futures"))]
use crate::protocol::framing::header::Reserved;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{ProtocolError, Role};

/// One end of a WebSocket connection whose front end sends the replies.
///
/// It is made from a [`Connection`](super::Connection). The methods without a description of their own are those of that
/// type.
#[derive(Debug)]
pub struct Connection(super::Connection);

/// What [`Connection::receive`] returns.
#[derive(Debug)]
pub enum Received {
    /// A frame that must be passed to [`Connection::accept`] to have an effect.
    Frame(Frame),
    /// An event. If it is a message, the message arrived in a single frame.
    Event(Event),
}

impl From<super::Connection> for Connection {
    fn from(connection: super::Connection) -> Self {
        Self(connection)
    }
}

impl Connection {
    /// Takes bytes off the front of `input`, up to the next event or frame, as
    /// [`Connection::receive`](super::Connection::receive) does.
    ///
    /// A message that arrived in a single frame is returned as an event. This is cheaper for front ends whose program does not
    /// inspect data frames.
    ///
    /// # Errors
    ///
    /// The rule that the peer broke. Within the opening handshake, `out` then contains an HTTP response. Otherwise
    /// the front end owes the Close that [`failure`](Self::failure) returns.
    // Always inlined, because the result is large: a call would cost 23 instructions for each message.
    #[inline(always)]
    pub fn receive(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Received>, ProtocolError> {
        match self.0.whole_message(input, now) {
            Ok(Some(message)) => Ok(Some(Received::Event(Event::Message(message)))),
            Ok(None) => self.0.receive_next(input, now, out),
            Err(err) => {
                self.0.fail_open(now);
                Err(err)
            }
        }
    }

    /// Takes bytes off the front of `input`, up to the next event or frame. Every message is returned as its frames.
    ///
    /// # Errors
    ///
    /// As for [`receive`](Self::receive).
    #[inline]
    pub fn receive_frame(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Received>, ProtocolError> {
        Ok(self.receive(input, now, out)?.map(|received| match received {
            Received::Event(Event::Message(message)) => Received::Frame(Frame::from(message)),
            received => received,
        }))
    }

    /// Acts on a frame that was received. Returns the event that it completes, if any.
    ///
    /// # Errors
    ///
    /// The rule that the frame breaks, such as text that is not UTF-8. The front end owes the Close that
    /// [`failure`](Self::failure) returns.
    #[inline]
    pub fn accept(&mut self, frame: Frame, now: Instant) -> Result<Option<Event>, ProtocolError> {
        self.0.accept(frame, now)
    }

    /// Sends the reply that an event requires: a Pong for a Ping, and a Close for a Close. A Pong waits as described at
    /// [`pong_for`](Self::pong_for).
    pub fn reply(&mut self, event: &Event, now: Instant, out: &mut Vec<u8>) {
        self.0.reply(event, now, out);
    }

    /// Returns the Pong that replies to a Ping (§5.5.2). `unsent` is the number of bytes of output that are not written yet.
    ///
    /// While these are more than 256, the Pong must wait: it replaces one that waits already (§5.5.3), and `None` is
    /// returned. Once output has been written, [`pending_pong`](Self::pending_pong) returns it. A peer that sends Pings and
    /// does not read the replies can therefore not fill the memory.
    pub fn pong_for(&mut self, payload: Vec<u8>, unsent: usize) -> Option<Frame> {
        self.0.pong_for(payload, unsent)
    }

    /// Takes out the Pong that waits, if there is one. Call it when all output has been written.
    #[inline]
    pub fn pending_pong(&mut self) -> Option<Frame> {
        self.0.pending_pong(0)
    }

    /// Returns the Close that replies to the peer's Close with `code`, if it is owed (§5.5.1).
    pub fn close_reply(&self, code: CloseCode) -> Option<Frame> {
        self.0.phase.close_reply(code)
    }

    /// Returns the Close that fails the connection because of `err`, if it is owed (§7.1.7).
    pub fn failure(&self, err: ProtocolError) -> Option<Frame> {
        self.0.phase.failure(err)
    }

    /// Returns whether the front end owes a Close.
    pub fn owes_close(&self) -> bool {
        matches!(self.0.phase, Phase::CloseReceived | Phase::Failed)
    }

    /// Continues without the Close that is owed, because the front end does not send it.
    pub fn skip_close(&mut self, now: Instant) {
        self.0.skip_close(now);
    }

    /// Fails the connection because the front end has found a violation, as [`receive`](Self::receive) does.
    pub fn fail(&mut self, err: ProtocolError, now: Instant, out: &mut Vec<u8>) {
        self.0.fail(err, now, out);
    }

    /// Does what is due at `now`, as [`Connection::tick`](super::Connection::tick) does. A Ping that is due is returned, and the
    /// front end sends it.
    ///
    /// # Errors
    ///
    /// The timeout that has passed.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<Option<Frame>, ProtocolError> {
        self.0.next_due(now, out)
    }

    /// Records that all output has been written. Returns whether the front end must shut down the writing side of the socket.
    #[inline]
    pub fn flushed(&mut self, now: Instant) -> bool {
        self.0.end_writing(now)
    }

    /// See [`Connection::role`](super::Connection::role).
    pub fn role(&self) -> Role {
        self.0.role()
    }

    /// See [`Connection::state`](super::Connection::state).
    #[inline]
    pub fn state(&self) -> State {
        self.0.state()
    }

    /// See [`Connection::missing`](super::Connection::missing).
    #[inline]
    pub fn missing(&self) -> u64 {
        self.0.missing()
    }

    /// See [`Connection::wants_input`](super::Connection::wants_input).
    #[inline]
    pub fn wants_input(&self) -> bool {
        self.0.wants_input()
    }

    /// See [`Connection::can_send`](super::Connection::can_send).
    #[inline]
    pub fn can_send(&self, opcode: OpCode) -> bool {
        self.0.can_send(opcode)
    }

    /// See [`Connection::deadline`](super::Connection::deadline).
    #[inline]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline()
    }

    /// See [`Connection::awaits_flush`](super::Connection::awaits_flush).
    pub fn awaits_flush(&self) -> bool {
        self.0.awaits_flush()
    }

    /// See [`Connection::respond`](super::Connection::respond).
    ///
    /// # Errors
    ///
    /// As for that method.
    pub fn respond(
        &mut self,
        request: &Request,
        response: &mut Response,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        self.0.respond(request, response, now, out)
    }

    /// See [`Connection::refuse`](super::Connection::refuse).
    pub fn refuse(&mut self, reason: ProtocolError, now: Instant, out: &mut Vec<u8>) {
        self.0.refuse(reason, now, out);
    }

    /// See [`Connection::reject_unavailable`](super::Connection::reject_unavailable).
    pub fn reject_unavailable(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.0.reject_unavailable(now, out);
    }

    /// See [`Connection::send`](super::Connection::send).
    ///
    /// # Errors
    ///
    /// As for that method.
    #[inline]
    pub fn send<O: Output>(
        &mut self,
        message: impl Into<Message>,
        now: Instant,
        out: &mut O,
    ) -> Result<(), ProtocolError> {
        self.0.send(message, now, out)
    }

    /// See [`Connection::send_frame`](super::Connection::send_frame).
    ///
    /// # Errors
    ///
    /// As for that method.
    #[inline]
    pub fn send_frame<O: Output>(
        &mut self,
        frame: Frame,
        now: Instant,
        out: &mut O,
    ) -> Result<(), ProtocolError> {
        self.0.send_frame(frame, now, out)
    }

    /// See [`Connection::close`](super::Connection::close).
    ///
    /// # Errors
    ///
    /// As for that method.
    pub fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        self.0.close(code, reason, now, out)
    }

    /// See [`Connection::receive_eof`](super::Connection::receive_eof).
    ///
    /// # Errors
    ///
    /// As for that method.
    pub fn receive_eof(&mut self) -> Result<(), ProtocolError> {
        self.0.receive_eof()
    }

    /// See [`Connection::abandon`](super::Connection::abandon).
    pub fn abandon(&mut self) {
        self.0.abandon();
    }

    /// Sends a frame, or a message, which is a frame by itself. It is always inlined, as the function that it calls.
    #[cfg(feature = "reactor")]
    #[inline(always)]
    pub(crate) fn transmit<O: Output>(
        &mut self,
        frame: impl Encode,
        now: Instant,
        out: &mut O,
    ) -> Result<(), ProtocolError> {
        self.0.transmit(frame, now, out)
    }

    /// Whether an extension of the program was negotiated.
    #[cfg(any(feature = "blocking", feature = "futures"))]
    pub(crate) fn is_extended(&self) -> bool {
        self.0.receiver.reserved == Reserved::Any
    }

    /// Whether this is the open end of a server that sends messages without masking and compression, so that their bytes are the
    /// same on every such connection.
    #[cfg(feature = "reactor")]
    pub(crate) fn is_plain_server(&self) -> bool {
        self.0.role == Role::Server && matches!(self.0.phase, Phase::Open) && self.0.codec.is_none()
    }
}
