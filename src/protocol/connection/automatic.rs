//! Connections that reply by themselves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::manual::Received;
use super::{Core, Event, Phase, State};
use crate::close::CloseCode;
use crate::message::Message;
use crate::protocol::framing::encoder::Output;
use crate::protocol::framing::frame::Frame;
use crate::protocol::framing::header::OpCode;
use crate::protocol::handshake::{Extension, Request, Response};
use crate::protocol::{Config, ProtocolError, Role};

/// One end of a WebSocket connection, from the opening handshake to the end, without I/O.
///
/// It replies by itself: to Pings, to the Close of the peer, and to violations of the protocol. The [module](crate::protocol)
/// describes how a front end drives it, and [`ManualConnection`](super::manual::ManualConnection) is the variant for front ends
/// that send these replies themselves.
///
/// See the example of the module [`protocol`](crate::protocol).
#[derive(Debug)]
pub struct Connection {
    pub(super) core: Core,
}

impl Connection {
    /// Creates the end of a server, which waits for a request.
    ///
    /// See the example of the module [`protocol`](crate::protocol).
    pub fn server(config: Arc<Config>, now: Instant) -> Self {
        Self { core: Core::server(config, now) }
    }

    /// Creates the end of a client, and appends its request to `out`.
    ///
    /// # Errors
    ///
    /// The rule of §4.1 that the request breaks, for example [`ProtocolError::UnsendableHead`]. Nothing is written then.
    ///
    /// See the example of the module [`protocol`](crate::protocol).
    pub fn client(
        config: Arc<Config>,
        request: Request,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Self, ProtocolError> {
        Ok(Self { core: Core::client(config, request, now, out)? })
    }

    /// Creates the end of a server whose opening handshake was performed by another HTTP server. The connection is open.
    ///
    /// The response must be the one that the client has received: a response to the request, with status 101.
    /// [`Upgrade`](crate::protocol::Upgrade) provides both.
    ///
    /// # Errors
    ///
    /// The rule of §4.2 that the request or the response breaks.
    ///
    /// See the example of [`Upgrade`](crate::protocol::Upgrade).
    pub fn upgraded(
        config: Arc<Config>,
        request: &Request,
        response: &mut Response,
        now: Instant,
    ) -> Result<Self, ProtocolError> {
        Ok(Self { core: Core::upgraded(config, request, response, now)? })
    }

    /// Creates either end of a connection whose opening handshake was performed elsewhere. The connection is open.
    ///
    /// `extensions` are the extensions that the server accepted, which are those in the `Sec-WebSocket-Extensions` header of
    /// its response ([`Extension::parse_list`]), or an empty list. The core applies `permessage-deflate` if
    /// [`Config::deflate`] is set. All other extensions belong to the caller, as do the reserved bits of their frames.
    ///
    /// The core does not check the handshake again. If bytes were read beyond the end of the handshake, pass them to
    /// [`receive`](Self::receive) before anything else. To continue from a request and a response, use [`Self::upgraded`].
    ///
    /// # Errors
    ///
    /// [`ProtocolError::ExtensionMismatch`] if `permessage-deflate` is listed twice, or with parameters that cannot appear
    /// in a response (RFC 7692 §7.1).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Instant;
    ///
    /// use sockeye::protocol::{Config, Connection, Event, Role};
    ///
    /// let mut server = Connection::after_handshake(Role::Server, Arc::new(Config::default()), &[], Instant::now())?;
    /// // The first frame arrived in the same read as the request.
    /// let mut read_ahead = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    /// let event = server.receive(&mut &mut read_ahead[..], Instant::now(), &mut Vec::new())?;
    /// assert!(matches!(event, Some(Event::Message(text)) if text == "Hello".into()));
    /// # Ok::<(), sockeye::protocol::ProtocolError>(())
    /// ```
    pub fn after_handshake(
        role: Role,
        config: Arc<Config>,
        extensions: &[Extension],
        now: Instant,
    ) -> Result<Self, ProtocolError> {
        Ok(Self { core: Core::after_handshake(role, config, extensions, now)? })
    }

    /// Returns the role of this end.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Instant;
    ///
    /// use sockeye::protocol::{Config, Connection, Role, State};
    ///
    /// let server = Connection::server(Arc::new(Config::default()), Instant::now());
    /// assert_eq!((server.role(), server.state()), (Role::Server, State::Connecting));
    /// assert!(!server.state().is_ending());
    /// ```
    pub fn role(&self) -> Role {
        self.core.role
    }

    /// Returns the state of the connection.
    ///
    /// See the example of the module [`protocol`](crate::protocol).
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
    /// # Errors
    ///
    /// The rule that the request or the response breaks. The client has then been refused.
    ///
    /// See the example of the module [`protocol`](crate::protocol).
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
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Instant;
    ///
    /// use sockeye::protocol::{Config, Connection, Event, ProtocolError};
    ///
    /// let (now, mut out) = (Instant::now(), Vec::new());
    /// let mut server = Connection::server(Arc::new(Config::default()), now);
    /// let mut bytes = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n".to_vec();
    /// if let Some(Event::Request(_)) = server.receive(&mut bytes.as_mut_slice(), now, &mut out)? {
    ///     // A page was requested.
    ///     server.refuse(ProtocolError::NotAnUpgrade, now, &mut out);
    /// }
    /// assert!(out.starts_with(b"HTTP/1.1 426 "));
    /// # Ok::<(), ProtocolError>(())
    /// ```
    pub fn refuse(&mut self, reason: ProtocolError, now: Instant, out: &mut Vec<u8>) {
        self.core.refuse(reason, now, out);
    }

    /// Responds with 503 before a request has arrived, because there is no room for another connection (RFC 9110 §15.6.4). A
    /// client abandons the connection. `retry_after` becomes the header `Retry-After` (§10.2.3), rounded up to whole seconds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::{Duration, Instant};
    ///
    /// use sockeye::protocol::{Config, Connection};
    ///
    /// // All places are taken.
    /// let (now, mut out) = (Instant::now(), Vec::new());
    /// let mut server = Connection::server(Arc::new(Config::default()), now);
    /// server.reject_unavailable(Some(Duration::from_secs(30)), now, &mut out);
    /// let mut bytes = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n".to_vec();
    /// server.receive(&mut bytes.as_mut_slice(), now, &mut out)?;
    /// assert!(out.starts_with(b"HTTP/1.1 503 "));
    /// # Ok::<(), sockeye::protocol::ProtocolError>(())
    /// ```
    pub fn reject_unavailable(&mut self, retry_after: Option<Duration>, now: Instant, out: &mut Vec<u8>) {
        self.core.reject_unavailable(retry_after, now, out);
    }

    /// Takes bytes that were received from the peer off the front of `input`, up to the next event.
    ///
    /// Call it until it returns `None`: then all of `input` has been consumed, except while the response to a request is owed.
    /// Payloads are unmasked where they are in `input`. `now` is the time of any clock that never goes back. Replies to the
    /// peer are appended to `out`. A Pong has to wait while more than 256 bytes are in `out`; only the latest one does.
    ///
    /// # Errors
    ///
    /// The rule that the peer broke. The connection has then been failed (§7.1.7): `out` contains the Close or the HTTP response,
    /// and all further input is discarded.
    ///
    /// See the example of the module [`protocol`](crate::protocol).
    #[inline]
    pub fn receive(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, ProtocolError> {
        match self.core.whole_message(input, now) {
            Ok(Some(message)) => Ok(Some(Event::Message(message.into_owned()))),
            Ok(None) => self.receive_frames(input, now, out),
            Err(err) => Err(self.fail_and_reply(err, now, out)),
        }
    }

    /// Returns how many bytes of the payload in progress are missing, so that a front end can read more at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Instant;
    ///
    /// use sockeye::protocol::{Config, Connection, Role};
    ///
    /// let (now, mut out) = (Instant::now(), Vec::new());
    /// let mut server = Connection::after_handshake(Role::Server, Arc::new(Config::default()), &[], now)?;
    /// // The header of a masked frame with 4,096 bytes.
    /// let mut header = *b"\x82\xfe\x10\x00mask";
    /// assert!(server.receive(&mut &mut header[..], now, &mut out)?.is_none());
    /// assert_eq!(server.missing(), 4096);
    /// # Ok::<(), sockeye::protocol::ProtocolError>(())
    /// ```
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
    ///
    /// See the example of the module [`protocol`](crate::protocol).
    pub fn receive_eof(&mut self) -> Result<(), ProtocolError> {
        self.core.receive_eof()
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NotOpen`] before the connection is open and after a Close was sent. Nothing is written then.
    ///
    /// See the example of the module [`protocol`](crate::protocol).
    #[inline]
    pub fn send<O: Output>(
        &mut self,
        message: impl Into<Message>,
        now: Instant,
        out: &mut O,
    ) -> Result<(), ProtocolError> {
        self.core.transmit(message.into(), now, out)
    }

    /// Sends a Ping with a payload of up to 125 bytes, which the peer returns in a Pong (§5.5.2).
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NotOpen`] unless the connection is open, and [`ProtocolError::UnsendableFrame`] for a longer payload.
    ///
    /// See the example of the module [`protocol`](crate::protocol).
    pub fn ping(
        &mut self,
        payload: impl Into<Vec<u8>>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        self.core.transmit(Frame::ping(payload.into()), now, out)
    }

    /// Sends an unsolicited Pong with a payload of up to 125 bytes (§5.5.3).
    ///
    /// # Errors
    ///
    /// As for [`ping`](Self::ping).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Instant;
    ///
    /// use sockeye::protocol::{Config, Connection, Role};
    ///
    /// let (now, mut out) = (Instant::now(), Vec::new());
    /// let mut server = Connection::after_handshake(Role::Server, Arc::new(Config::default()), &[], now)?;
    /// server.pong("alive", now, &mut out)?;
    /// assert_eq!(out, b"\x8a\x05alive");
    /// # Ok::<(), sockeye::protocol::ProtocolError>(())
    /// ```
    pub fn pong(
        &mut self,
        payload: impl Into<Vec<u8>>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        self.core.transmit(Frame::pong(payload.into()), now, out)
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
    ///
    /// See the example of the module [`protocol`](crate::protocol).
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
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Instant;
    ///
    /// use sockeye::protocol::{Config, Connection, Role};
    /// use sockeye::{Frame, OpCode};
    ///
    /// let (now, mut out) = (Instant::now(), Vec::new());
    /// let mut server = Connection::after_handshake(Role::Server, Arc::new(Config::default()), &[], now)?;
    /// server.send_frame(Frame::message(b"sal".to_vec(), OpCode::Text, false), now, &mut out)?;
    /// server.send_frame(Frame::message(b"mon".to_vec(), OpCode::Continue, true), now, &mut out)?;
    /// assert_eq!(out, b"\x01\x03sal\x80\x03mon");
    /// # Ok::<(), sockeye::protocol::ProtocolError>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Instant;
    ///
    /// use sockeye::protocol::{Config, Connection, Role};
    /// use sockeye::{CloseCode, OpCode};
    ///
    /// let (now, mut out) = (Instant::now(), Vec::new());
    /// let mut server = Connection::after_handshake(Role::Server, Arc::new(Config::default()), &[], now)?;
    /// assert!(server.can_send(OpCode::Text));
    /// server.close(CloseCode::Normal, "", now, &mut out)?;
    /// assert!(!server.can_send(OpCode::Text));
    /// # Ok::<(), sockeye::protocol::ProtocolError>(())
    /// ```
    #[inline]
    pub fn can_send(&self, opcode: OpCode) -> bool {
        self.core.phase.can_send(opcode)
    }

    /// Records that everything in `out` has been written. Returns whether the front end must shut down the writing side of
    /// the socket now.
    ///
    /// If a Pong was waiting for this, it is appended to `out`: write it, and call this method again.
    ///
    /// If a front end never calls this method, the connection ends all the same, when its [`deadline`](Self::deadline) has
    /// passed.
    ///
    /// See the example of the module [`protocol`](crate::protocol).
    #[inline]
    pub fn flushed(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        self.send_pending_pong(now, out);
        self.core.end_writing(now)
    }

    /// Returns whether [`flushed`](Self::flushed) must be called once `out` has been written, even if `out` is empty.
    pub fn awaits_flush(&self) -> bool {
        self.core.phase.awaits_flush()
    }

    /// Returns when [`tick`](Self::tick) must be called, or `None` if nothing depends on time.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::{Duration, Instant};
    ///
    /// use sockeye::protocol::{Config, Connection, Role};
    ///
    /// let (now, mut out) = (Instant::now(), Vec::new());
    /// let config = Config { ping_interval: Some(Duration::from_secs(20)), ..Config::default() };
    /// let mut server = Connection::after_handshake(Role::Server, Arc::new(config), &[], now)?;
    /// let deadline = server.deadline().expect("a Ping is due");
    /// assert_eq!(deadline - now, Duration::from_secs(20));
    /// server.tick(deadline, &mut out)?;
    /// assert!(out.starts_with(b"\x89"));
    /// # Ok::<(), sockeye::protocol::ProtocolError>(())
    /// ```
    #[inline]
    pub fn deadline(&self) -> Option<Instant> {
        self.core.deadline()
    }

    /// Does what is due at `now`: sends a Ping, or ends a phase whose time is over. Before [`deadline`](Self::deadline) it
    /// does nothing.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::HandshakeTimeout`], [`ProtocolError::ResponseTimeout`], [`ProtocolError::IdleTimeout`], or
    /// [`ProtocolError::ConnectionLost`] if the peer has not replied to our Close. The connection is closed, or closing if `out`
    /// contains a response for the peer.
    ///
    /// See the example of [`deadline`](Self::deadline).
    pub fn tick(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        match self.core.next_due(now, out).map_err(|err| self.reply_to_failure(err, now, out))? {
            Some(ping) => self.core.transmit(ping, now, out),
            None => Ok(()),
        }
    }

    /// Records that a write has left output unsent, after the socket has accepted `accepted` bytes of it.
    ///
    /// The connection ends when the socket accepts nothing for [`Config::write_timeout`]. [`flushed`](Self::flushed) ends the
    /// measurement.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::{Duration, Instant};
    ///
    /// use sockeye::protocol::{Config, Connection, ProtocolError, Role};
    ///
    /// let (mut now, mut out) = (Instant::now(), Vec::new());
    /// let mut server = Connection::after_handshake(Role::Server, Arc::new(Config::default()), &[], now)?;
    /// server.send("hello", now, &mut out)?;
    /// // The buffer of the socket is full.
    /// server.unsent(0, now);
    /// now += Duration::from_secs(60);
    /// assert_eq!(server.tick(now, &mut out), Err(ProtocolError::WriteTimeout));
    /// # Ok::<(), ProtocolError>(())
    /// ```
    pub fn unsent(&mut self, accepted: usize, now: Instant) {
        self.core.deadlines.unsent(accepted, now);
    }

    /// Records that the front end does not read, so that silence of the peer has no consequences until it reads again.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::{Duration, Instant};
    ///
    /// use sockeye::protocol::{Config, Connection, Role};
    ///
    /// let now = Instant::now();
    /// let mut server = Connection::after_handshake(Role::Server, Arc::new(Config::default()), &[], now)?;
    /// server.pause_reading(now + Duration::from_secs(10));
    /// assert_eq!(server.deadline(), None);
    /// let later = now + Duration::from_secs(3600);
    /// server.resume_reading(later);
    /// assert_eq!(server.deadline(), Some(later + Duration::from_secs(20)), "a Ping after 30 s of silence");
    /// # Ok::<(), sockeye::protocol::ProtocolError>(())
    /// ```
    pub fn pause_reading(&mut self, now: Instant) {
        self.core.receiver.pause(self.core.deadlines.silence(now));
    }

    /// Records that the front end reads again. The pause does not count as silence of the peer, but the time before it does. The
    /// rate of a message is measured from now on.
    ///
    /// See the example of [`pause_reading`](Self::pause_reading).
    pub fn resume_reading(&mut self, now: Instant) {
        self.core.resume_reading(now);
    }

    /// Ends the connection immediately, without a Close. The front end then closes the socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Instant;
    ///
    /// use sockeye::protocol::{Config, Connection, Role, State};
    ///
    /// let now = Instant::now();
    /// let mut server = Connection::after_handshake(Role::Server, Arc::new(Config::default()), &[], now)?;
    /// // The socket has reported an error.
    /// server.abandon();
    /// assert_eq!(server.state(), State::Closed);
    /// # Ok::<(), sockeye::protocol::ProtocolError>(())
    /// ```
    pub fn abandon(&mut self) {
        self.core.phase = Phase::Closed;
        self.core.drop_message();
    }

    /// Receives whatever is not a message in a single frame, and replies.
    fn receive_frames(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, ProtocolError> {
        let event = loop {
            let event = match self.core.receive_next(input, now, out) {
                Ok(Some(Received::Event(event))) => return Ok(Some(event)),
                Ok(Some(Received::Frame(frame))) => self.core.accept(frame, usize::MAX, now),
                Ok(None) => {
                    self.send_pending_pong(now, out);
                    return Ok(None);
                }
                Err(err) => Err(err),
            };
            if let Some(event) = event.map_err(|err| self.reply_to_failure(err, now, out))? {
                break event;
            }
        };
        self.core.reply(&event, now, out);
        Ok(Some(event))
    }

    /// Sends the Close that fails the connection (§7.1.7), if one is owed.
    #[cold]
    fn reply_to_failure(&mut self, err: ProtocolError, now: Instant, out: &mut Vec<u8>) -> ProtocolError {
        if let Some(close) = self.core.phase.failure(err) {
            // It cannot fail: the Close is valid, and the phase requires one.
            let _ = self.core.transmit(close, now, out);
        }
        err
    }

    #[cold]
    fn fail_and_reply(&mut self, err: ProtocolError, now: Instant, out: &mut Vec<u8>) -> ProtocolError {
        self.core.fail_open(now);
        self.reply_to_failure(err, now, out)
    }

    /// Sends the Pong that waits, if there is one and `out` has room for it.
    #[inline]
    pub(super) fn send_pending_pong(&mut self, now: Instant, out: &mut Vec<u8>) {
        if let Some(pong) = self.core.pending_pong(out.len()) {
            // It cannot fail: whether it can be sent was checked.
            let _ = self.core.transmit(pong, now, out);
        }
    }
}
