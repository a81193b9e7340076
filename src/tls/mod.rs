//! TLS: one session without I/O, two libraries, and what programs configure.
//!
//! | file | contents |
//! |---|---|
//! | `session` | one end of a connection, for the adapters of the front ends |
//! | `transfer`, `buffer` | what the adapters share |
//! | `engine` | what a library does for a session |
//! | `client`, `server`, `options` | the configuration, which does not depend on the library |
//! | `openssl`, `rustls`, `libraries` | the libraries, and which of them this build has |

pub(crate) mod buffer;
#[cfg(any(feature = "rustls", feature = "ssl"))]
mod client;
#[cfg(not(any(feature = "rustls", feature = "ssl")))]
mod disabled;
mod engine;
#[cfg(any(feature = "rustls", feature = "ssl"))]
mod libraries;
#[cfg(feature = "ssl")]
pub(crate) mod openssl;
#[cfg(any(feature = "rustls", feature = "ssl"))]
mod options;
#[cfg(feature = "rustls")]
mod rustls;
#[cfg(any(feature = "rustls", feature = "ssl"))]
mod server;
mod session;
#[cfg(test)]
#[cfg(all(feature = "rustls", feature = "ssl"))]
mod session_tests;
#[cfg(any(feature = "reactor", feature = "blocking", feature = "futures"))]
pub(crate) mod transfer;

use std::io;

use url::{Host, Url};

#[cfg(any(feature = "rustls", feature = "ssl"))]
pub use self::client::{ClientTls, ClientTlsBuilder};
#[cfg(not(any(feature = "rustls", feature = "ssl")))]
pub(crate) use self::disabled::{ClientTls, ServerTls};
#[cfg(any(feature = "rustls", feature = "ssl"))]
pub use self::options::{TlsEngine, TlsVersion};
#[cfg(any(feature = "rustls", feature = "ssl"))]
pub use self::server::{ServerTls, ServerTlsBuilder};
#[cfg(any(feature = "reactor", feature = "blocking", feature = "futures"))]
pub(crate) use self::session::Session;
use crate::error::{Error, ErrorKind, Result, redacted};

/// The most plaintext of a record (RFC 8446 §5.1).
pub(crate) const RECORD: usize = 16 * 1024;

/// The most plaintext that is encrypted for one write to the transport: four records.
pub(crate) const WRITE: usize = 4 * RECORD;

/// What [`Session::receive`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// Plaintext, as long as this. It fills the buffer, or more input is needed for more.
    Data(usize),
    /// More input is needed.
    NeedsInput,
    /// Input is left. It began with records that contain no data, such as key updates, and the caller must do its other work before it
    /// continues, because a peer can send such records without an end.
    Unfinished,
    /// The peer has ended its side with close_notify (RFC 8446 §6.1).
    Closed,
    /// The transport has ended without close_notify, so that data may be missing.
    Truncated,
}

/// What a handshake has negotiated.
#[derive(Debug, Clone, Default)]
pub(crate) struct Negotiated {
    /// The version of TLS, such as `TLSv1.3`.
    pub(crate) version: Option<&'static str>,
    /// The name of the server that the client has sent (SNI).
    pub(crate) server_name: Option<String>,
    /// The certificate of the peer, in DER.
    pub(crate) peer_certificate: Option<Vec<u8>>,
}

/// Whether this build supports `wss` URLs.
pub(crate) const IS_SUPPORTED: bool = cfg!(any(feature = "rustls", feature = "ssl"));

/// Returns the error of a socket for a failed handshake.
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) fn handshake_failed(err: Error) -> crate::socket::Error {
    match err.kind {
        ErrorKind::Io(err) if err.kind() == io::ErrorKind::UnexpectedEof => {
            crate::socket::Error::ConnectionLost(err)
        }
        _ => crate::socket::Error::Tls(Box::new(err)),
    }
}

/// Returns the error of a stream for a failed session.
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) fn into_io(err: Error) -> io::Error {
    match err.kind {
        ErrorKind::Io(err) => err,
        _ => io::Error::other(err),
    }
}

/// The name that the certificate of the server must be valid for.
pub(crate) fn server_name(url: &Url) -> Result<String> {
    match url.host() {
        // An absolute name is the same name, and certificates do not contain the final dot (RFC 6066 §3).
        Some(Host::Domain(name)) => Ok(name.strip_suffix('.').unwrap_or(name).to_owned()),
        Some(Host::Ipv4(address)) => Ok(address.to_string()),
        Some(Host::Ipv6(address)) => Ok(address.to_string()),
        None => {
            Err(Error::new(ErrorKind::Protocol, format!("the URL has no host: {}", redacted(url.as_str()))))
        }
    }
}

/// Returns the error for a session that has failed or has been ended.
fn ended() -> Error {
    io::Error::from(io::ErrorKind::BrokenPipe).into()
}
