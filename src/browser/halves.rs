//! The two halves of a socket: one sends, the other receives.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Interface;
use super::link::{Link, LinkHandle};
use super::state::{Opening, WakerKey};
use crate::close::{CloseCode, Closed};
use crate::message::Message;
use crate::protocol::{Event, OpCode, State};
use crate::socket::Result;
use crate::socket::byte_reader::ByteReader;

/// The half of a [`WebSocket`](super::WebSocket) that sends.
pub struct Sender {
    pub(super) handle: Rc<LinkHandle>,
    pub(super) opening: Rc<Opening>,
}

/// The half of a [`WebSocket`](super::WebSocket) that receives.
pub struct Receiver {
    pub(super) handle: Rc<LinkHandle>,
    pub(super) opening: Rc<Opening>,
    /// The rest of a message that `AsyncRead` has read in part.
    pub(super) rest: ByteReader,
    has_returned_close: bool,
}

/// A future of the end of a connection, and of how it has ended. It does not keep the connection open.
///
/// It is ready when both sides have closed, or when the connection has failed or was dropped. It can be awaited anywhere, also
/// while the halves are in use. With [`Interface::Stream`] the Close of the peer comes after the messages that it has sent: it
/// is not ready until the program has received them.
#[must_use = "futures do nothing unless they are polled"]
pub struct Ended {
    link: Rc<Link>,
    key: WakerKey,
}

impl Sender {
    /// Sends a message, and waits until the browser has passed it to the network.
    ///
    /// The first poll accepts the whole message. If the future is dropped afterwards, nothing is lost: the browser continues
    /// to send it.
    ///
    /// # Errors
    ///
    /// - `Closed` if a Close was sent or received, or the connection has ended.
    /// - `Full` with the message if [`Builder::max_buffered`](super::Builder::max_buffered) bytes are waiting already.
    /// - `ConnectionLost` if the connection ends before the message is sent.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<()> {
        self.link().send(message.into())?;
        self.flush().await
    }

    /// Adds a message to the output.
    ///
    /// It waits while more than [`Builder::high_water`](super::Builder::high_water) bytes are waiting. The browser sends them
    /// without a [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn queue(&mut self, message: impl Into<Message>) -> Result<()> {
        self.link().send(message.into())?;
        self.drain(self.link().limits.high_water).await
    }

    /// Waits until the browser has passed the whole output to the network.
    ///
    /// # Errors
    ///
    /// `ConnectionLost` if the connection ends before that.
    pub async fn flush(&mut self) -> Result<()> {
        self.drain(0).await
    }

    /// Closes the connection with a code and a reason, waits for the Close of the peer and the end of the connection, and
    /// returns the code and reason of the peer (RFC 6455 §7.1.2).
    ///
    /// The first poll sends the Close, after the output. [`CloseCode::Status`] sends no code. Messages that arrived before can
    /// still be received; those that the browser has not read yet are dropped. If the peer has already begun to close, its
    /// Close counts. If no Close arrives within [`Config::close_timeout`](crate::protocol::Config::close_timeout), the
    /// connection has ended as intended: that is no error, but [`Closed::was_clean`] is false.
    ///
    /// # Errors
    ///
    /// `Protocol` for a code that programs in a browser may not send, which is any except 1000 and 3000 to 4999, and for a
    /// reason of more than 123 bytes. The connection then stays open.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        self.link().begin_close(code, reason)?;
        Ok(poll_fn(|cx| self.poll_closed(cx)).await)
    }

    /// Returns how many bytes are waiting to be sent.
    ///
    /// With [`Interface::Standard`] the browser updates this number once in each turn of its event loop.
    pub fn buffered_amount(&self) -> usize {
        self.link().buffered()
    }

    async fn drain(&self, most: usize) -> Result<()> {
        poll_fn(|cx| self.link().poll_flush(most, cx)).await
    }

    pub(super) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<Closed> {
        self.link().with(|state| state.poll_closed(WakerKey::Sender, cx))
    }
}

impl Receiver {
    pub(super) fn new(handle: Rc<LinkHandle>, opening: Rc<Opening>) -> Self {
        Self { handle, opening, rest: ByteReader::default(), has_returned_close: false }
    }

