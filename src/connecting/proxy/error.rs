//! Why a proxy did not connect to the server.

use std::error::Error as StdError;
use std::fmt;

use crate::connecting::reconnect::is_permanent_status;
use crate::error::{Error, ErrorKind};
use crate::protocol::ProtocolError;

/// A proxy that has not connected to the server, and the reason.
///
/// The sockets without handlers return it as `Error::Proxy`. Handlers of the event loop receive it as the cause of an error of the
/// kind `Custom`, where [`of`](Self::of) finds it. The text contains the address of the proxy, and no credentials.
///
/// # Examples
///
/// ```
/// use sockeye::{Error, ProxyError, ProxyFailure};
///
/// /// Returns whether the user and the password for the proxy must be asked for.
/// fn needs_credentials(error: &Error) -> bool {
///     let Some(refusal) = ProxyError::of(error) else { return false };
///     println!("the proxy {} refuses", refusal.address());
///     matches!(
///         refusal.failure(),
///         ProxyFailure::Status(407) | ProxyFailure::Credentials | ProxyFailure::Authentication
///     )
/// }
/// # assert!(!needs_credentials(&Error::new(sockeye::ErrorKind::Internal, "")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyError {
    pub(super) address: String,
    pub(super) failure: ProxyFailure,
}

/// What a proxy did instead of connecting to the server.
///
/// See the example of [`ProxyError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyFailure {
    /// An HTTP proxy answered with another status than 2xx (RFC 9110 §9.3.6), for example 407 if it requires credentials, or 403
    /// or 405 if it does not permit `CONNECT` to this port.
    Status(u16),
    /// The response of an HTTP proxy was malformed or exceeded a limit, such as
    /// [`Config::max_head_size`](crate::protocol::Config::max_head_size).
    Response(ProtocolError),
    /// A SOCKS proxy replied with this code (RFC 1928 §6), for example 2 if its rules forbid the connection, or 5 if the server
    /// refuses it.
    Reply(u8),
    /// A SOCKS proxy accepts no method of authentication that the client offers (RFC 1928 §3): it usually requires a user and a
    /// password, and the URL of the proxy has none.
    Authentication,
    /// A SOCKS proxy refused the user and the password (RFC 1929 §2).
    Credentials,
    /// The proxy replied with something that is not SOCKS5.
    NotSocks,
    /// The name of the server is longer than 255 bytes, the limit of SOCKS.
    NameTooLong,
    /// The proxy closed the connection during the handshake.
    Closed,
}

impl ProxyError {
    /// Finds the error of a proxy in an error of the event loop.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn of(error: &Error) -> Option<&Self> {
        match &error.kind {
            ErrorKind::Custom(cause) => cause.downcast_ref(),
            _ => None,
        }
    }

    /// Returns the host and port of the proxy.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether the proxy would refuse another attempt for the same reason.
    pub(crate) fn is_permanent(&self) -> bool {
        match self.failure {
            ProxyFailure::Status(status) => is_permanent_status(status),
            ProxyFailure::Authentication | ProxyFailure::Credentials | ProxyFailure::NameTooLong => true,
            ProxyFailure::Response(_)
            | ProxyFailure::Reply(_)
            | ProxyFailure::NotSocks
            | ProxyFailure::Closed => false,
        }
    }

    /// Returns the reason.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn failure(&self) -> ProxyFailure {
        self.failure
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect through the proxy {}: {}", self.address, self.failure)
    }
}

impl StdError for ProxyError {}

impl From<ProxyError> for Error {
    fn from(err: ProxyError) -> Self {
        Self::new(ErrorKind::Custom(Box::new(err)), "")
    }
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(407) => f.write_str("it requires other credentials (status 407)"),
            Self::Status(status) => write!(f, "it answered with status {status}"),
            Self::Response(err) => write!(f, "its response is invalid: {err}"),
            Self::Reply(code) => write!(f, "{} (SOCKS reply {code})", meaning(*code)),
            Self::Authentication => f.write_str("it requires another authentication"),
            Self::Credentials => f.write_str("it refused the user and the password"),
            Self::NotSocks => f.write_str("it does not speak SOCKS5"),
            Self::NameTooLong => f.write_str("the host of the URL is longer than 255 bytes"),
            Self::Closed => f.write_str("it closed the connection"),
        }
    }
}

/// What a reply of SOCKS means (RFC 1928 §6).
fn meaning(code: u8) -> &'static str {
    match code {
        1 => "it failed",
        2 => "its rules forbid the connection",
        3 => "the network is unreachable",
        4 => "the host is unreachable or unknown",
        5 => "the server refused the connection",
        6 => "the time to live expired",
        7 => "it does not support the command",
        8 => "it does not support the type of the address",
        _ => "it failed for an unknown reason",
    }
}
