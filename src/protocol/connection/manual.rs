//! Connections whose front end sees every frame and sends every reply itself.
//!
//! [`Connection`](super::Connection) replies to Pings, to the peer's Close and to violations by itself. A front end whose
//! program may inspect, change or suppress each frame uses a [`ManualConnection`] instead:
//!
//! 1. [`receive`](ManualConnection::receive) or [`receive_frame`](ManualConnection::receive_frame) returns a frame before anything has
//!    been done with it.
//! 2. The front end passes the frame to [`accept`](ManualConnection::accept), changed or not. A frame that is not accepted has no
//!    effect.
//! 3. The front end sends the reply to each event: [`pong_for`](ManualConnection::pong_for) to a Ping,
//!    [`close_reply`](ManualConnection::close_reply) to a Close, [`failure`](ManualConnection::failure) to an error. Or it calls
//!    [`reply`](ManualConnection::reply), which does what the other type does.
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
//! use sockeye::protocol::manual::{ManualConnection, Received};
//! use sockeye::protocol::{Config, Connection, Event, ProtocolError, Role};
//!
//! let now = Instant::now();
//! let server = Connection::after_handshake(Role::Server, Arc::new(Config::default()), &[], now)?;
//! let (mut server, mut out) = (ManualConnection::from(server), Vec::new());
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
//! # Ok::<(), ProtocolError>(())
//! ```

use std::time::{Duration, Instant};

pub(crate) use super::receiving::FIRST_STEP;
#[cfg(any(feature = "reactor", feature = "futures"))]
use super::steps::Steps;
#[cfg(any(feature = "reactor", feature = "blocking", feature = "futures"))]
use super::steps::StepsMut;
use super::{Connection, Core, Event, Phase, State, lending};
use crate::close::CloseCode;
use crate::message::Message;
#[cfg(feature = "reactor")]
pub(crate) use crate::protocol::framing::decoder::ReceivedBuffer;
#[cfg(feature = "reactor")]
use crate::protocol::framing::encoder::Encode;
use crate::protocol::framing::encoder::Output;
use crate::protocol::framing::frame::Frame;
#[cfg(feature = "reactor")]
pub(crate) use crate::protocol::framing::header::MAX_HEADER;
use crate::protocol::framing::header::OpCode;
#[cfg(any(feature = "blocking", feature = "futures"))]
use crate::protocol::framing::header::Reserved;
#[cfg(feature = "reactor")]
use crate::protocol::framing::message_ref::MessageRef;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{ProtocolError, Role};

/// One end of a WebSocket connection whose front end sends the replies.
///
/// It is made from a [`Connection`], in any state, and does the same except for the replies.
///
/// See the example of the [module](self).
#[derive(Debug)]
pub struct ManualConnection {
    core: Core,
}

/// What [`ManualConnection::receive`] returns.
///
/// See the example of the [module](self).
#[derive(Debug)]
pub enum Received {
    /// A frame that must be passed to [`ManualConnection::accept`] to have an effect.
    Frame(Frame),
    /// An event. If it is a message, the message arrived in a single frame.
    Event(Event),
}

impl From<Connection> for ManualConnection {
    fn from(connection: Connection) -> Self {
        Self { core: connection.core }
    }
}

