//! The end of a client whose HTTP library sends the request: over HTTP/1.1, or as one stream of an HTTP/2 connection (RFC 8441).
//!
//! 1. Describe the request: [`RequestBuilder`].
//! 2. Send the [`http::Request`] that it creates, with any HTTP library.
//! 3. Pass the response to [`accept`], which checks it.
//! 4. Create a socket from the result and the stream: `futures::WebSocket::upgraded` or `blocking::WebSocket::upgraded`.
//!
//! The modules `hyper` and `h2` do this for connections of these crates.
//!
//! ```
//! use sockeye::protocol::Config;
//! use sockeye::upgrade::client::{self, RequestBuilder};
//!
//! # fn doc() -> Result<(), Box<dyn std::error::Error>> {
//! let builder = RequestBuilder::new("wss://example.com/chat?room=1")?.add_subprotocol("wamp");
//! let (request, pending) = builder.http2()?;
//! assert_eq!((request.method().as_str(), request.uri().path()), ("CONNECT", "/chat"));
//! // The HTTP library sends the request, with `:protocol: websocket`. Here, this is the response:
//! let response = http::Response::builder().header("Sec-WebSocket-Protocol", "wamp").body(())?;
//! let upgrade = client::accept(pending, &response)?;
//! assert_eq!(upgrade.response().protocol()?, Some("wamp"));
//! # Ok(()) }
//! # doc().unwrap();
//! ```

use http::header::HOST;
use http::{Method, Uri, Version};
use url::Url;

use super::convert;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::handshake::{ClientUpgrade, Request};
use crate::protocol::{Config, ProtocolError, Upgrade};

/// Describes the request with which a client opens a WebSocket.
///
/// See the example of the [module](self).
#[derive(Debug, Clone)]
pub struct RequestBuilder {
    url: Url,
    request: Request,
    config: Config,
}

impl RequestBuilder {
    /// Creates the description of a request for a `ws://` or `wss://` URL, with the default configuration.
    ///
    /// `http://` and `https://` are the same. Credentials in the URL become `Authorization: Basic`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if the URL cannot be parsed, or has another scheme or no host.
    ///
    /// See the example of the [module](self).
    pub fn new(url: &str) -> Result<Self> {
        let url = Url::parse(url).map_err(|err| Error::new(ErrorKind::Protocol, err.to_string()))?;
        let request = Request::from_url(&url)?;
        Ok(Self { url, request, config: Config::default() })
    }

    /// Sets the limits, the timeouts, the compression to offer and the subprotocols to offer. Default: [`Config::default`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::protocol::Config;
    /// use sockeye::upgrade::client::RequestBuilder;
    ///
    /// let config = Config { subprotocols: vec!["wamp".into()], ..Config::default() };
    /// let builder = RequestBuilder::new("ws://example.com/")?.config(config).add_header("Origin", "https://example.com")?;
    /// let (request, _) = builder.http1()?;
    /// assert_eq!(request.headers()["sec-websocket-protocol"], "wamp");
    /// assert_eq!(request.headers()["origin"], "https://example.com");
    /// # sockeye::Result::Ok(())
    /// ```
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Adds a header.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if the name or the value contains something that cannot be sent, such as a line break.
    ///
    /// See the example of [`config`](Self::config).
    pub fn add_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self> {
        self.request.add_header(name, value)?;
        Ok(self)
    }

    /// Offers another subprotocol, as the least preferred one. These replace the subprotocols of the configuration.
    ///
    /// See the example of the [module](self).
    #[must_use]
    pub fn add_subprotocol(mut self, protocol: &str) -> Self {
        self.request.add_protocol(protocol);
        self
    }

    /// Creates the request of HTTP/1.1: GET with a path, `Host`, and a new key (RFC 6455 §4.1).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] with the rule that the request breaks, for example if a subprotocol is not a token.
    ///
    /// See the example of [`config`](Self::config).
    pub fn http1(self) -> Result<(http::Request<()>, ClientUpgrade)> {
        let pending = ClientUpgrade::new(self.request, self.config)?;
        let uri = pending.request().resource().parse().map_err(invalid)?;
        let request = request(Method::GET, uri, Version::HTTP_11, pending.request())?;
        Ok((request, pending))
    }

