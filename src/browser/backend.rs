//! What a connection needs from an interface of the browser.

use std::fmt;

use crate::message::Message;
use crate::socket::Result;

/// An interface of the browser.
///
/// [`Link`](super::link::Link) sends and closes with it, and wakes the task that writes. It reports events to the `Link`.
pub(super) trait Backend: fmt::Debug {
    /// Adds a message to the output.
    fn send(&self, message: &Message) -> Result<()>;

    /// The number of bytes that are waiting to be sent.
    fn buffered(&self) -> usize;

    /// Whether no message is waiting to be sent, not even an empty one.
    fn is_empty(&self) -> bool;

    /// Whether the browser still accepts messages.
    fn is_open(&self) -> bool;

    /// Wakes the sender when at most `most` bytes are waiting to be sent.
    fn watch(&self, most: usize);

    /// Begins the closing handshake after the output.
    fn close(&self, code: Option<u16>, reason: &str);

    /// Ends the connection without waiting for the peer. It reports no more events.
    fn abandon(&self);
}
