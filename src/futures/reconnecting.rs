//! A client that connects again when its connection is lost.
//!
//! [`Reconnection`] decides what comes next. Here are the connection, the attempt or the sleep that is in progress, and the interface of
//! the program. All of it is in the client and not in the futures, so that a future can be dropped at any time.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_core::Stream;

use super::reconnecting_sender::ReconnectingSender;
use super::reconnecting_state::Shared;
use super::{ReconnectEvent, Sleep, Timer, Transport, WebSocket};
use crate::close::{CloseCode, Closed};
use crate::connecting::reconnect::Reconnect;
use crate::message::Message;
use crate::socket::reconnection::{Happened, Reconnection, Step};
use crate::socket::{Error, Result};

/// An attempt to connect.
type Attempt<S> = Pin<Box<dyn Future<Output = Result<WebSocket<S>>> + Send>>;

/// Connects once.
type Connect<S> = Box<dyn FnMut() -> Attempt<S> + Send>;

/// A client that connects again when its connection is lost. [`Reconnect`] describes when it does, and when it stops.
///
/// With tokio, `Builder::connect_with` creates one for a URL. [`new`](Self::new) creates one with a function that connects, on any
/// runtime. There is no task in the background: only a task that awaits [`receive`](Self::receive) or
/// [`receive_event`](Self::receive_event) connects, waits and sends the queue. A peer that vanishes is only noticed with
/// [`Config::ping_interval`](crate::protocol::Config::ping_interval) and [`Config::idle_timeout`](crate::protocol::Config::idle_timeout),
/// which are off by default.
///
/// A future of this type that is dropped, for instance by `select!`, loses nothing: the next one continues the same attempt, the same
/// wait and the same message.
///
/// # Examples
///
/// A client that subscribes again after each opening:
///
/// ```
/// # #[cfg(feature = "tokio")] mod with_tokio {
/// use std::time::Duration;
///
/// use sockeye::Reconnect;
/// use sockeye::futures::{Builder, ReconnectEvent, Result};
/// use sockeye::protocol::Config;
///
/// async fn print_prices() -> Result<()> {
///     let (ping_interval, idle_timeout) = (Some(Duration::from_secs(20)), Some(Duration::from_secs(60)));
///     let config = Config { ping_interval, idle_timeout, ..Config::default() };
///     let builder = Builder::new().config(config);
///     let mut socket = builder.connect_with("wss://example.com/prices", Reconnect::default())?;
///     while let Some(event) = socket.receive_event().await? {
///         match event {
///             ReconnectEvent::Opened => socket.send("subscribe salmon").await?,
///             ReconnectEvent::Message(message) => println!("received {message}"),
///             ReconnectEvent::Lost { lost, error } => println!("next attempt in {:?}: {error:?}", lost.wait()),
///             _ => {}
///         }
///     }
///     println!("stopped: {:?}", socket.closed());
///     Ok(())
/// }
/// # }
/// ```
pub struct Reconnecting<S: Transport> {
    connect: Connect<S>,
    timer: Timer,
    state: Reconnection,
    attempt: Option<Attempt<S>>,
    sleep: Option<Sleep>,
    socket: Option<WebSocket<S>>,
    /// Whether the program has learned of the opening, and has not received since.
    is_greeting: bool,
    shared: Arc<Shared>,
}

