//! The opening handshake of a server (§4.2): checks of the request, and of the response of the program.

use super::http::authority;
use super::http::fields;
#[cfg(feature = "upgrade")]
use super::http::head_buffer::HeadBuffer;
use super::http::syntax::{self, Version};
use super::{Extension, Request, Response, accept_value, extensions, is_valid_key, subprotocols};
use crate::protocol::{Config, ProtocolError};

/// Parses the head of a request, and rejects requests that a server must answer with an error, whether they ask for a page or
/// for a WebSocket.
///
/// Requests of HTTP/1.0 are accepted: they may ask for a page, but not for an upgrade.
pub(crate) fn parse_request(head: &[u8], config: &Config) -> Result<Request, ProtocolError> {
    let mut request = Request::parse_head(head, config)?;
    check_host(&request)?;
    normalize_target(&mut request)?;
    Ok(request)
}

/// Parses a head that was received by another HTTP server. The same limits apply as to a head that arrives here.
#[cfg(feature = "upgrade")]
pub(crate) fn read_request(head: &[u8], config: &Config) -> Result<Request, ProtocolError> {
    let mut collected = HeadBuffer::request();
    match collected.feed(head, config)? {
        (len, true) if len == head.len() => parse_request(collected.bytes(), config),
        _ => Err(ProtocolError::MalformedHead),
    }
}

/// RFC 9112 §3.2: a server MUST refuse a request of HTTP/1.1 without `Host`, and any with two or an invalid one.
fn check_host(request: &Request) -> Result<(), ProtocolError> {
    match fields::single(request.headers(), fields::HOST) {
        Err(_) => Err(ProtocolError::MissingHost),
        Ok(None) if request.http_version() == Version::Http11 => Err(ProtocolError::MissingHost),
        Ok(Some(host)) if authority::parse(host).is_none() => Err(ProtocolError::MalformedHead),
        Ok(_) => Ok(()),
    }
}

