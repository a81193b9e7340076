//! The opening handshake of a server.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use sockeye::blocking::{Bare, Builder, WebSocket};
use sockeye::protocol::Config;
use sockeye::protocol::handshake::Rejected;
use sockeye::{Error, ErrorKind, Request, Response, Result};

use crate::{Tcp, said, streams, with};
use sockeye_test_support::bytes::{TEXT, masked, upgrade_and, upgrade_with};
use sockeye_test_support::peer::{Answer, Peer};

/// Serves one client, which says this, and returns what both have got.
fn serve(
    accept: impl FnOnce(TcpStream) -> Result<Tcp> + Send,
    request: &str,
) -> (Result<Tcp>, Option<Answer>) {
    let (ours, theirs) = streams();
    let mut peer = Peer::new(theirs);
    thread::scope(|scope| {
        let socket = scope.spawn(|| accept(ours));
        peer.send(request.as_bytes());
        if request.contains("Expect-101") {
            peer.opened();
            return (socket.join().unwrap(), None);
        }
        let answer = peer.answer();
        (socket.join().unwrap(), Some(answer))
    })
}

#[test]
fn s5_s6_s7_subprotocols_are_listed_and_chosen() {
    let offer = upgrade_and(
        "Sec-WebSocket-Protocol: soap, wamp\r\nSec-WebSocket-Protocol: chat\r\nExpect-101: x\r\n",
    );
    let choose = |wanted: &'static str| {
        move |request: &Request| {
            assert_eq!(request.protocols()?, ["soap", "wamp", "chat"]);
            let mut response = Response::from_request(request)?;
            response.set_protocol(wanted);
            Ok(response)
        }
    };
    let (socket, _) = serve(|stream| Builder::new().accept_with(stream, choose("wamp")), &offer);
    assert_eq!(socket.unwrap().protocol(), Some("wamp"));
    // By what the server supports, best first; and none at all.
    let (socket, _) =
        serve(|stream| Builder::new().add_subprotocol("x").add_subprotocol("chat").accept(stream), &offer);
    assert_eq!(socket.unwrap().protocol(), Some("chat"));
    let (socket, _) = serve(WebSocket::accept, &offer);
    assert_eq!(socket.unwrap().protocol(), None);

    let offer = offer.replace("Expect-101", "Expect-500");
    let (socket, answer) = serve(|stream| Builder::new().accept_with(stream, choose("bees")), &offer);
    assert!(said(socket).contains("was not offered"));
    assert_eq!(answer.unwrap().status(), 500);
}

#[test]
fn s8_what_is_no_upgrade_is_an_error() {
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 426),
        (upgrade_with("Host: example.com\r\n", ""), 400),
        (upgrade_with("HTTP/1.1", "HTTP/1.0"), 505),
        (upgrade_with("GET", "POST"), 405),
        (upgrade_with("dGhlIHNhbXBsZSBub25jZQ==", "abcde"), 400),
        (upgrade_with("Version: 13", "Version: 8"), 426),
        (upgrade_with("Upgrade: websocket", "Upgrade: notwebsocket"), 426),
        (upgrade_with("Connection: Upgrade", "Connection: noupgrade"), 426),
    ] {
        let (socket, answer) = serve(WebSocket::accept, &request);
        assert!(socket.is_err(), "{request}");
        assert_eq!(answer.unwrap().status(), status, "{request}");
    }
}

#[test]
fn s9_any_status_with_headers_and_body() {
    let teapot = |_: &Request| {
        let mut response = Response::new(418, "I'm a teapot", b"short and stout".to_vec());
        response.set_header("X-Handle", "here")?;
        Ok(response)
    };
    let request = upgrade_and("");
    let (socket, answer) = serve(|stream| Builder::new().accept_with(stream, teapot), &request);
    let err = socket.unwrap_err();
    assert_eq!(Rejected::of(&err).unwrap().response().status(), 418);
    let answer = answer.unwrap();
    assert_eq!((answer.status(), answer.body), (418, b"short and stout".to_vec()));
    assert_eq!(answer.head.header("X-Handle"), Some("here"));

    // The error of the program is for its own log.
    let fail = |_: &Request| Err(Error::new(ErrorKind::Internal, "the password is salmon"));
    let (socket, answer) = serve(|stream| Builder::new().accept_with(stream, fail), &request);
    assert!(said(socket).contains("salmon"));
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 500);
    assert!(!String::from_utf8(answer.body).unwrap().contains("salmon"));
}

#[test]
fn s4_a_page_on_the_same_port() {
    let page = |request: &Request| match request.is_upgrade() {
        true => Response::from_request(request),
        false => Ok(Response::new(200, "", b"<h1>Salmon</h1>".to_vec())),
    };
    let (_, answer) =
        serve(|stream| Builder::new().accept_with(stream, page), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.unwrap().body, b"<h1>Salmon</h1>");
    let (socket, _) =
        serve(|stream| Builder::new().accept_with(stream, page), &upgrade_and("Expect-101: x\r\n"));
    assert!(socket.unwrap().is_open());
}

#[test]
fn s10_the_request_can_be_read() {
    let request = upgrade_and("Cookie: a=b\r\nOrigin: http://example.com\r\nExpect-101: x\r\n");
    let (socket, _) = serve(WebSocket::accept, &request);
    let socket = socket.unwrap();
    let request = socket.request();
    assert_eq!(request.resource(), "/chat");
    assert_eq!(request.origin().unwrap(), Some("http://example.com"));
    assert_eq!(request.header("Cookie"), Some(&b"a=b".to_vec()));
    assert_eq!(request.header("Host"), Some(&b"example.com".to_vec()));
    assert!(request.key().is_ok());
}

#[test]
fn s1_s14_over_whatever_reads_and_writes_with_frames_sent_along() {
    let (ours, theirs) = streams();
    let mut peer = Peer::new(theirs);
    let stream: Box<dyn ReadWrite> = Box::new(ours);
    peer.send(&[upgrade_and("").into_bytes(), masked(TEXT, b"early")].concat());
    let mut socket = WebSocket::accept(Bare(stream)).unwrap();
    assert_eq!(socket.read().unwrap(), Some("early".into()));
    assert!(socket.try_clone().is_err());
    peer.opened();
    socket.send("late").unwrap();
    assert_eq!(peer.frame(), (TEXT, b"late".to_vec()));
    peer.send(&sockeye_test_support::bytes::masked_close(1000, ""));
    assert_eq!(socket.read().unwrap(), None);
    assert!(socket.closed().unwrap().was_clean);
    drop(socket);
    peer.expect_close(1000);
}

trait ReadWrite: std::io::Read + std::io::Write + Send {}

impl<T: std::io::Read + std::io::Write + Send> ReadWrite for T {}

#[test]
fn l6_l7_heads_are_limited_in_size_and_time() {
    let config =
        Config { max_head_size: 512, handshake_timeout: Duration::from_millis(200), ..Config::default() };
    let long = upgrade_and(&format!("X: {}\r\n", "y".repeat(600)));
    let (socket, answer) = serve(|stream| with(config.clone()).accept(stream), &long);
    assert!(said(socket).contains("too large"));
    assert_eq!(answer.unwrap().status(), 431);
    let (socket, answer) = serve(|stream| with(config).accept(stream), "GET / HTTP/1.1\r\nHost: a");
    assert!(said(socket).contains("too long"));
    assert_eq!(answer.unwrap().status(), 408);
}
