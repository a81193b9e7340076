//! The opening handshake of a server.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use sockeye::blocking::{Bare, Builder, Error, Result, Server, WebSocket};
use sockeye::protocol::{Config, ProtocolError, Role};
use sockeye::{Request, Response};

use crate::{Tcp, error_text, streams, with};
use sockeye_test_support::bytes::{TEXT, frame, masked, upgrade_and, upgrade_with};
use sockeye_test_support::peer::{Answer, Peer};

/// Serves one client, which sends this request, and returns what both have got.
fn serve(
    builder: &Builder,
    accept: impl FnOnce(Server<TcpStream>) -> Result<Tcp> + Send,
    request: &str,
) -> (Result<Tcp>, Option<Answer>) {
    let (ours, theirs) = streams();
    let mut peer = Peer::new(theirs);
    thread::scope(|scope| {
        let socket = scope.spawn(|| accept(builder.server(ours)));
        peer.send(request.as_bytes());
        if request.contains("Expect-101") {
            peer.opened();
            return (socket.join().unwrap(), None);
        }
        let answer = peer.answer();
        (socket.join().unwrap(), Some(answer))
    })
}

/// Answers the request with the response that a function makes.
fn answer_with(
    answer: impl FnOnce(&Request) -> sockeye::Result<Response> + Send,
) -> impl FnOnce(Server<TcpStream>) -> Result<Tcp> + Send {
    |mut server| {
        let response = answer(server.receive_request()?)?;
        server.respond(response)?;
        server.into_socket()
    }
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
    let (socket, _) = serve(&Builder::new(), answer_with(choose("wamp")), &offer);
    assert_eq!(socket.unwrap().protocol(), Some("wamp"));
    // By what the server supports, best first; and none at all.
    let builder = Builder::new().add_subprotocol("x").add_subprotocol("chat");
    let (socket, _) = serve(&builder, Server::accept, &offer);
    assert_eq!(socket.unwrap().protocol(), Some("chat"));
    let (socket, _) = serve(&Builder::new(), Server::accept, &offer);
    assert_eq!(socket.unwrap().protocol(), None);

    let offer = offer.replace("Expect-101", "Expect-500");
    let (socket, answer) = serve(&Builder::new(), answer_with(choose("bees")), &offer);
    assert!(error_text(socket).contains("was not offered"));
    assert_eq!(answer.unwrap().status(), 500);
}

#[test]
fn s8_requests_without_an_upgrade_are_errors() {
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
        let (socket, answer) = serve(&Builder::new(), Server::accept, &request);
        assert!(socket.is_err(), "{request}");
        assert_eq!(answer.unwrap().status(), status, "{request}");
    }
}

#[test]
fn s9_a_request_is_rejected_with_any_status_headers_and_body() {
    let teapot = |_: &Request| {
        let mut response = Response::new(418, "I'm a teapot", b"short and stout".to_vec());
        response.set_header("X-Handle", "here")?;
        Ok(response)
    };
    let request = upgrade_and("");
    let (socket, answer) = serve(&Builder::new(), answer_with(teapot), &request);
    let err = socket.unwrap_err();
    assert_eq!(err.rejected().unwrap().response().status(), 418);
    let answer = answer.unwrap();
    assert_eq!((answer.status(), answer.body), (418, b"short and stout".to_vec()));
    assert_eq!(answer.head.header("X-Handle"), Some("here"));

    // A response that cannot be sent is for the log of the program.
    let unsendable = |request: &Request| {
        let mut response = Response::from_request(request)?;
        response.set_reason("the password\r\nis salmon");
        Ok(response)
    };
    let (socket, answer) = serve(&Builder::new(), answer_with(unsendable), &request);
    assert!(matches!(socket, Err(Error::Protocol(ProtocolError::UnsendableHead))), "{socket:?}");
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 500);
    assert!(!String::from_utf8(answer.body).unwrap().contains("salmon"));
}

