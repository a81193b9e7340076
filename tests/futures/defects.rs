//! Conformance through this front end, and what must not happen.

use sockeye::futures::Builder;
use sockeye::{CloseCode, Error, ErrorKind, OpCode};

use crate::support::{close_payload, frame, masked, now, open_client, open_server, pipe, ready};

/// The code of the Close by which a socket fails because of what it receives.
fn failed_by(is_server: bool, bytes: &[u8]) -> (Error, u16) {
    let (mut socket, raw) =
        if is_server { open_server(&Builder::new()) } else { open_client(&Builder::new()) };
    raw.say(bytes);
    raw.end();
    let err = ready(socket.receive()).expect_err("it breaks a rule");
    let close = raw.hear_frames().pop().expect("a Close");
    assert_eq!(close.opcode(), OpCode::Close);
    assert_eq!(ready(socket.closed()).code, CloseCode::Abnormal);
    assert!(ready(socket.send("late")).is_err());
    (err, u16::from_be_bytes([close.payload()[0], close.payload()[1]]))
}

#[test]
fn p1_a_client_masks_and_refuses_what_is_masked() {
    let (mut socket, raw) = open_client(&Builder::new());
    ready(socket.send("a")).unwrap();
    assert_eq!(raw.hear()[1], 0x81);
    assert_eq!(failed_by(false, &masked(0x81, b"a")).1, 1002);
}

#[test]
fn p2_a_server_refuses_what_is_not_masked() {
    assert_eq!(failed_by(true, &frame(0x81, b"a")).1, 1002);
}

#[test]
fn p3_reserved_bits_and_opcodes_are_refused() {
    for first in [0xc1, 0xa1, 0x91, 0x83, 0x8b] {
        assert_eq!(failed_by(false, &frame(first, b"a")).1, 1002);
    }
}

#[test]
fn p4_control_frames_that_are_long_or_cut_are_refused() {
    assert_eq!(failed_by(false, &frame(0x89, &[0; 200])).1, 1002);
    assert_eq!(failed_by(false, &frame(0x09, b"a")).1, 1002);
}

#[test]
fn p5_the_order_of_continuations_is_checked() {
    assert_eq!(failed_by(false, &frame(0x80, b"a")).1, 1002);
    assert_eq!(failed_by(false, &[frame(0x01, b""), frame(0x81, b"b")].concat()).1, 1002);
}

#[test]
fn p6_p7_text_that_is_not_utf8_is_answered_with_1007() {
    let (err, code) = failed_by(true, &masked(0x81, b"\xff\xfe"));
    assert!(matches!(err.kind, ErrorKind::Encoding(_)));
    assert_eq!(code, 1007);
}

#[test]
fn not_failed_again_the_answer_of_a_peer_that_is_refused() {
    // The error is told only when the Close is out: to drop the socket at once loses nothing.
    let (mut socket, raw) = open_server(&Builder::new());
    raw.say(frame(0x81, b"a"));
    assert!(now(socket.receive()).is_none());
    assert_eq!(raw.hear(), frame(0x88, &close_payload(1002, "")));
    assert!(raw.has_heard_the_end());
    raw.end();
    assert!(ready(socket.receive()).is_err());
}

#[test]
fn not_stalled_by_an_empty_frame() {
    let (mut socket, raw) = open_server(&Builder::new());
    raw.say(masked(0x81, b""));
    assert_eq!(ready(socket.receive()).unwrap(), Some("".into()));
    raw.say(masked(0x88, b""));
    assert!(now(socket.receive()).is_none());
    assert_eq!(raw.hear(), [0x88, 0]);
}

#[test]
fn not_lost_a_message_that_comes_with_a_close() {
    let (mut socket, raw) = open_server(&Builder::new());
    raw.say([masked(0x81, b"last"), masked(0x88, b"")].concat());
    raw.end();
    assert_eq!(ready(socket.receive()).unwrap(), Some("last".into()));
    assert_eq!(ready(socket.receive()).unwrap(), None);
}

#[test]
fn not_panicking_on_any_bytes() {
    let mut seed = 1_u32;
    let mut byte = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    };
    for _ in 0..500 {
        let bytes: Vec<u8> = (0..64).map(|_| byte()).collect();
        let (mut socket, raw) = open_client(&Builder::new());
        raw.say(&bytes);
        raw.end();
        while let Some(Ok(Some(_))) = now(socket.receive_frame()) {}
        let (end, raw) = pipe();
        raw.say(&bytes);
        raw.end();
        let _ = now(Builder::new().server(end).accept());
    }
}
