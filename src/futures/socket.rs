//! The socket: both halves together.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::budget::Budget;
use super::engine::Engine;
use super::halves::{Ended, Receiver, Sender};
use super::link::ConnectionHandle;
use super::{Builder, Transport};
use crate::close::{CloseCode, Closed};
use crate::message::Message;
use crate::protocol::handshake::{Extension, Request, Response};
use crate::protocol::{Connection, Event, Frame, OpCode, Role, SharedMessage, State, Upgrade};
use crate::socket::byte_reader::ByteReader;
use crate::socket::opening_heads::OpeningHeads;
use crate::socket::session::{ReplyMode, Session};
use crate::socket::{Error, Result};

/// One end of an open connection, on any stream.
///
/// The [module](super) describes how it is used. When it is dropped while the connection is open, or both of its halves are,
/// the peer receives a Close with 1001, if the stream accepts it without waiting.
///
/// # Examples
///
/// ```
/// # use sockeye::futures::{Result, Transport};
/// use sockeye::CloseCode;
/// use sockeye::futures::WebSocket;
///
/// # async fn doc<S: Transport>(mut socket: WebSocket<S>) -> Result<()> {
/// socket.send("hello").await?;
/// while let Some(message) = socket.receive().await? {
///     println!("received {message}");
///     socket.close(CloseCode::Normal, "").await?;
/// }
/// # Ok(()) }
/// ```
pub struct WebSocket<S: Transport> {
    pub(super) sender: Sender<S>,
    pub(super) receiver: Receiver<S>,
}

/// The halves of two different connections, which cannot be joined.
///
/// See the example of [`WebSocket::split`].
pub struct JoinError<S: Transport>(pub Sender<S>, pub Receiver<S>);

impl<S: Transport> WebSocket<S> {
    /// Creates a socket after an opening handshake that another HTTP server has performed on this stream.
    ///
    /// It has no timeouts: [`Builder::upgraded`] with a [`Timer`](super::Timer) has them.
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

    pub(super) fn open(handle: Arc<ConnectionHandle<S>>, opening: OpeningHeads) -> Self {
        handle.set_opening(opening);
        let sender = Sender { handle: Arc::clone(&handle), budget: Budget::default() };
        let receiver = Receiver { handle, rest: ByteReader::default(), budget: Budget::default() };
        Self { sender, receiver }
    }

    /// Receives the next message. Returns `None` once the connection is closed. See [`Receiver::receive`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::receive`].
    ///
    /// See the [example](Self#examples) of this type.
    pub async fn receive(&mut self) -> Result<Option<Message>> {
        self.receiver.receive().await
    }

    /// Receives the next message, appends it to a buffer, and returns its type. See [`Receiver::receive_into`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::receive`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use sockeye::futures::{Result, Transport};
    /// use sockeye::futures::WebSocket;
    ///
    /// # async fn doc<S: Transport>(mut socket: WebSocket<S>) -> Result<()> {
    /// let mut buffer = Vec::new();
    /// while socket.receive_into(&mut buffer).await?.is_some() {
    ///     println!("{} bytes", buffer.len());
    ///     buffer.clear();
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn receive_into(&mut self, buffer: &mut Vec<u8>) -> Result<Option<OpCode>> {
        self.receiver.receive_into(buffer).await
    }

