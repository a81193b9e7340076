//! The opening handshake over HTTP/2 and later versions: extended CONNECT (RFC 8441 §5, RFC 9220).
//!
//! Other crates decode and encode the heads. Here they have the same types as those of HTTP/1.1, so that subprotocols, extensions
//! and origins are checked by the same functions. There is no `Upgrade`, no `Connection` and no key: the pseudo-header
//! `:protocol` replaces them.

use super::http::fields;
use super::http::syntax::Version;
use super::{Request, Response};

/// The method of a request that opens a stream for another protocol (RFC 8441 §4).
const CONNECT: &str = "CONNECT";

/// The fields of an upgrade that an extended CONNECT does not contain (RFC 8441 §5, RFC 9113 §8.2.2).
const REPLACED: [&str; 3] = [fields::CONNECTION, fields::UPGRADE, fields::KEY];

impl Request {
    /// Converts a request for an upgrade into an extended CONNECT with the protocol `websocket`, which opens a WebSocket on a
    /// stream of HTTP/2 (RFC 8441 §5).
    ///
    /// `Connection`, `Upgrade` and `Sec-WebSocket-Key` are removed. `Host` stays, and stands for the pseudo-header `:authority`.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Request, Response};
    ///
    /// let request = Request::from_url(&"wss://example.com/chat".parse()?)?.into_extended_connect();
    /// assert_eq!((request.method(), request.resource()), ("CONNECT", "/chat"));
    /// assert!(request.is_extended_connect() && request.is_upgrade());
    /// assert_eq!(Response::from_request(&request)?.status(), 200);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn into_extended_connect(mut self) -> Self {
        let is_replaced = |name: &str| REPLACED.iter().any(|other| other.eq_ignore_ascii_case(name));
        self.headers_mut().retain(|(name, _)| !is_replaced(name));
        self.set_method(CONNECT, Version::Http2);
        self
    }

    /// Returns whether this is an extended CONNECT of HTTP/2 (RFC 8441 §4).
    ///
    /// See the example of [`into_extended_connect`](Self::into_extended_connect).
    pub fn is_extended_connect(&self) -> bool {
        self.http_version() == Version::Http2
    }
}

/// Returns whether a response has the status that opens the connection: 101 (§4.2.2), or for an extended CONNECT any 2xx
/// (RFC 8441 §5, RFC 9110 §9.3.6).
pub(crate) fn is_accepting(request: &Request, response: &Response) -> bool {
    match request.is_extended_connect() {
        true => (200..300).contains(&response.status()),
        false => response.status() == 101,
    }
}
