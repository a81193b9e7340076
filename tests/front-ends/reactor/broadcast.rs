//! M11: messages to all connections of a loop.

use std::io::Write;
use std::net::TcpListener;

use sockeye::util::Token;
use sockeye::{Builder, CloseCode, Frame, Handler, OpCode, Result, Sender, Settings};

use sockeye_test_support::bytes::UPGRADE;
use sockeye_test_support::peer::{Ending, Peer, masked};
use sockeye_test_support::probes::{HandlerCall, Probes};
use sockeye_test_support::server::Server;
use sockeye_test_support::wait_until;

#[test]
fn a_broadcast_reaches_open_and_connecting_connections_in_both_roles() {
    let (far, far_ear) = Probes::listen(Settings::default(), |_, _| Ok(()));
    let slow_server = TcpListener::bind("127.0.0.1:0").unwrap();
    let (near, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
    let mut peers: Vec<Peer> = (0..3).map(|_| Peer::open(near.addr)).collect();
    (0..3).for_each(|_| drop(calls.opened()));
    near.all.connect(far.url().parse().unwrap()).unwrap();
    calls.opened();
    // A client whose server has not responded, and a client that has not sent its request.
    near.all.connect(format!("ws://{}", slow_server.local_addr().unwrap()).parse().unwrap()).unwrap();
    let mut late_server = Peer::accept(&slow_server);
    let mut late_peer = Peer::connect(near.addr);
    let some = [calls.made(), calls.made()];

    near.all.send("from the broadcaster").unwrap();
    some[0].broadcast("from a connection").unwrap();
    far.all.send("not from here").unwrap();

    late_peer.send(UPGRADE);
    assert!(late_peer.head().text.starts_with("HTTP/1.1 101"));
    late_server.upgrade();
    peers.extend([late_peer, late_server]);
    for peer in &mut peers {
        assert_eq!([peer.message(), peer.message()], ["from the broadcaster", "from a connection"]);
    }
    assert_eq!([far_ear.message(), far_ear.message()], ["from the broadcaster", "from a connection"]);
    // Each of them has had it once: what comes next is something else.
    near.all.ping(b"next".to_vec()).unwrap();
    for peer in &mut peers {
        assert_eq!(peer.next_frame().unwrap().payload(), b"next");
    }
    drop(peers);
    near.stop();
    far.stop();
}

/// Writes its number into everything it sends, or sends nothing.
struct Signing {
    number: u32,
}

impl Handler for Signing {
    fn on_send_frame(&mut self, mut frame: Frame) -> Result<Option<Frame>> {
        if frame.opcode() != OpCode::Binary {
            return Ok(Some(frame));
        }
        match self.number {
            0 => return Ok(None),
            1 => {}
            number => frame.payload_mut()[0] = number.to_le_bytes()[0],
        }
        Ok(Some(frame))
    }
}

#[test]
fn m11_a_handler_that_changes_its_frame_does_not_change_other_frames() {
    let server = Server::start(Settings::default(), |out: Sender| Signing { number: out.connection_id() });
    let mut peers: Vec<Peer> = (0..5).map(|_| Peer::open(server.addr)).collect();
    // Small payloads are copied, large ones are sent from where they lie.
    for len in [10, 20_000, 200_000] {
        server.all.send(vec![0xaa; len]).unwrap();
        server.all.send("end").unwrap();
        for (number, peer) in peers.iter_mut().enumerate() {
            let mut payload = Vec::new();
            loop {
                let frame = peer.next_frame().unwrap();
                if frame.opcode() == OpCode::Text {
                    break;
                }
                payload.extend(frame.into_data());
            }
            let first = if number > 1 { u8::try_from(number).unwrap() } else { 0xaa };
            assert_eq!(payload.len(), if number == 0 { 0 } else { len });
            assert_eq!(payload.first().copied().unwrap_or(first), first);
            assert!(payload.iter().skip(1).all(|byte| *byte == 0xaa));
        }
    }
    drop(peers);
    server.stop();
}

#[test]
fn messages_and_broadcasts_are_delivered_in_the_order_of_sending() {
    let server = Server::start(Settings::default(), |out: Sender| {
        move |_| {
            out.send("1")?;
            out.broadcast("2")?;
            out.broadcast("3")?;
            out.send("4")?;
            out.broadcast("5")
        }
    });
    let (mut speaker, mut listener) = (Peer::open(server.addr), Peer::open(server.addr));
    // Several messages in one piece: the second comes while what answers the first is queued.
    let said = masked(Frame::message(b"now".to_vec(), OpCode::Text, true));
    speaker.stream.write_all(&said.repeat(3)).unwrap();
    let received = |wire: &mut Peer, count: usize| (0..count).map(|_| wire.message()).collect::<String>();
    assert_eq!(received(&mut speaker, 15), "123451234512345");
    assert_eq!(received(&mut listener, 9), "235235235");
    drop((speaker, listener));
    server.stop();
}

#[test]
fn a_close_and_a_timeout_of_a_broadcaster_reach_every_connection() {
    let (server, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
    let mut peers: Vec<Peer> = (0..5).map(|_| Peer::open(server.addr)).collect();
    (0..5).for_each(|_| drop(calls.opened()));
    server.all.timeout(5, Token(3)).unwrap();
    let mut received = [false; 5];
    while received.contains(&false) {
        if let (id, HandlerCall::Timeout(Token(3))) = calls.next() {
            received[id as usize] = true;
        }
    }
    server.all.close_with_reason(CloseCode::Restart, "back soon").unwrap();
    for peer in &mut peers {
        assert_eq!(peer.ending(), Ending::Close(CloseCode::Restart));
    }
    drop(peers);
    (0..5).for_each(|_| assert!(calls.lost() < 5));
    server.stop();
}

#[test]
fn m1_broadcasts_count_towards_the_limit_of_a_connecting_client() {
    // That address neither accepts nor refuses.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (probes, calls) = Probes::quiet();
    let settings = Settings { max_buffered: 100, ..Settings::default() };
    let mut socket = Builder::new().with_settings(settings).build(probes).unwrap();
    socket.connect(format!("ws://{}", silent.local_addr().unwrap()).parse().unwrap()).unwrap();
    let all = socket.broadcaster();
    (0..3).for_each(|_| all.send("sixty bytes".repeat(6)).unwrap());
    socket.run().unwrap();
    let made = calls.made();
    assert!(matches!(calls.error(), sockeye::ErrorKind::Capacity));
    assert!(!made.is_open());
    wait_until("its end", || calls.rest().iter().any(|(_, call)| matches!(call, HandlerCall::Lost)));
}
