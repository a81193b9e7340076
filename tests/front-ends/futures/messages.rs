//! Sending, receiving and closing.

use sockeye::futures::{Builder, Error, ReplyMode, WebSocket};
use sockeye::protocol::{Event, State};
use sockeye::{CloseCode, Closed, Frame, Message, OpCode};

use crate::support::{close_payload, frame, masked, now, open_client, open_server, ready};

fn clean(code: CloseCode, reason: &str) -> Closed {
    Closed { code, reason: reason.to_owned(), was_clean: true }
}

#[test]
fn m1_m22_text_and_binary_are_distinguished() {
    let (mut socket, raw) = open_server(&Builder::new());
    ready(socket.send("text")).unwrap();
    ready(socket.send(vec![1, 2])).unwrap();
    assert_eq!(raw.read(), b"\x81\x04text\x82\x02\x01\x02");
    raw.write([masked(0x81, b"a"), masked(0x82, b"b")].concat());
    assert_eq!(ready(socket.receive()).unwrap(), Some(Message::text("a")));
    assert_eq!(ready(socket.receive()).unwrap(), Some(Message::binary(*b"b")));
}

#[test]
fn m3_a_fragmented_message_is_sent_as_frames() {
    let (mut socket, raw) = open_server(&Builder::new());
    ready(socket.send_frame(Frame::message(b"a".to_vec(), OpCode::Text, false))).unwrap();
    ready(socket.send_frame(Frame::message(b"b".to_vec(), OpCode::Continue, true))).unwrap();
    assert_eq!(raw.read(), b"\x01\x01a\x80\x01b");
}

#[test]
fn m4_m5_pings_and_unsolicited_pongs_are_sent() {
    let (mut socket, raw) = open_server(&Builder::new());
    ready(socket.ping("p")).unwrap();
    ready(socket.pong("q")).unwrap();
    assert_eq!(raw.read(), b"\x89\x01p\x8a\x01q");
}

#[test]
fn m6_control_payloads_over_125_bytes_are_errors() {
    let (mut socket, raw) = open_server(&Builder::new());
    assert!(ready(socket.ping(vec![0; 126])).is_err());
    assert!(ready(socket.pong(vec![0; 126])).is_err());
    assert!(ready(socket.close(CloseCode::Normal, &"x".repeat(124))).is_err());
    assert!(ready(socket.close(CloseCode::Abnormal, "")).is_err());
    assert!(socket.is_open() && raw.read().is_empty());
    ready(socket.ping(vec![0; 125])).unwrap();
}

#[test]
fn m7_queued_messages_are_sent_by_a_flush() {
    let (mut socket, raw) = open_server(&Builder::new());
    ready(socket.queue("a")).unwrap();
    ready(socket.queue("b")).unwrap();
    assert_eq!((raw.read(), socket.buffered_amount()), (vec![], 6));
    ready(socket.flush()).unwrap();
    assert_eq!((raw.read(), socket.buffered_amount()), (b"\x81\x01a\x81\x01b".to_vec(), 0));
}

#[test]
fn m8_m10_close_sends_code_and_reason_and_waits_for_the_reply() {
    let (mut socket, raw) = open_server(&Builder::new());
    let payload = close_payload(4000, "done");
    assert!(now(socket.close(CloseCode::Other(4000), "done")).is_none());
    assert_eq!(raw.read(), frame(0x88, &payload));
    raw.write(masked(0x88, &payload));
    assert!(now(socket.close(CloseCode::Normal, "")).is_none(), "TCP has not ended");
    assert!(raw.has_ended());
    raw.end();
    let closed = ready(socket.close(CloseCode::Normal, "")).unwrap();
    assert_eq!(closed, clean(CloseCode::Other(4000), "done"));
}

#[test]
fn m9_a_close_without_a_code_is_sent() {
    let (mut socket, raw) = open_server(&Builder::new());
    assert!(now(socket.close(CloseCode::Status, "")).is_none());
    assert_eq!(raw.read(), [0x88, 0]);
}

#[test]
fn m11_abort_ends_the_connection_without_a_close() {
    let (socket, raw) = open_server(&Builder::new());
    let closed = socket.closed();
    socket.abort();
    assert!(raw.read().is_empty() && raw.has_ended());
    assert!(!ready(closed).was_clean);
}

#[test]
fn m12_dropping_an_open_socket_sends_1001() {
    let (socket, raw) = open_server(&Builder::new());
    let closed = socket.closed();
    let (sender, receiver) = socket.split();
    drop(sender);
    assert_eq!(raw.read(), b"", "the other half lives");
    drop(receiver);
    assert_eq!(raw.read(), frame(0x88, &close_payload(1001, "")));
    assert!(raw.has_ended());
    assert_eq!(ready(closed).code, CloseCode::Abnormal);
}