    /// Creates the request of HTTP/2: an extended CONNECT to the complete URL (RFC 8441 §5).
    ///
    /// The HTTP library must send the pseudo-header `:protocol: websocket`: insert `hyper::ext::Protocol` or `h2::ext::Protocol` into
    /// the extensions of the request. Send it only if the server has announced `SETTINGS_ENABLE_CONNECT_PROTOCOL` (RFC 8441 §3).
    ///
    /// # Errors
    ///
    /// As [`http1`](Self::http1).
    ///
    /// See the example of the [module](self).
    pub fn http2(self) -> Result<(http::Request<()>, ClientUpgrade)> {
        let pending = ClientUpgrade::new(self.request.into_extended_connect(), self.config)?;
        let is_secure = matches!(self.url.scheme(), "wss" | "https");
        let uri = Uri::builder()
            .scheme(if is_secure { "https" } else { "http" })
            .authority(pending.request().header_text("Host").unwrap_or_default())
            .path_and_query(pending.request().resource())
            .build()
            .map_err(invalid)?;
        let mut request = request(Method::CONNECT, uri, Version::HTTP_2, pending.request())?;
        // RFC 9113 §8.3.1: `:authority` replaces it.
        request.headers_mut().remove(HOST);
        Ok((request, pending))
    }
}

/// Checks the response of the server, whose body is not read. The result becomes a socket.
///
/// # Errors
///
/// [`ProtocolError::UnexpectedStatus`] if the server has rejected the request, and otherwise the rule that the response breaks
/// (RFC 6455 §4.1, RFC 8441 §5).
///
/// See the example of the [module](self).
pub fn accept<B>(
    pending: ClientUpgrade,
    response: &http::Response<B>,
) -> std::result::Result<Upgrade, ProtocolError> {
    pending.accept(convert::received_response(response))
}

/// Converts the head of a response that rejects the request.
#[cfg(any(feature = "hyper", feature = "h2"))]
pub(crate) fn received<B>(response: &http::Response<B>) -> crate::protocol::handshake::Response {
    convert::received_response(response)
}

fn request(method: Method, uri: Uri, version: Version, from: &Request) -> Result<http::Request<()>> {
    let mut request = http::Request::new(());
    (*request.method_mut(), *request.uri_mut(), *request.version_mut()) = (method, uri, version);
    convert::copy_headers(from.headers(), request.headers_mut()).map_err(invalid)?;
    Ok(request)
}

fn invalid(err: impl Into<http::Error>) -> Error {
    Error::new(ErrorKind::Protocol, err.into().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8441_s5_1_the_request_of_http2_has_the_complete_url_and_no_key() {
        for (url, expected) in [
            ("wss://user:pass@example.com/chat?a=b#c", "https://example.com/chat?a=b"),
            ("ws://example.com:8080", "http://example.com:8080/"),
            ("https://[::1]:443/", "https://[::1]/"),
        ] {
            let (request, _) = RequestBuilder::new(url).unwrap().http2().unwrap();
            assert_eq!(request.uri().to_string(), expected);
            assert_eq!((request.method().as_str(), request.version()), ("CONNECT", Version::HTTP_2));
            for name in ["host", "connection", "upgrade", "sec-websocket-key"] {
                assert!(!request.headers().contains_key(name), "{name}");
            }
            assert_eq!(request.headers()["sec-websocket-version"], "13");
        }
    }

    #[test]
    fn s4_1_the_request_of_http1_has_a_path_a_host_and_a_key() {
        let (request, pending) =
            RequestBuilder::new("wss://example.com:1/chat?a=b").unwrap().http1().unwrap();
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("GET", "/chat?a=b"));
        assert_eq!(request.headers()["host"], "example.com:1");
        let key = pending.request().key().unwrap();
        assert_eq!(request.headers()["sec-websocket-key"], key.as_slice());
        let response = http::Response::builder().status(101).body(()).unwrap();
        assert_eq!(accept(pending, &response).unwrap_err(), ProtocolError::MissingUpgrade);
    }

    #[test]
    fn a_request_that_cannot_be_sent_is_an_error() {
        assert!(RequestBuilder::new("ftp://example.com/").is_err() && RequestBuilder::new("chat").is_err());
        let builder = RequestBuilder::new("ws://example.com/").unwrap();
        assert!(builder.clone().add_header("X", "a\r\nEvil: b").is_err());
        assert!(builder.clone().add_subprotocol("a b").http2().is_err());
        assert!(builder.add_subprotocol("a b").http1().is_err());
    }
}
