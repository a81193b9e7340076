//! A client that connects again when its connection is lost.
//!
//! [`Reconnection`] decides what comes next. Here are the connection, the waiting, and the interface of the program.

use std::fmt;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reconnecting_sender::ReconnectingSender;
use super::reconnecting_state::{Shared, Spawn, write};
use super::{Builder, ReconnectEvent, Socket, Stream, WebSocket};
use crate::close::{CloseCode, Closed};
use crate::connecting::reconnect::Reconnect;
use crate::message::Message;
use crate::socket::options::parse_url;
use crate::socket::reconnection::{Happened, Reconnection, Step};
use crate::socket::{Error, Result, TimeoutKind};

/// Connects once.
type Connect<S> = Box<dyn FnMut() -> Result<WebSocket<S>> + Send>;

/// A client that connects again when its connection is lost. [`Reconnect`] describes when it does, and when it stops.
///
/// [`Builder::connect_with`] creates one for a URL, and [`new`](Self::new) one with a function that connects. Only a call that receives
/// connects and waits: a program that does not call [`receive`](Self::receive) or [`receive_event`](Self::receive_event) has no
/// connection. It also starts to send the queue, on a thread that ends when the queue is empty. A peer that vanishes is only noticed with
/// [`Config::ping_interval`](crate::protocol::Config::ping_interval) and [`Config::idle_timeout`](crate::protocol::Config::idle_timeout),
/// which are off by default.
///
/// # Examples
///
/// A client that subscribes again after each opening:
///
/// ```no_run
/// use std::time::Duration;
///
/// use sockeye::Reconnect;
/// use sockeye::blocking::{Builder, ReconnectEvent};
/// use sockeye::protocol::Config;
///
/// let (ping_interval, idle_timeout) = (Some(Duration::from_secs(20)), Some(Duration::from_secs(60)));
/// let config = Config { ping_interval, idle_timeout, ..Config::default() };
/// let mut socket = Builder::new().config(config).connect_with("wss://example.com/prices", Reconnect::default())?;
/// while let Some(event) = socket.receive_event()? {
///     match event {
///         ReconnectEvent::Opened => socket.send("subscribe salmon")?,
///         ReconnectEvent::Message(message) => println!("received {message}"),
///         ReconnectEvent::Lost { lost, error } => println!("lost, next attempt in {:?}: {error:?}", lost.wait()),
///         _ => {}
///     }
/// }
/// println!("stopped: {:?}", socket.closed());
/// # sockeye::blocking::Result::Ok(())
/// ```
pub struct Reconnecting<S: Stream> {
    connect: Connect<S>,
    state: Reconnection,
    socket: Option<WebSocket<S>>,
    /// Whether the program has learned of the opening, and has not received since.
    is_greeting: bool,
    read_timeout: Option<Duration>,
    spawn: Spawn<S>,
    shared: Arc<Shared<S>>,
}

impl Builder {
    /// Creates a client that connects to a URL, and connects again when its connection is lost.
    ///
    /// It does not connect yet, so that it does not matter whether the server is there: [`Reconnecting::receive`] connects.
    ///
    /// # Errors
    ///
    /// `Url` if a client cannot connect to a URL of this form; `Protocol` if the request cannot be sent.
    ///
    /// See the example of [`Reconnecting`].
    pub fn connect_with(&self, url: &str, reconnect: Reconnect) -> Result<Reconnecting<Socket>> {
        self.options.request(&parse_url(url)?)?;
        let (builder, url) = (self.clone(), url.to_owned());
        let mut socket = Reconnecting::new(reconnect, move || builder.connect(&url));
        socket.read_timeout = self.read_timeout;
        Ok(socket)
    }
}

