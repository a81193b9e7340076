//! The two halves of a socket: one receives, the other sends.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Interface;
use super::link::{Link, Owner};
use super::state::{Opening, Who};
use crate::close::{CloseCode, Closed};
use crate::error::Result;
use crate::message::Message;
use crate::protocol::{Event, OpCode};
use crate::socket::byte_reader::Leftover;

/// The half of a [`WebSocket`](super::WebSocket) that sends.
pub struct Sender {
    pub(super) owner: Rc<Owner>,
    pub(super) opening: Rc<Opening>,
}

/// The half of a [`WebSocket`](super::WebSocket) that receives.
pub struct Receiver {
    pub(super) owner: Rc<Owner>,
    pub(super) opening: Rc<Opening>,
    /// What `AsyncRead` has left of a message.
    pub(super) rest: Leftover,
    has_told_close: bool,
}

/// Waits for the end of a connection, and tells how it came. It does not keep the connection open.
///
/// Ready when both sides have closed, or when the connection has failed or was dropped. It can be awaited anywhere, also while
/// the halves are in use. With [`Interface::Stream`] the Close of the peer is behind the messages that it has sent: as long
/// as the program leaves them, the end does not come.
#[must_use = "futures do nothing unless they are polled"]
pub struct Ended {
    link: Rc<Link>,
    who: Who,
}

impl Sender {
    /// Sends a message, and waits until the browser has passed it on to the network.
    ///
    /// The message is accepted as a whole when the future is first polled; dropped after that, it loses nothing: the browser
    /// goes on with what is left.
    ///
    /// # Errors
    ///
    /// `Protocol` after a Close was sent or received, or the connection has ended; `Capacity` if more than
    /// [`Builder::max_buffered`](super::Builder::max_buffered) waits to be sent, and then the message was not accepted.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<()> {
        self.link().send(&message.into())?;
        self.flush().await
    }

    /// Puts a message with those that wait to be sent; waits as long as they are more than
    /// [`Builder::high_water`](super::Builder::high_water). The browser sends them without [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn queue(&mut self, message: impl Into<Message>) -> Result<()> {
        self.link().send(&message.into())?;
        self.drain(self.link().limits.high_water).await
    }

    /// Waits until the browser has passed everything on to the network.
    ///
    /// # Errors
    ///
    /// `Protocol` if the connection ended before that.
    pub async fn flush(&mut self) -> Result<()> {
        self.drain(0).await
    }

    /// Closes with a code ([`CloseCode::Status`] for none) and a reason, waits for the Close of the peer and for the end of
    /// the connection, and tells what the peer has said.
    ///
    /// The Close is sent when the future is first polled, behind everything that was sent before. Messages that wait for the
    /// program can still be received; what the peer was held back with is dropped. If the peer closes at the same time, or
    /// has begun to, its Close counts.
    ///
    /// # Errors
    ///
    /// `Protocol` for a code that a browser does not let programs send, which is any but 1000 and 3000 to 4999, and for a
    /// reason of more than 123 bytes; then the connection goes on. If no answer comes within
    /// [`Config::close_timeout`](crate::protocol::Config::close_timeout), that is no error: it was not clean.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        self.link().begin_close(code, reason)?;
        Ok(poll_fn(|cx| self.poll_closed(cx)).await)
    }

    /// Returns how much was accepted and not sent yet, in bytes; with [`Interface::Standard`] as the browser knew it when it
    /// last went around its event loop.
    pub fn buffered_amount(&self) -> usize {
        self.link().buffered()
    }

    async fn drain(&self, most: usize) -> Result<()> {
        poll_fn(|cx| self.link().poll_flush(most, cx)).await
    }

    pub(super) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<Closed> {
        self.link().with(|state| state.poll_closed(Who::Sender, cx))
    }
}

impl Receiver {
    pub(super) fn new(owner: Rc<Owner>, opening: Rc<Opening>) -> Self {
        Self { owner, opening, rest: Leftover::default(), has_told_close: false }
    }

    /// Receives the next message; `None` once the connection is closed.
    ///
    /// What `AsyncRead` has left of a message comes first, as a message of the same type; of a text
    /// that it has cut in the middle of a character, as a binary one.
    ///
    /// # Errors
    ///
    /// `Capacity` if the peer goes beyond a limit, `Protocol` if it goes without a Close. It is told once; after that there is
    /// `None`.
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

    /// Receives what comes next: a message, or the Close of the peer, with its code and reason. `None` once the connection
    /// has ended. Pings and Pongs are the browser's, and never seen.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub async fn receive_event(&mut self) -> Result<Option<Event>> {
        if let Some(message) = self.receive().await? {
            return Ok(Some(Event::Message(message)));
        }
        let closed = self.link().with(|state| state.closed().cloned()).filter(|closed| closed.was_clean);
        let is_first = !std::mem::replace(&mut self.has_told_close, true);
        Ok(closed.filter(|_| is_first).map(|closed| Event::Close(closed.code, closed.reason)))
    }

    pub(super) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>>> {
        match self.rest.take() {
            Some(rest) => Poll::Ready(Ok(Some(rest))),
            None => self.link().poll_message(cx),
        }
    }
}

/// What both halves tell of their connection.
macro_rules! tell {
    ($half:ident) => {
        impl $half {
            /// Returns the URL of the connection, as the browser has understood it.
            pub fn url(&self) -> &str {
                &self.opening.url
            }

            /// Returns the subprotocol that the server chose.
            pub fn protocol(&self) -> Option<&str> {
                Some(&*self.opening.protocol).filter(|protocol| !protocol.is_empty())
            }

            /// Returns the extensions that the browser and the server have agreed on, as the header of the server has them;
            /// empty for none.
            pub fn extensions(&self) -> &str {
                &self.opening.extensions
            }

            /// Returns the interface of the browser that is in use.
            pub fn interface(&self) -> Interface {
                self.opening.interface
            }

            /// Returns whether messages can be sent.
            pub fn is_open(&self) -> bool {
                self.link().is_open()
            }

            /// Returns whether the connection has ended. What was received before can still be taken.
            pub fn is_closed(&self) -> bool {
                self.link().with(|state| state.closed().is_some())
            }

            /// Waits for the end of the connection, and tells how it came.
            pub fn closed(&self) -> Ended {
                let who = self.link().with(|state| state.observe());
                Ended { link: Rc::clone(self.link()), who }
            }

            pub(super) fn link(&self) -> &Rc<Link> {
                self.owner.link()
            }
        }

        impl fmt::Debug for $half {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($half)).field("opening", &self.opening).finish_non_exhaustive()
            }
        }
    };
}

tell!(Sender);
tell!(Receiver);

impl Future for Ended {
    type Output = Closed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
        self.link.with(|state| state.poll_closed(self.who, cx))
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.link.with(|state| state.take(self.who));
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended").finish_non_exhaustive()
    }
}
