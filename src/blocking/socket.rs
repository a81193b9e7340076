//! The socket: a handle to a connection.

use std::fmt;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::link::Link;
use super::state::IfBusy;
use super::{Builder, Messages, Socket, Stream};
use crate::close::{CloseCode, Closed};
use crate::message::Message;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Event, Frame, OpCode, ProtocolError, Role, SharedMessage, State, Upgrade};
use crate::socket::opening_heads::OpeningHeads;
use crate::socket::output_queue::{OutputQueue, SharedOutput};
use crate::socket::session::{Item, ReplyMode, Session, Unit};
use crate::socket::{Error, Result};

/// How long the Close of a socket that is dropped may take.
const DROP_TIMEOUT: Duration = Duration::from_millis(200);

/// A handle to one end of an open connection.
///
/// The [module](super) describes how it is used. [`try_clone`](Self::try_clone) creates further handles. When the last one
/// is dropped while the connection is open, the peer receives a Close with 1001. Its answer is not awaited.
///
/// # Examples
///
/// ```no_run
/// use sockeye::CloseCode;
/// use sockeye::blocking::WebSocket;
///
/// let mut socket = WebSocket::connect("ws://127.0.0.1:3012/")?;
/// socket.send("hello")?;
/// while let Some(message) = socket.receive()? {
///     println!("received {message}");
///     socket.close(CloseCode::Normal, "")?;
/// }
/// # sockeye::blocking::Result::Ok(())
/// ```
pub struct WebSocket<S: Stream> {
    /// Present until the socket is taken apart.
    stream: Option<S>,
    shared: Arc<Shared>,
}

/// What the handles of a connection share.
struct Shared {
    link: Link,
    /// The number of handles. If two are dropped at the same time, it decides which is the last.
    handles: AtomicUsize,
    opening: OpeningHeads,
    high_water: usize,
}

impl WebSocket<Socket> {
    /// Connects to a `ws://`, `wss://` (feature `rustls` or `ssl`) or `ws+unix://` URL. [`Builder`] has options.
    ///
    /// # Errors
    ///
    /// See [`Builder::connect`].
    ///
    /// See the [example](Self#examples) of this type.
    pub fn connect(url: &str) -> Result<Self> {
        Builder::new().connect(url)
    }

    /// Accepts a client on a TCP stream, and performs the opening handshake. [`Builder`] has options.
    ///
    /// # Errors
    ///
    /// See [`Builder::accept`].
    ///
    /// See the example of the [module](super).
    pub fn accept(stream: TcpStream) -> Result<Self> {
        Builder::new().accept(stream)
    }
}

impl<S: Stream> WebSocket<S> {
    /// Creates a socket after an opening handshake that another HTTP server has performed on this stream.
    ///
    /// # Errors
    ///
    /// See [`Builder::upgraded`].
    pub fn upgraded(stream: S, upgrade: Upgrade) -> Result<Self> {
        Builder::new().upgraded(stream, upgrade)
    }

    /// Creates a socket after an opening handshake that was performed elsewhere, in either role, with the default options.
    ///
    /// # Errors
    ///
    /// See [`Builder::after_handshake`].
    ///
    /// See the example of [`Builder::after_handshake`].
    pub fn after_handshake(stream: S, role: Role, read_ahead: impl Into<Vec<u8>>) -> Result<Self> {
        Builder::new().after_handshake(stream, role, &[], read_ahead)
    }

    /// The opening handshake is complete.
    pub(super) fn open(builder: &Builder, stream: S, link: Link, opening: OpeningHeads) -> Self {
        let mut state = link.lock();
        state.read_timeout = builder.read_timeout.or(state.read_timeout);
        drop(state);
        let high_water = builder.options.high_water;
        let shared = Shared { link, handles: AtomicUsize::new(1), opening, high_water };
        Self { stream: Some(stream), shared: Arc::new(shared) }
    }