impl<S: Stream> Reconnecting<S> {
    /// Creates a client with a function that connects, which is called for each attempt. It can therefore change the request, or select
    /// another server.
    ///
    /// The stream must support [`try_clone`](Stream::try_clone). An error of the function counts as a failed attempt, and stops the client
    /// if another attempt would fail in the same way: `Url`, `TlsDisabled`, and `Rejected` with most of the statuses 4xx.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::fs;
    ///
    /// use sockeye::Reconnect;
    /// use sockeye::blocking::{Builder, Reconnecting};
    ///
    /// // Each request contains the current token.
    /// let mut socket = Reconnecting::new(Reconnect::default(), || {
    ///     let token = fs::read_to_string("/run/secrets/token")?;
    ///     let builder = Builder::new().add_header("Authorization", format!("Bearer {}", token.trim()))?;
    ///     builder.connect("wss://example.com/")
    /// });
    /// while let Some(message) = socket.receive()? {
    ///     println!("received {message}");
    /// }
    /// # sockeye::blocking::Result::Ok(())
    /// ```
    pub fn new(reconnect: Reconnect, connect: impl FnMut() -> Result<WebSocket<S>> + Send + 'static) -> Self
    where
        S: Send + 'static,
    {
        Self {
            connect: Box::new(connect),
            state: Reconnection::new(reconnect),
            socket: None,
            is_greeting: false,
            read_timeout: None,
            spawn: Shared::spawn,
            shared: Arc::new(Shared::new()),
        }
    }

    /// Sets how many bytes can wait in the queue while there is no connection. Default: 1 MiB.
    ///
    /// Each message counts its length and a few bytes more. A longer message is accepted only while there is a connection and the queue
    /// is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Reconnect;
    /// use sockeye::blocking::{Builder, Error};
    ///
    /// // There is no connection yet.
    /// let mut socket = Builder::new().connect_with("ws://127.0.0.1:3012/", Reconnect::default())?.max_queued(100);
    /// socket.send("salmon")?;
    /// assert_eq!(socket.buffered_amount(), 6);
    /// let Err(Error::Full(message)) = socket.send(vec![7; 100]) else { panic!("it does not fit") };
    /// assert_eq!(message.len(), 100);
    /// # sockeye::blocking::Result::Ok(())
    /// ```
    #[must_use]
    pub fn max_queued(self, bytes: usize) -> Self {
        self.shared.set_max_queued(bytes);
        self
    }

    /// Receives the next message, and meanwhile connects as often as necessary. Returns `None` once the client has ended.
    ///
    /// # Errors
    ///
    /// - Why the last attempt or connection has failed, once, if the client stops because of it: see [`Reconnect`].
    /// - `Timeout` with `Read`: see [`set_read_timeout`](Self::set_read_timeout). The client goes on.
    ///
    /// Losses after which the client connects again are not errors. [`receive_event`](Self::receive_event) also returns them.
    ///
    /// See the example of [`new`](Self::new).
    pub fn receive(&mut self) -> Result<Option<Message>> {
        let timeout = self.timeout();
        loop {
            match self.next(timeout)? {
                Some(Happened::Message(message)) => return Ok(Some(message)),
                Some(Happened::Opened | Happened::Lost) => {}
                None => return Ok(None),
            }
        }
    }

    /// Receives the next event: an opening, a message, or a loss. Returns `None` once the client has ended.
    ///
    /// Every loss is an event, also the last one, whose [`wait`](crate::Lost::wait) is `None`.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    ///
    /// See the [example](Self#examples) of this type.
    pub fn receive_event(&mut self) -> Result<Option<ReconnectEvent<'_>>> {
        match self.next(self.timeout())? {
            Some(happened) => Ok(self.state.event(happened)),
            None => Ok(None),
        }
    }