#[test]
fn m13_sending_after_a_close_is_an_error() {
    let (mut socket, raw) = open_server(&Builder::new());
    assert!(now(socket.close(CloseCode::Normal, "")).is_none());
    assert!(ready(socket.send("late")).is_err());

    let (mut other, peer) = open_client(&Builder::new());
    peer.write(frame(0x88, b""));
    assert!(now(other.receive()).is_none(), "TCP has not ended");
    assert!(ready(other.send("late")).is_err());
    drop(raw);
}

#[test]
fn m14_p6_whole_messages_also_split_within_a_character() {
    let (mut socket, raw) = open_client(&Builder::new());
    raw.write([frame(0x01, b"\xe2\x82"), frame(0x89, b""), frame(0x00, b""), frame(0x80, b"\xac")].concat());
    assert_eq!(ready(socket.receive()).unwrap(), Some("\u{20ac}".into()));
}

#[test]
fn m15_single_frames_are_received() {
    let (mut socket, raw) = open_client(&Builder::new());
    raw.write([frame(0x01, b"a"), frame(0x89, b"p"), frame(0x80, b"b"), frame(0x81, b"c")].concat());
    let mut seen = Vec::new();
    while let Some(next) = now(socket.receive_frame()) {
        let next = next.unwrap().unwrap();
        seen.push((next.opcode(), next.is_final(), next.into_data()));
    }
    let expected = [
        (OpCode::Text, false, b"a".to_vec()),
        (OpCode::Ping, true, b"p".to_vec()),
        (OpCode::Continue, true, b"b".to_vec()),
        (OpCode::Text, true, b"c".to_vec()),
    ];
    assert_eq!(seen, expected);
    assert_eq!(raw.read_frames().len(), 1, "the Ping is answered");
}

#[test]
fn m15_after_single_frames_the_message_is_still_whole() {
    let (mut socket, raw) = open_client(&Builder::new());
    raw.write([frame(0x01, b"a"), frame(0x80, b"b")].concat());
    assert_eq!(ready(socket.receive_frame()).unwrap().unwrap().payload(), b"a");
    assert_eq!(ready(socket.receive()).unwrap(), Some("ab".into()));
}

#[test]
fn m16_manual_reply_mode_sends_no_automatic_replies() {
    let (mut socket, raw) = open_server(&Builder::new());
    socket.set_reply_mode(ReplyMode::Manual);
    raw.write([masked(0x89, b"p"), masked(0x88, &close_payload(1000, ""))].concat());
    assert_eq!(ready(socket.receive_frame()).unwrap().unwrap().opcode(), OpCode::Ping);
    assert_eq!(raw.read(), b"");
    ready(socket.pong("p")).unwrap();
    assert_eq!(ready(socket.receive_frame()).unwrap().unwrap().opcode(), OpCode::Close);
    assert_eq!(raw.read(), b"\x8a\x01p");
    assert!(now(socket.close(CloseCode::Normal, "")).is_none());
    assert_eq!(raw.read(), frame(0x88, &close_payload(1000, "")));
}

#[test]
fn m17_m19_pings_get_pongs_and_pongs_are_events() {
    let (mut socket, raw) = open_server(&Builder::new());
    raw.write([masked(0x89, b"p"), masked(0x8a, b"q")].concat());
    assert!(matches!(ready(socket.receive_event()), Ok(Some(Event::Ping(p))) if p == b"p"));
    assert_eq!(raw.read(), b"\x8a\x01p");
    assert!(matches!(ready(socket.receive_event()), Ok(Some(Event::Pong(q))) if q == b"q"));
}

#[test]
fn m18_m20_the_close_of_the_peer_gets_a_reply_and_is_an_event() {
    for (payload, code, reason) in [
        (close_payload(4321, "why"), CloseCode::Other(4321), "why"),
        (close_payload(1000, ""), CloseCode::Normal, ""),
        (Vec::new(), CloseCode::Status, ""),
    ] {
        let (mut socket, raw) = open_server(&Builder::new());
        raw.write(masked(0x88, &payload));
        let event = ready(socket.receive_event()).unwrap();
        assert!(matches!(&event, Some(Event::Close(c, r)) if *c == code && r == reason), "{event:?}");
        assert_eq!(raw.read_frames()[0].opcode(), OpCode::Close);
        assert!(raw.has_ended(), "a server ends TCP first");
        raw.end();
        assert_eq!(ready(socket.closed()), clean(code, reason));
        assert_eq!(ready(socket.receive()).unwrap(), None);
    }
}

