//! The two halves of a socket: one receives, the other sends.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::Transport;
use super::link::{Owner, Shared, Who};
use crate::close::{CloseCode, Closed};
use crate::error::Result;
use crate::message::Message;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Answers, Event, Frame, OpCode, ProtocolError};
use crate::socket::byte_reader::Leftover;
use crate::socket::session::{Item, Session, Unit};

/// How much may wait to be written before [`Sender::queue`] waits too, in bytes.
pub(super) const HIGH_WATER: usize = 64 * 1024;

/// How many control frames a call passes over before others get their turn.
const MAX_PASSED: u32 = 64;

/// The opening handshake as it was made.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) request: Request,
    pub(super) response: Response,
}

/// The half of a [`WebSocket`](super::WebSocket) that sends.
///
/// It goes on alone: whatever it waits for, Pings and the Close of the peer are answered meanwhile.
pub struct Sender<S: Transport> {
    pub(super) owner: Arc<Owner<S>>,
    pub(super) opening: Arc<Opening>,
}

/// The half of a [`WebSocket`](super::WebSocket) that receives.
///
/// It goes on alone: what is to be answered is sent without the other half.
pub struct Receiver<S: Transport> {
    pub(super) owner: Arc<Owner<S>>,
    pub(super) opening: Arc<Opening>,
    /// What `AsyncRead` has left of a message.
    pub(super) rest: Leftover,
}

/// Waits for the end of a connection, and tells how it came. It does not keep the connection open.
///
/// Ready when the peer's Close and ours are exchanged and the stream has ended, or when the connection has failed or was
/// dropped. It can be awaited anywhere, also while the halves are in use.
#[must_use = "futures do nothing unless they are polled"]
pub struct Ended<S: Transport> {
    shared: Arc<Shared<S>>,
    who: Who,
}

impl<S: Transport> Sender<S> {
    /// Sends a message, and waits until the stream has taken it.
    ///
    /// The message is accepted as a whole when the future is first polled; dropped after that, it loses nothing: what is
    /// left goes out with whatever is awaited next.
    ///
    /// # Errors
    ///
    /// `Protocol` after a Close was sent or received, or the connection has ended; `Capacity` if more than
    /// [`Builder::max_buffered`](super::Builder::max_buffered) waits to be sent, and then the message was not accepted.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<()> {
        self.say(|session, now, out| session.send(message, now, out))?;
        self.flush().await
    }

    /// Puts a message with those that wait for [`flush`](Self::flush), so that many small ones go in one piece; waits as
    /// long as more than 64 KiB wait.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn queue(&mut self, message: impl Into<Message>) -> Result<()> {
        self.say(|session, now, out| session.send(message, now, out))?;
        if self.buffered_amount() > HIGH_WATER {
            poll_fn(|cx| self.poll_until(HIGH_WATER, cx)).await?;
        }
        Ok(())
    }

    /// Waits until everything that was accepted has been taken by the stream.
    ///
    /// # Errors
    ///
    /// `Protocol` if the connection ended before that.
    pub async fn flush(&mut self) -> Result<()> {
        poll_fn(|cx| self.poll_until(0, cx)).await
    }

    /// Sends a Ping with up to 125 bytes. The Pong is to be seen with [`Receiver::receive_event`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and `Protocol` for more bytes.
    pub async fn ping(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.say(|session, now, out| session.send_frame(Frame::ping(payload.into()), now, out))?;
        self.flush().await
    }

    /// Sends a Pong that nobody has asked for; Pings are answered without it.
    ///
    /// # Errors
    ///
    /// As [`ping`](Self::ping).
    pub async fn pong(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.say(|session, now, out| session.send_frame(Frame::pong(payload.into()), now, out))?;
        self.flush().await
    }

    /// Sends a frame as it is: a fragment, an answer of one's own. Who sends fragments sees to their order.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and `Protocol` for a frame that the RFC forbids.
    pub async fn send_frame(&mut self, frame: Frame) -> Result<()> {
        self.say(|session, now, out| session.send_frame(frame, now, out))?;
        self.flush().await
    }

    /// Closes with a code ([`CloseCode::Status`] for none) and a reason, waits for the Close of the peer and for the end of
    /// the stream, and tells what the peer has said.
    ///
    /// The Close is sent when the future is first polled. Messages that come after it are dropped; those that have come
    /// before can still be received. If the peer closes at the same time, or has begun to, its Close counts.
    ///
    /// # Errors
    ///
    /// `Protocol` for a code or a reason that may not be sent, and then the connection goes on. If no answer comes within
    /// [`Config::close_timeout`](crate::protocol::Config::close_timeout), that is no error: it was not clean.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        self.begin_close(code, reason)?;
        Ok(poll_fn(|cx| self.poll_closed(cx)).await)
    }

    /// Returns how much was accepted and not written yet, in bytes.
    pub fn buffered_amount(&self) -> usize {
        self.owner.shared().lock().buffered()
    }

    pub(super) fn begin_close(&self, code: CloseCode, reason: &str) -> Result<()> {
        self.owner.shared().change(Some(Who::Sender), |engine| engine.close(code, reason))
    }

    pub(super) fn say(
        &self,
        say: impl FnOnce(&mut Session, Instant, &mut Vec<u8>) -> std::result::Result<(), ProtocolError>,
    ) -> Result<()> {
        self.owner.shared().change(Some(Who::Sender), |engine| engine.say(say))
    }

    /// Waits until at most `most` bytes are to be written.
    pub(super) fn poll_until(&self, most: usize, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.owner.shared().poll(Who::Sender, cx, |engine, cx| engine.poll_flush(most, cx))
    }

    pub(super) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<Closed> {
        self.owner.shared().poll(Who::Sender, cx, |engine, cx| engine.poll_closed(cx))
    }
}

