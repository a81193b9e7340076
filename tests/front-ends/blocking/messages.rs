//! Sending and receiving.

use std::thread;
use std::time::Duration;

use sockeye::blocking::{Error, ReplyMode};
use sockeye::protocol::{Config, State};
use sockeye::{CloseCode, Frame, Message, OpCode};

use crate::{error_text, pair, served};
use sockeye_test_support::bytes::{
    BINARY, CLOSE, CONTINUATION, LAST, PING, PONG, TEXT, TEXT_START, masked, masked_close,
};

#[test]
fn m1_m2_m22_owned_and_borrowed_text_and_binary_messages_are_sent() {
    let (mut client, mut server) = pair();
    client.send("text").unwrap();
    client.send(String::from("owned")).unwrap();
    client.send(&b"bytes"[..]).unwrap();
    client.send(vec![1, 2, 3]).unwrap();
    assert_eq!(server.receive().unwrap(), Some(Message::text("text")));
    assert_eq!(server.receive().unwrap(), Some(Message::text("owned")));
    assert_eq!(server.receive().unwrap(), Some(Message::binary(&b"bytes"[..])));
    assert_eq!(server.receive().unwrap(), Some(Message::binary(vec![1, 2, 3])));
}

#[test]
fn m3_m15_single_frames_are_sent_and_received() {
    let (mut client, mut server) = pair();
    client.send_frame(Frame::message(b"sal".to_vec(), OpCode::Text, false)).unwrap();
    client.ping("between").unwrap();
    client.send_frame(Frame::message(b"mon".to_vec(), OpCode::Continue, true)).unwrap();
    client.pong("").unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let frame = server.receive_frame().unwrap().unwrap();
        seen.push((frame.opcode(), frame.is_final(), frame.into_data()));
    }
    assert_eq!(
        seen,
        [
            (OpCode::Text, false, b"sal".to_vec()),
            (OpCode::Ping, true, b"between".to_vec()),
            (OpCode::Continue, true, b"mon".to_vec()),
            (OpCode::Pong, true, Vec::new()),
        ]
    );
    // What was looked at was answered all the same.
    assert_eq!(client.receive_frame().unwrap().unwrap().into_data(), b"between");
    // And a message after frames is whole.
    client.send("whole").unwrap();
    assert_eq!(server.receive().unwrap(), Some("whole".into()));
}

#[test]
fn m4_m5_m17_m19_pings_and_pongs_are_sent_and_received() {
    let (mut socket, mut peer) = served(Config::default());
    socket.ping("are you there?").unwrap();
    assert_eq!(peer.frame(), (PING, b"are you there?".to_vec()));
    socket.pong("I am").unwrap();
    assert_eq!(peer.frame(), (PONG, b"I am".to_vec()));
    peer.send(&[masked(PONG, b"echo"), masked(PING, b"and you?"), masked(TEXT, b"x")].concat());
    assert_eq!(socket.receive_frame().unwrap().unwrap().opcode(), OpCode::Pong);
    assert_eq!(socket.receive().unwrap(), Some("x".into()));
    assert_eq!(peer.frame(), (PONG, b"and you?".to_vec()));
}

#[test]
fn m6_control_payloads_over_125_bytes_are_errors() {
    let (mut client, _server) = pair();
    assert!(client.ping(vec![0; 125]).is_ok());
    assert!(error_text(client.ping(vec![0; 126])).contains("must not be sent"));
    assert!(error_text(client.pong(vec![0; 126])).contains("must not be sent"));
    assert!(client.close(CloseCode::Normal, &"x".repeat(124)).is_err());
    assert!(client.close(CloseCode::Abnormal, "").is_err());
    // Nothing of that was sent to the peer.
    assert!(client.is_open());
}

#[test]
fn m7_a_flush_sends_queued_messages() {
    let (mut socket, mut peer) = served(Config::default());
    for at in 0..100 {
        socket.queue(at.to_string()).unwrap();
    }
    assert!(!peer.receives_within(Duration::from_millis(30)));
    socket.flush().unwrap();
    for at in 0..100 {
        assert_eq!(peer.frame(), (TEXT, at.to_string().into_bytes()));
    }
    // More than a little does not wait.
    socket.queue(vec![7; 100_000]).unwrap();
    assert_eq!(peer.frame().0, BINARY);
}

#[test]
fn m8_m9_m10_m20_m25_closes_with_and_without_a_code_are_clean() {
    for (code, reason) in [(CloseCode::Other(4000), "why"), (CloseCode::Status, "")] {
        let (mut client, mut server) = pair();
        thread::scope(|scope| {
            let served = scope.spawn(move || {
                assert_eq!(server.receive().unwrap(), None);
                server.closed().unwrap()
            });
            let closed = client.close(code, reason).unwrap();
            assert_eq!((closed.code, closed.was_clean), (code, true));
            let seen = served.join().unwrap();
            assert_eq!((seen.code, seen.reason.as_str(), seen.was_clean), (code, reason, true));
        });
    }
}