#[test]
fn m19_many_pings_do_not_discard_the_close_after_them() {
    let (mut socket, raw) = open_server(&Builder::new());
    // The socket is not read until the connection has ended.
    assert!(now(socket.close(CloseCode::Normal, "")).is_none());
    raw.write([masked(0x89, b"p").repeat(100), masked(0x88, &close_payload(4321, "why"))].concat());
    raw.end();
    assert_eq!(ready(socket.closed()), clean(CloseCode::Other(4321), "why"));
    let mut pings = 0;
    let close = loop {
        match ready(socket.receive_event()).unwrap().unwrap() {
            Event::Ping(_) => pings += 1,
            event => break event,
        }
    };
    assert!(matches!(&close, Event::Close(CloseCode::Other(4321), reason) if reason == "why"), "{close:?}");
    assert!((1..100).contains(&pings), "{pings} are kept");
}

#[test]
fn m21_messages_are_appended_to_a_buffer() {
    let (mut socket, raw) = open_client(&Builder::new());
    raw.write([frame(0x81, b"cd"), frame(0x82, b""), frame(0x88, b"")].concat());
    raw.end();
    let mut buffer = b"ab".to_vec();
    assert_eq!(ready(socket.receive_into(&mut buffer)).unwrap(), Some(OpCode::Text));
    assert_eq!(ready(socket.receive_into(&mut buffer)).unwrap(), Some(OpCode::Binary));
    assert_eq!(ready(socket.receive_into(&mut buffer)).unwrap(), None);
    assert_eq!(buffer, b"abcd");
}

#[test]
fn m23_messages_before_a_close_are_delivered() {
    let (mut socket, raw) = open_client(&Builder::new());
    raw.write([frame(0x81, b"a"), frame(0x81, b"b"), frame(0x88, &close_payload(1000, ""))].concat());
    raw.reset();
    assert_eq!(ready(socket.receive()).unwrap(), Some("a".into()));
    // What is sent now fails, and does not take the rest along.
    let _ = now(socket.send("x"));
    assert_eq!(ready(socket.receive()).unwrap(), Some("b".into()));
    assert_eq!(ready(socket.receive()).unwrap(), None);
    assert_eq!(ready(socket.closed()).code, CloseCode::Normal);
}

#[test]
fn m24_m25_closed_returns_the_same_to_every_waiter() {
    let (mut socket, raw) = open_client(&Builder::new());
    let (mut one, mut other) = (socket.closed(), socket.closed());
    assert!(now(&mut one).is_none() && now(&mut other).is_none());
    raw.end();
    assert_eq!(ready(one), Closed { code: CloseCode::Abnormal, reason: String::new(), was_clean: false });
    assert!(matches!(ready(socket.receive()), Err(Error::ConnectionLost(_))));
    assert_eq!(ready(socket.receive()).unwrap(), None, "an error is returned once");
    assert!(!ready(other).was_clean);
}

#[test]
fn m26_close_codes_and_whether_they_can_be_sent() {
    assert_eq!(CloseCode::from(4999), CloseCode::Other(4999));
    assert!(CloseCode::Other(4999).is_sendable() && !CloseCode::Status.is_sendable());
}

#[test]
fn m27_is_open_is_false_after_a_close() {
    let (mut socket, raw) = open_client(&Builder::new());
    assert!(socket.is_open());
    raw.write(frame(0x88, b""));
    assert!(now(socket.receive()).is_none());
    assert!(!socket.is_open());
}

#[test]
fn m27_the_state_follows_the_closing_handshake() {
    let (mut socket, raw) = open_client(&Builder::new());
    assert_eq!(socket.state(), State::Open);
    // Our Close is sent, and that of the peer is missing.
    assert!(now(socket.close(CloseCode::Normal, "")).is_none());
    let (sender, receiver) = socket.split();
    assert_eq!((sender.state(), receiver.state()), (State::Closing, State::Closing));
    let mut socket = WebSocket::join(sender, receiver).unwrap();
    // Both have closed, and TCP has not ended: a client waits for its server (§7.1.1).
    raw.write(frame(0x88, b"\x03\xe8"));
    assert!(now(socket.close(CloseCode::Normal, "")).is_none());
    assert_eq!((socket.state(), socket.is_closed()), (State::Closing, false));
    raw.end();
    assert!(ready(socket.close(CloseCode::Normal, "")).unwrap().was_clean);
    assert_eq!((socket.state(), socket.is_closed()), (State::Closed, true));
}

#[test]
fn m2_owned_messages_are_sent() {
    let (mut socket, raw) = open_server(&Builder::new());
    ready(socket.send(String::from("a"))).unwrap();
    ready(socket.send(Message::binary(vec![1]))).unwrap();
    assert_eq!(raw.read(), b"\x81\x01a\x82\x01\x01");
}