    /// Receives the next message. Returns `None` once the connection is closed.
    ///
    /// If `AsyncRead` has read a part of a message, its rest comes first: as a message of the same type, or as a binary
    /// message if a text was split inside a character.
    ///
    /// # Errors
    ///
    /// - `Protocol` if a message is longer than [`Config::max_message_size`](crate::protocol::Config::max_message_size).
    /// - `Overflow` if more was received than may wait for the program.
    /// - `ConnectionLost` if the connection ends without a Close.
    /// - `Timeout` with `Idle` if the peer was silent for too long.
    ///
    /// The connection is closed then. The error is returned once, after the messages that wait. After it comes `None`.
    pub async fn receive(&mut self) -> Result<Option<Message>> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Receives the next message, appends it to a buffer, and returns its type. Returns `None` once the connection is
    /// closed.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive). The buffer is unchanged then.
    pub async fn receive_into(&mut self, buffer: &mut Vec<u8>) -> Result<Option<OpCode>> {
        let Some(message) = self.receive().await? else { return Ok(None) };
        buffer.extend_from_slice(message.as_bytes());
        Ok(Some(if message.is_text() { OpCode::Text } else { OpCode::Binary }))
    }

    /// Receives the next event: a message, or the Close of the peer with its code and reason. Returns `None` once the
    /// connection is closed.
    ///
    /// The browser answers Pings, and does not show Pings and Pongs.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub async fn receive_event(&mut self) -> Result<Option<Event>> {
        if let Some(message) = self.receive().await? {
            return Ok(Some(Event::Message(message)));
        }
        let closed = self.link().with(|state| state.closed().cloned()).filter(|closed| closed.was_clean);
        let is_first = !std::mem::replace(&mut self.has_returned_close, true);
        Ok(closed.filter(|_| is_first).map(|closed| Event::Close(closed.code, closed.reason)))
    }

    pub(super) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>>> {
        match self.rest.take() {
            Some(rest) => Poll::Ready(Ok(Some(rest))),
            None => self.link().poll_message(cx),
        }
    }
}

/// The methods that both halves have.
macro_rules! shared_methods {
    ($half:ident) => {
        impl $half {
            /// Returns the URL of the connection, as the browser has parsed it.
            pub fn url(&self) -> &str {
                &self.opening.url
            }

            /// Returns the subprotocol that the server has chosen.
            pub fn protocol(&self) -> Option<&str> {
                Some(&*self.opening.protocol).filter(|protocol| !protocol.is_empty())
            }

            /// Returns the extensions that the server has accepted: the value of its header, or an empty string.
            pub fn extensions(&self) -> &str {
                &self.opening.extensions
            }

            /// Returns the interface of the browser that is in use.
            pub fn interface(&self) -> Interface {
                self.opening.interface
            }

            /// Returns the state of the connection.
            ///
            /// It is never [`Connecting`](State::Connecting), because a socket exists only once the connection is open.
            /// [`Closing`](State::Closing) means that no more messages can be sent: a Close was sent or received, or the
            /// connection was lost and its end is not reported yet. It is [`Open`](State::Open) exactly if
            /// [`is_open`](Self::is_open) returns true, and [`Closed`](State::Closed) exactly if
            /// [`is_closed`](Self::is_closed) does.
            pub fn state(&self) -> State {
                self.link().state()
            }

            /// Returns whether messages can be sent.
            pub fn is_open(&self) -> bool {
                self.link().is_open()
            }

            /// Returns whether the connection has ended. Messages that arrived before can still be received.
            pub fn is_closed(&self) -> bool {
                self.link().with(|state| state.closed().is_some())
            }

            /// Returns a future of the end of the connection, and of how it has ended.
            pub fn closed(&self) -> Ended {
                let key = self.link().with(|state| state.observe());
                Ended { link: Rc::clone(self.link()), key }
            }

            pub(super) fn link(&self) -> &Rc<Link> {
                self.handle.link()
            }
        }

        impl fmt::Debug for $half {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($half)).field("opening", &self.opening).finish_non_exhaustive()
            }
        }
    };
}

shared_methods!(Sender);
shared_methods!(Receiver);

impl Future for Ended {
    type Output = Closed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
        self.link.with(|state| state.poll_closed(self.key, cx))
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.link.with(|state| state.take_waker(self.key));
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended").finish_non_exhaustive()
    }
}
