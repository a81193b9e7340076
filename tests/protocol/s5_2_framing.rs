//! §5.2: the base framing protocol, read and written by a connection.

use sockeye::protocol::{Config, ProtocolError, Role, State};
use sockeye::{Frame, OpCode};

use sockeye_test_support::bytes::{self, BINARY, TEXT};
use sockeye_test_support::pair::{End, Seen};

#[test]
fn s5_7_the_examples_of_the_rfc_are_received_and_sent() {
    let mut client = End::open(Role::Client, Config::default());
    assert_eq!(client.feed(b"\x81\x05Hello"), [Seen::text("Hello")]);
    assert_eq!(client.feed(b"\x01\x03Hel\x80\x02lo"), [Seen::text("Hello")]);
    assert_eq!(client.feed(b"\x89\x05Hello"), [Seen::Ping(b"Hello".to_vec())]);
    assert!(bytes::only(&client.take_out()).is(bytes::PONG, b"Hello"));

    let mut server = End::open(Role::Server, Config::default());
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(server.feed(&masked), [Seen::text("Hello")]);
    server.send("Hello");
    assert_eq!(server.take_out(), b"\x81\x05Hello");
    server.send(vec![0; 256]);
    assert_eq!(server.take_out()[..4], [0x82, 0x7e, 0x01, 0x00]);
    server.send(vec![0; 65_536]);
    assert_eq!(server.take_out()[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn s5_2_lengths_at_the_limits_of_the_three_forms_are_received_and_sent() {
    for role in [Role::Client, Role::Server] {
        let mut end = End::open(role, Config::default());
        for len in [0, 1, 124, 125, 126, 127, 128, 65_534, 65_535, 65_536, 65_537] {
            let payload = vec![0xa5; len];
            let seen = end.feed(&bytes::frame_from(!role, BINARY, &payload));
            assert_eq!(seen, [Seen::binary(payload.clone())], "{len}");
            end.send(payload.as_slice());
            let sent = end.take_out();
            assert!(bytes::only(&sent).is(BINARY, &payload), "{len}");
            assert_eq!(
                sent.len(),
                bytes::frame_from(role, BINARY, &payload).len(),
                "the shortest form for {len}"
            );
        }
    }
}

/// What a header with this length leads to, although nothing of the payload has come.
fn claim(role: Role, header: &[u8]) -> (Vec<Seen>, State) {
    let mut end = End::open(role, Config::default());
    let seen = end.feed(header);
    (seen, end.state())
}

#[test]
fn f1_lengths_over_the_limit_are_rejected_by_the_header() {
    for role in [Role::Client, Role::Server] {
        for len in [(16 << 20) + 1, 1 << 31, 1 << 32, 1 << 53, (1 << 63) - 1] {
            let (seen, state) = claim(role, &bytes::header_from(!role, BINARY, len));
            assert_eq!(seen, [Seen::Failed(ProtocolError::MessageTooLong)], "{len}");
            assert_eq!(state, State::Closing);
        }
        let (seen, state) = claim(role, &bytes::header_from(!role, BINARY, 16 << 20));
        assert_eq!((seen, state), (vec![], State::Open));
    }
}

#[test]
fn f1_lengths_with_the_highest_bit_are_rejected() {
    for len in [1 << 63, u64::MAX] {
        let (seen, _) = claim(Role::Client, &bytes::header_from(Role::Server, BINARY, len));
        assert_eq!(seen, [Seen::Failed(ProtocolError::LengthOverflow)]);
    }
}

#[test]
fn f1_lengths_in_a_longer_form_are_rejected() {
    let headers: [&[u8]; 4] = [
        &[TEXT, 126, 0, 0],
        &[TEXT, 126, 0, 125],
        &[TEXT, 127, 0, 0, 0, 0, 0, 0, 0, 1],
        &[TEXT, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
    ];
    for header in headers {
        let (seen, _) = claim(Role::Client, header);
        assert_eq!(seen, [Seen::Failed(ProtocolError::NonMinimalLength)]);
    }
}

#[test]
fn s5_2_missing_returns_the_rest_of_the_payload() {
    let mut server = End::open(Role::Server, Config::default());
    assert_eq!(server.core.missing(), 0);
    server.feed(&bytes::header_from(Role::Client, BINARY, 1_000_000));
    assert_eq!(server.core.missing(), 1_000_000);
    server.feed(&[0; 999_999]);
    assert_eq!(server.core.missing(), 1);
    assert_eq!(server.feed(&[0]).len(), 1);
    assert_eq!(server.core.missing(), 0);
}

#[test]
fn s5_2_invalid_frames_are_not_sent() {
    let mut reserved = Frame::message(b"x".to_vec(), OpCode::Text, true);
    reserved.set_opcode(OpCode::Bad);
    let mut fragmented = Frame::ping(Vec::new());
    fragmented.set_final(false);
    let forbidden = [reserved, fragmented, Frame::ping(vec![0; 126]), Frame::pong(vec![0; 126])];
    for role in [Role::Client, Role::Server] {
        let mut end = End::open(role, Config::default());
        for frame in forbidden.clone() {
            let sent = end.core.send_frame(frame, end.now, &mut end.out);
            assert_eq!(sent, Err(ProtocolError::UnsendableFrame));
            assert_eq!((end.out.len(), end.state()), (0, State::Open));
        }
    }
}