#[test]
fn m10_l7_close_waits_for_the_reply_until_the_close_timeout() {
    let close_timeout = Duration::from_millis(200);
    let (mut socket, mut peer) = served(Config { close_timeout, ..Config::default() });
    let begun = std::time::Instant::now();
    // That it was not answered is no error: the connection has ended.
    let closed = socket.close(CloseCode::Normal, "").unwrap();
    assert_eq!((closed.code, closed.was_clean), (CloseCode::Abnormal, false));
    assert!(begun.elapsed() >= close_timeout);
    assert!(!socket.closed().unwrap().was_clean);
    peer.expect_close(1000);
    // And TCP has ended.
    assert!(peer.rest().0.is_empty());
}

#[test]
fn m11_abort_ends_the_connection_without_a_close() {
    let (client, mut server) = pair();
    client.abort();
    assert!(server.receive().is_err());
    assert_eq!(server.closed().unwrap().code, CloseCode::Abnormal);
}

#[test]
fn m13_m27_sending_on_a_closed_connection_is_an_error() {
    let (mut socket, mut peer) = served(Config::default());
    assert!(socket.is_open() && socket.closed().is_none());
    assert_eq!(socket.state(), State::Open);
    peer.send(&masked_close(1001, "bye"));
    peer.end_writing();
    assert_eq!(socket.receive().unwrap(), None);
    assert!(!socket.is_open());
    assert_eq!(socket.state(), State::Closed);
    assert!(matches!(socket.send("late"), Err(Error::Closed)));
    assert!(matches!(socket.queue("late"), Err(Error::Closed)));
    assert!(matches!(socket.ping("late"), Err(Error::Closed)));
    assert_eq!(socket.receive().unwrap(), None);
    peer.expect_failure(1001);
}

#[test]
fn m14_m21_whole_messages_also_in_a_buffer_of_the_program() {
    let (mut socket, mut peer) = served(Config::default());
    peer.send(
        &[masked(TEXT_START, b"sa"), masked(CONTINUATION, b"l"), masked(LAST, b"mon"), masked(BINARY, b"!")]
            .concat(),
    );
    let mut buffer = b"one ".to_vec();
    assert_eq!(socket.receive_into(&mut buffer).unwrap(), Some(OpCode::Text));
    assert_eq!(buffer, b"one salmon");
    assert_eq!(socket.receive_into(&mut buffer).unwrap(), Some(OpCode::Binary));
    assert_eq!(buffer, b"one salmon!");
    peer.end_writing();
    assert!(socket.receive_into(&mut buffer).is_err());
    assert_eq!(buffer, b"one salmon!");
}

#[test]
fn m16_nothing_is_answered_in_manual_mode() {
    let (mut socket, mut peer) = served(Config::default());
    socket.set_reply_mode(ReplyMode::Manual);
    peer.send(&[masked(PING, b"?"), masked_close(1000, "bye")].concat());
    let ping = socket.receive_frame().unwrap().unwrap();
    assert_eq!((ping.opcode(), ping.payload().as_slice()), (OpCode::Ping, &b"?"[..]));
    let close = socket.receive_frame().unwrap().unwrap();
    assert_eq!(close.opcode(), OpCode::Close);
    assert!(!peer.receives_within(Duration::from_millis(30)));
    // The program's turn, in its own order.
    socket.pong("?").unwrap();
    socket.send("last words").unwrap();
    peer.end_writing();
    let closed = socket.close(CloseCode::Other(3000), "mine").unwrap();
    assert_eq!(closed.reason, "bye");
    assert_eq!(peer.frame(), (PONG, b"?".to_vec()));
    assert_eq!(peer.frame(), (TEXT, b"last words".to_vec()));
    assert_eq!(peer.frame(), (CLOSE, sockeye_test_support::bytes::close_payload(3000, "mine")));
}

#[test]
fn m16_messages_are_received_in_manual_mode() {
    let (mut socket, mut peer) = served(Config::default());
    socket.set_reply_mode(ReplyMode::Manual);
    peer.send(&[masked(TEXT_START, b"sal"), masked(PING, b"?"), masked(LAST, b"mon")].concat());
    assert_eq!(socket.receive().unwrap(), Some("salmon".into()));
    // But for violations: there is only one answer to those.
    peer.send(&masked(LAST, b"lone"));
    let reading = thread::spawn(move || socket.receive().is_err());
    assert_eq!(peer.frame(), (CLOSE, sockeye_test_support::bytes::close_payload(1002, "")));
    peer.end_writing();
    assert!(reading.join().unwrap());
}

#[test]
fn m18_receive_replies_to_a_close_immediately() {
    let (mut socket, mut peer) = served(Config::default());
    peer.send(&masked(CLOSE, b""));
    let reading = thread::spawn(move || socket.receive().unwrap());
    // At once: neither more data nor the end of TCP is waited for.
    assert_eq!(peer.frame(), (CLOSE, Vec::new()));
    assert!(peer.rest().0.is_empty());
    assert_eq!(reading.join().unwrap(), None);
}
