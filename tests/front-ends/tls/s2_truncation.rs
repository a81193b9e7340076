//! S2: a truncated connection is distinguished from one that was closed.

use std::net::{Shutdown, TcpListener};
use std::thread;

use openssl::ssl::SslConnector;
use sockeye::{CloseCode, Frame, Message, OpCode, Settings};

use crate::loops::{HandlerCall, Manners, Server, echo, polite, visit};
use sockeye_test_support::authority::{Authority, Identity, Wish};
use sockeye_test_support::peer::End;
use sockeye_test_support::tls::{TlsPeer, acceptor, anyone, client_of, server_of, tcp, trusting};

fn certificate() -> (Authority, Identity) {
    let root = Authority::root("root");
    let identity = root.issue(&Wish::default());
    (root, identity)
}

fn serve() -> (Server, SslConnector) {
    let (root, identity) = certificate();
    let server =
        Server::start(echo(), Settings::default(), |socket| socket.with_server_tls(server_of(&identity)));
    (server, trusting(&root).build())
}

/// Lets our client talk to a server that the test controls.
fn with_client(manners: Manners, serve: impl FnOnce(TlsPeer) + Send + 'static) -> Vec<HandlerCall> {
    let (root, identity) = certificate();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || serve(TlsPeer::accept_tls(&listener, &acceptor(&identity))));
    let received = visit(&format!("wss://localhost:{port}"), manners, Some(client_of(&root)));
    serving.join().unwrap();
    received
}

#[test]
fn s2_a_client_that_ends_tcp_without_ending_tls_is_lost() {
    let (server, connector) = serve();
    let mut client = TlsPeer::connect_tls(server.address, &connector);
    client.send_text("hello");
    assert_eq!(client.message(), "hello");
    client.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    client.end();
    assert!(server.next().is_open());
    assert_eq!(server.next(), HandlerCall::Message("hello".into()));
    assert_eq!(server.next(), HandlerCall::Close(CloseCode::Abnormal));
    assert_eq!(server.next(), HandlerCall::Lost);
}

#[test]
fn s2_a_client_that_ends_tls_without_a_close_is_lost() {
    let (server, connector) = serve();
    let mut client = TlsPeer::connect_tls(server.address, &connector);
    client.stream.shutdown().unwrap();
    client.end();
    assert!(server.next().is_open());
    assert_eq!(server.next(), HandlerCall::Close(CloseCode::Abnormal));
    assert_eq!(server.next(), HandlerCall::Lost);
}

#[test]
fn s2_a_server_ends_tls_after_a_clean_close() {
    let (server, connector) = serve();
    let mut client = TlsPeer::connect_tls(server.address, &connector);
    assert_eq!(client.finish_tls(), End::Fin);
    assert!(server.next().is_open());
    assert_eq!(server.next(), HandlerCall::Close(CloseCode::Normal));
    client.stream.shutdown().unwrap();
    drop(client);
    assert_eq!(server.next(), HandlerCall::Lost);
}

#[test]
fn s2_a_server_ends_tls_after_a_page() {
    use std::io::{Read, Write};
    let (server, connector) = serve();
    let mut stream = connector.connect("localhost", tcp(server.address)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // The crate `openssl` reports the end of TCP alone as an end, too: the state distinguishes them.
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    assert!(stream.get_shutdown().contains(openssl::ssl::ShutdownState::RECEIVED));
}

#[test]
fn s2_a_server_that_ends_tcp_without_ending_tls_is_lost() {
    let received = with_client(Manners::default(), |mut server| {
        server.send_text("hello");
        server.stream.get_ref().shutdown(Shutdown::Write).unwrap();
        server.end();
    });
    assert!(received[0].is_open());
    let rest =
        [HandlerCall::Message("hello".into()), HandlerCall::Close(CloseCode::Abnormal), HandlerCall::Lost];
    assert_eq!(received[1..], rest);
}

#[test]
fn s2_a_truncated_message_is_not_delivered() {
    let received = with_client(Manners::default(), |mut server| {
        server.send(Frame::message(b"beginning".to_vec(), OpCode::Text, false));
        server.stream.get_ref().shutdown(Shutdown::Both).unwrap();
    });
    assert!(received[0].is_open());
    assert_eq!(received[1..], [HandlerCall::Close(CloseCode::Abnormal), HandlerCall::Lost]);
}

#[test]
fn s2_a_client_ends_tls_after_a_clean_close() {
    let received = with_client(polite(), |mut server| {
        assert_eq!(server.next_frame().unwrap().opcode(), OpCode::Close);
        server.send(Frame::close(CloseCode::Normal, ""));
        server.stream.shutdown().unwrap();
        assert_eq!(server.end(), End::Fin);
    });
    assert_eq!(received[1..], [HandlerCall::Close(CloseCode::Normal), HandlerCall::Lost]);
}

#[test]
fn s2_a_server_need_not_end_tls_after_a_clean_close() {
    let received = with_client(polite(), |mut server| {
        assert_eq!(server.next_frame().unwrap().opcode(), OpCode::Close);
        server.send(Frame::close(CloseCode::Normal, ""));
    });
    assert_eq!(received[1..], [HandlerCall::Close(CloseCode::Normal), HandlerCall::Lost]);
}

#[test]
fn s2_a_shutdown_closes_every_connection() {
    let (server, _) = serve();
    let mut clients: Vec<TlsPeer> = (0..5).map(|_| TlsPeer::connect_tls(server.address, &anyone())).collect();
    server.everyone().send(Message::text("last words")).unwrap();
    server.everyone().shutdown().unwrap();
    for client in &mut clients {
        assert_eq!(client.message(), "last words");
        let close = client.next_frame().unwrap();
        assert_eq!((close.opcode(), &close.payload()[..2]), (OpCode::Close, &1001_u16.to_be_bytes()[..]));
        client.send(Frame::close(CloseCode::Away, ""));
        assert_eq!(client.end(), End::Fin);
    }
}

#[test]
fn s2_a_close_is_received_after_the_server_stops_reading() {
    for _ in 0..10 {
        // More than the server reads: our writing meets with a reset.
        let manners = Manners { greetings: vec![vec![0; 8 << 20].into()], ..Manners::default() };
        let received =
            with_client(manners, |mut server| server.send(Frame::close(CloseCode::Size, "too much")));
        assert!(received.first().is_some_and(HandlerCall::is_open), "{received:?}");
        assert_eq!(received.get(1..), Some(&[HandlerCall::Close(CloseCode::Size), HandlerCall::Lost][..]));
    }
}