/// Converts a target to the form that programs expect: a path, or the `*` of `OPTIONS` (RFC 9112 §3.2).
///
/// §4.2.1, item 1, and RFC 9112 §3.2.2 require a server to accept the absolute form. Its host replaces the one in `Host`, which
/// MUST be ignored. Otherwise, the check of the origin and the program could use different hosts.
fn normalize_target(request: &mut Request) -> Result<(), ProtocolError> {
    let target = request.resource();
    if target.starts_with('/') || (target == "*" && request.method() == "OPTIONS") {
        return Ok(());
    }
    let (scheme, rest) = target.split_once("://").ok_or(ProtocolError::MalformedHead)?;
    if !["http", "https", "ws", "wss"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return Err(ProtocolError::MalformedHead);
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(end).ok_or(ProtocolError::MalformedHead)?;
    match authority::parse(host.as_bytes()) {
        Some(authority) if !authority.host.is_empty() => {}
        _ => return Err(ProtocolError::MalformedHead),
    }
    let host = host.as_bytes().to_vec();
    let resource = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    fields::replace(request.headers_mut(), fields::HOST, host);
    request.set_resource(resource);
    Ok(())
}

/// Checks a request for an upgrade against §4.2.1, item by item, and against what the server accepts (§4.2.2, item 4).
pub(crate) fn check_upgrade(request: &Request, config: &Config) -> Result<(), ProtocolError> {
    check_request_line(request, config)?;
    // Items 3 and 4: |Upgrade| with the value "websocket", |Connection| with the token "Upgrade".
    if !request.is_upgrade() {
        return Err(ProtocolError::NotAnUpgrade);
    }
    check_no_body(request)?;
    // Item 6: |Sec-WebSocket-Version| with a value of 13; §11.3.5: only once. It is checked before the key, because older
    // versions have no key.
    match fields::single(request.headers(), fields::VERSION)? {
        Some(b"13") => {}
        _ => return Err(ProtocolError::UnsupportedVersion),
    }
    check_key(request, config)?;
    // Item 8 and §4.2.2, item 4: the origin, if the server restricts it.
    if !config.origins.allows(request) {
        return Err(ProtocolError::OriginRefused);
    }
    // Items 9 and 10: the offers must be well-formed; §9.1: a malformed list of extensions MUST fail the connection.
    subprotocols::offered(request.headers())?;
    Extension::parse_all(request.headers())?;
    Ok(())
}

/// §4.2.1, items 1 and 2.
fn check_request_line(request: &Request, config: &Config) -> Result<(), ProtocolError> {
    // Item 1: HTTP/1.1 or higher, and GET.
    if request.http_version() != Version::Http11 {
        return Err(ProtocolError::HttpVersion);
    }
    if config.method_strict && request.method() != "GET" {
        return Err(ProtocolError::MethodNotGet);
    }
    // Item 2: |Host| with the server's authority.
    match fields::single(request.headers(), fields::HOST) {
        Ok(Some(host)) if authority::parse(host).is_some_and(|authority| !authority.host.is_empty()) => {
            Ok(())
        }
        _ => Err(ProtocolError::MissingHost),
    }
}

/// An upgrade must not have a body, which could not be distinguished from the first frames (H9).
fn check_no_body(request: &Request) -> Result<(), ProtocolError> {
    let is_empty = match fields::single(request.headers(), fields::CONTENT_LENGTH)? {
        Some(length) => length == b"0",
        None => true,
    };
    let is_encoded = fields::find(request.headers(), fields::TRANSFER_ENCODING).is_some();
    if is_empty && !is_encoded { Ok(()) } else { Err(ProtocolError::MalformedHead) }
}

/// §4.2.1, item 5: a key that, decoded, is 16 bytes in length; §11.3.1: only once.
fn check_key(request: &Request, config: &Config) -> Result<(), ProtocolError> {
    if !config.key_strict {
        return fields::find(request.headers(), fields::KEY).map(drop).ok_or(ProtocolError::InvalidKey);
    }
    match fields::single(request.headers(), fields::KEY)? {
        Some(key) if is_valid_key(key) => Ok(()),
        _ => Err(ProtocolError::InvalidKey),
    }
}

/// Completes the response of the program. If its status is 101 and it selects no subprotocol, the first supported one that the client
/// offers is selected (§4.2.2, item 4).
pub(crate) fn complete(response: &mut Response, request: &Request, config: &Config) {
    if response.status() == 101 && response.header(fields::PROTOCOL).is_none() {
        let supported: Vec<&str> = config.subprotocols.iter().map(String::as_str).collect();
        response.choose_protocol(request, &supported);
    }
}

/// Checks the response of the program before it is sent (H12). Only responses with status 101 are restricted.
pub(crate) fn check_response(request: &Request, response: &Response) -> Result<(), ProtocolError> {
    if response.status() != 101 {
        return Ok(());
    }
    // RFC 9110 §15.2.2: 101 is a response to `Upgrade` only.
    if !request.is_upgrade() {
        return Err(ProtocolError::NotAnUpgrade);
    }
    check_accepting(request, response)?;
    subprotocols::check_choice(request.headers(), response.headers(), ProtocolError::ProtocolNotOffered)?;
    extensions::check_choice(request.headers(), response.headers(), ProtocolError::ExtensionNotOffered)
}

/// §4.2.2, items 5.2 to 5.4: what the client requires.
fn check_accepting(request: &Request, response: &Response) -> Result<(), ProtocolError> {
    let headers = response.headers();
    let upgrades = fields::has_token(headers, fields::UPGRADE, "websocket")
        && fields::has_token(headers, fields::CONNECTION, "upgrade");
    if !upgrades {
        return Err(ProtocolError::UnsendableHead);
    }
    let key = fields::find(request.headers(), fields::KEY).ok_or(ProtocolError::InvalidKey)?;
    match fields::single(headers, fields::ACCEPT)? {
        Some(accept) if accept == accept_value(key).as_bytes() => Ok(()),
        _ => Err(ProtocolError::AcceptMismatch),
    }
}

/// Creates the response with which a server refuses a request.
///
/// Its text depends on the status only. The exact reason belongs in the log of the server (H13).
pub(crate) fn refusal(error: ProtocolError) -> Response {
    let status = error.http_status();
    let reason = syntax::default_reason(status);
    let mut response = Response::new(status, reason, format!("{status} {reason}\n").into_bytes());
    let mut add = |name: &str, value: &str| {
        response.headers_mut().push((name.to_owned(), value.as_bytes().to_vec()));
    };
    add("Content-Type", "text/plain; charset=utf-8");
    match status {
        // RFC 9110 §15.5.6: the response MUST list the allowed methods.
        405 => add("Allow", "GET"),
        426 => {
            // RFC 9110 §15.5.22: the response MUST name the protocol in Upgrade, and §7.8: list Upgrade in Connection.
            add(fields::CONNECTION, "close, Upgrade");
            add(fields::UPGRADE, "websocket");
            // §4.4: the response MUST list the versions that the server supports.
            add(fields::VERSION, "13");
        }
        _ => {}
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Origins;

    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    /// A right request, with one part of its text replaced.
    fn with(from: &str, to: &str) -> String {
        let head = format!(
            "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             {KEY}Sec-WebSocket-Version: 13\r\n\r\n"
        );
        assert!(head.contains(from));
        head.replacen(from, to, 1)
    }

    /// A right request with more headers.
    fn with_headers(headers: &str) -> String {
        with("Host", &format!("{headers}Host"))
    }

    fn check_with(head: &str, config: &Config) -> Result<(), ProtocolError> {
        check_upgrade(&parse_request(head.as_bytes(), config)?, config)
    }

    fn check(head: &str) -> Result<(), ProtocolError> {
        check_with(head, &Config::default())
    }

    #[test]
    fn s4_2_1_item_1_http_1_1_and_get() {
        assert_eq!(check(&with("1.1", "1.1")), Ok(()));
        assert_eq!(check(&with("HTTP/1.1", "HTTP/1.0")), Err(ProtocolError::HttpVersion));
        assert_eq!(check(&with("HTTP/1.1", "HTTP/2.0")), Err(ProtocolError::HttpVersion));
        for method in ["POST", "get", "HEAD", "CONNECT"] {
            let head = with("GET", method);
            assert_eq!(check(&head), Err(ProtocolError::MethodNotGet));
            let lenient = Config { method_strict: false, ..Config::default() };
            assert_eq!(check_with(&head, &lenient), Ok(()));
        }
    }

    #[test]
    fn s4_2_1_item_2_exactly_one_host() {
        assert_eq!(check(&with("Host: example.com\r\n", "")), Err(ProtocolError::MissingHost));
        assert_eq!(check(&with_headers("Host: example.com\r\n")), Err(ProtocolError::MissingHost));
        assert_eq!(check(&with("Host: example.com", "Host:")), Err(ProtocolError::MissingHost));
        assert_eq!(check(&with("Host: example.com", "Host: user@a")), Err(ProtocolError::MalformedHead));
        assert_eq!(check(&with("Host: example.com", "Host: [::1]:3012")), Ok(()));
    }

    #[test]
    fn s4_2_1_items_3_and_4_upgrade_tokens() {
        for (from, to) in [
            ("Upgrade: websocket", "Upgrade: notwebsocket"),
            ("Upgrade: websocket", "Upgrade: websocket/13"),
            ("Upgrade: websocket\r\n", ""),
            ("Connection: Upgrade", "Connection: notupgrade"),
            ("Connection: Upgrade", "Connection: keep-alive"),
        ] {
            let request = parse_request(with(from, to).as_bytes(), &Config::default()).unwrap();
            assert!(!request.is_upgrade());
            assert_eq!(check_upgrade(&request, &Config::default()), Err(ProtocolError::NotAnUpgrade));
        }
        assert_eq!(check(&with("Upgrade: websocket", "UPGRADE: h2c, WebSocket")), Ok(()));
        assert_eq!(
            check(&with("Connection: Upgrade", "connection: keep-alive\r\nConnection: UPGRADE")),
            Ok(())
        );
    }

    #[test]
    fn s4_2_1_item_5_exactly_one_key_of_16_bytes() {
        assert_eq!(check(&with(KEY, "")), Err(ProtocolError::InvalidKey));
        assert_eq!(check(&with("ZQ==", "ZR==")), Err(ProtocolError::InvalidKey));
        assert_eq!(check(&with("dGhl", "")), Err(ProtocolError::InvalidKey));
        assert_eq!(check(&with_headers(KEY)), Err(ProtocolError::RepeatedHeader));
        let lenient = Config { key_strict: false, ..Config::default() };
        assert_eq!(check_with(&with("dGhl", ""), &lenient), Ok(()));
        assert_eq!(check_with(&with(KEY, ""), &lenient), Err(ProtocolError::InvalidKey));
    }

    #[test]
    fn s4_2_1_item_6_version_13() {
        for to in ["12", "8", "130", "13, 8", "013", ""] {
            assert_eq!(check(&with("13", to)), Err(ProtocolError::UnsupportedVersion), "{to}");
        }
        assert_eq!(check(&with("Sec-WebSocket-Version: 13\r\n", "")), Err(ProtocolError::UnsupportedVersion));
        assert_eq!(check(&with_headers("Sec-WebSocket-Version: 13\r\n")), Err(ProtocolError::RepeatedHeader));
    }

    #[test]
    fn h15_origins_are_checked() {
        let config = Config { origins: Origins::SameHost.into(), ..Config::default() };
        assert_eq!(check_with(&with_headers("Origin: http://example.com\r\n"), &config), Ok(()));
        let foreign = with_headers("Origin: http://evil.example\r\n");
        assert_eq!(check_with(&foreign, &config), Err(ProtocolError::OriginRefused));
        assert_eq!(check(&foreign), Ok(()));
    }

    #[test]
    fn s4_1_item_10_protocols_are_unique_tokens() {
        for list in ["", ",", "a b", "a,a", "a\r\nSec-WebSocket-Protocol: a", "a/b", "\"a\"", "a;b", "\u{e9}"]
        {
            let head = with_headers(&format!("Sec-WebSocket-Protocol: {list}\r\n"));
            assert_eq!(check(&head), Err(ProtocolError::MalformedList), "{list}");
        }
        assert_eq!(
            check(&with_headers("Sec-WebSocket-Protocol: a, A,,b\r\nSec-WebSocket-Protocol: c\r\n")),
            Ok(())
        );
    }

    #[test]
    fn s9_1_malformed_extensions_fail_the_handshake() {
        let head = with_headers("Sec-WebSocket-Extensions: foo; bar=\"a b\"\r\n");
        assert_eq!(check(&head), Err(ProtocolError::MalformedList));
        assert_eq!(check(&with_headers("Sec-WebSocket-Extensions: foo; bar=\"ab\"\r\n")), Ok(()));
    }

    #[test]
    fn h9_an_upgrade_has_no_body() {
        for headers in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: x\r\n"] {
            assert_eq!(check(&with_headers(headers)), Err(ProtocolError::MalformedHead), "{headers}");
        }
        assert_eq!(check(&with_headers("Content-Length: 0\r\n")), Ok(()));
    }

    #[test]
    fn a_page_may_be_asked_for_in_http_1_0() {
        let request = parse_request(b"GET /page HTTP/1.0\r\n\r\n", &Config::default()).unwrap();
        assert!(!request.is_upgrade());
        let head = b"GET /page HTTP/1.1\r\n\r\n";
        assert_eq!(parse_request(head, &Config::default()).map(drop), Err(ProtocolError::MissingHost));
    }

    #[test]
    fn rfc9112_s3_2_forms_of_the_target() {
        let config = Config { origins: Origins::SameHost.into(), ..Config::default() };
        let of = |method: &str, target: &str| {
            let head = format!("{method} {target} HTTP/1.1\r\nHost: other.example\r\n\r\n");
            parse_request(head.as_bytes(), &config)
        };
        for (target, resource) in
            [("http://a:80/b?c", "/b?c"), ("WS://a:80", "/"), ("https://a:80?q", "/?q"), ("wss://a:80/", "/")]
        {
            let request = of("GET", target).unwrap();
            assert_eq!((request.resource(), request.header("host")), (resource, Some(&b"a:80".to_vec())));
        }
        assert!(of("OPTIONS", "*").is_ok());
        for (method, target) in [
            ("GET", "*"),
            ("CONNECT", "a:80"),
            ("GET", "a"),
            ("GET", "http:///a"),
            ("GET", "http://user@a/"),
            ("GET", "ftp://a/"),
        ] {
            assert_eq!(of(method, target).map(drop), Err(ProtocolError::MalformedHead), "{target}");
        }
    }

    #[test]
    fn h2_a_long_target() {
        let config = Config { max_target_size: 4, ..Config::default() };
        assert_eq!(check_with(&with("/chat", "/cha"), &config), Ok(()));
        assert_eq!(check_with(&with("/chat", "/chat"), &config), Err(ProtocolError::TargetTooLong));
    }

    fn answered(headers: &str, change: impl FnOnce(&mut Response)) -> Result<(), ProtocolError> {
        let request = parse_request(with_headers(headers).as_bytes(), &Config::default()).unwrap();
        let mut response = Response::from_request(&request).unwrap();
        change(&mut response);
        check_response(&request, &response)
    }

    #[test]
    fn h12_the_chosen_protocol_was_offered() {
        let offer = "Sec-WebSocket-Protocol: a, b\r\n";
        assert_eq!(answered(offer, |_| {}), Ok(()));
        assert_eq!(answered(offer, |response| response.set_protocol("b")), Ok(()));
        for chosen in ["c", "B", "a, b", ""] {
            let result = answered(offer, |response| response.set_protocol(chosen));
            assert_eq!(result, Err(ProtocolError::ProtocolNotOffered), "{chosen}");
        }
        let result = answered("", |response| response.set_protocol("a"));
        assert_eq!(result, Err(ProtocolError::ProtocolNotOffered));
        let result = answered(offer, |response| {
            response.set_protocol("a");
            response.add_header("sec-websocket-protocol", "b").unwrap();
        });
        assert_eq!(result, Err(ProtocolError::RepeatedHeader));
    }

    #[test]
    fn h12_the_chosen_extensions_were_offered() {
        let offer = "Sec-WebSocket-Extensions: a; p, b\r\n";
        assert_eq!(answered(offer, |response| response.add_extension("b")), Ok(()));
        assert_eq!(answered(offer, |response| response.add_extension("a; q=1, b")), Ok(()));
        let result = answered(offer, |response| response.add_extension("b, c"));
        assert_eq!(result, Err(ProtocolError::ExtensionNotOffered));
        let result = answered("", |response| response.add_extension("a"));
        assert_eq!(result, Err(ProtocolError::ExtensionNotOffered));
        let result = answered(offer, |response| response.add_extension("a;"));
        assert_eq!(result, Err(ProtocolError::MalformedList));
    }

    #[test]
    fn h12_a_101_that_no_client_would_take_is_not_sent() {
        let result = answered("", |response| response.set_header("Sec-WebSocket-Accept", "x").unwrap());
        assert_eq!(result, Err(ProtocolError::AcceptMismatch));
        let result = answered("", |response| response.headers_mut().clear());
        assert_eq!(result, Err(ProtocolError::UnsendableHead));
        let request =
            parse_request(with("Upgrade: websocket\r\n", "").as_bytes(), &Config::default()).unwrap();
        let response = Response::from_request(&request).unwrap();
        assert_eq!(check_response(&request, &response), Err(ProtocolError::NotAnUpgrade));
        assert_eq!(check_response(&request, &Response::new(200, "", Vec::new())), Ok(()));
    }

    #[test]
    fn s4_2_2_the_best_of_our_protocols_is_chosen() {
        let config = Config { subprotocols: ["x", "b", "a"].map(String::from).to_vec(), ..Config::default() };
        let head = with_headers("Sec-WebSocket-Protocol: a, b\r\n");
        let request = parse_request(head.as_bytes(), &config).unwrap();
        let mut response = Response::from_request(&request).unwrap();
        complete(&mut response, &request, &config);
        assert_eq!(response.protocol().unwrap(), Some("b"));
        response.set_protocol("a");
        complete(&mut response, &request, &config);
        assert_eq!(response.protocol().unwrap(), Some("a"));
        let mut page = Response::new(200, "", Vec::new());
        complete(&mut page, &request, &config);
        assert_eq!(page.protocol().unwrap(), None);
    }

    #[test]
    fn h5_h13_refusals_have_the_right_status_and_a_fixed_text() {
        let sent = |error| {
            let mut out = Vec::new();
            refusal(error).encode_for(false, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            sent(ProtocolError::MalformedHead),
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\
             Content-Length: 16\r\n\r\n400 Bad Request\n"
        );
        assert_eq!(sent(ProtocolError::InvalidKey), sent(ProtocolError::MalformedList));
        assert!(sent(ProtocolError::MethodNotGet).contains("405 Method Not Allowed\r\n"));
        assert!(sent(ProtocolError::MethodNotGet).contains("\r\nAllow: GET\r\n"));
        for line in [
            "426 Upgrade Required",
            "Upgrade: websocket",
            "Connection: close, Upgrade",
            "Sec-WebSocket-Version: 13",
        ] {
            assert!(sent(ProtocolError::UnsupportedVersion).contains(&format!("{line}\r\n")), "{line}");
        }
        for (error, status) in [
            (ProtocolError::OriginRefused, "403 Forbidden"),
            (ProtocolError::HandshakeTimeout, "408 Request Timeout"),
            (ProtocolError::TargetTooLong, "414 URI Too Long"),
            (ProtocolError::HeadTooLarge, "431 Request Header Fields Too Large"),
            (ProtocolError::TooManyHeaders, "431 Request Header Fields Too Large"),
            (ProtocolError::ProtocolNotOffered, "500 Internal Server Error"),
            (ProtocolError::UnsendableHead, "500 Internal Server Error"),
            (ProtocolError::HttpVersion, "505 HTTP Version Not Supported"),
        ] {
            assert!(sent(error).starts_with(&format!("HTTP/1.1 {status}\r\n")), "{status}");
            assert!(sent(error).ends_with(&format!("\r\n\r\n{status}\n")), "{status}");
        }
    }
}
