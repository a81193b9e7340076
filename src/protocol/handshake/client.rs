//! The opening handshake of a client (§4.1): checks of the request before it is sent, and of the response.

use super::extended_connect::is_accepting;
use super::http::head_buffer::HeadBuffer;
use super::http::names::FieldName;
use super::http::syntax::Version;
use super::{Request, Response, accept_of, extensions, server, subprotocols};
use crate::protocol::{Config, ProtocolError};

/// Completes the request: if the program offers no subprotocol, it offers those of the configuration, in their order.
pub(crate) fn complete(request: &mut Request, config: &Config) {
    if request.fields().first(FieldName::Protocol).is_none() {
        for protocol in &config.subprotocols {
            request.add_protocol(protocol);
        }
    }
}

/// Checks a request before it is sent: §4.1 requires of the client what §4.2.1 requires the server to check.
///
/// The strict settings do not apply here: they concern the peer.
pub(crate) fn check_request(request: &Request) -> Result<(), ProtocolError> {
    server::check_upgrade(request, &Config::default())
}

/// Takes the complete head of a response out of its buffer. If it is [interim](is_interim), the buffer expects the next one.
pub(crate) fn take_response(head: &mut HeadBuffer) -> Result<Response, ProtocolError> {
    Response::take(head)
}

/// Returns whether a response is interim (RFC 9110 §15.2), which is any 1xx except 101.
pub(crate) fn is_interim(response: &Response) -> bool {
    response.status() < 200 && response.status() != 101
}

/// Checks the response of the server against §4.1, item by item.
pub(crate) fn check_response(
    request: &Request,
    response: &Response,
    config: &Config,
) -> Result<(), ProtocolError> {
    // Item 1: any other status is handled by HTTP rules.
    if !is_accepting(request, response) {
        return Err(ProtocolError::UnexpectedStatus(response.status()));
    }
    if !request.is_extended_connect() {
        check_switching(request, response, config)?;
    }
    // Item 5, and §9.1 for the grammar.
    extensions::check_choice(request.fields(), response.fields(), ProtocolError::UnsolicitedExtension)?;
    // Item 6.
    subprotocols::check_choice(request.fields(), response.fields(), ProtocolError::UnsolicitedProtocol)
}

/// Items 1 to 4: what a response with status 101 must contain. RFC 8441 §5: a response to an extended CONNECT does not contain it.
fn check_switching(request: &Request, response: &Response, config: &Config) -> Result<(), ProtocolError> {
    // HTTP/1.0 has no status 101.
    if response.http_version() != Version::Http11 {
        return Err(ProtocolError::HttpVersion);
    }
    // Items 2 and 3: |Upgrade| is "websocket", |Connection| contains the token "Upgrade", case-insensitively. Another protocol
    // in |Upgrade| would be a further layer (RFC 9110 §7.8).
    if !response.fields().has_only_token(FieldName::Upgrade, b"websocket") {
        return Err(ProtocolError::MissingUpgrade);
    }
    if !response.fields().has_token(FieldName::Connection, b"Upgrade") {
        return Err(ProtocolError::MissingConnection);
    }
    check_accept(request, response, config)
}