impl<S: Transport> Reconnecting<S> {
    /// Creates a client with a function that connects, which is called for each attempt. It can therefore change the request, or select
    /// another server. The timer waits between attempts.
    ///
    /// An error of the function counts as a failed attempt, and stops the client if another attempt would fail in the same way: `Url`,
    /// `TlsDisabled`, and `Rejected` with most of the statuses 4xx.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "tokio")] mod with_tokio {
    /// use sockeye::Reconnect;
    /// use sockeye::futures::{Builder, Reconnecting, Result, Timer};
    ///
    /// async fn run() -> Result<()> {
    ///     // Each request contains the current token.
    ///     let mut socket = Reconnecting::new(Reconnect::default(), Timer::tokio(), || async {
    ///         let builder = Builder::new().add_header("Authorization", current_token().await?)?;
    ///         builder.connect("wss://example.com/").await
    ///     });
    ///     while let Some(message) = socket.receive().await? {
    ///         println!("received {message}");
    ///     }
    ///     Ok(())
    /// }
    /// # async fn current_token() -> std::io::Result<String> { Ok(String::new()) }
    /// # }
    /// ```
    pub fn new<F>(reconnect: Reconnect, timer: Timer, mut connect: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<WebSocket<S>>> + Send + 'static,
    {
        Self {
            connect: Box::new(move || Box::pin(connect())),
            timer,
            state: Reconnection::new(reconnect),
            attempt: None,
            sleep: None,
            socket: None,
            is_greeting: false,
            shared: Arc::default(),
        }
    }

    /// Sets how many bytes can wait in the queue while there is no connection, or while it is slow. Default: 1 MiB.
    ///
    /// Each message counts its length and a few bytes more. A longer message is accepted only while there is a connection and the queue
    /// is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::futures::{Error, Reconnecting, Result, Transport};
    ///
    /// async fn fill<S: Transport>(disconnected: Reconnecting<S>) -> Result<()> {
    ///     let mut socket = disconnected.max_queued(100);
    ///     socket.send("salmon").await?;
    ///     assert_eq!(socket.buffered_amount(), 6);
    ///     let Err(Error::Full(message)) = socket.send(vec![7; 100]).await else { panic!("it does not fit") };
    ///     assert_eq!(message.len(), 100);
    ///     Ok(())
    /// }
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
    /// - `Protocol` if an extension of the program rejects a queued message. The client goes on.
    ///
    /// Losses after which the client connects again are not errors. [`receive_event`](Self::receive_event) also returns them.
    ///
    /// See the example of [`new`](Self::new).
    pub async fn receive(&mut self) -> Result<Option<Message>> {
        poll_fn(|cx| self.poll_message(cx)).await
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
    pub async fn receive_event(&mut self) -> Result<Option<ReconnectEvent<'_>>> {
        match poll_fn(|cx| self.poll_happened(cx)).await? {
            Some(happened) => Ok(self.state.event(happened)),
            None => Ok(None),
        }
    }

    /// Sends a message, and waits until the stream has accepted it. While there is no connection, it queues the message and does not
    /// wait.
    ///
    /// It does not connect. After [`ReconnectEvent::Opened`], and before the next call that receives, the message precedes the queue. The
    /// first poll accepts the message: if the future is dropped afterwards, it is sent all the same.
    ///
    /// # Errors
    ///
    /// As [`ReconnectingSender::try_send`]. A connection that is lost meanwhile is not an error: what it has not written counts in
    /// [`Lost::unsent`](crate::Lost::unsent).
    ///
    /// See the [example](Self#examples) of this type.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<()> {
        let message = message.into();
        let refused = match self.socket.as_ref().filter(|_| self.is_greeting) {
            Some(socket) => socket.sender.offer(message)?,
            None => Some(message),
        };
        if let Some(message) = refused {
            self.shared.push(message)?;
        }
        poll_fn(|cx| self.poll_sent(cx)).await
    }

    /// Returns a handle with which other tasks send, and end the client.
    ///
    /// See the example of [`ReconnectingSender`].
    pub fn sender(&self) -> ReconnectingSender {
        ReconnectingSender { shared: Arc::clone(&self.shared) }
    }

    /// Ends the client, and closes its connection with a code and a reason if there is one. Returns the code and the reason of the peer.
    ///
    /// [`WebSocket::close`] describes the closing handshake. An attempt that is in progress is dropped. Messages in the queue are lost.
    ///
    /// # Errors
    ///
    /// As [`ReconnectingSender::close`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::CloseCode;
    /// use sockeye::futures::{Reconnecting, Result, Transport};
    ///
    /// async fn end<S: Transport>(mut socket: Reconnecting<S>) -> Result<()> {
    ///     let closed = socket.close(CloseCode::Normal, "done").await?;
    ///     println!("the server has closed as well: {closed:?}");
    ///     Ok(())
    /// }
    /// ```
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<Option<Closed>> {
        self.shared.close(code, reason)?;
        Ok(poll_fn(|cx| self.poll_closed(cx)).await)
    }