#[test]
fn s4_a_server_serves_a_page_on_the_same_port() {
    let page = |request: &Request| match request.is_upgrade() {
        true => Response::from_request(request),
        false => Ok(Response::new(200, "", b"<h1>Salmon</h1>".to_vec())),
    };
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (_, answer) = serve(&Builder::new(), answer_with(page), request);
    assert_eq!(answer.unwrap().body, b"<h1>Salmon</h1>");
    let request = upgrade_and("Expect-101: x\r\n");
    let (socket, _) = serve(&Builder::new(), answer_with(page), &request);
    assert!(socket.unwrap().is_open());
}

#[test]
fn s10_a_socket_returns_its_request() {
    let request = upgrade_and("Cookie: a=b\r\nOrigin: http://example.com\r\nExpect-101: x\r\n");
    let (socket, _) = serve(&Builder::new(), Server::accept, &request);
    let socket = socket.unwrap();
    let request = socket.request().unwrap();
    assert_eq!(request.resource(), "/chat");
    assert_eq!(request.origin().unwrap(), Some("http://example.com"));
    assert_eq!(request.header("Cookie"), Some(&b"a=b".to_vec()));
    assert_eq!(request.header("Host"), Some(&b"example.com".to_vec()));
    assert!(request.key().is_ok());
}

#[test]
fn s1_s14_any_stream_with_frames_that_arrive_with_the_request() {
    let (ours, theirs) = streams();
    let mut peer = Peer::new(theirs);
    let stream: Box<dyn ReadWrite> = Box::new(ours);
    peer.send(&[upgrade_and("").into_bytes(), masked(TEXT, b"early")].concat());
    let mut socket = Builder::new().server(Bare(stream)).accept().unwrap();
    assert_eq!(socket.receive().unwrap(), Some("early".into()));
    assert!(socket.try_clone().is_err());
    peer.opened();
    socket.send("late").unwrap();
    assert_eq!(peer.frame(), (TEXT, b"late".to_vec()));
    peer.send(&sockeye_test_support::bytes::masked_close(1000, ""));
    assert_eq!(socket.receive().unwrap(), None);
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
    let (socket, answer) = serve(&with(config.clone()), Server::accept, &long);
    assert!(error_text(socket).contains("too large"));
    assert_eq!(answer.unwrap().status(), 431);
    let (socket, answer) = serve(&with(config), Server::accept, "GET / HTTP/1.1\r\nHost: a");
    assert!(error_text(socket).contains("too long"));
    assert_eq!(answer.unwrap().status(), 408);
}

#[test]
fn s2_a_connection_continues_after_an_external_handshake_in_both_roles() {
    for role in [Role::Client, Role::Server] {
        let (ours, theirs) = streams();
        let early = if role == Role::Server { masked(TEXT, b"early") } else { frame(TEXT, b"early") };
        let mut socket = Builder::new().after_handshake(ours, role, &[], early).unwrap();
        let mut peer = WebSocket::after_handshake(theirs, !role, []).unwrap();
        assert_eq!(socket.receive().unwrap(), Some("early".into()));
        assert!(socket.request().is_none() && socket.response().is_none() && socket.protocol().is_none());
        socket.send("up").unwrap();
        assert_eq!(peer.receive().unwrap(), Some("up".into()));
        peer.send("down").unwrap();
        assert_eq!(socket.receive().unwrap(), Some("down".into()));
    }
}

#[test]
fn a_server_returns_its_stream_and_cannot_answer_before_the_request() {
    let (ours, theirs) = streams();
    let mut peer = Peer::new(theirs);
    let mut server = Builder::new().server(ours);
    assert!(matches!(server.respond(Response::new(404, "", Vec::new())), Err(Error::Closed)));
    peer.send(&[upgrade_and("").into_bytes(), masked(TEXT, b"early")].concat());
    assert_eq!(server.receive_request().unwrap().resource(), "/chat");
    let (_stream, unread) = server.into_inner().unwrap();
    assert_eq!(unread, masked(TEXT, b"early"));
}
