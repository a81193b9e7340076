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
//! The directory `examples/upgrade` contains complete programs for `tiny_http`, `rouille`, `hyper` and `axum`.

use http::{HeaderName, HeaderValue, Version};

pub use crate::protocol::Upgrade;
use crate::protocol::handshake::{Request, Response, server};
use crate::protocol::{Config, ProtocolError};

/// Returns whether a request asks for a WebSocket: `Upgrade` contains `websocket` and `Connection` contains `Upgrade`.
/// [`accept`] checks everything else.
///
/// See the example of the [module](self).
pub fn is_upgrade<B>(request: &http::Request<B>) -> bool {
    let has_token = |name: &str, token: &str| {
        let values = request.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
    };
    has_token("upgrade", "websocket") && has_token("connection", "upgrade")
}

/// Accepts a request that follows the rules of RFC 6455 §4.2.1 and of the configuration.
///
/// # Errors
///
/// The rule that the request violates. [`refusal`] creates the response for it.
///
/// See the example of the [module](self).
pub fn accept<B>(request: &http::Request<B>, config: Config) -> Result<Upgrade, ProtocolError> {
    Upgrade::new(read(request, &config)?, config)
}

/// Creates the response that opens the connection.
///
/// # Errors
///
/// An error of `http` if the response was changed to one that cannot be sent.
///
/// See the example of the [module](self).
pub fn response(upgrade: &Upgrade) -> http::Result<http::Response<()>> {
    Ok(convert(upgrade.response())?.map(drop))
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
    convert(&server::refusal(reason))
}

/// Parses a request with the core, so that its limits and checks apply.
fn read<B>(request: &http::Request<B>, config: &Config) -> Result<Request, ProtocolError> {
    // HTTP/2 has a different upgrade (RFC 8441), and HTTP/1.0 has none.
    if request.version() != Version::HTTP_11 {
        return Err(ProtocolError::HttpVersion);
    }
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut head = format!("{} {target} HTTP/1.1\r\n", request.method()).into_bytes();
    for (name, value) in request.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    server::read_request(&head, config)
}

fn convert(response: &Response) -> http::Result<http::Response<Vec<u8>>> {
    let mut converted = http::Response::builder().status(response.status()).body(response.body().to_vec())?;
    for (name, value) in response.headers() {
        let (name, value) = (HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value)?);
        converted.headers_mut().append(name, value);
    }
    Ok(converted)
}
