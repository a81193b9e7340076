//! The opening handshake over HTTP/2 and later versions: extended CONNECT (RFC 8441 §5, RFC 9220).
//!
//! Other crates decode and encode the heads. Here they have the same types as those of HTTP/1.1, so that subprotocols, extensions
//! and origins are checked by the same functions. There is no `Upgrade`, no `Connection` and no key: the pseudo-header
//! `:protocol` replaces them.

use std::borrow::Cow;

use super::http::names::FieldName;
use super::http::syntax::Version;
use super::{Request, Response};

/// The method of a request that opens a stream for another protocol (RFC 8441 §4).
const CONNECT: &str = "CONNECT";

/// The fields of an upgrade that an extended CONNECT does not contain (RFC 8441 §5, RFC 9113 §8.2.2).
const REPLACED: [&str; 3] = [FieldName::Connection.text(), FieldName::Upgrade.text(), FieldName::Key.text()];

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
        self.method = Cow::Borrowed(CONNECT);
        self.version = Version::Http2;
        self
    }

    /// Returns whether this is an extended CONNECT of HTTP/2 (RFC 8441 §4).
    ///
    /// See the example of [`into_extended_connect`](Self::into_extended_connect).
    pub fn is_extended_connect(&self) -> bool {
        self.version == Version::Http2
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::handshake::{client, server};
    use crate::protocol::{Config, ProtocolError};

    fn request() -> Request {
        let mut request = Request::from_url(&"wss://example.com/chat".parse().unwrap()).unwrap();
        request.add_protocol("chat");
        request.into_extended_connect()
    }

    #[test]
    fn s5_the_request_has_no_key_and_no_fields_of_the_connection() {
        let request = request();
        let names: Vec<&str> = request.headers().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Host", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol"]);
        assert!(request.to_string().starts_with("CONNECT /chat HTTP/2\r\n"));
        assert_eq!(server::check_upgrade(&request, &Config::default()), Ok(()));
        assert_eq!(client::check_request(&request), Ok(()));
    }

    #[test]
    fn s5_the_other_rules_of_an_upgrade_apply() {
        let changed = |name: &str, value: &str| {
            let mut request = request();
            request.set_header(name, value).unwrap();
            server::check_upgrade(&request, &Config::default())
        };
        assert_eq!(changed("Sec-WebSocket-Version", "8"), Err(ProtocolError::UnsupportedVersion));
        assert_eq!(changed("Sec-WebSocket-Protocol", "a, a"), Err(ProtocolError::MalformedList));
        assert_eq!(changed("Sec-WebSocket-Extensions", "a b"), Err(ProtocolError::MalformedList));
        assert_eq!(changed("Host", ""), Err(ProtocolError::MissingHost));
        assert_eq!(changed("Content-Length", "5"), Err(ProtocolError::MalformedHead));
        let mut get = request();
        get.method = Cow::Borrowed("GET");
        assert_eq!(server::check_upgrade(&get, &Config::default()), Err(ProtocolError::MethodNotGet));
        let origins = crate::protocol::handshake::Origins::Only(&["https://example.com"]).into();
        let strict = Config { origins, ..Config::default() };
        let mut foreign = request();
        foreign.set_header("Origin", "https://example.org").unwrap();
        assert_eq!(server::check_upgrade(&foreign, &strict), Err(ProtocolError::OriginRefused));
    }

    #[test]
    fn s5_a_successful_status_opens_the_connection() {
        let request = request();
        let check = |status: u16| {
            let mut response = Response::from_request(&request).unwrap();
            response.set_status(status);
            client::check_response(&request, &response, &Config::default())
        };
        assert_eq!((check(200), check(299)), (Ok(()), Ok(())));
        for status in [101, 199, 300, 403, 501] {
            assert_eq!(check(status), Err(ProtocolError::UnexpectedStatus(status)));
        }
    }

    #[test]
    fn s5_a_server_chooses_only_what_was_offered() {
        let request = request();
        let mut response = Response::from_request(&request).unwrap();
        assert_eq!((response.status(), response.headers().len()), (200, 0));
        let config = Config { subprotocols: vec!["chat".to_owned()], ..Config::default() };
        server::complete(&mut response, &request, &config);
        assert_eq!(response.protocol().unwrap(), Some("chat"));
        assert_eq!(server::check_response(&request, &response), Ok(()));
        response.set_protocol("other");
        assert_eq!(server::check_response(&request, &response), Err(ProtocolError::ProtocolNotOffered));
        let checked = client::check_response(&request, &response, &config);
        assert_eq!(checked, Err(ProtocolError::UnsolicitedProtocol));
    }
}
