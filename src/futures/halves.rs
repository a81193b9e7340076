//! The two halves of a socket: one sends, the other receives.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::Transport;
use super::budget::Budget;
use super::link::{ConnectionHandle, Shared, Waiter};
use crate::close::{CloseCode, Closed};
use crate::message::Message;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Event, Frame, OpCode, SharedMessage, State};
use crate::socket::Result;
use crate::socket::byte_reader::ByteReader;
use crate::socket::session::{Item, ReplyMode, Unit};

/// The half of a [`WebSocket`](super::WebSocket) that sends.
///
/// It does not need the other half: while it waits, Pings and the Close of the peer are answered.
///
/// See the example of [`WebSocket::split`](super::WebSocket::split).
pub struct Sender<S: Transport> {
    pub(super) handle: Arc<ConnectionHandle<S>>,
    pub(super) budget: Budget,
}

/// The half of a [`WebSocket`](super::WebSocket) that receives.
///
/// It does not need the other half: it sends the answers to Pings and to the Close of the peer.
///
/// See the example of [`WebSocket::split`](super::WebSocket::split).
pub struct Receiver<S: Transport> {
    pub(super) handle: Arc<ConnectionHandle<S>>,
    /// The rest of a message that `AsyncRead` has read in part.
    pub(super) rest: ByteReader,
    pub(super) budget: Budget,
}

/// A future of the end of a connection, and of how it has ended. It does not keep the connection open.
///
/// It is ready when both Closes are exchanged and the stream has ended, or when the connection has failed or was dropped. It
/// can be awaited anywhere, also while the halves are in use.
///
/// See the example of [`WebSocket::closed`](super::WebSocket::closed).
#[must_use = "futures do nothing unless they are polled"]
pub struct Ended<S: Transport> {
    shared: Arc<Shared<S>>,
    waiter: Waiter,
}

impl<S: Transport> Sender<S> {
    /// Sends a message, and waits until the stream has accepted it.
    ///
    /// The first poll accepts the whole message. If the future is dropped afterwards, nothing is lost: the next future that
    /// is polled continues to write it.
    ///
    /// # Errors
    ///
    /// - `Closed` if a Close was sent or received, or the connection has ended.
    /// - `Full` with the message if [`Builder::max_buffered`](super::Builder::max_buffered) bytes are waiting already.
    /// - `ConnectionLost` if the connection ends before the message is written.
    ///
    /// See the example of [`WebSocket::send`](super::WebSocket::send).
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<()> {
        self.enqueue(message.into())?;
        self.flush().await
    }

    /// Adds a message to the output, which is written by [`flush`](Self::flush), so that many small messages are written at
    /// once.
    ///
    /// It waits while more than [`Builder::high_water`](super::Builder::high_water) bytes are waiting.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// See the example of [`WebSocket::queue`](super::WebSocket::queue).
    pub async fn queue(&mut self, message: impl Into<Message>) -> Result<()> {
        self.enqueue(message.into())?;
        poll_fn(|cx| self.poll_below_high_water(cx)).await
    }

    /// Sends a message that other connections send as well, and waits until the stream has accepted it.
    ///
    /// On the connection of a server, its bytes are not copied while they wait. A client masks a copy. The first poll accepts the
    /// whole message, as in [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), with `FullFrame` in place of `Full`.
    ///
    /// See the example of [`WebSocket::send_shared`](super::WebSocket::send_shared).
    pub async fn send_shared(&mut self, message: &SharedMessage) -> Result<()> {
        self.enqueue_shared(message)?;
        self.flush().await
    }

    /// Adds a message that other connections send as well to the output, as [`queue`](Self::queue) does.
    ///
    /// # Errors
    ///
    /// As [`send_shared`](Self::send_shared).
    ///
    /// See the example of [`WebSocket::queue_shared`](super::WebSocket::queue_shared).
    pub async fn queue_shared(&mut self, message: &SharedMessage) -> Result<()> {
        self.enqueue_shared(message)?;
        poll_fn(|cx| self.poll_below_high_water(cx)).await
    }

    /// Waits until the stream has accepted the whole output.
    ///
    /// # Errors
    ///
    /// `ConnectionLost` if the connection ends before that.
    ///
    /// See the example of [`WebSocket::flush`](super::WebSocket::flush).
    pub async fn flush(&mut self) -> Result<()> {
        poll_fn(|cx| self.poll_until(0, cx)).await
    }

    /// Sends a Ping with up to 125 bytes (RFC 6455 §5.5.2). [`Receiver::receive_event`] returns the Pong.
    ///
    /// # Errors
    ///
    /// As [`send_frame`](Self::send_frame).
    ///
    /// See the example of [`WebSocket::ping`](super::WebSocket::ping).
    pub async fn ping(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.send_frame(Frame::ping(payload.into())).await
    }

    /// Sends an unsolicited Pong with up to 125 bytes (RFC 6455 §5.5.3). Pings are answered without this method.
    ///
    /// # Errors
    ///
    /// As [`send_frame`](Self::send_frame).
    ///
    /// See the example of [`WebSocket::pong`](super::WebSocket::pong).
    pub async fn pong(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.send_frame(Frame::pong(payload.into())).await
    }

