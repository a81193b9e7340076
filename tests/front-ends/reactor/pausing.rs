//! Pausing: nothing more comes, nothing is lost.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use sockeye::util::Token;
use sockeye::{CloseCode, Frame, Message, OpCode, Sender, Settings, WebSocket};

use sockeye_test_support::peer::{Ending, Peer, masked};
use sockeye_test_support::probes::{HandlerCall, HandlerCalls, Hook, Probes};
use sockeye_test_support::server::Server;
use sockeye_test_support::{LIMIT, NEVER, join};

fn text(text: &str) -> Vec<u8> {
    masked(Frame::message(text.into(), OpCode::Text, true))
}

/// Has the loop do one more round for this connection, in which it would deliver what it has.
fn go_round(peer_of: &Sender, calls: &HandlerCalls) {
    peer_of.timeout(20, Token(99)).unwrap();
    calls.find(|_, call| match call {
        HandlerCall::Message(message) => panic!("{message} came during a pause"),
        HandlerCall::Timeout(token) => (token == Token(99)).then_some(()),
        _ => None,
    });
}

#[test]
fn a_pause_stops_delivery_and_loses_no_messages() {
    const COUNT: usize = 60;
    let (server, calls) =
        Probes::listen(
            Settings::default(),
            |hook, out| if hook == Hook::Message { out.pause() } else { Ok(()) },
        );
    let mut peer = Peer::open(server.addr);
    let out = calls.opened();
    peer.send_text("pause");
    assert_eq!(calls.message(), "pause");
    // Three messages make a share of one turn, so that each pause leaves most of them unread.
    let filling = "x".repeat(24 * 1024);
    let all: Vec<u8> = (0..COUNT).flat_map(|number| text(&format!("{number} {filling}"))).collect();
    // The system does not buffer all of it.
    let mut writer = peer.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&all).unwrap());
    let mut next = 0;
    while next < COUNT {
        go_round(&out, &calls);
        out.resume().unwrap();
        let start = next;
        let mut is_next = |message: Message| {
            assert!(message.to_string().starts_with(&format!("{next} ")));
            next += 1;
        };
        // The writer may be late. After the first message, the others of its turn follow before the timeout.
        calls.find(|_, call| match call {
            HandlerCall::Message(message) => {
                is_next(message);
                Some(())
            }
            _ => None,
        });
        out.timeout(20, Token(1)).unwrap();
        calls.find(|_, call| match call {
            HandlerCall::Message(message) => {
                is_next(message);
                None
            }
            HandlerCall::Timeout(token) => (token == Token(1)).then_some(()),
            _ => None,
        });
        assert!(next - start <= 12, "{start} to {next} came in one turn");
    }
    join(writing).unwrap();
    out.resume().unwrap();
    peer.finish();
    server.stop();
}

#[test]
fn a_pause_does_not_affect_other_connections() {
    let (server, calls) = Probes::listen(Settings::default(), |hook, out| match hook {
        Hook::Message if out.connection_id() == 0 => out.pause(),
        _ => Ok(()),
    });
    let mut paused = Peer::open(server.addr);
    calls.opened();
    let mut other = Peer::open(server.addr);
    calls.opened();
    for round in 0..20 {
        paused.send_text("now and then");
        let all: Vec<u8> = (0..20).flat_map(|number| text(&format!("{round} {number}"))).collect();
        other.stream.write_all(&all).unwrap();
    }
    for round in 0..20 {
        for number in 0..20 {
            calls.find(|id, call| match call {
                HandlerCall::Message(message) if id == 1 => {
                    assert_eq!(message.to_string(), format!("{round} {number}"));
                    Some(())
                }
                _ => None,
            });
        }
    }
    drop((paused, other));
    server.stop();
}

#[test]
fn the_peer_of_a_paused_connection_is_blocked_and_no_message_is_lost() {
    let (server, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
    let mut peer = Peer::open(server.addr);
    let out = calls.opened();
    out.pause().unwrap();
    go_round(&out, &calls);
    peer.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut all: Vec<u8> = Vec::new();
    for number in 0..1000 {
        all.extend(masked(Frame::message(
            vec![u8::try_from(number % 251).unwrap(); 64 * 1024],
            OpCode::Binary,
            true,
        )));
    }
    let mut sent = 0;
    let blocked = loop {
        match peer.stream.write(&all[sent..]) {
            Ok(len) => sent += len,
            // The wait is broken off by whatever stops the process for a while.
            Err(err) if err.kind() == ErrorKind::Interrupted => {}
            Err(err) => break err,
        }
    };
    assert_eq!(blocked.kind(), ErrorKind::WouldBlock);
    assert!(sent < 32 << 20, "{sent} bytes were taken");
    go_round(&out, &calls);
    out.resume().unwrap();
    peer.stream.set_write_timeout(Some(LIMIT)).unwrap();
    peer.stream.write_all(&all[sent..]).unwrap();
    for number in 0..1000 {
        let message = calls.find(|_, call| match call {
            HandlerCall::Message(message) => Some(message.into_data()),
            _ => None,
        });
        assert_eq!(message, vec![u8::try_from(number % 251).unwrap(); 64 * 1024]);
    }
    peer.finish();
    server.stop();
}

/// A paused connection whose peer has sent a message and a Close since.
fn paused_with_goodbye() -> (Server, HandlerCalls, Sender, Peer) {
    let settings = Settings { close_timeout: NEVER, ..Settings::default() };
    let (server, calls) = Probes::listen(settings, |_, _| Ok(()));
    let mut peer = Peer::open(server.addr);
    let out = calls.opened();
    out.pause().unwrap();
    go_round(&out, &calls);
    peer.send_text("last words");
    peer.send(Frame::close(CloseCode::Normal, ""));
    peer.stream.shutdown(std::net::Shutdown::Write).unwrap();
    go_round(&out, &calls);
    (server, calls, out, peer)
}

#[test]
fn messages_before_a_close_are_delivered_after_a_pause() {
    let (server, calls, out, mut peer) = paused_with_goodbye();
    out.resume().unwrap();
    assert_eq!(calls.message(), "last words");
    assert_eq!(calls.close(), CloseCode::Normal);
    assert_eq!(peer.ending(), Ending::Close(CloseCode::Normal));
    server.stop();
}

#[test]
fn a_paused_connection_can_be_closed() {
    let (server, calls, out, mut peer) = paused_with_goodbye();
    out.close(CloseCode::Again).unwrap();
    assert_eq!(peer.ending(), Ending::Close(CloseCode::Again));
    assert_eq!(calls.close(), CloseCode::Normal);
    calls.lost();
    server.stop();
}

#[test]
fn a_loop_with_a_paused_connection_can_be_shut_down() {
    let (server, calls, _out, _peer) = paused_with_goodbye();
    server.stop();
    assert_eq!(calls.close(), CloseCode::Normal);
}

#[test]
fn a_connection_can_be_paused_before_it_opens() {
    let (server, server_ear) = Probes::listen(Settings::default(), |_, _| Ok(()));
    let (probes, calls) = Probes::new(|hook, out| match hook {
        Hook::BuildRequest => out.pause(),
        Hook::Message => out.close(CloseCode::Normal),
        _ => Ok(()),
    });
    let mut socket = WebSocket::new(probes).unwrap();
    socket.connect(server.url().parse().unwrap()).unwrap();
    let client = std::thread::spawn(move || socket.run().map(drop));
    let out = calls.opened();
    server_ear.opened().send("greeting").unwrap();
    go_round(&out, &calls);
    out.resume().unwrap();
    assert_eq!(calls.message(), "greeting");
    join(client).unwrap().unwrap();
    server.stop();
}
