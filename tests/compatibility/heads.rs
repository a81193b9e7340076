//! Heads of requests and responses as values: read from bytes, looked at, changed, written.

use std::io::Cursor;

use ws::{ErrorKind, Request, Response};

const REQUEST: &[u8] = b"GET /chat?room=7 HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Extensions: permessage-foo, x-bar; a=1\r\n\
    Sec-WebSocket-Version: 13\r\nX-Forwarded-For: 192.0.2.7, 10.0.0.1\r\n\r\n";

fn request() -> Request {
    Request::parse(REQUEST).unwrap().unwrap()
}

#[test]
fn a_request_is_parsed() {
    let req = request();
    assert_eq!((req.method(), req.resource()), ("GET", "/chat?room=7"));
    assert_eq!(req.version().unwrap(), "13");
    assert_eq!(req.origin().unwrap(), Some("http://example.com"));
    assert_eq!(req.protocols().unwrap(), ["chat", "superchat"]);
    assert_eq!(req.extensions().unwrap(), ["permessage-foo", "x-bar; a=1"]);
    assert_eq!(req.header("host").unwrap(), b"server.example.com");
    assert!(req.header("X-Missing").is_none());
    assert_eq!(req.headers().len(), 9);
}

/// The pair of RFC 6455 §1.3.
#[test]
fn the_accept_value_is_derived_from_the_key() {
    assert_eq!(request().key().unwrap(), b"dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(request().hashed_key().unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let res = Response::from_request(&request()).unwrap();
    assert_eq!(res.key().unwrap(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(res.status(), 101);
}

#[test]
fn an_incomplete_head_is_none_and_a_malformed_head_is_an_error() {
    assert!(Request::parse(&REQUEST[..REQUEST.len() - 1]).unwrap().is_none());
    assert!(Request::parse(b"").unwrap().is_none());
    assert!(Request::parse(b"GET / HTTP/9.9\r\n\r\n").is_err());
    assert!(Response::parse(b"HTTP/1.1 101 Switch").unwrap().is_none());
    assert!(Response::parse(b"SMTP/1.1 101 Nope\r\n\r\n").is_err());
}

#[test]
fn missing_headers_are_protocol_errors() {
    let plain = Request::parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().unwrap();
    assert!(matches!(plain.key().unwrap_err().kind, ErrorKind::Protocol));
    assert!(matches!(plain.hashed_key().unwrap_err().kind, ErrorKind::Protocol));
    assert!(matches!(plain.version().unwrap_err().kind, ErrorKind::Protocol));
    assert!(matches!(Response::from_request(&plain).unwrap_err().kind, ErrorKind::Protocol));
    assert!(plain.origin().unwrap().is_none());
    assert!(plain.protocols().unwrap().is_empty() && plain.extensions().unwrap().is_empty());
}

#[test]
fn a_request_is_created_from_a_url() {
    let url = url::Url::parse("ws://user:secret@example.com:8080/a/b?c=d").unwrap();
    let req = Request::from_url(&url).unwrap();
    assert_eq!((req.method(), req.resource()), ("GET", "/a/b?c=d"));
    assert_eq!(req.header("Host").unwrap(), b"example.com:8080");
    assert_eq!(req.header("Authorization").unwrap(), b"Basic dXNlcjpzZWNyZXQ=");
    assert_eq!(req.version().unwrap(), "13");
    assert_eq!(req.key().unwrap().len(), 24);
    assert!(req.header("upgrade").unwrap().eq_ignore_ascii_case(b"websocket"));
}

#[test]
fn headers_can_be_changed_in_place() {
    let mut req = request();
    req.header_mut("ORIGIN").unwrap().extend_from_slice(b".org");
    req.headers_mut().push(("Cookie".into(), b"id=1".to_vec()));
    req.headers_mut().push((String::from("X-Trace"), "abc".into()));
    assert_eq!(req.origin().unwrap(), Some("http://example.com.org"));
    assert_eq!(req.header("cookie").unwrap(), b"id=1");
    req.headers_mut().retain(|(name, _)| !name.eq_ignore_ascii_case("X-Trace"));
    assert!(req.header("X-Trace").is_none());
    assert!(req.header_mut("X-Missing").is_none());
}

#[test]
fn protocols_and_extensions_are_added() {
    let mut req = Request::from_url(&"ws://localhost:1/".parse().unwrap()).unwrap();
    req.add_protocol("one");
    req.add_protocol("two");
    req.add_extension("x-one");
    req.add_extension("x-two; p");
    assert_eq!(req.protocols().unwrap(), ["one", "two"]);
    assert_eq!(req.extensions().unwrap(), ["x-one", "x-two; p"]);
}

#[test]
fn a_formatted_request_parses_to_the_same_request() {
    let mut req = Request::from_url(&"ws://localhost:1234/x?y=z".parse().unwrap()).unwrap();
    req.headers_mut().push(("X-Bytes".into(), vec![b'a', 0xe9]));
    let mut bytes = Cursor::new(Vec::new());
    req.format(&mut bytes).unwrap();
    let again = Request::parse(bytes.get_ref()).unwrap().unwrap();
    assert_eq!(again.resource(), req.resource());
    assert_eq!(again.headers(), req.headers());
    assert_eq!(again.key().unwrap(), req.key().unwrap());
}

#[test]
fn a_formatted_response_parses_to_the_same_response() {
    let mut res = Response::new(200, "OK", b"<p>hello</p>".to_vec());
    res.headers_mut().push(("Content-Type".into(), b"text/html".to_vec()));
    let mut bytes = Vec::new();
    res.format(&mut bytes).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n<p>hello</p>"), "{text}");
    let again = Response::parse(&bytes).unwrap().unwrap();
    assert_eq!((again.status(), again.reason()), (200, "OK"));
    assert!(
        again
            .headers()
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("content-length") && value == b"12")
    );
    assert_eq!(res.body(), b"<p>hello</p>");
}

#[test]
fn a_response_can_be_changed() {
    let mut res = Response::from_request(&request()).unwrap();
    res.set_protocol("chat");
    res.add_extension("x-one");
    res.add_extension("x-two");
    assert_eq!(res.protocol().unwrap(), Some("chat"));
    assert_eq!(res.extensions().unwrap(), ["x-one", "x-two"]);
    res.header_mut("sec-websocket-protocol").unwrap().extend_from_slice(b"ter");
    assert_eq!(res.protocol().unwrap(), Some("chatter"));
    res.set_status(302);
    res.set_reason(String::from("Found"));
    assert_eq!((res.status(), res.reason()), (302, "Found"));
}

#[test]
fn heads_implement_display_and_debug() {
    assert!(request().to_string().starts_with("GET /chat?room=7 HTTP/1.1\r\n"));
    let res = Response::from_request(&request()).unwrap();
    assert!(res.to_string().starts_with("HTTP/1.1 101 "));
    assert!(format!("{:?} {:?}", request(), res).contains("room=7"));
}
