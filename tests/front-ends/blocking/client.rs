//! The opening handshake of a client.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use sockeye::blocking::{Builder, Error, TimeoutKind, WebSocket};
use sockeye::protocol::{Config, ProtocolError};

use crate::{ACCEPTED, answering, error_text, listen};
use sockeye_test_support::bytes::{TEXT, frame};

#[test]
fn c1_a_client_connects_by_url_with_port_query_and_ipv6_address() {
    let (address, head) = answering(format!("{ACCEPTED}\r\n"));
    WebSocket::connect(&format!("ws://{address}/a/b?token=1&x=%20#part")).unwrap();
    let head = head.join().unwrap();
    assert_eq!(head.line, "GET /a/b?token=1&x=%20 HTTP/1.1");
    assert_eq!(head.header("Host"), Some(address.to_string().as_str()));

    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || WebSocket::accept(listener.accept().unwrap().0).unwrap());
    let socket = WebSocket::connect(&format!("ws://{address}/")).unwrap();
    assert_eq!(socket.request().unwrap().header("Host"), Some(&address.to_string().into_bytes()));
    server.join().unwrap();
}

#[cfg(unix)]
#[test]
fn c1_a_client_connects_to_a_unix_domain_socket() {
    let path = std::env::temp_dir().join(format!("sockeye-blocking-{}.sock", std::process::id()));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let mut socket = Builder::new().server(listener.accept().unwrap().0).accept().unwrap();
        assert_eq!(socket.request().unwrap().resource(), "/chat");
        socket.send("salmon").unwrap();
        socket.receive()
    });
    let mut socket = WebSocket::connect(&format!("ws+unix://{}:/chat", path.display())).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(socket.receive().unwrap(), Some("salmon".into()));
    socket.close(sockeye::CloseCode::Normal, "").unwrap();
    assert_eq!(server.join().unwrap().unwrap(), None);
}

#[test]
fn c4_c5_c6_c7_c8_headers_and_subprotocols_are_sent_and_returned() {
    let response =
        format!("{ACCEPTED}Sec-WebSocket-Protocol: chat.v1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n");
    let (address, head) = answering(response);
    let builder = Builder::new()
        .add_header("Authorization", "Bearer x")
        .unwrap()
        .add_header("User-Agent", "salmon")
        .unwrap();
    let builder = builder.add_subprotocol("chat.v2").add_subprotocol("chat.v1");
    let socket = builder.connect(&format!("ws://{address}/")).unwrap();
    assert_eq!(socket.protocol(), Some("chat.v1"));
    // Neither a second handle nor a lost first one changes what is known.
    let other = socket.try_clone().unwrap();
    drop(socket);
    assert_eq!(other.protocol(), Some("chat.v1"));
    let cookies = other.response().unwrap().headers().iter().filter(|(name, _)| name == "Set-Cookie");
    assert_eq!(cookies.count(), 2);
    drop(other);
    let head = head.join().unwrap();
    assert_eq!(head.header("Authorization"), Some("Bearer x"));
    assert_eq!(head.header("User-Agent"), Some("salmon"));
    assert_eq!(head.header("Sec-WebSocket-Protocol"), Some("chat.v2,chat.v1"));
}

#[test]
fn c4_added_headers_can_be_removed() {
    let (address, head) = answering(format!("{ACCEPTED}\r\n"));
    let builder = Builder::new().add_header("X-Token", "one").unwrap().add_header("x-token", "two").unwrap();
    let builder = builder.add_header("X-Other", "kept").unwrap().remove_header("X-TOKEN");
    let builder = builder.add_subprotocol("soap").add_subprotocol("wamp").remove_subprotocol("soap");
    let socket = builder.connect(&format!("ws://{address}/")).unwrap();
    assert_eq!(socket.protocol(), None);
    drop(socket);
    let head = head.join().unwrap();
    assert_eq!((head.header("X-Token"), head.header("X-Other")), (None, Some("kept")));
    assert_eq!(head.header("Sec-WebSocket-Protocol"), Some("wamp"));
}

#[test]
fn c5_a_header_with_a_line_break_is_rejected() {
    for (name, value) in [("X", "a\r\nInjected: yes"), ("X: y\r\nZ", "a"), ("X", "a\0")] {
        let err = Builder::new().add_header(name, value).unwrap_err();
        assert!(matches!(err, Error::Protocol(ProtocolError::UnsendableHead)), "{err}");
    }
}