    /// Creates another handle to the same connection, for another thread.
    ///
    /// # Errors
    ///
    /// `Io` if the stream cannot have a second handle, for instance a [`Bare`](super::Bare) one.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::io::stdin;
    /// use std::thread;
    ///
    /// use sockeye::CloseCode;
    /// use sockeye::blocking::WebSocket;
    ///
    /// let mut socket = WebSocket::connect("ws://127.0.0.1:3012/")?;
    /// let mut reader = socket.try_clone()?;
    /// let reading = thread::spawn(move || {
    ///     while let Ok(Some(message)) = reader.receive() {
    ///         println!("received {message}");
    ///     }
    /// });
    /// for line in stdin().lines() {
    ///     socket.send(line?)?;
    /// }
    /// socket.close(CloseCode::Normal, "")?;
    /// let _ = reading.join();
    /// # sockeye::blocking::Result::Ok(())
    /// ```
    pub fn try_clone(&self) -> Result<Self> {
        let stream = self.stream.as_ref().map(S::try_clone).transpose()?;
        self.shared.handles.fetch_add(1, Ordering::Relaxed);
        Ok(Self { stream, shared: Arc::clone(&self.shared) })
    }

    /// Receives the next message. Returns `None` once the connection is closed; [`closed`](Self::closed) then returns the
    /// code.
    ///
    /// Pings and the Close of the peer are answered while this method waits. If [`io::Read`](std::io::Read) has read a part
    /// of a message, its rest comes first: as a message of the same type, or as a binary message if a text was split inside
    /// a character.
    ///
    /// # Errors
    ///
    /// - `Protocol` if the peer breaks a rule or exceeds a limit. The connection is closed.
    /// - `ConnectionLost` if the stream ends without a Close, or fails. The connection is closed.
    /// - `Timeout` with `Idle` if the peer was silent for too long. The connection is closed.
    /// - `Timeout` with `Read` if the [read timeout](Self::set_read_timeout) expires. Nothing is lost.
    /// - `Io` with `WouldBlock` if the stream is in nonblocking mode. Nothing is lost.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn receive(&mut self) -> Result<Option<Message>> {
        let (link, stream) = self.parts()?;
        link.receive(|reading| link.message(stream, reading))
    }

    /// Receives the next message if it has arrived, without waiting for it.
    ///
    /// This takes a few milliseconds at most, as it reads from the stream with the shortest timeout of the system. It also
    /// returns if another thread is receiving.
    ///
    /// # Errors
    ///
    /// `Timeout` with `Read` if there is no complete message yet. Otherwise as [`receive`](Self::receive).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::blocking::{Error, TimeoutKind, WebSocket};
    ///
    /// # fn draw_next_picture() {}
    /// let mut socket = WebSocket::connect("ws://127.0.0.1:3012/")?;
    /// loop {
    ///     match socket.try_receive() {
    ///         Ok(Some(message)) => println!("received {message}"),
    ///         Ok(None) => break,
    ///         Err(Error::Timeout(TimeoutKind::Read)) => draw_next_picture(),
    ///         Err(err) => return Err(err),
    ///     }
    /// }
    /// # Ok(())
    /// ```
    pub fn try_receive(&mut self) -> Result<Option<Message>> {
        let (link, stream) = self.parts()?;
        link.try_receive(|reading| link.message(stream, reading))
    }

    /// Receives the next message, appends it to a buffer, and returns its type. Returns `None` once the connection is
    /// closed.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive). The buffer is unchanged then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::blocking::{Result, Stream, WebSocket};
    ///
    /// /// Reads messages into the same buffer, and returns their total length.
    /// fn measure<S: Stream>(socket: &mut WebSocket<S>) -> Result<usize> {
    ///     let (mut buffer, mut total) = (Vec::new(), 0);
    ///     while socket.receive_into(&mut buffer)?.is_some() {
    ///         total += buffer.len();
    ///         buffer.clear();
    ///     }
    ///     Ok(total)
    /// }
    /// ```
    pub fn receive_into(&mut self, buffer: &mut Vec<u8>) -> Result<Option<OpCode>> {
        let Some(message) = self.receive()? else { return Ok(None) };
        buffer.extend_from_slice(message.as_bytes());
        Ok(Some(if message.is_text() { OpCode::Text } else { OpCode::Binary }))
    }

    /// Receives the next event: a message, a Ping, a Pong, or the Close of the peer with its code and reason. Returns `None`
    /// once the connection is closed.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    ///
    /// use sockeye::blocking::{Result, Stream, WebSocket};
    /// use sockeye::protocol::Event;
    ///
    /// /// Measures how long the peer takes to answer a Ping.
    /// fn measure<S: Stream>(socket: &mut WebSocket<S>) -> Result<()> {
    ///     let sent = Instant::now();
    ///     socket.ping("1")?;
    ///     while let Some(event) = socket.receive_event()? {
    ///         if let Event::Pong(payload) = event
    ///             && payload == b"1"
    ///         {
    ///             println!("{:?}", sent.elapsed());
    ///             break;
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn receive_event(&mut self) -> Result<Option<Event>> {
        let (link, stream) = self.parts()?;
        link.receive(|reading| match reading.rest.take() {
            Some(rest) => Ok(Some(Event::Message(rest))),
            None => link.event(stream, reading),
        })
    }

    /// Receives the next frame of any type, after it has been acted on. Returns `None` once the connection is closed.
    ///
    /// Fragments come one by one, as do Pings, Pongs and the Close. Compressed frames come as they were sent, with RSV1. The
    /// rest of a message that [`io::Read`](std::io::Read) has read in part comes first, as one frame.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::blocking::{Result, Stream, WebSocket};
    ///
    /// /// Counts the fragments of the next message.
    /// fn count_fragments<S: Stream>(socket: &mut WebSocket<S>) -> Result<usize> {
    ///     let mut count = 0;
    ///     while let Some(frame) = socket.receive_frame()? {
    ///         count += usize::from(!frame.is_control());
    ///         if frame.is_final() && !frame.is_control() {
    ///             break;
    ///         }
    ///     }
    ///     Ok(count)
    /// }
    /// ```
    pub fn receive_frame(&mut self) -> Result<Option<Frame>> {
        let (link, stream) = self.parts()?;
        link.receive(|reading| match reading.rest.take() {
            Some(rest) => Ok(Some(rest.into())),
            None => Ok(link.next(stream, reading, Unit::Frame)?.and_then(Item::into_frame)),
        })
    }

    /// Returns an iterator over the messages, until the connection is closed or fails.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::blocking::WebSocket;
    ///
    /// let mut socket = WebSocket::connect("ws://127.0.0.1:3012/")?;
    /// for message in socket.messages() {
    ///     println!("received {}", message?);
    /// }
    /// # sockeye::blocking::Result::Ok(())
    /// ```
    pub fn messages(&mut self) -> Messages<'_, S> {
        Messages::of(self)
    }

    /// Sets how long each call that receives may take, for all handles. `None` means no limit.
    ///
    /// Default: the builder's [`read_timeout`](Builder::read_timeout). The timeout is independent of
    /// [`Config::idle_timeout`](crate::protocol::Config::idle_timeout) and
    /// [`Config::ping_interval`](crate::protocol::Config::ping_interval): Pings are sent and answered while a call waits.
    /// A call that is waiting at this moment keeps its timeout.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sockeye::blocking::{Error, Result, Stream, TimeoutKind, WebSocket};
    ///
    /// /// Returns the next message, or `None` if none arrives within a second.
    /// fn next<S: Stream>(socket: &mut WebSocket<S>) -> Result<Option<sockeye::Message>> {
    ///     socket.set_read_timeout(Some(Duration::from_secs(1)));
    ///     match socket.receive() {
    ///         Err(Error::Timeout(TimeoutKind::Read)) => Ok(None),
    ///         received => received,
    ///     }
    /// }
    /// ```
    pub fn set_read_timeout(&self, timeout: Option<Duration>) {
        self.shared.link.lock().read_timeout = timeout;
    }

    /// Returns the read timeout.
    ///
    /// See the example of [`set_read_timeout`](Self::set_read_timeout).
    pub fn read_timeout(&self) -> Option<Duration> {
        self.shared.link.lock().read_timeout
    }

    /// Sends a message, and waits until the system has accepted it.
    ///
    /// # Errors
    ///
    /// - `Closed` if a Close was sent or received, or the connection has ended.
    /// - `ConnectionLost` if the stream fails. Nothing can be sent any more; what the peer has sent before can be received.
    /// - `Timeout` with `Write` if the program had set a write timeout on the stream, and it expires. Nothing can be sent any
    ///   more.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<()> {
        self.enqueue_and_flush(|session, now, out| session.send(message, now, out))
    }

    /// Adds a message to the output, which is written by [`flush`](Self::flush), so that many small messages are written at
    /// once.
    ///
    /// The output is also written as soon as it is longer than the builder's [`high_water`](Builder::high_water), and by any
    /// call that receives or sends.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::blocking::{Result, Stream, WebSocket};
    ///
    /// /// Sends many small messages with few calls of the system.
    /// fn send_all<S: Stream>(socket: &mut WebSocket<S>, prices: &[u64]) -> Result<()> {
    ///     for price in prices {
    ///         socket.queue(price.to_string())?;
    ///     }
    ///     socket.flush()?;
    ///     assert_eq!(socket.buffered_amount(), 0);
    ///     Ok(())
    /// }
    /// ```
    pub fn queue(&mut self, message: impl Into<Message>) -> Result<()> {
        self.enqueue(|session, now, out| session.send(message, now, out))
    }

    /// Sends a message that other connections send as well, and waits until the system has accepted it.
    ///
    /// On the connection of a server, its bytes are not copied. A client masks a copy.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::SharedMessage;
    /// use sockeye::blocking::{Result, Stream, WebSocket};
    ///
    /// /// Sends a picture to all clients of a server.
    /// fn show<S: Stream>(picture: Vec<u8>, clients: &mut [WebSocket<S>]) -> Result<()> {
    ///     let picture = SharedMessage::from(picture);
    ///     clients.iter_mut().try_for_each(|client| client.send_shared(&picture))
    /// }
    /// ```
    pub fn send_shared(&mut self, message: &SharedMessage) -> Result<()> {
        let frame = message.frame().clone();
        self.enqueue_and_flush(|session, now, out| session.send_frame(frame, now, &mut SharedOutput(out)))
    }

    /// Adds a message that other connections send as well to the output, as [`queue`](Self::queue) does.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::SharedMessage;
    /// use sockeye::blocking::{Result, Stream, WebSocket};
    ///
    /// /// Sends the same messages to a client, with few calls of the system.
    /// fn send_history<S: Stream>(client: &mut WebSocket<S>, history: &[SharedMessage]) -> Result<()> {
    ///     history.iter().try_for_each(|message| client.queue_shared(message))?;
    ///     client.flush()
    /// }
    /// ```
    pub fn queue_shared(&mut self, message: &SharedMessage) -> Result<()> {
        let frame = message.frame().clone();
        self.enqueue(|session, now, out| session.send_frame(frame, now, &mut SharedOutput(out)))
    }

    /// Writes the output, and waits until the system has accepted it.
    ///
    /// # Errors
    ///
    /// `ConnectionLost` or `Timeout`, as [`send`](Self::send).
    ///
    /// See the example of [`queue`](Self::queue).
    pub fn flush(&mut self) -> Result<()> {
        let (link, stream) = self.parts()?;
        link.flush(link.lock(), stream, IfBusy::Wait)
    }

    /// Returns how many bytes are waiting to be written.
    ///
    /// See the example of [`queue`](Self::queue).
    pub fn buffered_amount(&self) -> usize {
        self.shared.link.lock().out.len()
    }

    /// Sends a frame unchanged, for instance a fragment. The caller is responsible for the order of fragments.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and `Protocol` for a frame that RFC 6455 forbids (§5.2, §5.4, §5.5).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::blocking::{Result, Stream, WebSocket};
    /// use sockeye::{Frame, OpCode};
    ///
    /// /// Sends a message whose length is not known before its end.
    /// fn send_all<S: Stream>(socket: &mut WebSocket<S>, parts: impl Iterator<Item = Vec<u8>>) -> Result<()> {
    ///     let mut opcode = OpCode::Binary;
    ///     for part in parts {
    ///         socket.send_frame(Frame::message(part, opcode, false))?;
    ///         opcode = OpCode::Continue;
    ///     }
    ///     socket.send_frame(Frame::message(Vec::new(), opcode, true))
    /// }
    /// ```
    pub fn send_frame(&mut self, frame: Frame) -> Result<()> {
        self.enqueue_and_flush(|session, now, out| session.send_frame(frame, now, out))
    }

    /// Sends a Ping with up to 125 bytes (RFC 6455 §5.5.2). [`receive_event`](Self::receive_event) returns the Pong.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and `Protocol` for a longer payload.
    ///
    /// See the example of [`receive_event`](Self::receive_event).
    pub fn ping(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.send_frame(Frame::ping(payload.into()))
    }

    /// Sends an unsolicited Pong with up to 125 bytes (RFC 6455 §5.5.3). Pings are answered without this method.
    ///
    /// # Errors
    ///
    /// As [`ping`](Self::ping).
    ///
    /// See the example of [`set_reply_mode`](Self::set_reply_mode).
    pub fn pong(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.send_frame(Frame::pong(payload.into()))
    }

    /// Closes the connection with a code and a reason, waits for the Close of the peer and the end of TCP, and returns the
    /// code and reason of the peer (RFC 6455 §7.1.2).
    ///
    /// [`CloseCode::Status`] sends no code. Messages that arrive meanwhile are dropped. If the peer has already begun to
    /// close, its Close counts. If no Close arrives within
    /// [`Config::close_timeout`](crate::protocol::Config::close_timeout), or the connection is lost, the connection has
    /// ended as intended: that is no error, but [`Closed::was_clean`] is false.
    ///
    /// # Errors
    ///
    /// `Protocol` if the code or the reason may not be sent; the connection then stays open. `Io` if the stream is in
    /// nonblocking mode.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        let (link, stream) = self.parts()?;
        link.close(stream, code, reason)
    }

    /// Ends the connection immediately, without a Close. Other handles that are waiting return.
    ///
    /// A [`Bare`](super::Bare) stream has no other handles, and ends because it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::TcpStream;
    ///
    /// use sockeye::blocking::WebSocket;
    ///
    /// /// Ends connections at once, for instance because the program ends.
    /// fn end_all(sockets: Vec<WebSocket<TcpStream>>) {
    ///     sockets.into_iter().for_each(WebSocket::abort);
    /// }
    /// ```
    pub fn abort(mut self) {
        self.shared.link.lock().session.connection.abandon();
        if let Some(stream) = &mut self.stream {
            // A stream that cannot be shut down ends when it is dropped.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Sets who replies to the Pings and the Close of the peer. Default: [`ReplyMode::Automatic`].
    ///
    /// With [`ReplyMode::Automatic`] each call that receives sends the replies. With [`ReplyMode::Manual`] the program does, with
    /// [`pong`](Self::pong) and [`close`](Self::close).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::blocking::{ReplyMode, Result, Stream, WebSocket};
    /// use sockeye::protocol::Event;
    ///
    /// /// Answers Pings and the Close of the peer, and logs them.
    /// fn run<S: Stream>(socket: &mut WebSocket<S>) -> Result<()> {
    ///     socket.set_reply_mode(ReplyMode::Manual);
    ///     while let Some(event) = socket.receive_event()? {
    ///         match event {
    ///             Event::Ping(payload) => {
    ///                 println!("answering a Ping");
    ///                 socket.pong(payload)?;
    ///             }
    ///             Event::Close(code, _) => {
    ///                 println!("the peer closes with {code}");
    ///                 socket.close(code, "")?;
    ///             }
    ///             _ => {}
    ///         }
    ///     }
    ///     println!("{:?}", socket.closed());
    ///     Ok(())
    /// }
    /// ```
    pub fn set_reply_mode(&mut self, mode: ReplyMode) {
        self.shared.link.lock().session.reply_mode = mode;
    }

    /// Returns how the connection has ended, or `None` if it has not.
    ///
    /// See the example of [`set_reply_mode`](Self::set_reply_mode).
    pub fn closed(&self) -> Option<Closed> {
        self.shared.link.lock().session.closed()
    }

    /// Returns the state of the connection.
    ///
    /// [`Closing`](State::Closing) means that no more messages can be sent: a Close was sent or received, or the connection has
    /// failed. [`Closed`](State::Closed) means that TCP can be closed. The state changes while a method of any handle reads or
    /// writes.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::CloseCode;
    /// use sockeye::blocking::WebSocket;
    /// use sockeye::protocol::State;
    ///
    /// let mut socket = WebSocket::connect("ws://127.0.0.1:3012/")?;
    /// assert_eq!(socket.state(), State::Open);
    /// socket.close(CloseCode::Normal, "")?;
    /// assert_eq!(socket.state(), State::Closed);
    /// # sockeye::blocking::Result::Ok(())
    /// ```
    pub fn state(&self) -> State {
        self.shared.link.lock().session.connection.state()
    }

    /// Returns whether messages can be sent.
    pub fn is_open(&self) -> bool {
        self.shared.link.lock().session.connection.can_send(OpCode::Text)
    }

    /// Returns whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.closed().is_some()
    }

    /// Returns the request of the opening handshake, or `None` if the handshake was performed elsewhere.
    ///
    /// See the example of [`get_ref`](Self::get_ref).
    pub fn request(&self) -> Option<&Request> {
        self.shared.opening.request()
    }

    /// Returns the response of the opening handshake, or `None` if the handshake was performed elsewhere.
    pub fn response(&self) -> Option<&Response> {
        self.shared.opening.response()
    }

    /// Returns the subprotocol that the server has chosen.
    ///
    /// See the example of [`get_ref`](Self::get_ref).
    pub fn protocol(&self) -> Option<&str> {
        self.response().and_then(|response| response.protocol().ok().flatten())
    }

    /// Returns the stream, for instance to ask for the address of the peer.
    ///
    /// It is always present. Bytes that are written to it go between the frames. The socket changes the timeouts of the
    /// stream: use [`set_read_timeout`](Self::set_read_timeout) instead of that of the stream.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::TcpStream;
    ///
    /// use sockeye::blocking::WebSocket;
    ///
    /// fn describe(socket: &WebSocket<TcpStream>) -> Option<String> {
    ///     let address = socket.get_ref()?.peer_addr().ok()?;
    ///     let path = socket.request()?.resource();
    ///     Some(format!("{address} {path} {:?}", socket.protocol()))
    /// }
    /// ```
    pub fn get_ref(&self) -> Option<&S> {
        self.stream.as_ref()
    }

    /// Writes the output, and returns the stream and the bytes that were read but not processed.
    ///
    /// The stream gets its original timeouts back. Other handles stay as they are. The rest of a message that
    /// [`io::Read`](std::io::Read) has read in part is lost, unless there are other handles.
    ///
    /// # Errors
    ///
    /// `ConnectionLost` or `Timeout` if writing the output fails; `Io` if the timeouts cannot be restored.
    pub fn into_inner(mut self) -> Result<(S, Vec<u8>)> {
        self.flush()?;
        let (link, stream) = self.parts()?;
        link.restore_timeouts(stream)?;
        let unread = link.reading(|reading| reading.take_unread());
        Ok((self.stream.take().ok_or(Error::Closed)?, unread))
    }

    /// Appends something to the output, and writes the output if it is long.
    fn enqueue(
        &mut self,
        write: impl FnOnce(&mut Session, Instant, &mut OutputQueue) -> std::result::Result<(), ProtocolError>,
    ) -> Result<()> {
        let high_water = self.shared.high_water;
        let (link, stream) = self.parts()?;
        let mut state = link.lock();
        let queued = state.enqueue(write)?;
        if queued > high_water { link.flush(state, stream, IfBusy::Wait) } else { Ok(()) }
    }

    /// Appends something to the output, and writes the output.
    fn enqueue_and_flush(
        &mut self,
        write: impl FnOnce(&mut Session, Instant, &mut OutputQueue) -> std::result::Result<(), ProtocolError>,
    ) -> Result<()> {
        let (link, stream) = self.parts()?;
        let mut state = link.lock();
        state.enqueue(write)?;
        link.flush(state, stream, IfBusy::Wait)
    }

    pub(super) fn parts(&mut self) -> Result<(&Link, &mut S)> {
        let stream = self.stream.as_mut().ok_or(Error::Closed)?;
        Ok((&self.shared.link, stream))
    }
}

impl<S: Stream> Drop for WebSocket<S> {
    fn drop(&mut self) {
        if self.shared.handles.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(stream) = &mut self.stream
        {
            self.shared.link.send_going_away(stream, DROP_TIMEOUT);
        }
    }
}

impl<S: Stream> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("opening", &self.shared.opening).finish_non_exhaustive()
    }
}