    /// Returns the current connection, for instance its response and its subprotocol, or `None` if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::futures::{Reconnecting, Transport};
    ///
    /// fn subprotocol<S: Transport>(socket: &Reconnecting<S>) -> Option<&str> {
    ///     socket.socket()?.protocol()
    /// }
    /// ```
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

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>>> {
        loop {
            match ready!(self.poll_happened(cx))? {
                Some(Happened::Message(message)) => return Poll::Ready(Ok(Some(message))),
                Some(Happened::Opened) => {}
                Some(Happened::Lost) => {
                    // The next attempt could fail at once as well. Other tasks come first.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Does what comes next, until the program must learn of something.
    fn poll_happened(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Happened>>> {
        self.is_greeting = false;
        self.shared.register(cx);
        loop {
            self.begin_close();
            let happened = match self.state.step(Instant::now()) {
                Step::Connect => Some(ready!(self.poll_attempt(cx))),
                Step::Wait(until) => {
                    ready!(self.poll_wait(until, cx));
                    None
                }
                Step::Receive => ready!(self.poll_receive(cx))?,
                Step::End => {
                    self.shared.end();
                    return Poll::Ready(self.state.end());
                }
            };
            if happened.is_some() {
                return Poll::Ready(Ok(happened));
            }
        }
    }

    /// Continues the attempt to connect, or begins one.
    fn poll_attempt(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        self.sleep = None;
        let attempt = self.attempt.get_or_insert_with(&mut self.connect);
        let connected = ready!(attempt.as_mut().poll(cx));
        self.attempt = None;
        Poll::Ready(match connected {
            Ok(socket) => {
                self.state.opened(Instant::now());
                self.shared.connect();
                self.socket = Some(socket);
                self.is_greeting = true;
                Happened::Opened
            }
            Err(err) => {
                self.state.lost(Some(err), None, 0, Instant::now(), rand::random());
                Happened::Lost
            }
        })
    }

    /// Continues the wait before the next attempt, or begins it. Without an end, only a handle ends it.
    fn poll_wait(&mut self, until: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = until else { return Poll::Pending };
        let left = until.saturating_duration_since(Instant::now());
        let sleep = self.sleep.get_or_insert_with(|| self.timer.sleep(left));
        ready!(sleep.as_mut().poll(cx));
        self.sleep = None;
        self.state.end_wait();
        Poll::Ready(())
    }

    /// Sends the queue, and receives from the connection.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Happened>>> {
        self.transfer()?;
        let Some(socket) = &mut self.socket else { return Poll::Ready(Ok(self.lose(None))) };
        let received = socket.receiver.poll_message(cx);
        self.update_unwritten();
        match received {
            Poll::Pending => {
                // There is room again. Other tasks come first.
                if self.transfer()? {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
            Poll::Ready(Ok(Some(message))) => Poll::Ready(Ok(Some(Happened::Message(message)))),
            Poll::Ready(Ok(None)) => Poll::Ready(Ok(self.lose(None))),
            Poll::Ready(Err(err)) => Poll::Ready(Ok(self.lose(Some(err)))),
        }
    }

    /// Waits until the queue is sent and written, or the connection is lost.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.shared.register(cx);
        self.begin_close();
        if !self.is_greeting {
            self.transfer()?;
        }
        let Some(socket) = &mut self.socket else { return Poll::Ready(Ok(())) };
        let flushed = socket.sender.poll_until(0, cx);
        self.update_unwritten();
        // The next call that receives reports a loss.
        if ready!(flushed).is_ok() && !self.is_greeting && self.transfer()? {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for the end of the connection. Returns `None` if there is none.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Option<Closed>> {
        self.begin_close();
        let closed = match &self.socket {
            Some(socket) => Some(ready!(socket.sender.poll_closed(cx))),
            None => None,
        };
        self.detach();
        self.state.stop(closed.clone());
        self.shared.end();
        Poll::Ready(closed)
    }

    /// Passes messages of the queue to the connection, and returns whether it has accepted any.
    fn transfer(&self) -> Result<bool> {
        let Some(WebSocket { sender, .. }) = &self.socket else { return Ok(false) };
        let high_water = sender.handle.shared().lock().high_water.max(1);
        self.shared.transfer(sender, high_water)
    }

    /// Does what a handle has requested: closes the connection, or ends the client if there is none.
    fn begin_close(&mut self) {
        let Some((code, reason)) = self.shared.closing() else { return };
        match &self.socket {
            // The code and the reason are checked already.
            Some(socket) => _ = socket.sender.begin_close(code, &reason),
            None => {
                (self.attempt, self.sleep) = (None, None);
                self.state.stop(None);
            }
        }
    }

    /// The connection has ended. Returns `None` if the program has ended the client.
    fn lose(&mut self, error: Option<Error>) -> Option<Happened> {
        let (closed, unsent) = self.detach();
        if self.shared.closing().is_some() {
            self.state.stop(Some(closed));
            return None;
        }
        self.state.lost(error, Some(closed), unsent, Instant::now(), rand::random());
        Some(Happened::Lost)
    }

    /// Drops the connection. Returns how it has ended, and the number of bytes that were not sent.
    fn detach(&mut self) -> (Closed, usize) {
        let ended = self.socket.take().map(|socket| {
            let engine = socket.sender.handle.shared().lock();
            (engine.closed().unwrap_or_else(Closed::abnormal), engine.unsent())
        });
        self.shared.disconnect();
        ended.unwrap_or_else(|| (Closed::abnormal(), 0))
    }

    fn update_unwritten(&self) {
        self.shared.set_unwritten(self.socket.as_ref().map_or(0, WebSocket::buffered_amount));
    }
}

/// The messages, as [`Reconnecting::receive`] returns them.
impl<S: Transport> Stream for Reconnecting<S> {
    type Item = Result<Message>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        self.get_mut().poll_message(cx).map(Result::transpose)
    }
}

impl<S: Transport> Drop for Reconnecting<S> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl<S: Transport> fmt::Debug for Reconnecting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting")
            .field("state", &self.state)
            .field("socket", &self.socket)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}
