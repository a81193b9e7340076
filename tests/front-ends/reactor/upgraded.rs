//! Connections whose opening handshake another server has made (`Sender::accept_upgraded`).

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender as Channel, channel};

use sockeye::protocol::{Config, Role, Upgrade};
use sockeye::{CloseCode, Handler, Handshake, Message, OpCode, Request, Response, Result, Sender, Settings};

use sockeye_test_support::peer::{Ending, Peer, masked};
use sockeye_test_support::server::Server;
use sockeye_test_support::{LIMIT, streams};

/// Sends how it was opened, and echoes.
struct Told {
    out: Sender,
    tx: Channel<(String, Option<String>)>,
}

impl Handler for Told {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        let protocol = shake.response.protocol()?.map(str::to_owned);
        self.tx.send((shake.request.resource().to_owned(), protocol)).ok();
        Ok(())
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.out.send(msg)
    }
}

/// A client that was accepted, and what the server knows of it.
fn welcome(config: Config) -> (Peer, TcpStream, Upgrade) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = Peer::connect(listener.local_addr().unwrap());
    let head = "GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: soap, wamp\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    let request = Request::parse(head.as_bytes()).unwrap().unwrap();
    (peer, listener.accept().unwrap().0, Upgrade::new(request, config).unwrap())
}

fn serve(settings: Settings) -> (Server, std::sync::mpsc::Receiver<(String, Option<String>)>) {
    let (tx, rx) = channel();
    (Server::start(settings, move |out| Told { out, tx: tx.clone() }), rx)
}

#[test]
fn s12_s14_an_upgraded_connection_gets_a_handler_and_bytes_read_ahead() {
    let (server, rx) = serve(Settings::default());
    let (mut peer, stream, mut upgrade) = welcome(Config::default());
    upgrade.choose_protocol("wamp").unwrap();
    // A whole frame and the beginning of another one.
    let early = masked(sockeye::Frame::message(b"early".to_vec(), OpCode::Text, true));
    let cut = masked(sockeye::Frame::message(b"cut".to_vec(), OpCode::Text, true));
    let ahead = [&early[..], &cut[..4]].concat();
    server.all.accept_upgraded(stream, upgrade.with_read_ahead(ahead)).unwrap();
    assert_eq!(rx.recv_timeout(LIMIT).unwrap(), ("/chat?room=1".into(), Some("wamp".into())));
    assert_eq!(peer.message(), "early");
    std::io::Write::write_all(&mut peer.stream, &cut[4..]).unwrap();
    assert_eq!(peer.message(), "cut");
    peer.finish();
    server.stop();
}

#[test]
fn s12_an_upgraded_connection_has_the_limits_of_the_loop() {
    let (server, _told) = serve(Settings { max_message_size: 10, ..Settings::default() });
    let (mut peer, stream, upgrade) = welcome(Config::default());
    server.all.accept_upgraded(stream, upgrade).unwrap();
    peer.send_text("ten bytes!");
    assert_eq!(peer.message(), "ten bytes!");
    peer.send_text("eleven char");
    assert_eq!(peer.ending(), Ending::Close(CloseCode::Size));
    server.stop();
}

#[test]
fn s12_an_upgraded_client_beyond_max_connections_is_closed_with_1013() {
    let (server, rx) = serve(Settings { max_connections: 1, ..Settings::default() });
    let (mut first, stream, upgrade) = welcome(Config::default());
    server.all.accept_upgraded(stream, upgrade).unwrap();
    rx.recv_timeout(LIMIT).unwrap();
    let (mut second, stream, upgrade) = welcome(Config::default());
    server.all.accept_upgraded(stream, upgrade).unwrap();
    assert_eq!(second.ending(), Ending::Close(CloseCode::Again));
    assert!(rx.try_recv().is_err(), "it never had a handler");
    first.echo("still there?");
    first.finish();
    server.stop();
}

#[test]
fn a_connection_continues_after_an_external_handshake_in_both_roles() {
    let (server, rx) = serve(Settings::default());
    for (role, of_peer) in [(Role::Server, Role::Client), (Role::Client, Role::Server)] {
        let (near, far) = streams();
        let mut peer = Peer::with_role(far, of_peer);
        let early = peer.encode(0x81, b"early");
        let request = Request::from_url(&"ws://example.com/chat".parse().unwrap()).unwrap();
        let mut response = Response::from_request(&request).unwrap();
        response.set_protocol("wamp");
        server.all.after_handshake(near, role, Handshake::new(request, response), early).unwrap();
        assert_eq!(rx.recv_timeout(LIMIT).unwrap(), ("/chat".into(), Some("wamp".into())));
        assert_eq!(peer.message(), "early");
        peer.send_text("hello");
        assert_eq!(peer.message(), "hello");
        peer.finish();
    }
    server.stop();
}

#[test]
fn a_connection_beyond_max_connections_is_closed_after_its_handshake() {
    let (server, rx) = serve(Settings { max_connections: 1, ..Settings::default() });
    let first = Peer::open(server.addr);
    rx.recv_timeout(LIMIT).unwrap();
    for (role, of_peer, code) in
        [(Role::Server, Role::Client, CloseCode::Again), (Role::Client, Role::Server, CloseCode::Away)]
    {
        let (near, far) = streams();
        let mut peer = Peer::with_role(far, of_peer);
        let request = Request::from_url(&"ws://example.com/".parse().unwrap()).unwrap();
        let response = Response::from_request(&request).unwrap();
        server.all.after_handshake(near, role, Handshake::new(request, response), []).unwrap();
        assert_eq!(peer.ending(), Ending::Close(code));
    }
    assert!(rx.try_recv().is_err(), "there was no handler");
    first.finish();
    server.stop();
}

#[cfg(feature = "permessage-deflate")]
#[test]
fn x2_an_upgraded_connection_uses_the_negotiated_compression() {
    use sockeye::Deflate;

    // The loop itself would not compress.
    let (server, _told) = serve(Settings::default());
    let deflate = Some(Deflate { threshold: 0, ..Deflate::default() });
    let (mut peer, stream, upgrade) = welcome(Config { deflate, ..Config::default() });
    assert!(upgrade.response().header("Sec-WebSocket-Extensions").is_some());
    server.all.accept_upgraded(stream, upgrade).unwrap();
    peer.send_text(&"salmon ".repeat(100));
    let frame = peer.next_frame().unwrap();
    assert!(frame.has_rsv1() && frame.payload().len() < 100);
    peer.finish();
    server.stop();
}
