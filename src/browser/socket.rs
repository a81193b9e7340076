//! The socket: both halves together.

use std::error::Error as StdError;
use std::fmt;
use std::rc::Rc;

use super::halves::{Ended, Receiver, Sender};
use super::link::LinkHandle;
use super::state::Opening;
use super::{Builder, Interface};
use crate::close::{CloseCode, Closed};
use crate::message::Message;
use crate::protocol::{Event, OpCode, State};
use crate::socket::Result;

/// One end of an open connection to a server.
///
/// The [module](super) describes how it is used. When it is dropped while the connection is open, or both of its halves are,
/// the browser sends the output, and then a Close without a code.
pub struct WebSocket {
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
}

/// The halves of two different connections, which cannot be joined.
#[derive(Debug)]
pub struct JoinError(pub Sender, pub Receiver);

impl WebSocket {
    /// Connects to a `ws://` or `wss://` URL. [`Builder`] has options.
    ///
    /// # Errors
    ///
    /// See [`Builder::connect`].
    pub async fn connect(url: &str) -> Result<Self> {
        Builder::new().connect(url).await
    }

    pub(super) fn open(handle: LinkHandle, opening: Opening) -> Self {
        let (handle, opening) = (Rc::new(handle), Rc::new(opening));
        let sender = Sender { handle: Rc::clone(&handle), opening: Rc::clone(&opening) };
        Self { sender, receiver: Receiver::new(handle, opening) }
    }

    /// Receives the next message. Returns `None` once the connection is closed. See [`Receiver::receive`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::receive`].
    pub async fn receive(&mut self) -> Result<Option<Message>> {
        self.receiver.receive().await
    }

    /// Receives the next message, appends it to a buffer, and returns its type. See [`Receiver::receive_into`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::receive`].
    pub async fn receive_into(&mut self, buffer: &mut Vec<u8>) -> Result<Option<OpCode>> {
        self.receiver.receive_into(buffer).await
    }

    /// Receives the next message, or the Close of the peer. See [`Receiver::receive_event`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::receive`].
    pub async fn receive_event(&mut self) -> Result<Option<Event>> {
        self.receiver.receive_event().await
    }

    /// Sends a message, and waits until the browser has passed it to the network. See [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<()> {
        self.sender.send(message).await
    }

    /// Adds a message to the output. See [`Sender::queue`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    pub async fn queue(&mut self, message: impl Into<Message>) -> Result<()> {
        self.sender.queue(message).await
    }

    /// Waits until the browser has passed the whole output to the network. See [`Sender::flush`].
    ///
    /// # Errors
    ///
    /// As [`Sender::flush`].
    pub async fn flush(&mut self) -> Result<()> {
        self.sender.flush().await
    }

    /// Closes the connection with a code and a reason, and waits for its end. See [`Sender::close`].
    ///
    /// # Errors
    ///
    /// As [`Sender::close`].
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        self.sender.close(code, reason).await
    }

    /// Returns a future of the end of the connection, and of how it has ended.
    pub fn closed(&self) -> Ended {
        self.sender.closed()
    }

    /// Ends the connection without waiting. Output that was not sent may be lost. The browser still sends a Close without a
    /// code.
    pub fn abort(self) {
        self.sender.link().abandon();
    }

    /// Returns how many bytes are waiting to be sent. See [`Sender::buffered_amount`].
    pub fn buffered_amount(&self) -> usize {
        self.sender.buffered_amount()
    }

    /// Returns the state of the connection: open, closing or closed. See [`Sender::state`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::browser::WebSocket;
    /// use sockeye::protocol::State;
    ///
    /// /// The text that a page shows.
    /// fn label(socket: &WebSocket) -> &'static str {
    ///     match socket.state() {
    ///         State::Connecting => "connecting",
    ///         State::Open => "connected",
    ///         State::Closing => "disconnecting",
    ///         State::Closed => "disconnected",
    ///     }
    /// }
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

    /// Returns the URL of the connection, as the browser has parsed it.
    pub fn url(&self) -> &str {
        self.sender.url()
    }

    /// Returns the subprotocol that the server has chosen.
    pub fn protocol(&self) -> Option<&str> {
        self.sender.protocol()
    }

    /// Returns the extensions that the server has accepted. See [`Sender::extensions`].
    pub fn extensions(&self) -> &str {
        self.sender.extensions()
    }

    /// Returns the interface of the browser that is in use.
    pub fn interface(&self) -> Interface {
        self.sender.interface()
    }

    /// Splits the socket into halves for two tasks. Each half works without the other.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// Joins the two halves of a connection.
    ///
    /// # Errors
    ///
    /// A [`JoinError`] with both halves if they belong to different connections.
    pub fn join(sender: Sender, receiver: Receiver) -> std::result::Result<Self, JoinError> {
        match Rc::ptr_eq(&sender.handle, &receiver.handle) {
            true => Ok(Self { sender, receiver }),
            false => Err(JoinError(sender, receiver)),
        }
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("opening", &self.sender.opening).finish_non_exhaustive()
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves belong to different connections")
    }
}

impl StdError for JoinError {}