impl<S: Transport> Receiver<S> {
    /// Receives the next message; `None` once the connection is closed.
    ///
    /// What `AsyncRead` has left of a message comes first, as a message of the same type; of a text
    /// that it has cut in the middle of a character, as a binary one.
    ///
    /// # Errors
    ///
    /// `Protocol`, `Capacity` or `Encoding` if the peer breaks a rule or a limit, or goes without a Close; `Io` if the stream
    /// fails. It is told once, when the peer has been told as well; after that there is `None`.
    pub async fn receive(&mut self) -> Result<Option<Message>> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Receives the next message behind what is in a buffer, and tells its type; `None` once the connection is closed.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive); the buffer is as before then.
    pub async fn receive_into(&mut self, buffer: &mut Vec<u8>) -> Result<Option<OpCode>> {
        let Some(message) = self.receive().await? else { return Ok(None) };
        buffer.extend_from_slice(message.as_bytes());
        Ok(Some(if message.is_text() { OpCode::Text } else { OpCode::Binary }))
    }

    /// Receives what comes next: a message, a Ping, a Pong, or the Close of the peer, with its code and reason. `None`
    /// once the connection has ended.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub async fn receive_event(&mut self) -> Result<Option<Event>> {
        poll_fn(|cx| {
            if let Some(rest) = self.rest.take() {
                return Poll::Ready(Ok(Some(Event::Message(rest))));
            }
            self.poll_item(Unit::Event, cx, Item::into_event)
        })
        .await
    }

    /// Receives the next frame, of whatever kind, once it has been acted on: fragments come one by one, and Pings, Pongs and
    /// the Close as well. With compression, frames come as they were sent, with RSV1. `None` once the connection has ended.
    ///
    /// [`receive`](Self::receive) after some of the fragments still gives the whole message. What `AsyncRead` has left
    /// of one comes first, as one frame.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub async fn receive_frame(&mut self) -> Result<Option<Frame>> {
        poll_fn(|cx| {
            if let Some(rest) = self.rest.take() {
                return Poll::Ready(Ok(Some(rest.into())));
            }
            self.poll_item(Unit::Frame, cx, Item::into_frame)
        })
        .await
    }

    /// Says who answers the Pings of the peer and its Close: by default whichever half is in use, with
    /// [`Answers::Manual`] the program, by [`Sender::pong`] and [`Sender::close`].
    ///
    /// It holds for what has not been read yet, so that it is best said at the beginning.
    pub fn set_answers(&mut self, answers: Answers) {
        self.owner.shared().lock().session.connection.set_answers(answers);
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

    /// Waits for the next thing that `choose` does not pass over.
    fn poll_item<T>(
        &self,
        unit: Unit,
        cx: &mut Context<'_>,
        choose: impl Fn(Item) -> Option<T>,
    ) -> Poll<Result<Option<T>>> {
        self.owner.shared().poll(Who::Receiver, cx, |engine, cx| {
            engine.unit = unit;
            for _ in 0..MAX_PASSED {
                let Some(item) = ready!(engine.poll_item(cx))? else { return Poll::Ready(Ok(None)) };
                if let Some(chosen) = choose(item) {
                    return Poll::Ready(Ok(Some(chosen)));
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }
}

/// What both halves tell of their connection.
macro_rules! tell {
    ($half:ident) => {
        impl<S: Transport> $half<S> {
            /// Returns the subprotocol that was chosen.
            pub fn protocol(&self) -> Option<&str> {
                self.opening.response.protocol().ok().flatten()
            }

            /// Returns the request of the opening handshake.
            pub fn request(&self) -> &Request {
                &self.opening.request
            }

            /// Returns the response of the opening handshake, with its headers.
            pub fn response(&self) -> &Response {
                &self.opening.response
            }

            /// Returns whether messages can be sent.
            pub fn is_open(&self) -> bool {
                self.owner.shared().lock().session.connection.can_send(OpCode::Text)
            }

            /// Waits for the end of the connection, and tells how it came.
            pub fn closed(&self) -> Ended<S> {
                Ended { who: self.owner.shared().observe(), shared: Arc::clone(self.owner.shared()) }
            }
        }

        impl<S: Transport> fmt::Debug for $half<S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($half)).field("opening", &self.opening).finish_non_exhaustive()
            }
        }
    };
}

tell!(Sender);
tell!(Receiver);

impl<S: Transport> Future for Ended<S> {
    type Output = Closed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
        self.shared.poll(self.who, cx, |engine, cx| engine.poll_closed(cx))
    }
}

impl<S: Transport> Drop for Ended<S> {
    fn drop(&mut self) {
        self.shared.forget(self.who);
    }
}

impl<S: Transport> fmt::Debug for Ended<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended").finish_non_exhaustive()
    }
}
