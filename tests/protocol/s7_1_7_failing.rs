//! §7.1.7: a connection that fails sends the reason, and receives nothing more.

use sockeye::protocol::{Config, ProtocolError, Role, State};

use sockeye_test_support::bytes::{
    self, BINARY, BINARY_START, CLOSE, CONTINUATION, LAST, PING, TEXT, TEXT_START,
};
use sockeye_test_support::pair::{End, Seen};

/// The limits under which every rule can be broken with few bytes.
fn tight() -> Config {
    Config { max_message_size: 20, max_frame_size: 15, max_fragments: Some(3), ..Config::default() }
}

/// What a peer in this role sends to break each rule of frames, and the code that it must receive.
fn offences(peer: Role) -> Vec<(ProtocolError, u16, Vec<u8>)> {
    let frame = |first, payload: &[u8]| bytes::frame_from(peer, first, payload);
    let header = |first, second: u8, more: &[u8]| {
        let mask = if peer == Role::Client { 0x80 } else { 0 };
        [&[first, mask | second][..], more].concat()
    };
    let masking = match peer {
        Role::Client => ProtocolError::UnmaskedFrame,
        Role::Server => ProtocolError::MaskedFrame,
    };
    let many = [
        frame(BINARY_START, b"1"),
        frame(CONTINUATION, b"2"),
        frame(CONTINUATION, b"3"),
        frame(CONTINUATION, b"4"),
    ];
    let long = [frame(BINARY_START, &[0; 15]), frame(LAST, &[0; 6])];
    vec![
        (ProtocolError::ReservedBits, 1002, frame(TEXT | 0x40, b"x")),
        (ProtocolError::ReservedBits, 1002, frame(PING | 0x20, b"x")),
        (ProtocolError::ReservedBits, 1002, frame(BINARY | 0x10, b"x")),
        (ProtocolError::ReservedOpCode, 1002, frame(0x83, b"x")),
        (ProtocolError::ReservedOpCode, 1002, frame(0x8f, b"x")),
        (ProtocolError::NonMinimalLength, 1002, header(BINARY, 126, &[0, 5])),
        (ProtocolError::NonMinimalLength, 1002, header(BINARY, 127, &[0, 0, 0, 0, 0, 0, 0, 5])),
        (ProtocolError::LengthOverflow, 1002, header(BINARY, 127, &[0x80, 0, 0, 0, 0, 0, 0, 0])),
        (masking, 1002, bytes::frame_from(!peer, TEXT, b"x")),
        (ProtocolError::ControlTooLong, 1002, frame(PING, &[0; 126])),
        (ProtocolError::FragmentedControl, 1002, frame(PING & 0x7f, b"x")),
        (ProtocolError::LoneContinuation, 1002, frame(LAST, b"x")),
        (ProtocolError::InterruptedMessage, 1002, [frame(TEXT_START, b"x"), frame(TEXT, b"y")].concat()),
        (ProtocolError::FrameTooLong, 1009, frame(BINARY, &[0; 16])),
        (ProtocolError::MessageTooLong, 1009, long.concat()),
        (ProtocolError::TooManyFragments, 1008, many.concat()),
        (ProtocolError::InvalidUtf8, 1007, frame(TEXT, b"\xff")),
        (ProtocolError::InvalidUtf8, 1007, frame(TEXT_START, b"\xff")),
        (ProtocolError::InvalidUtf8, 1007, bytes::close_from(peer, 1000, b"\xff")),
        (ProtocolError::TruncatedCloseCode, 1002, frame(CLOSE, &[3])),
        (ProtocolError::InvalidCloseCode, 1002, bytes::close_from(peer, 1005, b"")),
    ]
}

#[test]
fn s7_1_7_every_violation_has_its_close_code() {
    for role in [Role::Client, Role::Server] {
        for (err, code, bytes) in offences(!role) {
            let mut end = End::open(role, tight());
            assert_eq!(end.feed(&bytes), [Seen::Failed(err)]);
            let close = bytes::only(&end.take_out());
            assert!(close.is(CLOSE, &code.to_be_bytes()), "{err:?}: {close:?}");
            assert_eq!(u16::from(err.close_code()), code);
            assert_eq!(close.key.is_some(), role == Role::Client);
        }
    }
}

#[test]
fn s7_1_7_after_a_violation_nothing_is_received_or_sent() {
    for role in [Role::Client, Role::Server] {
        for (err, _, bytes) in offences(!role) {
            let mut end = End::open(role, tight());
            end.feed(&bytes);
            end.take_out();
            let more = [
                bytes::frame_from(!role, TEXT, b"hello?"),
                bytes::frame_from(!role, PING, b"anyone?"),
                bytes::close_from(!role, 1000, b"well then"),
            ];
            assert_eq!(end.feed(&more.concat()), [], "{err:?}");
            assert_eq!(end.core.send("no", end.now, &mut end.out), Err(ProtocolError::NotOpen));
            assert_eq!(end.close(sockeye::CloseCode::Normal, ""), Err(ProtocolError::NotOpen));
            assert!(end.out.is_empty());
            assert_eq!(end.state(), State::Closing);
            assert_eq!(end.core.missing(), 0, "{err:?}");
        }
    }
}

#[test]
fn l4_s7_1_7_the_end_that_detects_a_violation_shuts_down_tcp() {
    for role in [Role::Client, Role::Server] {
        for (_, _, bytes) in offences(!role) {
            let mut end = End::open(role, tight());
            end.feed(&bytes);
            assert!(end.flush(), "an end that fails a connection does not wait for the peer");
            assert_eq!(end.core.receive_eof(), Ok(()));
            assert_eq!(end.state(), State::Closed);
        }
    }
}

#[test]
fn s7_1_7_messages_before_a_violation_are_delivered() {
    let mut server = End::open(Role::Server, Config::default());
    let mut bytes = bytes::frame_from(Role::Client, TEXT, b"fine");
    bytes.extend(bytes::frame_from(Role::Client, PING, b"fine, too"));
    bytes.extend(bytes::frame_from(Role::Client, 0x85, b"not fine"));
    let expected =
        [Seen::text("fine"), Seen::Ping(b"fine, too".to_vec()), Seen::Failed(ProtocolError::ReservedOpCode)];
    assert_eq!(server.feed(&bytes), expected);
    let sent = bytes::frames(&server.out);
    assert!(sent[0].is(bytes::PONG, b"fine, too") && sent[1].is(CLOSE, &1002_u16.to_be_bytes()));
}
