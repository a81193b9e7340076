//! The socket itself: both halves in one.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::engine::Engine;
use super::halves::{Ended, Opening, Receiver, Sender};
use super::link::Owner;
use super::{Builder, Transport};
use crate::close::{CloseCode, Closed};
use crate::error::Result;
use crate::message::Message;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Answers, Event, Frame, OpCode, ProtocolError, Upgrade};
use crate::socket::byte_reader::Leftover;
use crate::socket::session::Session;

/// One end of an open connection, over any stream.
///
/// See the [module](super) for how it is used. When it is dropped while it is open, or both of its halves are, the peer gets
/// a Close with 1001, as far as the stream takes that at once.
pub struct WebSocket<S: Transport> {
    pub(super) sender: Sender<S>,
    pub(super) receiver: Receiver<S>,
}

/// The halves of two connections cannot be joined; here they are again.
pub struct JoinError<S: Transport>(pub Sender<S>, pub Receiver<S>);

impl<S: Transport> WebSocket<S> {
    /// Goes on from an opening handshake that another HTTP server has made, over the stream of its connection; without
    /// time-outs, which [`Builder::upgraded`] has.
    ///
    /// # Errors
    ///
    /// `Protocol` if the response was changed, and does not open a connection any more.
    pub fn upgraded(stream: S, upgrade: Upgrade) -> Result<Self> {
        Builder::new().upgraded(stream, upgrade)
    }

    pub(super) fn open(owner: Arc<Owner<S>>, request: Request, response: Response) -> Self {
        let opening = Arc::new(Opening { request, response });
        let sender = Sender { owner: Arc::clone(&owner), opening: Arc::clone(&opening) };
        Self { sender, receiver: Receiver { owner, opening, rest: Leftover::default() } }
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

    /// As [`Receiver::receive_frame`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn receive_frame(&mut self) -> Result<Option<Frame>> {
        self.receiver.receive_frame().await
    }

    /// As [`Receiver::set_answers`].
    pub fn set_answers(&mut self, answers: Answers) {
        self.receiver.set_answers(answers);
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

    /// As [`Sender::ping`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn ping(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.sender.ping(payload).await
    }

    /// As [`Sender::pong`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn pong(&mut self, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.sender.pong(payload).await
    }

    /// As [`Sender::send_frame`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send_frame(&mut self, frame: Frame) -> Result<()> {
        self.sender.send_frame(frame).await
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
    pub fn closed(&self) -> Ended<S> {
        self.sender.closed()
    }

    /// Ends the connection at once, without a Close.
    pub fn abort(self) {
        self.sender.owner.shared().change(None, |engine| drop(engine.take_stream()));
    }

    /// Returns how much was accepted and not written yet, in bytes.
    pub fn buffered_amount(&self) -> usize {
        self.sender.buffered_amount()
    }

    /// Returns whether messages can be sent.
    pub fn is_open(&self) -> bool {
        self.sender.is_open()
    }

    /// Returns the subprotocol that was chosen.
    pub fn protocol(&self) -> Option<&str> {
        self.sender.protocol()
    }

    /// Returns the request of the opening handshake.
    pub fn request(&self) -> &Request {
        self.sender.request()
    }

    /// Returns the response of the opening handshake, with its headers.
    pub fn response(&self) -> &Response {
        self.sender.response()
    }

    /// Looks at the stream, for example for the address of the peer; `None` if it is gone. Everybody else waits meanwhile:
    /// to use the socket or a half of it in there blocks for ever.
    pub fn with_stream<T>(&self, look: impl FnOnce(&S) -> T) -> Option<T> {
        self.sender.owner.shared().lock().stream().map(look)
    }

    /// Splits into halves for two tasks. Each goes on alone, and nothing need be done for the other.
    pub fn split(self) -> (Sender<S>, Receiver<S>) {
        (self.sender, self.receiver)
    }

    /// Joins two halves again.
    ///
    /// # Errors
    ///
    /// If they are not of the same connection; both are in the error.
    pub fn join(sender: Sender<S>, receiver: Receiver<S>) -> std::result::Result<Self, JoinError<S>> {
        match Arc::ptr_eq(&sender.owner, &receiver.owner) {
            true => Ok(Self { sender, receiver }),
            false => Err(JoinError(sender, receiver)),
        }
    }

    /// Gives the stream back, and what was read from it and not looked at. What was not [flushed](Self::flush) is not
    /// sent, and a message that has come and was not taken, or only in part, is gone.
    ///
    /// # Errors
    ///
    /// `Protocol` if the stream is gone.
    pub fn into_inner(self) -> Result<(S, Vec<u8>)> {
        let taken = self.sender.owner.shared().change(None, Engine::take_stream);
        Ok(taken.ok_or(ProtocolError::NotOpen)?)
    }
}

impl Builder {
    /// Goes on from an opening handshake that another HTTP server has made, over the stream of its connection. The limits
    /// are those that the upgrade was made with.
    ///
    /// # Errors
    ///
    /// `Protocol` if the response was changed, and does not open a connection any more.
    pub fn upgraded<S: Transport>(&self, stream: S, upgrade: Upgrade) -> Result<WebSocket<S>> {
        let (request, response) = (upgrade.request().clone(), upgrade.response().clone());
        let (core, read_ahead) = upgrade.into_connection(Instant::now())?;
        let mut engine = Engine::new(stream, Session::new(core), Vec::new(), self.limits());
        engine.read_ahead(read_ahead);
        Ok(WebSocket::open(Owner::new(engine), request, response))
    }
}

impl<S: Transport> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("opening", &self.sender.opening).finish_non_exhaustive()
    }
}

impl<S: Transport> fmt::Debug for JoinError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinError").field(&self.0).field(&self.1).finish()
    }
}

impl<S: Transport> fmt::Display for JoinError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these are halves of two connections")
    }
}

impl<S: Transport> StdError for JoinError<S> {}
