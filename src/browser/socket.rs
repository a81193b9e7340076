//! The socket itself: both halves in one.

use std::error::Error as StdError;
use std::fmt;
use std::rc::Rc;

use super::halves::{Ended, Receiver, Sender};
use super::link::Owner;
use super::state::Opening;
use super::{Builder, Interface};
use crate::close::{CloseCode, Closed};
use crate::error::Result;
use crate::message::Message;
use crate::protocol::{Event, OpCode};

/// One end of an open connection, the other end of which is a server.
///
/// See the [module](super) for how it is used. When it is dropped while it is open, or both of its halves are, what was sent
/// goes out, and then a Close without a code.
pub struct WebSocket {
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
}

/// The halves of two connections cannot be joined; here they are again.
#[derive(Debug)]
pub struct JoinError(pub Sender, pub Receiver);

impl WebSocket {
    /// Connects to a `ws://` or `wss://` URL. [`Builder`] has the options.
    ///
    /// # Errors
    ///
    /// As [`Builder::connect`].
    pub async fn connect(url: &str) -> Result<Self> {
        Builder::new().connect(url).await
    }

    pub(super) fn open(owner: Owner, opening: Opening) -> Self {
        let (owner, opening) = (Rc::new(owner), Rc::new(opening));
        let sender = Sender { owner: Rc::clone(&owner), opening: Rc::clone(&opening) };
        Self { sender, receiver: Receiver::new(owner, opening) }
    }

    /// As [`Receiver::receive`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn receive(&mut self) -> Result<Option<Message>> {
        self.receiver.receive().await
    }

    /// As [`Receiver::receive_into`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn receive_into(&mut self, buffer: &mut Vec<u8>) -> Result<Option<OpCode>> {
        self.receiver.receive_into(buffer).await
    }

    /// As [`Receiver::receive_event`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn receive_event(&mut self) -> Result<Option<Event>> {
        self.receiver.receive_event().await
    }

    /// As [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<()> {
        self.sender.send(message).await
    }

    /// As [`Sender::queue`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn queue(&mut self, message: impl Into<Message>) -> Result<()> {
        self.sender.queue(message).await
    }

    /// As [`Sender::flush`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn flush(&mut self) -> Result<()> {
        self.sender.flush().await
    }

    /// As [`Sender::close`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        self.sender.close(code, reason).await
    }

    /// Waits for the end of the connection, and tells how it came.
    pub fn closed(&self) -> Ended {
        self.sender.closed()
    }

    /// Ends the connection without waiting for anything: what was not sent may be lost. The browser still tells the peer,
    /// by a Close without a code.
    pub fn abort(self) {
        self.sender.link().abandon();
    }

    /// Returns how much was accepted and not sent yet, in bytes; see [`Sender::buffered_amount`].
    pub fn buffered_amount(&self) -> usize {
        self.sender.buffered_amount()
    }

    /// Returns whether messages can be sent.
    pub fn is_open(&self) -> bool {
        self.sender.is_open()
    }

    /// Returns whether the connection has ended. What was received before can still be taken.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Returns the URL of the connection, as the browser has understood it.
    pub fn url(&self) -> &str {
        self.sender.url()
    }

    /// Returns the subprotocol that the server chose.
    pub fn protocol(&self) -> Option<&str> {
        self.sender.protocol()
    }

    /// Returns the extensions that the browser and the server have agreed on; see [`Sender::extensions`].
    pub fn extensions(&self) -> &str {
        self.sender.extensions()
    }

    /// Returns the interface of the browser that is in use.
    pub fn interface(&self) -> Interface {
        self.sender.interface()
    }

    /// Splits into halves for two tasks. Each goes on alone, and nothing need be done for the other.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// Joins two halves again.
    ///
    /// # Errors
    ///
    /// If they are not of the same connection; both are in the error.
    pub fn join(sender: Sender, receiver: Receiver) -> std::result::Result<Self, JoinError> {
        match Rc::ptr_eq(&sender.owner, &receiver.owner) {
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
        f.write_str("these are halves of two connections")
    }
}

impl StdError for JoinError {}
