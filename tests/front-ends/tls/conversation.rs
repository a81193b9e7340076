//! Ordinary conversations over TLS: large, many, and from everyone to everyone.

use std::thread;

use sockeye::{CloseCode, Frame, Message, OpCode, Settings};

use crate::loops::{HandlerCall, Manners, PATIENCE, Server, build, echo, visit};
use sockeye_test_support::authority::{Authority, Wish};
use sockeye_test_support::bytes::UPGRADE;
use sockeye_test_support::peer::End;
use sockeye_test_support::tls::{TlsPeer, anyone, client_of_anyone, server_of, tcp};

fn serve(settings: Settings) -> Server {
    let identity = Authority::root("root").issue(&Wish::default());
    Server::start(echo(), settings, |socket| socket.with_server_tls(server_of(&identity)))
}

fn url(server: &Server) -> String {
    format!("wss://127.0.0.1:{}/", server.address.port())
}

/// Has our client send messages, and compares what comes back.
fn exchange(settings: Settings, messages: Vec<Message>) {
    let server = serve(settings);
    let manners =
        Manners { greetings: messages.clone(), closes_after: Some(messages.len()), ..Manners::default() };
    let (mut socket, received) = build(manners, settings);
    socket = socket.with_client_tls(anyone());
    socket.connect(url(&server).parse().unwrap()).unwrap();
    drop(socket.run().unwrap());
    let received: Vec<HandlerCall> = received.iter().collect();
    assert!(received[0].is_open(), "{:?}", received[0]);
    assert_eq!(received.len(), messages.len() + 3);
    assert!(
        received[1..]
            .iter()
            .zip(&messages)
            .all(|(received, sent)| *received == HandlerCall::Message(sent.clone()))
    );
    assert_eq!(received[messages.len() + 1..], [HandlerCall::Close(CloseCode::Normal), HandlerCall::Lost]);
}

#[test]
fn messages_of_16_mib_are_echoed() {
    let settings = Settings { max_buffered: 64 << 20, ..Settings::default() };
    let data: Vec<u8> =
        (0..16 << 20).map(|at: u32| at.to_le_bytes()[usize::from(at.is_multiple_of(3))]).collect();
    exchange(settings, vec![Message::binary(data.clone()), Message::binary(data)]);
    exchange(Settings { fragment_size: 16 << 20, ..settings }, vec![Message::binary(vec![9; 16 << 20])]);
}

#[test]
fn many_small_messages_are_echoed_in_order() {
    exchange(
        Settings::default(),
        (0..5_000).map(|number| Message::text(format!("number {number}"))).collect(),
    );
    let fragments = Settings { fragment_size: 3, ..Settings::default() };
    exchange(fragments, (0..500).map(|number| Message::text(format!("number {number}"))).collect());
}

#[test]
fn a_broadcast_reaches_every_connection() {
    let server = serve(Settings::default());
    let mut clients: Vec<TlsPeer> =
        (0..20).map(|_| TlsPeer::connect_tls(server.address, &anyone())).collect();
    let large = "x".repeat(100_000);
    for text in ["hello", &large] {
        server.everyone().send(text).unwrap();
        for client in &mut clients {
            let mut whole = Vec::new();
            while whole.len() < text.len() {
                whole.extend(client.next_frame().unwrap().into_data());
            }
            assert_eq!(whole, text.as_bytes());
        }
    }
    for client in &mut clients {
        client.send(Frame::ping(b"are you there".to_vec()));
        assert_eq!(client.next_frame().unwrap().opcode(), OpCode::Pong);
        assert_eq!(client.finish_tls(), End::Fin);
    }
}

#[test]
fn a_client_beyond_max_connections_receives_503_over_tls() {
    let server = serve(Settings { max_connections: 1, ..Settings::default() });
    let _first = TlsPeer::connect_tls(server.address, &anyone());
    let mut second = TlsPeer::encrypted(anyone().connect("localhost", tcp(server.address)).unwrap());
    second.send(UPGRADE);
    assert_eq!(second.head().status(), 503);
}

#[test]
fn a_plain_and_an_encrypted_client_share_a_loop() {
    let plain = Server::start(echo(), Settings::default(), |socket| socket);
    let encrypted = serve(Settings::default());
    let (mut socket, received) =
        build(Manners { closes_after: Some(0), ..Manners::default() }, Settings::default());
    socket = socket.with_client_tls(anyone());
    socket.connect(format!("ws://127.0.0.1:{}", plain.address.port()).parse().unwrap()).unwrap();
    socket.connect(url(&encrypted).parse().unwrap()).unwrap();
    drop(socket.run().unwrap());
    let mut versions: Vec<&str> = received
        .iter()
        .filter_map(|received| match received {
            HandlerCall::Open { version, .. } => Some(version),
            _ => None,
        })
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, ["TLSv1.3", "none"]);
}

#[test]
fn slots_are_reused_by_later_connections() {
    let server = serve(Settings { max_connections: 8, ..Settings::default() });
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let url = url(&server);
            thread::spawn(move || {
                for _ in 0..25 {
                    let manners = Manners { closes_after: Some(0), ..Manners::default() };
                    let received = visit(&url, manners, Some(client_of_anyone()));
                    assert!(received[0].is_open() && received.len() == 3, "{received:?}");
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    let mut counts = [0; 3];
    while counts[2] < 100 {
        match server.received.recv_timeout(PATIENCE).unwrap() {
            HandlerCall::Open { .. } => counts[0] += 1,
            HandlerCall::Close(code) => {
                assert_eq!(code, CloseCode::Normal);
                counts[1] += 1;
            }
            HandlerCall::Lost => counts[2] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(counts, [100, 100, 100]);
    server.assert_idle();
}