impl ManualConnection {
    /// Takes bytes that were received from the peer off the front of `input`, up to the next event or frame.
    ///
    /// Call it until it returns `None`: then all of `input` has been consumed, except while the response to a request is owed.
    /// Payloads are unmasked where they are in `input`. `now` is the time of any clock that never goes back.
    ///
    /// A message that arrived in a single frame is returned as an event. This is cheaper for front ends whose program does not
    /// inspect data frames.
    ///
    /// # Errors
    ///
    /// The rule that the peer broke. Within the opening handshake, `out` then contains an HTTP response. Otherwise
    /// the front end owes the Close that [`failure`](Self::failure) returns.
    ///
    /// See the example of the [module](self).
    // Always inlined, because the result is large: a call would cost about 20 instructions for each message.
    #[inline(always)]
    pub fn receive(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Received>, ProtocolError> {
        match self.core.whole_message(input, now) {
            Ok(Some(message)) => Ok(Some(Received::Event(Event::Message(message.into_owned())))),
            Ok(None) => self.core.receive_next(input, now, out),
            Err(err) => {
                self.core.fail_open(now);
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
    ///
    /// See the example of the [module](self).
    #[inline]
    pub fn accept(&mut self, frame: Frame, now: Instant) -> Result<Option<Event>, ProtocolError> {
        let step = if self.core.has_steps { FIRST_STEP } else { usize::MAX };
        self.core.accept(frame, step, now)
    }

    /// Sends the reply that an event requires: a Pong for a Ping, and a Close for a Close. A Pong waits as described at
    /// [`pong_for`](Self::pong_for).
    pub fn reply(&mut self, event: &Event, now: Instant, out: &mut Vec<u8>) {
        self.core.reply(event, now, out);
    }

    /// Returns the Pong that replies to a Ping (§5.5.2). `unsent` is the number of bytes of output that are not written yet.
    ///
    /// While these are more than 256, the Pong must wait: it replaces one that waits already (§5.5.3), and `None` is
    /// returned. Once output has been written, [`pending_pong`](Self::pending_pong) returns it. A peer that sends Pings and
    /// does not read the replies can therefore not fill the memory.
    pub fn pong_for(&mut self, payload: Vec<u8>, unsent: usize) -> Option<Frame> {
        self.core.pong_for(payload, unsent)
    }

    /// Takes out the Pong that waits, if there is one. Call it when all output has been written.
    #[inline]
    pub fn pending_pong(&mut self) -> Option<Frame> {
        self.core.pending_pong(0)
    }

    /// Returns the Close that replies to the peer's Close with `code`, if it is owed (§5.5.1).
    pub fn close_reply(&self, code: CloseCode) -> Option<Frame> {
        self.core.phase.close_reply(code)
    }

    /// Returns the Close that fails the connection because of `err`, if it is owed (§7.1.7).
    pub fn failure(&self, err: ProtocolError) -> Option<Frame> {
        self.core.phase.failure(err)
    }

    /// Returns whether the front end owes a Close.
    pub fn owes_close(&self) -> bool {
        matches!(self.core.phase, Phase::CloseReceived | Phase::Failed)
    }

    /// Continues without the Close that is owed, because the front end does not send it.
    pub fn skip_close(&mut self, now: Instant) {
        self.core.skip_close(now);
    }

    /// Fails the connection because the front end has found a violation, as [`receive`](Self::receive) does.
    pub fn fail(&mut self, err: ProtocolError, now: Instant, out: &mut Vec<u8>) {
        self.core.fail(err, now, out);
    }

    /// Does what is due at `now`: returns a Ping, which the front end sends, or ends a phase whose time is over. Before
    /// [`deadline`](Self::deadline) it does nothing.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::HandshakeTimeout`], [`ProtocolError::ResponseTimeout`], [`ProtocolError::IdleTimeout`], or
    /// [`ProtocolError::ConnectionLost`] if the peer has not replied to our Close. The connection is closed, or closing if `out`
    /// contains a response for the peer.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<Option<Frame>, ProtocolError> {
        self.core.next_due(now, out)
    }

    /// Records that all output has been written. Returns whether the front end must shut down the writing side of the socket now.
    #[inline]
    pub fn flushed(&mut self, now: Instant) -> bool {
        self.core.end_writing(now)
    }

    /// Returns the role of this end.
    pub fn role(&self) -> Role {
        self.core.role
    }

    /// Returns the state of the connection.
    #[inline]
    pub fn state(&self) -> State {
        self.core.phase.state()
    }

    /// Responds to the request that was received as [`Event::Request`].
    ///
    /// A response with status 101 opens the connection, if the request and the response follow the rules of §4.2. Before that, the
    /// core adds a subprotocol according to [`Config::subprotocols`], and compression according to [`Config::deflate`], unless
    /// the program has. Any other response is sent with its body, and the connection closes after it.
    ///
    /// [`Config::deflate`]: crate::protocol::Config::deflate
    /// [`Config::subprotocols`]: crate::protocol::Config::subprotocols
    ///
    /// # Errors
    ///
    /// The rule that the request or the response breaks. The client has then been refused.
    pub fn respond(
        &mut self,
        request: &Request,
        response: &mut Response,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        self.core.respond(request, response, now, out)
    }

    /// Refuses the request that was received as [`Event::Request`], with the [status](ProtocolError::http_status) of the reason. If
    /// no response is owed, nothing happens.
    pub fn refuse(&mut self, reason: ProtocolError, now: Instant, out: &mut Vec<u8>) {
        self.core.refuse(reason, now, out);
    }

    /// Responds with 503 before a request has arrived, because there is no room for another connection (RFC 9110 §15.6.4). A
    /// client abandons the connection. `retry_after` becomes the header `Retry-After` (§10.2.3), rounded up to whole seconds.
    pub fn reject_unavailable(&mut self, retry_after: Option<Duration>, now: Instant, out: &mut Vec<u8>) {
        self.core.reject_unavailable(retry_after, now, out);
    }

    /// Returns how many bytes of the payload in progress are missing, so that a front end can read more at once.
    #[inline]
    pub fn missing(&self) -> u64 {
        self.core.receiver.missing()
    }

    /// Returns whether the front end should read.
    ///
    /// This is false once the peer has ended its side, and once it has sent too much after the end. Such a peer is then
    /// held back by TCP until [`tick`](Self::tick) gives up, and can read our last frames in the meantime. If the socket were
    /// closed at once, TCP would reset the connection, and a busy peer would see the reset before our Close.
    #[inline]
    pub fn wants_input(&self) -> bool {
        self.core.phase.wants_input()
    }

    /// Records that the peer has ended its side of TCP.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::HandshakeCut`] within the opening handshake, and [`ProtocolError::ConnectionLost`] if the peer has not
    /// sent a Close (§7.1.5). The connection is then closed.
    pub fn receive_eof(&mut self) -> Result<(), ProtocolError> {
        self.core.receive_eof()
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NotOpen`] before the connection is open and after a Close was sent. Nothing is written then.
    #[inline]
    pub fn send<O: Output>(
        &mut self,
        message: impl Into<Message>,
        now: Instant,
        out: &mut O,
    ) -> Result<(), ProtocolError> {
        self.core.transmit(message.into(), now, out)
    }

    /// Starts the closing handshake (§7.1.2). From then on nothing can be sent, and no message is received.
    ///
    /// [`CloseCode::Status`] sends a Close without a code.
    ///
    /// # Errors
    ///
    /// - [`ProtocolError::NotOpen`] unless the connection is open.
    /// - [`ProtocolError::UnsendableCloseCode`] for a code that must not be sent (§7.4).
    /// - [`ProtocolError::ReasonTooLong`] for a reason of more than 123 bytes, or for a reason without a code.
    pub fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        self.core.close(code, reason, now, out)
    }

    /// Sends a frame. It is masked if this is a client, and split if its payload is longer than
    /// [`Config::fragment_size`](crate::protocol::Config::fragment_size). The caller is responsible for the order of
    /// fragments.
    ///
    /// A frame that is a whole message is compressed first if permessage-deflate was negotiated and the frame
    /// [allows it](Frame::is_compressible). A Close starts the closing handshake, or replies to the peer's Close.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::UnsendableFrame`] for a frame that the RFC forbids, and [`ProtocolError::NotOpen`] if
    /// [`can_send`](Self::can_send) is false. Nothing is written then.
    #[inline]
    pub fn send_frame<O: Output>(
        &mut self,
        frame: Frame,
        now: Instant,
        out: &mut O,
    ) -> Result<(), ProtocolError> {
        self.core.transmit(frame, now, out)
    }

    /// Returns whether a frame with this opcode can be sent now.
    ///
    /// Every frame can be sent while the connection is open, and also before a Close that is owed. Once our Close was sent,
    /// only Pongs can be (§5.5.1, §5.5.2).
    #[inline]
    pub fn can_send(&self, opcode: OpCode) -> bool {
        self.core.phase.can_send(opcode)
    }

    /// Returns whether [`flushed`](Self::flushed) must be called once `out` has been written, even if `out` is empty.
    pub fn awaits_flush(&self) -> bool {
        self.core.phase.awaits_flush()
    }

    /// Returns when [`tick`](Self::tick) must be called, or `None` if nothing depends on time.
    #[inline]
    pub fn deadline(&self) -> Option<Instant> {
        self.core.deadline()
    }

    /// See [`Connection::unsent`].
    pub fn unsent(&mut self, accepted: usize, now: Instant) {
        self.core.deadlines.unsent(accepted, now);
    }

    /// From now on, long messages are compressed and decompressed in [steps](Self::steps).
    #[cfg(feature = "reactor")]
    pub(crate) fn work_in_steps(&mut self) {
        self.core.has_steps = true;
    }

    /// Returns which long messages are being compressed and decompressed.
    #[cfg(any(feature = "reactor", feature = "futures"))]
    #[inline]
    pub(crate) fn steps(&self) -> Steps<'_> {
        Steps { core: &self.core }
    }

    /// Continues with long messages.
    #[cfg(any(feature = "reactor", feature = "blocking", feature = "futures"))]
    pub(crate) fn steps_mut(&mut self) -> StepsMut<'_> {
        StepsMut { core: &mut self.core }
    }

    /// Returns whether a part of a frame or of a message has arrived.
    #[cfg(feature = "reactor")]
    #[inline]
    pub(crate) fn is_mid_message(&self) -> bool {
        self.core.receiver.is_mid_message()
    }

    /// Returns how much memory the unfinished message occupies, in bytes.
    #[cfg(feature = "reactor")]
    pub(crate) fn held(&self) -> usize {
        let codec = self.core.codec.as_deref();
        let outgoing = codec.map_or(0, |codec| codec.held_by_outgoing());
        self.core.receiver.held(codec).saturating_add(outgoing)
    }

    /// Returns how long a write may take without progress: an open connection only has [`Config::write_timeout`], because it may not read meanwhile.
    #[cfg(feature = "blocking")]
    pub(crate) fn write_limit(&self, now: Instant) -> Option<Duration> {
        match self.core.phase {
            Phase::Open => self.core.config.write_timeout,
            _ => self.core.deadline().map(|deadline| deadline.saturating_duration_since(now)),
        }
    }

    /// See [`Connection::pause_reading`].
    pub fn pause_reading(&mut self, now: Instant) {
        self.core.receiver.pause(self.core.deadlines.silence(now));
    }

    /// See [`Connection::resume_reading`].
    pub fn resume_reading(&mut self, now: Instant) {
        self.core.resume_reading(now);
    }

    /// Ends the connection immediately, without a Close. The front end then closes the socket.
    pub fn abandon(&mut self) {
        self.core.phase = Phase::Closed;
        self.core.drop_message();
        if let Some(codec) = &mut self.core.codec {
            codec.stop_sending();
        }
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
        self.core.transmit(frame, now, out)
    }

    /// Whether an extension of the program was negotiated.
    #[cfg(any(feature = "blocking", feature = "futures"))]
    pub(crate) fn is_extended(&self) -> bool {
        self.core.receiver.reserved == Reserved::Any
    }

    /// Whether this is the open end of a server that sends messages without masking and compression, so that their bytes are the
    /// same on every such connection.
    #[cfg(feature = "reactor")]
    #[inline]
    pub(crate) fn is_plain_server(&self) -> bool {
        self.core.role == Role::Server && matches!(self.core.phase, Phase::Open) && self.core.codec.is_none()
    }
}

/// Lends the memory in which the payload in progress continues, so that a front end can read into it and the payload is not
/// copied. Its bytes have no meaning.
///
/// `None` means that [`receive`](ManualConnection::receive) must be used: no payload is in progress, less than 4 KiB of it are missing, it is a
/// text that is not split, or too little has arrived. The memory is at most three times as long as what has arrived of the payload,
/// so that a peer cannot make us allocate by announcing, except that memory of an earlier message may be used again.
///
/// After a part of it was written, [`receive_lent`] must be called. If nothing was written, nothing has to be
/// called.
///
/// # Examples
///
/// ```
/// use std::io::Read as _;
/// use std::sync::Arc;
/// use std::time::Instant;
///
/// use sockeye::protocol::manual::{self, ManualConnection, Received};
/// use sockeye::protocol::{Config, Connection, Header, Role};
/// use sockeye::OpCode;
///
/// let now = Instant::now();
/// let server = Connection::after_handshake(Role::Server, Arc::new(Config::default()), &[], now)?;
/// let (mut server, mut out) = (ManualConnection::from(server), Vec::new());
///
/// // A message of 100 KiB. The first 30 KiB arrive with the header.
/// let mut bytes = Vec::new();
/// Header { fin: true, rsv: 0, opcode: OpCode::Binary, key: Some([0; 4]), len: 100 * 1024 }.encode(&mut bytes);
/// bytes.resize(bytes.len() + 100 * 1024, 7);
/// let (first, rest) = bytes.split_at_mut(30 * 1024);
/// assert!(server.receive(&mut &mut *first, now, &mut out)?.is_none());
///
/// let (mut socket, mut frame) = (&*rest, None);
/// while let Some(memory) = manual::lend(&mut server) {
///     let len = socket.read(memory)?;
///     frame = manual::receive_lent(&mut server, len, now)?;
/// }
/// let Some(Received::Frame(frame)) = frame else { panic!("the frame is complete") };
/// assert!(frame.payload().iter().all(|byte| *byte == 7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn lend(connection: &mut ManualConnection) -> Option<&mut [u8]> {
    lending::lend(&mut connection.core)
}

