//! A handle that sends for a client that connects again.

use std::future::poll_fn;
use std::sync::Arc;

use super::reconnecting_state::Shared;
use crate::close::CloseCode;
use crate::message::Message;
use crate::socket::Result;

/// A handle with which other tasks send and end a client that connects again, made by [`Reconnecting::sender`]. It can be cloned.
///
/// It passes messages to the task that receives, which must call [`Reconnecting::receive`] or
/// [`receive_event`](super::Reconnecting::receive_event): it connects and writes.
///
/// [`Reconnecting::sender`]: super::Reconnecting::sender
/// [`Reconnecting::receive`]: super::Reconnecting::receive
///
/// # Examples
///
/// ```
/// use sockeye::futures::{ReconnectingSender, Result};
/// use sockeye::CloseCode;
///
/// /// Sends readings. While there is no connection, they are queued. Readings that do not fit are dropped.
/// async fn report(sender: ReconnectingSender, readings: impl Iterator<Item = u32>) -> Result<()> {
///     for reading in readings {
///         if sender.try_send(reading.to_string()).is_err() {
///             eprintln!("{} bytes are waiting", sender.buffered_amount());
///         }
///     }
///     sender.send("the last one").await?;
///     sender.close(CloseCode::Normal, "no more readings")
/// }
/// ```
#[derive(Debug, Clone)]
pub struct ReconnectingSender {
    pub(super) shared: Arc<Shared>,
}

impl ReconnectingSender {
    /// Sends a message, or queues it while there is no connection.
    ///
    /// The first poll accepts the message: if the future is dropped afterwards, the message is sent all the same. While there is a
    /// connection, it waits until the connection has accepted the message, so that a task cannot be faster than the peer. Without a
    /// connection it does not wait.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Self::try_send).
    ///
    /// See the [example](Self#examples) of this type.
    pub async fn send(&self, message: impl Into<Message>) -> Result<()> {
        let ticket = self.shared.push(message.into())?;
        poll_fn(|cx| self.shared.poll_accepted(ticket, cx)).await;
        Ok(())
    }

    /// Queues a message without waiting.
    ///
    /// # Errors
    ///
    /// - `Full` with the message if it does not fit: see [`Reconnecting::max_queued`](super::Reconnecting::max_queued).
    /// - `Closed` if the client has ended.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<()> {
        self.shared.push(message.into()).map(drop)
    }

    /// Ends the client, and closes its connection with a code and a reason if there is one.
    ///
    /// It does not wait: the task that receives performs the closing handshake, and then receives `None`. If it is connecting or waiting
    /// for the next attempt, it receives `None` at once. Messages in the queue are lost.
    ///
    /// # Errors
    ///
    /// `Protocol` if the code or the reason may not be sent; the client then goes on.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<()> {
        self.shared.close(code, reason)
    }

    /// Returns how many bytes are waiting: the messages in the queue, and what the connection has accepted and not written.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn buffered_amount(&self) -> usize {
        self.shared.buffered()
    }
}