    /// Sends a message, or queues it while there is no connection.
    ///
    /// It does not connect. After [`ReconnectEvent::Opened`], and before the next call that receives, the message precedes the queue.
    ///
    /// # Errors
    ///
    /// As [`ReconnectingSender::send`].
    ///
    /// See the [example](Self#examples) of this type.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<()> {
        let message = message.into();
        let Some(socket) = self.socket.as_mut().filter(|_| self.is_greeting) else {
            return self.shared.send(message);
        };
        write(socket, [message])?.map_or(Ok(()), |refused| self.shared.queue(refused))
    }

    /// Returns a handle with which other threads send, and end the client.
    ///
    /// What they send while there is no connection is queued, and sent by the calls that receive.
    ///
    /// See the example of [`ReconnectingSender`].
    pub fn sender(&self) -> ReconnectingSender<S> {
        ReconnectingSender { shared: Arc::clone(&self.shared) }
    }

    /// Ends the client, and closes its connection with a code and a reason if there is one. Returns the code and the reason of the peer.
    ///
    /// [`WebSocket::close`] describes the closing handshake. Messages in the queue are lost.
    ///
    /// # Errors
    ///
    /// As [`ReconnectingSender::close`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::{CloseCode, Reconnect};
    /// use sockeye::blocking::Builder;
    ///
    /// let mut socket = Builder::new().connect_with("ws://127.0.0.1:3012/", Reconnect::default())?;
    /// println!("received {:?}", socket.receive()?);
    /// let closed = socket.close(CloseCode::Normal, "done")?;
    /// println!("the server has closed as well: {closed:?}");
    /// # sockeye::blocking::Result::Ok(())
    /// ```
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<Option<Closed>> {
        let closed = self.shared.close(code, reason)?;
        self.detach();
        self.state.stop(closed.clone());
        Ok(closed)
    }

    /// Sets how long each call that receives may wait. `None` means no limit. Default: [`Builder::read_timeout`].
    ///
    /// An attempt to connect is not interrupted: [`Builder::connect_timeout`] and
    /// [`Config::handshake_timeout`](crate::protocol::Config::handshake_timeout) limit it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use sockeye::Reconnect;
    /// use sockeye::blocking::{Builder, Error, TimeoutKind};
    ///
    /// let mut socket = Builder::new().connect_with("ws://127.0.0.1:3012/", Reconnect::default())?;
    /// socket.set_read_timeout(Some(Duration::from_secs(1)));
    /// match socket.receive() {
    ///     Err(Error::Timeout(TimeoutKind::Read)) => println!("nothing yet, connected: {}", socket.socket().is_some()),
    ///     received => println!("received {:?}", received?),
    /// }
    /// # sockeye::blocking::Result::Ok(())
    /// ```
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout;
        if let Some(socket) = &self.socket {
            socket.set_read_timeout(timeout);
        }
    }

    /// Returns the current connection, for instance its response and its subprotocol, or `None` if there is none.
    ///
    /// See the example of [`set_read_timeout`](Self::set_read_timeout).
    pub fn socket(&self) -> Option<&WebSocket<S>> {
        self.socket.as_ref()
    }

    /// Returns how the last connection has ended, once the client has ended. `None` if the last attempt has failed.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn closed(&self) -> Option<&Closed> {
        self.state.closed()
    }

    /// Returns how many bytes are waiting: the messages in the queue, and what the connection has accepted and not written.
    ///
    /// See the example of [`max_queued`](Self::max_queued).
    pub fn buffered_amount(&self) -> usize {
        self.shared.buffered()
    }

    /// When a call that receives must return.
    fn timeout(&self) -> Option<Instant> {
        self.read_timeout.and_then(|timeout| Instant::now().checked_add(timeout))
    }

    /// Does what comes next, until the program must learn of something.
    fn next(&mut self, timeout: Option<Instant>) -> Result<Option<Happened>> {
        self.is_greeting = false;
        loop {
            if self.socket.is_none() && self.shared.has_ended() {
                self.state.stop(None);
            }
            let happened = match self.state.step(Instant::now()) {
                Step::Connect => self.attempt(),
                Step::Wait(until) => self.shared.wait(until, timeout).map(|()| None)?,
                Step::Receive => self.receive_now()?,
                Step::End => {
                    self.shared.end();
                    return self.state.end();
                }
            };
            if happened.is_some() {
                return Ok(happened);
            }
        }
    }

    /// Connects once.
    fn attempt(&mut self) -> Option<Happened> {
        match (self.connect)().and_then(|socket| self.open(socket)) {
            Ok(true) => {
                self.state.opened(Instant::now());
                self.is_greeting = true;
                Some(Happened::Opened)
            }
            // The program has ended the client meanwhile.
            Ok(false) => None,
            Err(err) => {
                self.state.lost(Some(err), None, 0, Instant::now(), rand::random());
                Some(Happened::Lost)
            }
        }
    }

    /// Takes over a connection, and returns whether the client goes on.
    fn open(&mut self, socket: WebSocket<S>) -> Result<bool> {
        if self.read_timeout.is_some() {
            socket.set_read_timeout(self.read_timeout);
        }
        let goes_on = self.shared.open(socket.try_clone()?);
        self.socket = Some(socket).filter(|_| goes_on);
        Ok(goes_on)
    }

    /// Sends the queue, and receives from the connection.
    fn receive_now(&mut self) -> Result<Option<Happened>> {
        let Some(socket) = &mut self.socket else { return Ok(self.lose(None)) };
        self.shared.begin_draining(self.spawn)?;
        match socket.receive() {
            Ok(Some(message)) => Ok(Some(Happened::Message(message))),
            Ok(None) => Ok(self.lose(None)),
            // The connection goes on.
            Err(err @ (Error::Timeout(TimeoutKind::Read) | Error::Io(_))) => Err(err),
            Err(err) => Ok(self.lose(Some(err))),
        }
    }

    /// The connection has ended. Returns `None` if the program has ended the client.
    fn lose(&mut self, error: Option<Error>) -> Option<Happened> {
        let (closed, unsent) = self.detach();
        if self.shared.has_ended() {
            self.state.stop(Some(closed));
            return None;
        }
        self.state.lost(error, Some(closed), unsent, Instant::now(), rand::random());
        Some(Happened::Lost)
    }

    /// Drops the connection. Returns how it has ended, and the number of bytes that were not sent.
    fn detach(&mut self) -> (Closed, usize) {
        let mut socket = self.socket.take();
        let closed = socket.as_ref().and_then(WebSocket::closed).unwrap_or_else(Closed::abnormal);
        if let Some(Ok((_, stream))) = socket.as_mut().map(WebSocket::parts) {
            // Wakes a thread that is writing. The stream of a connection that has ended may be shut down already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        (closed, self.shared.detach())
    }
}

impl<S: Stream> Drop for Reconnecting<S> {
    fn drop(&mut self) {
        // A thread that is writing would keep the connection.
        if self.shared.abandon()
            && let Some(Ok((_, stream))) = self.socket.as_mut().map(WebSocket::parts)
        {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl<S: Stream> fmt::Debug for Reconnecting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting")
            .field("state", &self.state)
            .field("socket", &self.socket)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}
