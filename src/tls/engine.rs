//! What a TLS library does for a session.

use std::fmt;

#[cfg(any(feature = "rustls", feature = "ssl"))]
use super::TlsEngine;
#[cfg(any(feature = "rustls", feature = "ssl"))]
use super::options::Identity;
use super::{Negotiated, Received};
use crate::byte_queue::ByteQueue;
use crate::error::Result;

/// One end of a TLS connection in a library, without I/O. [`Session`](super::session::Session) adds what is the same for all
/// libraries.
pub(crate) trait Engine: fmt::Debug + Send + Sync {
    /// Ciphertext that was received and is not processed yet.
    fn incoming(&mut self) -> &mut ByteQueue;

    /// Nothing follows what is in `incoming`.
    fn end_input(&mut self);

    /// Ciphertext that must be sent.
    fn outgoing(&mut self) -> &mut ByteQueue;

    /// The bytes in `outgoing`.
    fn output(&self) -> &[u8];

    fn is_handshaking(&self) -> bool;

    /// What the handshake has negotiated. Empty before its end.
    fn negotiated(&self) -> Negotiated;

    /// Continues the handshake. Returns whether it is complete.
    fn handshake(&mut self) -> Result<bool>;

    /// Decrypts into a buffer that is not empty. Continues the handshake if necessary. Of records without data, it processes about as
    /// many bytes as the longest record has, and returns [`Received::Unfinished`] if more follow.
    fn read(&mut self, plain: &mut [u8]) -> Result<Received>;

    /// Encrypts. Returns how much was encrypted; the rest has to wait for input.
    fn write(&mut self, plain: &[u8]) -> Result<usize>;

    /// Ends this side, once.
    fn close_notify(&mut self);
}

/// The configuration of clients of one library.
#[cfg(any(feature = "rustls", feature = "ssl"))]
pub(super) trait ClientEngine: Send + Sync {
    fn engine(&self) -> TlsEngine;

    /// Begins the handshake with a server whose certificate must be valid for `host`.
    fn connect(&self, host: &str) -> Result<Box<dyn Engine>>;
}

/// The configuration of servers of one library.
#[cfg(any(feature = "rustls", feature = "ssl"))]
pub(super) trait ServerEngine: Send + Sync {
    fn engine(&self) -> TlsEngine;

    /// Begins the handshake with a client.
    fn accept(&self) -> Result<Box<dyn Engine>>;

    /// Adds a certificate for clients that request this server name.
    fn add_name(&self, name: &str, identity: &Identity) -> Result<()>;
}