/// Item 4: |Sec-WebSocket-Accept| proves that the server has read our key; §11.3.3: only once.
fn check_accept(request: &Request, response: &Response, config: &Config) -> Result<(), ProtocolError> {
    if !config.key_strict {
        return Ok(());
    }
    let expected = request.fields().single(FieldName::Key)?.map(accept_of);
    let accept = response.fields().single(FieldName::Accept)?;
    match (expected, accept) {
        (Some(expected), Some(accept)) if expected == accept => Ok(()),
        _ => Err(ProtocolError::AcceptMismatch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

    fn request() -> Request {
        let mut request = Request::from_url(&"ws://example.com/".parse().unwrap()).unwrap();
        request.set_header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        request.add_protocol("chat");
        request.add_protocol("superchat");
        request.add_extension("foo; bar=1");
        request
    }

    /// Checks a right response, with one part of its text replaced.
    fn check_with(from: &str, to: &str, config: &Config) -> Result<(), ProtocolError> {
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{ACCEPT}\r\n"
        );
        assert!(head.contains(from));
        let mut collected = HeadBuffer::response();
        assert!(collected.feed(head.replacen(from, to, 1).as_bytes(), config)?.1);
        let response = take_response(&mut collected)?;
        check_response(&request(), &response, config)
    }

    fn check(from: &str, to: &str) -> Result<(), ProtocolError> {
        check_with(from, to, &Config::default())
    }

    fn check_header(header: &str) -> Result<(), ProtocolError> {
        check("Upgrade:", &format!("{header}\r\nUpgrade:"))
    }

    #[test]
    fn s4_1_item_1_any_status_except_101_is_an_error() {
        for status in [100, 200, 301, 401, 426, 500] {
            let result = check("101", &status.to_string());
            assert_eq!(result, Err(ProtocolError::UnexpectedStatus(status)));
        }
        assert_eq!(check("HTTP/1.1", "HTTP/1.0"), Err(ProtocolError::HttpVersion));
    }

    #[test]
    fn s4_1_items_2_and_3_upgrade_and_connection_are_required() {
        assert_eq!(check("websocket", "WebSocket"), Ok(()));
        assert_eq!(check("websocket", "websockets"), Err(ProtocolError::MissingUpgrade));
        assert_eq!(check("Upgrade: websocket\r\n", ""), Err(ProtocolError::MissingUpgrade));
        assert_eq!(check("Connection: Upgrade", "Connection: keep-alive, upgrade"), Ok(()));
        assert_eq!(
            check("Connection: Upgrade", "Connection: noupgrade"),
            Err(ProtocolError::MissingConnection)
        );
        assert_eq!(check("Connection: Upgrade\r\n", ""), Err(ProtocolError::MissingConnection));
    }

    #[test]
    fn k1_s4_1_item_4_a_wrong_missing_or_repeated_accept_value_is_an_error() {
        assert_eq!(check("s3pP", "s3pP"), Ok(()));
        assert_eq!(check("s3pP", "S3pP"), Err(ProtocolError::AcceptMismatch));
        assert_eq!(check("xOo=", "xOo"), Err(ProtocolError::AcceptMismatch));
        assert_eq!(check(ACCEPT, ""), Err(ProtocolError::AcceptMismatch));
        assert_eq!(check_header(ACCEPT.trim_end()), Err(ProtocolError::RepeatedHeader));
        let lenient = Config { key_strict: false, ..Config::default() };
        assert_eq!(check_with(ACCEPT, "", &lenient), Ok(()));
    }

    #[test]
    fn k3_s4_1_item_5_only_offered_extensions_are_accepted() {
        let header = |value: &str| check_header(&format!("Sec-WebSocket-Extensions: {value}"));
        assert_eq!(header("foo; bar=99999999999999999999; x=\"-1\""), Ok(()));
        assert_eq!(header("foo, baz"), Err(ProtocolError::UnsolicitedExtension));
        assert_eq!(header("FOO"), Err(ProtocolError::UnsolicitedExtension));
        assert_eq!(header("foo; bar=\""), Err(ProtocolError::MalformedList));
        assert_eq!(header(""), Err(ProtocolError::MalformedList));
        assert_eq!(header("foo\r\nSec-WebSocket-Extensions: foo"), Err(ProtocolError::RepeatedHeader));
    }

    #[test]
    fn k3_s4_1_item_6_only_one_offered_protocol_is_accepted() {
        let header = |value: &str| check_header(&format!("Sec-WebSocket-Protocol: {value}"));
        assert_eq!(header("superchat"), Ok(()));
        for value in ["other", "Chat", "chat, superchat", ""] {
            assert_eq!(header(value), Err(ProtocolError::UnsolicitedProtocol), "{value}");
        }
        assert_eq!(header("chat\r\nSec-WebSocket-Protocol: chat"), Err(ProtocolError::RepeatedHeader));
    }

    #[test]
    fn k2_statuses_100_to_199_except_101_are_interim() {
        let interim = |status| is_interim(&Response::new(status, "", Vec::new()));
        assert!(interim(100) && interim(102) && interim(103) && interim(199));
        assert!(!interim(101) && !interim(200) && !interim(404));
    }

    #[test]
    fn configured_protocols_are_offered_unless_the_request_contains_others() {
        let config = Config { subprotocols: ["a", "b"].map(String::from).to_vec(), ..Config::default() };
        let mut bare = Request::from_url(&"ws://example.com/".parse().unwrap()).unwrap();
        complete(&mut bare, &config);
        assert_eq!(bare.protocols().unwrap(), ["a", "b"]);
        let mut own = request();
        complete(&mut own, &config);
        assert_eq!(own.protocols().unwrap(), ["chat", "superchat"]);
    }

    #[test]
    fn k4_invalid_requests_are_rejected_before_they_are_sent() {
        assert_eq!(check_request(&request()), Ok(()));
        let changed = |name: &str, value: &str| {
            let mut request = request();
            request.set_header(name, value).unwrap();
            check_request(&request)
        };
        assert_eq!(changed("Host", "user@a"), Err(ProtocolError::MissingHost));
        assert_eq!(changed("Sec-WebSocket-Key", "abc"), Err(ProtocolError::InvalidKey));
        assert_eq!(changed("Sec-WebSocket-Version", "8"), Err(ProtocolError::UnsupportedVersion));
        assert_eq!(changed("Upgrade", "x"), Err(ProtocolError::NotAnUpgrade));
        assert_eq!(changed("Sec-WebSocket-Protocol", "a b"), Err(ProtocolError::MalformedList));
        assert_eq!(changed("Sec-WebSocket-Extensions", "a b"), Err(ProtocolError::MalformedList));
        assert_eq!(changed("Content-Length", "3"), Err(ProtocolError::MalformedHead));
        let mut split = request();
        split.add_protocol("a\r\nX: y");
        assert_eq!(check_request(&split), Err(ProtocolError::MalformedList));
    }
}
