//! Upgrades a request that another HTTP server has read to a WebSocket.
//!
//! Pass the server's request as an [`http::Request`] to [`accept`], which checks it and returns an [`Upgrade`]. Then:
//!
//! 1. Choose a subprotocol, if the client offers any: [`Upgrade::choose_protocol`].
//! 2. Let the server send the [`response`], or the [`refusal`] of an invalid request.
//! 3. Take the stream from the server, and the bytes after the request that it has already read
//!    ([`Upgrade::with_read_ahead`]).
//! 4. Create a socket from both: `blocking::WebSocket::upgraded`, `futures::WebSocket::upgraded`, or
//!    `Sender::accept_upgraded` for a running event loop, which creates a `Handler` for it. Or use the
//!    [core](crate::protocol::Connection) directly: [`Upgrade::into_connection`].
//!
//! ```
//! use sockeye::protocol::Config;
//! use sockeye::upgrade;
//!
//! # fn doc() -> Result<(), Box<dyn std::error::Error>> {
//! # let builder = http::Request::get("/chat").header("Host", "example.com").header("Upgrade", "websocket");
//! # let builder = builder.header("Connection", "keep-alive, Upgrade").header("Sec-WebSocket-Version", "13");
//! # let builder = builder.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
//! # let request = builder.header("Sec-WebSocket-Protocol", "soap, wamp").body(())?;
//! assert!(upgrade::is_upgrade(&request));
//! let answer = match upgrade::accept(&request, Config::default()) {
//!     Ok(mut upgrade) => {
//!         assert_eq!(upgrade.protocols(), ["soap", "wamp"]);
//!         upgrade.choose_protocol("wamp")?;
//!         upgrade::response(&upgrade)?
//!     }
//!     Err(reason) => upgrade::refusal(reason)?.map(drop),
//! };
//! assert_eq!(answer.status(), 101);
//! assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
//! assert_eq!(answer.headers()["sec-websocket-protocol"], "wamp");
//! # Ok(()) }
//! # doc().unwrap();
//! ```
//!
//! # HTTP/2
//!
//! Over HTTP/2, a WebSocket is one stream of a connection (RFC 8441): the client sends a `CONNECT` with the pseudo-header
//! `:protocol: websocket` and without a key, and the server responds with status 200. [`accept_extended_connect`] accepts such a
//! request. The server must announce that it supports this (`SETTINGS_ENABLE_CONNECT_PROTOCOL`).
//!
//! [`client`] is the other end, for both versions of HTTP.
//!
//! # Functions for one server
//!
//! The modules `axum`, `hyper`, `h2`, `tiny_http` and `rouille`, each with a feature of this name, have functions that convert the
//! types of these crates as well, and return the socket. The page `docs/other-servers.md` describes them, and the directory
//! `examples/upgrade` contains complete programs.

pub mod client;
mod convert;

use http::Version;
use http::request::Parts;

pub use self::convert::RequestHead;
#[cfg(any(feature = "rouille", feature = "tiny_http"))]
pub(crate) use self::convert::read_fields;
pub use crate::protocol::Upgrade;
pub use crate::protocol::handshake::ClientUpgrade;
use crate::protocol::handshake::server;
#[cfg(any(feature = "rouille", feature = "tiny_http"))]
pub(crate) use crate::protocol::handshake::server::refusal as refusal_head;
use crate::protocol::{Config, ProtocolError};

/// Returns whether a request asks for a WebSocket: `Upgrade` contains `websocket` and `Connection` contains `Upgrade`.
/// [`accept`] checks everything else.
///
/// A request of HTTP/2 asks for a WebSocket with its pseudo-header `:protocol`, which [`accept_extended_connect`] receives.
///
/// See the example of the [module](self).
pub fn is_upgrade<R: RequestHead>(request: &R) -> bool {
    let has_token = |name: &str, token: &str| {
        let values = request.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
    };
    has_token("upgrade", "websocket") && has_token("connection", "upgrade")
}

/// Accepts a request of HTTP/1.1 that follows the rules of RFC 6455 §4.2.1 and of the configuration.
///
/// # Errors
///
/// The rule that the request violates. [`refusal`] creates the response for it.
///
/// See the example of the [module](self).
pub fn accept<R: RequestHead>(request: &R, config: Config) -> Result<Upgrade, ProtocolError> {
    Upgrade::new(convert::upgrade_request(request, &config)?, config)
}

/// Does the same as [`accept`] for the head of a request, as extractors receive it.
///
/// # Errors
///
/// As [`accept`].
///
/// # Examples
///
/// ```
/// use sockeye::http::Request;
/// use sockeye::protocol::{Config, ProtocolError};
/// use sockeye::upgrade;
///
/// let (parts, _body) = Request::get("/chat").header("Host", "example.com").body("")?.into_parts();
/// assert!(!upgrade::is_upgrade(&parts));
/// assert_eq!(upgrade::accept_parts(&parts, Config::default()).unwrap_err(), ProtocolError::NotAnUpgrade);
/// # sockeye::http::Result::Ok(())
/// ```
pub fn accept_parts(parts: &Parts, config: Config) -> Result<Upgrade, ProtocolError> {
    accept(parts, config)
}

