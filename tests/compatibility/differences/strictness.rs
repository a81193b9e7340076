//! Strict by default, no panic because of anybody's mistake, no details for the peer.

use std::net::TcpListener;
use std::thread;

use ws::{
    Error, ErrorKind, Frame, Handler, Handshake, Message, OpCode, Request, Response, Result, Sender,
    Settings, connect,
};

use crate::support::{Peer, Server, guarded, join, unmasked, upgrade_request};

fn echo() -> Server {
    Server::run(|| |out: Sender| move |msg| out.send(msg))
}

/// What a server answers to a request.
fn answer(server: &Server, request: &str) -> String {
    let mut peer = Peer::connect(server.addr);
    peer.send(request.as_bytes());
    peer.head().text
}

#[test]
fn some_defaults_differ_from_ws() {
    let settings = Settings::default();
    assert!(settings.masking_strict && settings.key_strict && settings.method_strict && settings.tcp_nodelay);
    assert!(!settings.panic_on_internal && !settings.shutdown_on_interrupt);
    assert_eq!(settings.max_connections, 10_000);
    let lenient = Settings::lenient();
    assert!(!lenient.masking_strict && !lenient.key_strict && !lenient.method_strict);
}

#[test]
fn an_unmasked_frame_is_closed_with_1002() {
    guarded(|| {
        let server = echo();
        let mut peer = Peer::open(server.addr);
        peer.send(&unmasked(Frame::message(b"bare".to_vec(), OpCode::Text, true)));
        assert_eq!(peer.close_code(), Some(1002));
        drop(peer);
        server.stop();
    });
}

#[test]
fn an_incomplete_upgrade_request_is_rejected() {
    guarded(|| {
        let server = echo();
        let good = upgrade_request(server.addr, "GET");
        assert!(answer(&server, &good).starts_with("HTTP/1.1 101 "));
        for (request, status) in [
            (upgrade_request(server.addr, "POST"), "405 "),
            (good.replace("Version: 13", "Version: 8"), "426 "),
            (good.replace("dGhlIHNhbXBsZSBub25jZQ==", "abc"), "400 "),
            (good.replace("Host: ", "X-Host: "), "400 "),
        ] {
            let head = answer(&server, &request);
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{request}{head}");
        }
        server.stop();
    });
}

/// `ws` answers 400. RFC 9110 §15.5.22 has a status for this.
#[test]
fn a_plain_get_request_is_rejected_with_426() {
    guarded(|| {
        let server = echo();
        let head = answer(&server, &format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.addr));
        assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
        assert!(head.to_ascii_lowercase().contains("\r\nupgrade: websocket\r\n"), "{head}");
        server.stop();
    });
}

#[test]
fn lenient_settings_accept_the_requests_and_frames_of_ws() {
    guarded(|| {
        let server = Server::run_with(Settings::lenient(), || |out: Sender| move |msg| out.send(msg));
        let request = upgrade_request(server.addr, "POST").replace("dGhlIHNhbXBsZSBub25jZQ==", "abc");
        let mut peer = Peer::connect(server.addr);
        peer.send(request.as_bytes());
        assert!(peer.head().text.starts_with("HTTP/1.1 101 "));
        peer.send(&unmasked(Frame::message(b"bare".to_vec(), OpCode::Text, true)));
        assert_eq!(peer.next_frame().unwrap().into_data(), b"bare");
        drop(peer);
        server.stop();
    });
}

struct NeverOpen<'a> {
    errors: &'a mut usize,
}

impl Handler for NeverOpen<'_> {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        panic!("the server has not proved that it is one");
    }

    fn on_error(&mut self, _: Error) {
        *self.errors += 1;
    }
}

#[test]
fn a_client_verifies_the_accept_value() {
    guarded(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let mut peer = Peer::new(listener.accept().unwrap().0);
            peer.head();
            peer.send(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            );
            // Until the client has gone.
            peer.rest_text();
        });
        let mut errors = 0;
        {
            let mut place = Some(&mut errors);
            assert!(connect(url, |_| NeverOpen { errors: place.take().unwrap() }).is_err());
        }
        assert_eq!(errors, 1);
        join(server);
    });
}

/// Fails at every opportunity, and talks too much about it.
struct Blunt;

impl Handler for Blunt {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        match req.resource() {
            "/" => Response::from_request(req),
            _ => Err(Error::new(ErrorKind::Protocol, "password")),
        }
    }

    fn on_message(&mut self, _: Message) -> Result<()> {
        Err(Error::new(ErrorKind::Internal, "password"))
    }

    fn on_error(&mut self, err: Error) {
        assert_eq!(err.details, "password");
    }
}

#[test]
fn an_internal_error_closes_one_connection_without_sending_details() {
    guarded(|| {
        let server = Server::run(|| |_| Blunt);
        for _ in 0..2 {
            let mut peer = Peer::connect(server.addr);
            peer.send(upgrade_request(server.addr, "GET").as_bytes());
            peer.opened();
            peer.send(Frame::message(b"x".to_vec(), OpCode::Text, true));
            let close = peer.next_frame().unwrap();
            assert_eq!(close.payload()[..2], 1011_u16.to_be_bytes());
            assert!(!String::from_utf8_lossy(close.payload()).contains("password"));
        }
        let mut peer = Peer::connect(server.addr);
        peer.send(upgrade_request(server.addr, "GET").replace("GET / ", "GET /x ").as_bytes());
        let answer = peer.rest_text();
        assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.contains("password"), "{answer}");
        drop(peer);
        server.stop();
    });
}
