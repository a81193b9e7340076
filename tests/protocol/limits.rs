//! The limits on what a peer may send (M3 to M5, F1), enforced before anything is stored.

use sockeye::protocol::{Config, ProtocolError, Role, State};

use sockeye_test_support::bytes::{self, BINARY, BINARY_START, CLOSE, CONTINUATION, LAST, TEXT, TEXT_START};
use sockeye_test_support::pair::{End, Seen};

fn limited(config: Config) -> End {
    End::open(Role::Server, config)
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    bytes::frame_from(Role::Client, first, payload)
}

fn failed(err: ProtocolError) -> Vec<Seen> {
    vec![Seen::Failed(err)]
}

#[test]
fn m3_the_message_size_limit_is_inclusive() {
    for first in [TEXT, BINARY] {
        let mut server = limited(Config { max_message_size: 300, ..Config::default() });
        assert_eq!(server.feed(&frame(first, &[b'x'; 300])).len(), 1);
        let seen = server.feed(&bytes::header_from(Role::Client, first, 301));
        assert_eq!(seen, failed(ProtocolError::MessageTooLong), "from the header alone");
        assert!(bytes::only(&server.out).is(CLOSE, &1009_u16.to_be_bytes()));
    }
}

#[test]
fn m3_the_message_size_limit_includes_all_fragments() {
    for first in [TEXT_START, BINARY_START] {
        let mut server = limited(Config { max_message_size: 300, ..Config::default() });
        for (first, len) in [(first, 100), (CONTINUATION, 100), (LAST, 100)] {
            assert_ne!(server.feed(&frame(first, &vec![b'x'; len])), failed(ProtocolError::MessageTooLong));
        }
        server.feed(&frame(first, &[b'x'; 100]));
        server.feed(&frame(CONTINUATION, &[b'x'; 100]));
        let seen = server.feed(&bytes::header_from(Role::Client, LAST, 101));
        assert_eq!(seen, failed(ProtocolError::MessageTooLong), "from the header alone");
    }
}

#[test]
fn m3_the_message_size_limit_starts_again_with_each_message() {
    let mut server = limited(Config { max_message_size: 10, ..Config::default() });
    for _ in 0..5 {
        server.feed(&frame(BINARY_START, &[0; 9]));
        assert_eq!(server.feed(&frame(LAST, &[0; 1])), [Seen::binary([0; 10])]);
        assert_eq!(server.feed(&frame(BINARY, &[0; 10])), [Seen::binary([0; 10])]);
    }
}

#[test]
fn m3_a_frame_over_the_limit_is_rejected() {
    let mut server = limited(Config { max_frame_size: 100, ..Config::default() });
    server.feed(&frame(BINARY_START, &[0; 100]));
    assert_eq!(server.feed(&frame(LAST, &[0; 100])), [Seen::binary([0; 200])]);
    let seen = server.feed(&bytes::header_from(Role::Client, BINARY, 101));
    assert_eq!(seen, failed(ProtocolError::FrameTooLong));
    assert!(bytes::only(&server.out).is(CLOSE, &1009_u16.to_be_bytes()));
}

#[test]
fn m4_control_frames_do_not_count_as_fragments() {
    let mut server = limited(Config { max_fragments: Some(2), ..Config::default() });
    server.feed(&frame(TEXT_START, b"1"));
    for _ in 0..10 {
        server.feed(&frame(bytes::PONG, b""));
    }
    assert_eq!(server.feed(&frame(LAST, b"2")), [Seen::text("12")]);
}

#[test]
fn m4_the_default_fragment_limit_is_262_144() {
    let mut server = limited(Config::default());
    let most = Config::default().max_message_size / 64;
    server.feed(&frame(BINARY_START, &[0]));
    let fragments = frame(CONTINUATION, &[0]).repeat(most - 1);
    assert_eq!(server.feed(&fragments), []);
    assert_eq!(server.feed(&frame(CONTINUATION, &[0])), failed(ProtocolError::TooManyFragments));
}

#[test]
fn m5_the_number_of_empty_fragments_is_limited() {
    let mut server = limited(Config::default());
    assert_eq!(server.feed(&frame(TEXT_START, b"")), []);
    assert_eq!(server.feed(&frame(CONTINUATION, b"").repeat(1023)), []);
    assert_eq!(server.feed(&frame(CONTINUATION, b"not empty")), []);
    assert_eq!(server.feed(&frame(CONTINUATION, b"")), failed(ProtocolError::TooManyFragments));
    assert!(bytes::only(&server.out).is(CLOSE, &1008_u16.to_be_bytes()));
}

#[test]
fn m3_message_limits_do_not_apply_to_control_frames() {
    let config =
        Config { max_message_size: 1, max_frame_size: 1, max_fragments: Some(1), ..Config::default() };
    let mut server = limited(config);
    assert_eq!(server.feed(&frame(bytes::PING, &[7; 125])), [Seen::Ping(vec![7; 125])]);
    assert_eq!(server.feed(&frame(BINARY, &[7])), [Seen::binary([7])]);
    assert_eq!(server.state(), State::Open);
}

#[test]
fn m4_the_number_of_fragments_is_limited() {
    let mut server = limited(Config { max_fragments: Some(5), ..Config::default() });
    server.feed(&frame(TEXT_START, b"1"));
    for _ in 0..3 {
        assert_eq!(server.feed(&frame(CONTINUATION, b"x")), []);
    }
    assert_eq!(server.feed(&frame(LAST, b"5")), [Seen::text("1xxx5")]);
    server.feed(&frame(TEXT_START, b"1"));
    for _ in 0..4 {
        assert_eq!(server.feed(&frame(CONTINUATION, b"x")), []);
    }
    let seen = server.feed(&bytes::header_from(Role::Client, LAST, 1));
    assert_eq!(seen, failed(ProtocolError::TooManyFragments), "from the header alone");
    assert!(bytes::only(&server.out).is(CLOSE, &1008_u16.to_be_bytes()));
}