/// Accepts an extended CONNECT of HTTP/2 or HTTP/3 that follows the rules of RFC 8441 §5, and those of RFC 6455 and of the
/// configuration for the version, the origin, subprotocols and extensions.
///
/// `protocol` is the pseudo-header `:protocol`, or `None` if there is none. HTTP libraries pass it as an extension of the request:
/// as `hyper::ext::Protocol` or `h2::ext::Protocol`. The authority of the URI becomes the header `Host`.
///
/// The [`response`] has status 200. The stream is complete when both ends have ended it, so dropping it before is like a reset of
/// a TCP connection.
///
/// # Errors
///
/// - `HttpVersion` if the request arrived over HTTP/1.
/// - `MethodNotGet` if the method is not CONNECT, and `WrongConnectProtocol` if the protocol is not `websocket`.
/// - `MalformedHead` if there is a header of HTTP/1.1 connections such as `Upgrade` (RFC 9113 §8.2.2), or `Host` and the authority
///   differ.
/// - Otherwise the rule that the request violates. [`refusal_for`] creates the response.
///
/// # Examples
///
/// ```
/// use sockeye::http::{Request, Version};
/// use sockeye::protocol::{Config, ProtocolError};
/// use sockeye::upgrade;
///
/// let request = Request::connect("https://example.com/chat").version(Version::HTTP_2);
/// let request = request.header("Sec-WebSocket-Version", "13").body(())?;
/// let upgrade = upgrade::accept_extended_connect(&request, Some("websocket"), Config::default()).unwrap();
/// assert_eq!(upgrade::response(&upgrade)?.status(), 200);
/// assert_eq!(upgrade.request().header_text("Host"), Some("example.com"));
///
/// let other = upgrade::accept_extended_connect(&request, Some("connect-udp"), Config::default());
/// assert_eq!(other.unwrap_err(), ProtocolError::WrongConnectProtocol);
/// # sockeye::http::Result::Ok(())
/// ```
pub fn accept_extended_connect<R: RequestHead>(
    request: &R,
    protocol: Option<&str>,
    config: Config,
) -> Result<Upgrade, ProtocolError> {
    Upgrade::new(convert::connect_request(request, protocol, &config)?, config)
}

/// Creates the response that opens the connection.
///
/// # Errors
///
/// An error of `http` if the response was changed to one that cannot be sent.
///
/// See the example of the [module](self).
pub fn response(upgrade: &Upgrade) -> http::Result<http::Response<()>> {
    Ok(convert::response(upgrade.response())?.map(drop))
}

/// Creates the response that rejects a request, with the status and headers for the reason and a short text.
///
/// # Errors
///
/// An error of `http` if a header is invalid. This does not happen for any reason that [`accept`] returns.
///
/// # Examples
///
/// ```
/// use sockeye::protocol::ProtocolError;
/// use sockeye::upgrade;
///
/// let answer = upgrade::refusal(ProtocolError::UnsupportedVersion)?;
/// assert_eq!(answer.status(), 426);
/// assert_eq!(answer.headers()["sec-websocket-version"], "13");
/// # http::Result::Ok(())
/// ```
pub fn refusal(reason: ProtocolError) -> http::Result<http::Response<Vec<u8>>> {
    convert::response(&server::refusal(reason))
}

/// Creates the response that rejects a request of any version of HTTP.
///
/// For HTTP/1.1 it is that of [`refusal`]. For later versions it has no `Connection` and no `Upgrade`, which they forbid (RFC 9113
/// §8.2.2), and status 400 in place of 426, which requires `Upgrade`. A wrong method is answered with `Allow: CONNECT`.
///
/// # Errors
///
/// As [`refusal`].
///
/// # Examples
///
/// ```
/// use sockeye::http::Version;
/// use sockeye::protocol::ProtocolError;
/// use sockeye::upgrade;
///
/// let answer = upgrade::refusal_for(Version::HTTP_2, ProtocolError::UnsupportedVersion)?;
/// assert_eq!(answer.status(), 400);
/// assert_eq!(answer.headers()["sec-websocket-version"], "13");
/// assert!(!answer.headers().contains_key("upgrade"));
/// # http::Result::Ok(())
/// ```
pub fn refusal_for(version: Version, reason: ProtocolError) -> http::Result<http::Response<Vec<u8>>> {
    if version <= Version::HTTP_11 {
        return refusal(reason);
    }
    convert::response(&server::refusal_without_upgrade(reason))
}