    /// Sends a frame unchanged, for instance a fragment. The caller is responsible for the order of fragments.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), with `FullFrame` in place of `Full`, and `Protocol` for a frame that RFC 6455 forbids (§5.2,
    /// §5.4, §5.5).
    ///
    /// See the example of [`WebSocket::send_frame`](super::WebSocket::send_frame).
    pub async fn send_frame(&mut self, frame: Frame) -> Result<()> {
        self.handle.shared().change(Some(Waiter::Sender), |engine| engine.send_frame(frame))?;
        self.flush().await
    }

    /// Closes the connection with a code and a reason, waits for the Close of the peer and the end of the stream, and returns
    /// the code and reason of the peer (RFC 6455 §7.1.2).
    ///
    /// The first poll sends the Close. [`CloseCode::Status`] sends no code. Messages that arrive afterwards are dropped;
    /// those that arrived before can still be received. If the peer has already begun to close, its Close counts. If no Close
    /// arrives within [`Config::close_timeout`](crate::protocol::Config::close_timeout), or the connection is lost, the
    /// connection has ended as intended: that is no error, but [`Closed::was_clean`] is false.
    ///
    /// # Errors
    ///
    /// `Protocol` if the code or the reason may not be sent; the connection then stays open.
    ///
    /// See the example of [`WebSocket::close`](super::WebSocket::close).
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        self.begin_close(code, reason)?;
        Ok(poll_fn(|cx| self.poll_closed(cx)).await)
    }

    /// Returns how many bytes are waiting to be written.
    ///
    /// See the example of [`WebSocket::buffered_amount`](super::WebSocket::buffered_amount).
    pub fn buffered_amount(&self) -> usize {
        self.handle.shared().lock().buffered()
    }

    pub(super) fn begin_close(&self, code: CloseCode, reason: &str) -> Result<()> {
        self.handle.shared().change(Some(Waiter::Sender), |engine| engine.close(code, reason))
    }

    /// Adds a message to the output.
    pub(super) fn enqueue(&self, message: Message) -> Result<()> {
        self.handle.shared().change(Some(Waiter::Sender), |engine| engine.send(message))
    }

    /// Adds a message to the output, or returns it if the connection does not accept it now.
    pub(super) fn offer(&self, message: Message) -> Result<Option<Message>> {
        self.handle.shared().change(Some(Waiter::Sender), |engine| engine.offer(message))
    }

    fn enqueue_shared(&self, message: &SharedMessage) -> Result<()> {
        self.handle.shared().change(Some(Waiter::Sender), |engine| engine.send_shared(message))
    }

    /// Waits until at most `high_water` bytes are waiting. If this is so already, it writes nothing.
    pub(super) fn poll_below_high_water(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let engine = self.handle.shared().lock();
        let (buffered, high_water) = (engine.buffered(), engine.high_water);
        drop(engine);
        if buffered > high_water {
            return self.poll_until(high_water, cx);
        }
        ready!(self.budget.poll_left(cx));
        self.budget.spend_step();
        Poll::Ready(Ok(()))
    }

    /// Waits until at most `most` bytes are waiting to be written.
    pub(super) fn poll_until(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.handle.shared().poll_within(&mut self.budget, Waiter::Sender, cx, |engine, cx| {
            engine.budget.spend_step();
            engine.poll_flush(most, cx)
        })
    }

    pub(super) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<Closed> {
        self.handle.shared().poll(Waiter::Sender, cx, |engine, cx| engine.poll_closed(cx))
    }
}

