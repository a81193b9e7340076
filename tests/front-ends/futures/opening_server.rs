//! The opening handshake of a server.

use sockeye::futures::{Builder, WebSocket};
use sockeye::protocol::{Config, Role, Upgrade};
use sockeye::{Request, Response};

use crate::support::{REQUEST, header, masked, now, pipe, ready};

#[test]
fn s1_s7_a_request_is_accepted_without_a_subprotocol() {
    let (end, raw) = pipe();
    raw.write(REQUEST);
    let socket = ready(Builder::new().server(end).accept()).unwrap();
    let head = raw.read_text();
    assert!(head.starts_with("HTTP/1.1 101 "));
    assert_eq!(header(&head, "Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!((header(&head, "Sec-WebSocket-Protocol"), socket.protocol()), (None, None));
    assert!(!head.contains("Content-Type"));
}

#[test]
fn s2_a_request_parsed_elsewhere_is_upgraded() {
    let request = Request::parse(REQUEST.as_bytes()).unwrap().unwrap();
    let mut upgrade = Upgrade::new(request, Config::default()).unwrap();
    upgrade.choose_protocol("wamp").unwrap();
    let (end, raw) = pipe();
    let upgrade = upgrade.with_read_ahead(masked(0x81, b"early"));
    let mut socket = WebSocket::upgraded(end, upgrade).unwrap();
    assert_eq!(socket.protocol(), Some("wamp"));
    assert_eq!(ready(socket.receive()).unwrap(), Some("early".into()));
    ready(socket.send("hi")).unwrap();
    assert_eq!(raw.read(), b"\x81\x02hi");
}

#[test]
fn s4_plain_http_on_the_same_port() {
    let (end, raw) = pipe();
    raw.write("GET /page HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut server = Builder::new().server(end);
    let request = ready(server.receive_request()).unwrap();
    assert!(!request.is_upgrade());
    raw.end();
    ready(server.respond(Response::new(200, "OK", b"a page".to_vec()))).unwrap();
    let answer = raw.read_text();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\na page"), "{answer}");
    assert!(raw.has_ended());
}

#[test]
fn s5_s6_offered_subprotocols_are_listed_and_one_is_chosen() {
    let (end, raw) = pipe();
    raw.write(REQUEST);
    let mut server = Builder::new().add_subprotocol("mqtt").add_subprotocol("wamp").server(end);
    assert_eq!(ready(server.receive_request()).unwrap().protocols().unwrap(), ["soap", "wamp"]);
    let socket = ready(server.accept()).unwrap();
    assert_eq!(socket.protocol(), Some("wamp"));
    assert_eq!(header(&raw.read_text(), "Sec-WebSocket-Protocol"), Some("wamp"));
}

#[test]
fn s6_choosing_a_subprotocol_that_is_not_offered_is_an_error() {
    let (end, raw) = pipe();
    raw.write(REQUEST);
    raw.end();
    let mut server = Builder::new().server(end);
    let mut response = Response::from_request(ready(server.receive_request()).unwrap()).unwrap();
    response.set_protocol("mqtt");
    assert!(ready(server.respond(response)).is_err());
    assert!(raw.read_text().starts_with("HTTP/1.1 500 "));
}

#[test]
fn s8_requests_without_an_upgrade_are_errors() {
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "426"),
        (REQUEST.replace("Host: example.com\r\n", ""), "400"),
        (REQUEST.replace("dGhlIHNhbXBsZSBub25jZQ==", "abcde"), "400"),
        (REQUEST.replace("HTTP/1.1", "HTTP/1.0"), "505"),
        (REQUEST.replace("Version: 13", "Version: 8"), "426"),
    ] {
        let (end, raw) = pipe();
        raw.write(&request);
        raw.end();
        assert!(ready(Builder::new().server(end).accept()).is_err(), "{request}");
        let answer = raw.read_text();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{answer}");
    }
}

#[test]
fn s9_a_request_is_rejected_with_any_status_headers_and_body() {
    let (end, raw) = pipe();
    raw.write(REQUEST);
    raw.end();
    let mut server = Builder::new().server(end);
    ready(server.receive_request()).unwrap();
    let mut response = Response::new(418, "I'm a teapot", b"short and stout".to_vec());
    response.set_header("X-Handle", "here").unwrap();
    ready(server.respond(response)).unwrap();
    let answer = raw.read_text();
    assert!(answer.starts_with("HTTP/1.1 418 I'm a teapot\r\n") && answer.ends_with("short and stout"));
    assert_eq!(header(&answer, "X-Handle"), Some("here"));
    let err = server.into_socket().unwrap_err();
    assert_eq!(err.rejected().unwrap().response().status(), 418);
}

#[test]
fn s10_s11_a_request_returns_key_path_host_and_origin() {
    let (end, raw) = pipe();
    raw.write(REQUEST);
    let mut server = Builder::new().server(end);
    let request = ready(server.receive_request()).unwrap();
    assert!(request.is_upgrade());
    assert_eq!(request.key().unwrap(), b"dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(request.resource(), "/chat?room=1");
    assert_eq!(request.header("Host"), Some(&b"example.com".to_vec()));
    assert_eq!(request.origin().unwrap(), Some("http://example.com"));
}

#[test]
fn s13_the_raw_stream_after_the_request() {
    let (end, raw) = pipe();
    raw.write("GET /tunnel HTTP/1.1\r\nHost: a\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\nbytes");
    let mut server = Builder::new().server(end);
    ready(server.receive_request()).unwrap();
    assert_eq!(server.into_inner().unwrap().1, b"bytes");
}

#[test]
fn s14_bytes_after_the_request_are_kept() {
    let (end, raw) = pipe();
    raw.write([REQUEST.as_bytes(), &masked(0x82, b"early")].concat());
    let mut socket = ready(Builder::new().server(end).accept()).unwrap();
    assert_eq!(ready(socket.receive()).unwrap(), Some(b"early".to_vec().into()));
}

#[test]
fn l6_the_size_of_a_request_head_is_limited() {
    let (end, raw) = pipe();
    raw.write(format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(20_000)));
    raw.end();
    assert!(ready(Builder::new().server(end).accept()).is_err());
    assert!(raw.read_text().starts_with("HTTP/1.1 431 "));
}

#[test]
fn nothing_is_sent_before_the_request_has_arrived() {
    let (end, raw) = pipe();
    raw.write(&REQUEST[..50]);
    let mut server = Builder::new().server(end);
    assert!(now(server.receive_request()).is_none());
    assert_eq!(raw.read(), b"");
}

#[test]
fn s2_a_connection_continues_after_an_external_handshake_in_both_roles() {
    for role in [Role::Client, Role::Server] {
        let (near, far) = crate::support::duplex();
        let mut early = sockeye::Frame::message(b"early".to_vec(), sockeye::OpCode::Text, true);
        if role == Role::Server {
            early.set_mask();
        }
        let mut read_ahead = Vec::new();
        early.format(&mut read_ahead).unwrap();
        let mut socket = Builder::new().after_handshake(near, role, &[], read_ahead).unwrap();
        let mut peer = WebSocket::after_handshake(far, !role, []).unwrap();
        assert_eq!(ready(socket.receive()).unwrap(), Some("early".into()));
        assert!(socket.request().is_none() && socket.response().is_none() && socket.protocol().is_none());
        ready(socket.send("up")).unwrap();
        assert_eq!(ready(peer.receive()).unwrap(), Some("up".into()));
        ready(peer.send("down")).unwrap();
        assert_eq!(ready(socket.receive()).unwrap(), Some("down".into()));
    }
}
