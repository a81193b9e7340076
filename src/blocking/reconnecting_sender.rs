//! A handle that sends for a client that connects again.

use std::fmt;
use std::sync::Arc;

use super::reconnecting_state::Shared;
use super::{Socket, Stream};
use crate::close::CloseCode;
use crate::message::Message;
use crate::socket::Result;

/// A handle with which other threads send and end a client that connects again, made by [`Reconnecting::sender`]. It can be cloned.
///
/// [`Reconnecting::sender`]: super::Reconnecting::sender
///
/// # Examples
///
/// ```no_run
/// use std::thread;
/// use std::time::Duration;
///
/// use sockeye::{CloseCode, Reconnect};
/// use sockeye::blocking::Builder;
///
/// let mut socket = Builder::new().connect_with("wss://example.com/sensors", Reconnect::default())?;
/// let sender = socket.sender();
/// thread::spawn(move || {
///     for reading in 0..100 {
///         // While there is no connection, the readings are queued. Readings that do not fit are dropped.
///         if sender.send(reading.to_string()).is_err() {
///             eprintln!("{} bytes are waiting", sender.buffered_amount());
///         }
///         thread::sleep(Duration::from_secs(1));
///     }
///     sender.close(CloseCode::Normal, "no more readings")
/// });
/// // This thread connects, and connects again.
/// while let Some(message) = socket.receive()? {
///     println!("received {message}");
/// }
/// # sockeye::blocking::Result::Ok(())
/// ```
pub struct ReconnectingSender<S: Stream = Socket> {
    pub(super) shared: Arc<Shared<S>>,
}

impl<S: Stream> ReconnectingSender<S> {
    /// Sends a message, or queues it while there is no connection.
    ///
    /// While there is a connection, it waits until the system has accepted the message. Messages of one thread keep their order.
    ///
    /// # Errors
    ///
    /// - `Full` with the message if it is queued and does not fit: see [`Reconnecting::max_queued`](super::Reconnecting::max_queued).
    /// - `Closed` if the client has ended.
    /// - `Protocol` if an extension of the program rejects the message. If the message is queued, it is dropped then.
    ///
    /// A connection that is lost meanwhile is not an error: the message is lost, and counts in [`Lost::unsent`](crate::Lost::unsent).
    ///
    /// See the [example](Self#examples) of this type.
    pub fn send(&self, message: impl Into<Message>) -> Result<()> {
        self.shared.send(message.into())
    }

    /// Ends the client, and closes its connection with a code and a reason if there is one.
    ///
    /// It waits for the end of the connection, as [`WebSocket::close`](super::WebSocket::close) does. A call that receives returns
    /// `None`; if it is waiting for the next attempt, at once. An attempt that is in progress is not interrupted: it ends within its
    /// timeouts, and its connection is then dropped. Messages in the queue are lost.
    ///
    /// # Errors
    ///
    /// `Protocol` if the code or the reason may not be sent; the client then goes on. `Io` if the stream is in nonblocking mode.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<()> {
        self.shared.close(code, reason).map(drop)
    }

    /// Returns how many bytes are waiting: the messages in the queue, and what the connection has accepted and not written.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn buffered_amount(&self) -> usize {
        self.shared.buffered()
    }
}

impl<S: Stream> Clone for ReconnectingSender<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S: Stream> fmt::Debug for ReconnectingSender<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReconnectingSender").field(&self.shared).finish()
    }
}