impl<S: Transport> Receiver<S> {
    /// Receives the next message. Returns `None` once the connection is closed.
    ///
    /// If `AsyncRead` has read a part of a message, its rest comes first: as a message of the same type, or as a binary
    /// message if a text was split inside a character.
    ///
    /// # Errors
    ///
    /// - `Protocol` if the peer breaks a rule or exceeds a limit.
    /// - `ConnectionLost` if the stream ends without a Close, or fails.
    /// - `Timeout` with `Idle` if the peer was silent for too long.
    ///
    /// The connection is closed then. The error is returned once, after the Close for the peer has been written. After it
    /// comes `None`.
    ///
    /// See the example of [`WebSocket::receive`](super::WebSocket::receive).
    pub async fn receive(&mut self) -> Result<Option<Message>> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Receives the next message, appends it to a buffer, and returns its type. Returns `None` once the connection is
    /// closed.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive). The buffer is unchanged then.
    ///
    /// See the example of [`WebSocket::receive_into`](super::WebSocket::receive_into).
    pub async fn receive_into(&mut self, buffer: &mut Vec<u8>) -> Result<Option<OpCode>> {
        let Some(message) = self.receive().await? else { return Ok(None) };
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
    /// See the example of [`WebSocket::receive_event`](super::WebSocket::receive_event).
    pub async fn receive_event(&mut self) -> Result<Option<Event>> {
        poll_fn(|cx| {
            if let Some(rest) = self.rest.take() {
                return Poll::Ready(Ok(Some(Event::Message(rest))));
            }
            self.poll_item(Unit::Event, cx, Item::into_event)
        })
        .await
    }

    /// Receives the next frame of any type, after it has been acted on. Returns `None` once the connection is closed.
    ///
    /// Fragments come one by one, as do Pings, Pongs and the Close. Compressed frames come as they were sent, with RSV1. After
    /// some of the fragments, [`receive`](Self::receive) still returns the whole message. The rest of a message that
    /// `AsyncRead` has read in part comes first, as one frame.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    ///
    /// See the example of [`WebSocket::receive_event`](super::WebSocket::receive_event).
    pub async fn receive_frame(&mut self) -> Result<Option<Frame>> {
        poll_fn(|cx| {
            if let Some(rest) = self.rest.take() {
                return Poll::Ready(Ok(Some(rest.into())));
            }
            self.poll_item(Unit::Frame, cx, Item::into_frame)
        })
        .await
    }

    /// Sets who replies to the Pings and the Close of the peer. Default: [`ReplyMode::Automatic`].
    ///
    /// With [`ReplyMode::Automatic`] the half that is in use sends the replies. With [`ReplyMode::Manual`] the program does, with
    /// [`Sender::pong`] and [`Sender::close`]. The mode applies to frames that have not been received yet.
    ///
    /// See the example of [`WebSocket::set_reply_mode`](super::WebSocket::set_reply_mode).
    pub fn set_reply_mode(&mut self, mode: ReplyMode) {
        self.handle.shared().lock().session.reply_mode = mode;
    }

    pub(super) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>>> {
        if let Some(rest) = self.rest.take() {
            return Poll::Ready(Ok(Some(rest)));
        }
        self.poll_item(Unit::Event, cx, |item| match item.into_event() {
            Some(Event::Message(message)) => Some(message),
            _ => None,
        })
    }

    /// Waits for the next item that `choose` does not skip.
    fn poll_item<T>(
        &mut self,
        unit: Unit,
        cx: &mut Context<'_>,
        choose: impl Fn(Item) -> Option<T>,
    ) -> Poll<Result<Option<T>>> {
        self.handle.shared().poll_within(&mut self.budget, Waiter::Receiver, cx, |engine, cx| {
            engine.unit = unit;
            loop {
                let Some(item) = ready!(engine.poll_item(cx))? else { return Poll::Ready(Ok(None)) };
                if let Some(chosen) = choose(item) {
                    return Poll::Ready(Ok(Some(chosen)));
                }
            }
        })
    }
}

/// The methods that both halves have.
macro_rules! shared_methods {
    ($half:ident) => {
        impl<S: Transport> $half<S> {
            /// Returns the subprotocol that the server has chosen.
            pub fn protocol(&self) -> Option<&str> {
                self.response().and_then(|response| response.protocol().ok().flatten())
            }

            /// Returns the request of the opening handshake, or `None` if the handshake was performed elsewhere.
            pub fn request(&self) -> Option<&Request> {
                self.handle.opening().request()
            }

            /// Returns the response of the opening handshake, or `None` if the handshake was performed elsewhere.
            pub fn response(&self) -> Option<&Response> {
                self.handle.opening().response()
            }

            /// Returns the state of the connection.
            ///
            /// [`Closing`](State::Closing) means that no more messages can be sent: a Close was sent or received, or the
            /// connection has failed. It becomes [`Closed`](State::Closed) when the stream has ended as well, which a future
            /// of the socket must be polled for.
            ///
            /// See the example of [`WebSocket::state`](super::WebSocket::state).
            pub fn state(&self) -> State {
                self.handle.shared().lock().observed_state()
            }

            /// Returns whether messages can be sent.
            pub fn is_open(&self) -> bool {
                self.handle.shared().lock().session.connection.can_send(OpCode::Text)
            }

            /// Returns whether the connection has ended. Messages that arrived before can still be received.
            pub fn is_closed(&self) -> bool {
                self.handle.shared().lock().closed().is_some()
            }

            /// Returns a future of the end of the connection, and of how it has ended.
            pub fn closed(&self) -> Ended<S> {
                Ended { waiter: self.handle.shared().observe(), shared: Arc::clone(self.handle.shared()) }
            }
        }

        impl<S: Transport> fmt::Debug for $half<S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($half))
                    .field("opening", self.handle.opening())
                    .finish_non_exhaustive()
            }
        }
    };
}

shared_methods!(Sender);
shared_methods!(Receiver);

impl<S: Transport> Future for Ended<S> {
    type Output = Closed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
        self.shared.poll(self.waiter, cx, |engine, cx| engine.poll_closed(cx))
    }
}

impl<S: Transport> Drop for Ended<S> {
    fn drop(&mut self) {
        self.shared.forget(self.waiter);
    }
}

impl<S: Transport> fmt::Debug for Ended<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended").finish_non_exhaustive()
    }
}
