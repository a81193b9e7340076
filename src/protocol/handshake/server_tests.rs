//! Requests, and responses of programs, against §4.2 of RFC 6455.

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
    check_upgrade(&read_request(head.as_bytes(), config)?, config)
}

fn check(head: &str) -> Result<(), ProtocolError> {
    check_with(head, &Config::default())
}

#[test]
fn s4_2_1_item_1_http_1_1_and_get_are_required() {
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
fn s4_2_1_item_2_exactly_one_host_is_required() {
    assert_eq!(check(&with("Host: example.com\r\n", "")), Err(ProtocolError::MissingHost));
    assert_eq!(check(&with_headers("Host: example.com\r\n")), Err(ProtocolError::MissingHost));
    assert_eq!(check(&with("Host: example.com", "Host:")), Err(ProtocolError::MissingHost));
    assert_eq!(check(&with("Host: example.com", "Host: user@a")), Err(ProtocolError::MalformedHead));
    assert_eq!(check(&with("Host: example.com", "Host: [::1]:3012")), Ok(()));
}

#[test]
fn s4_2_1_items_3_and_4_upgrade_tokens_are_required() {
    for (from, to) in [
        ("Upgrade: websocket", "Upgrade: notwebsocket"),
        ("Upgrade: websocket", "Upgrade: websocket/13"),
        ("Upgrade: websocket\r\n", ""),
        ("Connection: Upgrade", "Connection: notupgrade"),
        ("Connection: Upgrade", "Connection: keep-alive"),
    ] {
        let request = read_request(with(from, to).as_bytes(), &Config::default()).unwrap();
        assert!(!request.is_upgrade());
        assert_eq!(check_upgrade(&request, &Config::default()), Err(ProtocolError::NotAnUpgrade));
    }
    assert_eq!(check(&with("Upgrade: websocket", "UPGRADE: h2c, WebSocket")), Ok(()));
    assert_eq!(check(&with("Connection: Upgrade", "connection: keep-alive\r\nConnection: UPGRADE")), Ok(()));
}

#[test]
fn s4_2_1_item_5_exactly_one_key_of_16_bytes_is_required() {
    assert_eq!(check(&with(KEY, "")), Err(ProtocolError::InvalidKey));
    assert_eq!(check(&with("ZQ==", "ZR==")), Err(ProtocolError::InvalidKey));
    assert_eq!(check(&with("dGhl", "")), Err(ProtocolError::InvalidKey));
    assert_eq!(check(&with_headers(KEY)), Err(ProtocolError::RepeatedHeader));
    let lenient = Config { key_strict: false, ..Config::default() };
    assert_eq!(check_with(&with("dGhl", ""), &lenient), Ok(()));
    assert_eq!(check_with(&with(KEY, ""), &lenient), Err(ProtocolError::InvalidKey));
}

#[test]
fn s4_2_1_item_6_version_13_is_required() {
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
fn s4_1_item_10_protocols_must_be_unique_tokens() {
    for list in ["", ",", "a b", "a,a", "a\r\nSec-WebSocket-Protocol: a", "a/b", "\"a\"", "a;b", "\u{e9}"] {
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
fn h9_an_upgrade_request_with_a_body_is_rejected() {
    for headers in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: x\r\n"] {
        assert_eq!(check(&with_headers(headers)), Err(ProtocolError::MalformedHead), "{headers}");
    }
    assert_eq!(check(&with_headers("Content-Length: 0\r\n")), Ok(()));
}

#[test]
fn an_http_1_0_request_needs_no_host() {
    let request = read_request(b"GET /page HTTP/1.0\r\n\r\n", &Config::default()).unwrap();
    assert!(!request.is_upgrade());
    let head = b"GET /page HTTP/1.1\r\n\r\n";
    assert_eq!(read_request(head, &Config::default()).map(drop), Err(ProtocolError::MissingHost));
}

#[test]
fn rfc9112_s3_2_forms_of_the_target_are_parsed_or_rejected() {
    let config = Config { origins: Origins::SameHost.into(), ..Config::default() };
    let of = |method: &str, target: &str| {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: other.example\r\n\r\n");
        read_request(head.as_bytes(), &config)
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
fn h2_the_target_size_limit_is_inclusive() {
    let config = Config { max_target_size: 4, ..Config::default() };
    assert_eq!(check_with(&with("/chat", "/cha"), &config), Ok(()));
    assert_eq!(check_with(&with("/chat", "/chat"), &config), Err(ProtocolError::TargetTooLong));
}

fn answered(headers: &str, change: impl FnOnce(&mut Response)) -> Result<(), ProtocolError> {
    let request = read_request(with_headers(headers).as_bytes(), &Config::default()).unwrap();
    let mut response = Response::from_request(&request).unwrap();
    change(&mut response);
    check_response(&request, &response)
}

#[test]
fn h12_the_chosen_protocol_must_be_offered() {
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
fn h12_the_chosen_extensions_must_be_offered() {
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
fn h12_an_invalid_101_response_is_not_sent() {
    let result = answered("", |response| response.set_header("Sec-WebSocket-Accept", "x").unwrap());
    assert_eq!(result, Err(ProtocolError::AcceptMismatch));
    let result = answered("", |response| response.headers_mut().clear());
    assert_eq!(result, Err(ProtocolError::UnsendableHead));
    let request = read_request(with("Upgrade: websocket\r\n", "").as_bytes(), &Config::default()).unwrap();
    let response = Response::from_request(&request).unwrap();
    assert_eq!(check_response(&request, &response), Err(ProtocolError::NotAnUpgrade));
    assert_eq!(check_response(&request, &Response::new(200, "", Vec::new())), Ok(()));
}

#[test]
fn s4_2_2_the_protocol_the_server_prefers_is_chosen() {
    let config = Config { subprotocols: ["x", "b", "a"].map(String::from).to_vec(), ..Config::default() };
    let head = with_headers("Sec-WebSocket-Protocol: a, b\r\n");
    let request = read_request(head.as_bytes(), &config).unwrap();
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
fn h5_h13_rejections_have_the_correct_status_and_a_fixed_text() {
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
        (ProtocolError::ResponseTimeout, "503 Service Unavailable"),
        (ProtocolError::HttpVersion, "505 HTTP Version Not Supported"),
    ] {
        assert!(sent(error).starts_with(&format!("HTTP/1.1 {status}\r\n")), "{status}");
        assert!(sent(error).ends_with(&format!("\r\n\r\n{status}\n")), "{status}");
    }
}