    /// Receives the next message, Ping, Pong or Close. See [`Receiver::receive_event`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::receive`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use sockeye::futures::{Result, Transport};
    /// use sockeye::futures::WebSocket;
    /// use sockeye::protocol::Event;
    ///
    /// # async fn doc<S: Transport>(mut socket: WebSocket<S>) -> Result<()> {
    /// socket.ping("1").await?;
    /// while let Some(event) = socket.receive_event().await? {
    ///     match event {
    ///         Event::Pong(payload) => println!("the peer has answered {payload:?}"),
    ///         Event::Message(message) => println!("received {message}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn receive_event(&mut self) -> Result<Option<Event>> {
        self.receiver.receive_event().await
    }

    /// Receives the next frame. See [`Receiver::receive_frame`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::receive`].
    pub async fn receive_frame(&mut self) -> Result<Option<Frame>> {
        self.receiver.receive_frame().await
    }

    /// Sets who replies to the Pings and the Close of the peer. See [`Receiver::set_reply_mode`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use sockeye::futures::{Result, Transport};
    /// use sockeye::futures::{ReplyMode, WebSocket};
    /// use sockeye::protocol::Event;
    ///
    /// # async fn doc<S: Transport>(mut socket: WebSocket<S>) -> Result<()> {
    /// socket.set_reply_mode(ReplyMode::Manual);
    /// while let Some(event) = socket.receive_event().await? {
    ///     match event {
    ///         Event::Ping(payload) => socket.pong(payload).await?,
    ///         Event::Close(code, _) => drop(socket.close(code, "").await?),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn set_reply_mode(&mut self, mode: ReplyMode) {
        self.receiver.set_reply_mode(mode);
    }

    /// Sends a message, and waits until the stream has accepted it. See [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    ///
    /// See the [example](Self#examples) of this type.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<()> {
        self.sender.send(message).await
    }

    /// Adds a message to the output. See [`Sender::queue`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use sockeye::futures::{Result, Transport};
    /// use sockeye::futures::WebSocket;
    ///
    /// # async fn doc<S: Transport>(mut socket: WebSocket<S>) -> Result<()> {
    /// for price in [101, 102, 99] {
    ///     socket.queue(price.to_string()).await?;
    /// }
    /// socket.flush().await?;
    /// assert_eq!(socket.buffered_amount(), 0);
    /// # Ok(()) }
    /// ```
    pub async fn queue(&mut self, message: impl Into<Message>) -> Result<()> {
        self.sender.queue(message).await
    }

    /// Sends a message that other connections send as well. See [`Sender::send_shared`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send_shared`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use sockeye::futures::{Result, Transport};
    /// use sockeye::SharedMessage;
    /// use sockeye::futures::WebSocket;
    ///
    /// # async fn doc<S: Transport>(mut sockets: Vec<WebSocket<S>>) -> Result<()> {
    /// let picture = SharedMessage::from(vec![7; 100_000]);
    /// for socket in &mut sockets {
    ///     socket.send_shared(&picture).await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn send_shared(&mut self, message: &SharedMessage) -> Result<()> {
        self.sender.send_shared(message).await
    }

    /// Adds a message that other connections send as well to the output. See [`Sender::queue_shared`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send_shared`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use sockeye::futures::{Result, Transport};
    /// use sockeye::SharedMessage;
    /// use sockeye::futures::WebSocket;
    ///
    /// # async fn doc<S: Transport>(mut sockets: Vec<WebSocket<S>>) -> Result<()> {
    /// let picture = SharedMessage::from(vec![7; 100_000]);
    /// // Does not wait for clients that read slowly, unless much is waiting for them.
    /// for socket in &mut sockets {
    ///     socket.queue_shared(&picture).await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn queue_shared(&mut self, message: &SharedMessage) -> Result<()> {
        self.sender.queue_shared(message).await
    }

    /// Waits until the stream has accepted the whole output. See [`Sender::flush`].
    ///
    /// # Errors
    ///
    /// As [`Sender::flush`].
    ///
    /// See the example of [`queue`](Self::queue).
    pub async fn flush(&mut self) -> Result<()> {
        self.sender.flush().await
    }

    /// Sends a Ping with up to 125 bytes. See [`Sender::ping`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send_frame`].
    ///
    /// See the example of [`receive_event`](Self::receive_event).
    pub async fn ping(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.sender.ping(payload).await
    }

    /// Sends an unsolicited Pong with up to 125 bytes. See [`Sender::pong`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send_frame`].
    ///
    /// See the example of [`set_reply_mode`](Self::set_reply_mode).
    pub async fn pong(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.sender.pong(payload).await
    }

    /// Sends a frame unchanged. See [`Sender::send_frame`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send_frame`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use sockeye::futures::{Result, Transport};
    /// use sockeye::futures::WebSocket;
    /// use sockeye::{Frame, OpCode};
    ///
    /// # async fn doc<S: Transport>(mut socket: WebSocket<S>) -> Result<()> {
    /// socket.send_frame(Frame::message(b"sal".to_vec(), OpCode::Text, false)).await?;
    /// socket.send_frame(Frame::message(b"mon".to_vec(), OpCode::Continue, true)).await?;
    /// # Ok(()) }
    /// ```
    pub async fn send_frame(&mut self, frame: Frame) -> Result<()> {
        self.sender.send_frame(frame).await
    }

    /// Closes the connection with a code and a reason, and waits for its end. See [`Sender::close`].
    ///
    /// # Errors
    ///
    /// As [`Sender::close`].
    ///
    /// See the [example](Self#examples) of this type.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        self.sender.close(code, reason).await
    }

    /// Returns a future of the end of the connection, and of how it has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sockeye::futures::{Result, Transport};
    /// use sockeye::futures::WebSocket;
    ///
    /// # async fn doc<S: Transport>(socket: WebSocket<S>) {
    /// // Usually in a task of its own, while the socket is used elsewhere.
    /// let closed = socket.closed();
    /// println!("{:?}", closed.await);
    /// # }
    /// ```
    pub fn closed(&self) -> Ended<S> {
        self.sender.closed()
    }

    /// Ends the connection immediately, without a Close.
    pub fn abort(self) {
        self.sender.handle.shared().change(None, |engine| drop(engine.take_stream()));
    }

    /// Returns how many bytes are waiting to be written.
    ///
    /// See the example of [`queue`](Self::queue).
    pub fn buffered_amount(&self) -> usize {
        self.sender.buffered_amount()
    }

    /// Returns the state of the connection: open, closing or closed. See [`Sender::state`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use sockeye::futures::{Result, Transport};
    /// use sockeye::CloseCode;
    /// use sockeye::futures::WebSocket;
    /// use sockeye::protocol::State;
    ///
    /// # async fn doc<S: Transport>(mut socket: WebSocket<S>) -> Result<()> {
    /// assert_eq!(socket.state(), State::Open);
    /// socket.close(CloseCode::Normal, "").await?;
    /// assert_eq!(socket.state(), State::Closed);
    /// # Ok(()) }
    /// ```
    pub fn state(&self) -> State {
        self.sender.state()
    }

    /// Returns whether messages can be sent.
    pub fn is_open(&self) -> bool {
        self.sender.is_open()
    }

    /// Returns whether the connection has ended. Messages that arrived before can still be received.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Returns the subprotocol that the server has chosen.
    pub fn protocol(&self) -> Option<&str> {
        self.sender.protocol()
    }

    /// Returns the request of the opening handshake, or `None` if the handshake was performed elsewhere.
    pub fn request(&self) -> Option<&Request> {
        self.sender.request()
    }

    /// Returns the response of the opening handshake, or `None` if the handshake was performed elsewhere.
    pub fn response(&self) -> Option<&Response> {
        self.sender.response()
    }

    /// Calls a function with the stream, for instance to ask for the address of the peer. Returns `None` if the stream has
    /// ended.
    ///
    /// The connection is locked meanwhile: a function that uses the socket or one of its halves blocks forever.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "tokio")] mod with_tokio {
    /// use sockeye::futures::{Compat, WebSocket};
    /// use tokio::net::TcpStream;
    ///
    /// fn is_local(socket: &WebSocket<Compat<TcpStream>>) -> bool {
    ///     let address = socket.with_stream(|stream| stream.0.peer_addr().ok()).flatten();
    ///     address.is_some_and(|address| address.ip().is_loopback())
    /// }
    /// # }
    /// ```
    pub fn with_stream<T>(&self, look: impl FnOnce(&S) -> T) -> Option<T> {
        self.sender.handle.shared().lock().stream().map(look)
    }

    /// Splits the socket into halves for two tasks. Each half works without the other.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sockeye::futures::{Result, Transport};
    /// use sockeye::futures::WebSocket;
    ///
    /// # async fn doc<S: Transport>(socket: WebSocket<S>) -> Result<()> {
    /// let (mut sender, mut receiver) = socket.split();
    /// // Usually in a task of its own.
    /// let receiving = async move {
    ///     while let Ok(Some(message)) = receiver.receive().await {
    ///         println!("received {message}");
    ///     }
    ///     receiver
    /// };
    /// sender.send("hello").await?;
    /// let receiver = receiving.await;
    /// let socket = WebSocket::join(sender, receiver).ok();
    /// # Ok(()) }
    /// ```
    pub fn split(self) -> (Sender<S>, Receiver<S>) {
        (self.sender, self.receiver)
    }

    /// Joins the two halves of a connection.
    ///
    /// # Errors
    ///
    /// A [`JoinError`] with both halves if they belong to different connections.
    ///
    /// See the example of [`split`](Self::split).
    pub fn join(sender: Sender<S>, receiver: Receiver<S>) -> std::result::Result<Self, JoinError<S>> {
        match Arc::ptr_eq(&sender.handle, &receiver.handle) {
            true => Ok(Self { sender, receiver }),
            false => Err(JoinError(sender, receiver)),
        }
    }

    /// Returns the stream and the bytes that were read but not processed.
    ///
    /// Output that was not [flushed](Self::flush) is dropped, as is a message that has arrived and was not received.
    ///
    /// # Errors
    ///
    /// `Closed` if the stream has ended.
    pub fn into_inner(self) -> Result<(S, Vec<u8>)> {
        let taken = self.sender.handle.shared().change(None, Engine::take_stream);
        taken.ok_or(Error::Closed)
    }
}