#[test]
fn c9_c10_a_rejection_contains_the_status_headers_and_body() {
    for (headers, body) in [
        ("Content-Length: 9\r\n", "no entry!"),
        ("Transfer-Encoding: chunked\r\n", "3\r\nno \r\n6\r\nentry!\r\n0\r\n\r\n"),
    ] {
        let (address, _) = answering(format!("HTTP/1.1 403 Forbidden\r\nX-Why: rain\r\n{headers}\r\n{body}"));
        let err = WebSocket::connect(&format!("ws://{address}/")).unwrap_err();
        let rejected = err.rejected().unwrap();
        assert_eq!(rejected.response().status(), 403);
        assert_eq!(rejected.response().header("x-why"), Some(&b"rain".to_vec()));
        assert_eq!(rejected.response().body(), b"no entry!");
        assert_eq!(rejected.redirect(), None);
    }
    // As long as the connection goes on.
    let (address, _) = listen(|mut peer| {
        peer.head();
        peer.send(b"HTTP/1.1 500 x\r\n\r\nall of ");
        peer.send(b"it");
    });
    let err = WebSocket::connect(&format!("ws://{address}/")).unwrap_err();
    assert_eq!(err.rejected().unwrap().response().body(), b"all of it");
}

#[test]
fn c11_a_redirect_contains_its_location() {
    for status in [301, 302, 303, 307, 308] {
        let (address, _) = answering(format!(
            "HTTP/1.1 {status} \r\nLocation: wss://else.where/\r\nContent-Length: 0\r\n\r\n"
        ));
        let err = WebSocket::connect(&format!("ws://{address}/")).unwrap_err();
        let rejected = err.rejected().unwrap();
        assert_eq!((rejected.response().status(), rejected.redirect()), (status, Some("wss://else.where/")));
    }
}

#[test]
fn c12_c13_c14_invalid_responses_are_refused() {
    for (headers, why) in [
        ("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", "Sec-WebSocket-Accept"),
        ("Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n", "subprotocol"),
        ("Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Extensions: x-salmon\r\n", "extension"),
    ] {
        let (address, _) = answering(format!(
            "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{headers}\r\n"
        ));
        let error_text = error_text(WebSocket::connect(&format!("ws://{address}/")));
        assert!(error_text.contains(why), "{error_text}");
    }
}

#[test]
fn c15_bytes_after_the_response_are_kept() {
    let (address, _) = listen(|mut peer| {
        let head = peer.head();
        let accept = sockeye::protocol::handshake::accept_value(head.header("Sec-WebSocket-Key").unwrap());
        let mut bytes = format!("{}\r\n", ACCEPTED.replace("{accept}", &accept)).into_bytes();
        bytes.extend(frame(TEXT, b"early"));
        peer.send(&bytes);
        peer.rest();
    });
    let mut socket = WebSocket::connect(&format!("ws://{address}/")).unwrap();
    assert_eq!(socket.receive().unwrap(), Some("early".into()));
}

#[test]
fn c16_the_stream_is_returned_with_the_bytes_read_ahead() {
    let (mut client, mut server) = crate::pair();
    client.queue("one").unwrap();
    client.queue("two").unwrap();
    client.flush().unwrap();
    assert_eq!(server.receive().unwrap(), Some("one".into()));
    let (stream, unread) = server.into_inner().unwrap();
    // Two small frames of one write come in one read.
    assert_eq!(unread.len(), 2 + 4 + 3);
    assert!(stream.peer_addr().is_ok());
}

#[test]
fn c2_wss_without_tls_is_an_error() {
    if cfg!(any(feature = "rustls", feature = "ssl")) {
        return;
    }
    let (address, _) = listen(drop);
    assert!(error_text(WebSocket::connect(&format!("wss://{address}/"))).contains("ssl"));
}

#[test]
fn l7_the_opening_handshake_has_a_timeout() {
    let (address, server) = listen(|mut peer| {
        peer.head();
        peer.rest();
    });
    let handshake_timeout = std::time::Duration::from_millis(150);
    let builder = crate::with(Config { handshake_timeout, ..Config::default() });
    let error_text = error_text(builder.connect(&format!("ws://{address}/")));
    assert!(error_text.contains("too long"), "{error_text}");
    server.join().unwrap();
}

#[test]
fn c12_interim_responses_and_unusual_heads_are_accepted() {
    // What is too strict elsewhere: several tokens, and no reason.
    let (address, _) = answering(format!(
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{}\r\n",
        ACCEPTED
            .replace("Connection: Upgrade", "connection: keep-alive, Upgrade")
            .replace(" Switching Protocols", "")
    ));
    let socket = WebSocket::connect(&format!("ws://{address}/")).unwrap();
    assert_eq!(socket.response().unwrap().reason(), "");
}

/// An address that does not answer at all: its backlog is full.
#[cfg(target_os = "linux")]
#[test]
fn l7_connecting_has_a_timeout() {
    let full = sockeye_test_support::unresponsive::Unresponsive::new();
    let (timeout, begun) = (Duration::from_millis(150), Instant::now());
    let err =
        Builder::new().connect_timeout(timeout).connect(&format!("ws://{}/", full.address)).unwrap_err();
    assert!(matches!(err, Error::Timeout(TimeoutKind::Connect)));
    assert!(begun.elapsed() >= timeout);
}
