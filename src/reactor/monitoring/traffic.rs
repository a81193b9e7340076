//! Messages and bytes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::protocol::Encode;

/// What the loop has received and sent. Only its thread uses these numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::reactor) struct Traffic {
    /// Messages that were passed to handlers.
    pub(in crate::reactor) messages_received: u64,
    /// Messages that were encoded for a connection.
    pub(in crate::reactor) messages_sent: u64,
    /// Bytes that were read from sockets, without TLS.
    pub(in crate::reactor) bytes_received: u64,
    /// Bytes that sockets have accepted, without TLS.
    pub(in crate::reactor) bytes_sent: u64,
}

/// The numbers of [`Traffic`] at the end of the last turn.
#[derive(Debug, Default)]
pub(crate) struct PublishedTraffic {
    pub(crate) messages_received: AtomicU64,
    pub(crate) messages_sent: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
}

impl Traffic {
    /// Publishes the numbers. Only the loop stores them, so no addition is needed.
    #[inline]
    pub(in crate::reactor) fn publish(&self, published: &PublishedTraffic) {
        published.messages_received.store(self.messages_received, Relaxed);
        published.messages_sent.store(self.messages_sent, Relaxed);
        published.bytes_received.store(self.bytes_received, Relaxed);
        published.bytes_sent.store(self.bytes_sent, Relaxed);
    }
}

/// Whether this is a message, or the last fragment of one.
#[inline]
pub(in crate::reactor) fn is_message(outgoing: &impl Encode) -> bool {
    let header = outgoing.header();
    header.fin && !header.opcode.is_control()
}