impl Builder {
    /// Creates a socket after an opening handshake that another HTTP server has performed on this stream.
    ///
    /// The limits are those of the upgrade. The timeouts need a [`timer`](Self::timer). [`upgrade`](crate::upgrade) has the
    /// complete procedure.
    ///
    /// # Errors
    ///
    /// `Protocol` if the response was changed so that it does not open a connection any more (RFC 6455 §4.2.2).
    pub fn upgraded<S: Transport>(&self, stream: S, upgrade: Upgrade) -> Result<WebSocket<S>> {
        let opening = OpeningHeads::new(upgrade.request().clone(), upgrade.response().clone());
        let (connection, read_ahead) = upgrade.into_connection(Instant::now())?;
        let mut engine = Engine::new(stream, Session::new(connection), Vec::new(), self.engine_options());
        engine.read_ahead(read_ahead);
        Ok(WebSocket::open(ConnectionHandle::new(engine), opening))
    }

    /// Creates a socket after an opening handshake that was performed elsewhere, in either role.
    ///
    /// The handshake is not checked again. `extensions` are those that the server has accepted, usually none; compression
    /// applies if it is one of them and [`Config::deflate`](crate::protocol::Config::deflate) is set. `read_ahead` contains
    /// the bytes that were read after the handshake. The socket has no [request](WebSocket::request), response and
    /// subprotocol. The timeouts need a
    /// [`timer`](Self::timer).
    ///
    /// # Errors
    ///
    /// `Protocol` if the parameters of an extension cannot appear in a response (RFC 7692 §7.1).
    ///
    /// # Examples
    ///
    /// ```
    /// # async fn doc(stream: impl sockeye::futures::Transport) -> sockeye::futures::Result<()> {
    /// use sockeye::futures::Builder;
    /// use sockeye::protocol::Role;
    ///
    /// // Both ends have agreed on WebSocket in some other way.
    /// let mut socket = Builder::new().after_handshake(stream, Role::Client, &[], [])?;
    /// socket.send("salmon").await?;
    /// # Ok(()) }
    /// ```
    pub fn after_handshake<S: Transport>(
        &self,
        stream: S,
        role: Role,
        extensions: &[Extension],
        read_ahead: impl Into<Vec<u8>>,
    ) -> Result<WebSocket<S>> {
        let config = Arc::clone(&self.options.config);
        let connection = Connection::after_handshake(role, config, extensions, Instant::now())?;
        let mut engine = Engine::new(stream, Session::new(connection), Vec::new(), self.engine_options());
        engine.read_ahead(read_ahead.into());
        Ok(WebSocket::open(ConnectionHandle::new(engine), OpeningHeads::default()))
    }
}

impl<S: Transport> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("opening", self.sender.handle.opening()).finish_non_exhaustive()
    }
}

impl<S: Transport> fmt::Debug for JoinError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinError").field(&self.0).field(&self.1).finish()
    }
}

impl<S: Transport> fmt::Display for JoinError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves belong to different connections")
    }
}

impl<S: Transport> StdError for JoinError<S> {}