/// Receives the first `len` bytes of the memory that was [lent](lend), as [`receive`](ManualConnection::receive) does with other input.
/// Returns the frame if it is complete.
///
/// # Errors
///
/// As for [`receive`](ManualConnection::receive).
///
/// See the example of [`lend`].
pub fn receive_lent(
    connection: &mut ManualConnection,
    len: usize,
    now: Instant,
) -> Result<Option<Received>, ProtocolError> {
    Ok(lending::receive_lent(&mut connection.core, len, now)?.map(Received::Frame))
}

/// Returns the length of the payload if the next input is a binary message in a single frame, or its beginning.
#[cfg(feature = "reactor")]
pub(crate) fn only_message(connection: &ManualConnection, input: &[u8]) -> Option<usize> {
    lending::only_message(&connection.core, input)
}

/// Returns the length of the header of a message with a payload of this length, as the peer sends it.
#[cfg(feature = "reactor")]
pub(crate) fn header_len(connection: &ManualConnection, len: usize) -> usize {
    lending::header_len(&connection.core, len)
}

/// Receives `head` and then the first `len` bytes of a buffer, which may become the memory of the message that they are.
#[cfg(feature = "reactor")]
pub(crate) fn receive_buffer(
    connection: &mut ManualConnection,
    head: &[u8],
    buffer: Vec<u8>,
    len: usize,
    now: Instant,
) -> ReceivedBuffer {
    lending::receive_buffer(&mut connection.core, head, buffer, len, now)
}

/// Takes a message off the front of `input`, without copying it, if the next frame is one by itself. This is the first step of
/// [`ManualConnection::receive`], and [`receive_rest`] is the other one.
#[cfg(feature = "reactor")]
#[inline(always)]
pub(crate) fn receive_whole<'a>(
    connection: &mut ManualConnection,
    input: &mut &'a mut [u8],
    now: Instant,
) -> Result<Option<MessageRef<'a>>, ProtocolError> {
    connection.core.whole_message(input, now).inspect_err(|_| connection.core.fail_open(now))
}

/// Does the same as [`ManualConnection::receive`] after [`receive_whole`] has returned `None`.
#[cfg(feature = "reactor")]
pub(crate) fn receive_rest(
    connection: &mut ManualConnection,
    input: &mut &mut [u8],
    now: Instant,
    out: &mut Vec<u8>,
) -> Result<Option<Received>, ProtocolError> {
    connection.core.receive_next(input, now, out)
}
