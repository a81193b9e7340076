//! §5.5: control frames; Close has sections of its own.

use sockeye::protocol::{Config, ProtocolError, Role, State};

use sockeye_test_support::bytes::{self, CLOSE, PING, PONG};
use sockeye_test_support::pair::{End, Pair, Seen};

#[test]
fn s5_5_2_ping_is_answered_with_its_payload() {
    for role in [Role::Client, Role::Server] {
        let mut end = End::open(role, Config::default());
        for payload in [&b""[..], b"x", &[0xff; 125]] {
            assert_eq!(end.feed(&bytes::frame_from(!role, PING, payload)), [Seen::Ping(payload.to_vec())]);
            assert!(bytes::only(&end.take_out()).is(PONG, payload));
        }
    }
}

#[test]
fn s5_5_2_pings_are_answered_in_order() {
    let mut server = End::open(Role::Server, Config::default());
    let pings: Vec<u8> = (0..10).flat_map(|i| bytes::frame_from(Role::Client, PING, &[i])).collect();
    server.feed(&pings);
    let pongs = bytes::frames(&server.out);
    assert!((0..10).zip(&pongs).all(|(i, pong)| pong.is(PONG, &[i])));
    assert_eq!(pongs.len(), 10);
}

#[test]
fn s5_5_2_both_ends_may_ping() {
    let mut pair = Pair::open();
    pair.client.core.ping("up", pair.client.now, &mut pair.client.out).unwrap();
    pair.server.core.ping("down", pair.server.now, &mut pair.server.out).unwrap();
    let (at_client, at_server) = pair.run();
    assert_eq!(at_client, [Seen::Ping(b"down".to_vec()), Seen::Pong(b"up".to_vec())]);
    assert_eq!(at_server, [Seen::Ping(b"up".to_vec()), Seen::Pong(b"down".to_vec())]);
}

#[test]
fn s5_5_3_a_pong_that_nobody_asked_for_wants_no_answer() {
    let mut server = End::open(Role::Server, Config::default());
    let seen = server.feed(&bytes::frame_from(Role::Client, PONG, b"well"));
    assert_eq!((seen, server.out.len()), (vec![Seen::Pong(b"well".to_vec())], 0));
    server.core.pong("as well", server.now, &mut server.out).unwrap();
    assert!(bytes::only(&server.out).is(PONG, b"as well"));
}

#[test]
fn s5_5_125_bytes_are_sent_and_126_are_not() {
    let mut server = End::open(Role::Server, Config::default());
    server.core.ping(vec![7; 125], server.now, &mut server.out).unwrap();
    server.core.pong(vec![7; 125], server.now, &mut server.out).unwrap();
    let sent = server.take_out();
    assert_eq!(bytes::frames(&sent).len(), 2);
    let (now, out) = (server.now, &mut server.out);
    assert_eq!(server.core.ping(vec![7; 126], now, out), Err(ProtocolError::UnsendableFrame));
    assert_eq!(server.core.pong(vec![7; 126], now, out), Err(ProtocolError::UnsendableFrame));
    assert!(server.out.is_empty());
}

#[test]
fn f4_s5_5_long_or_fragmented_control_frames_fail() {
    for first in [CLOSE, PING, PONG] {
        let mut server = End::open(Role::Server, Config::default());
        let seen = server.feed(&bytes::header_from(Role::Client, first, 126)[..2]);
        assert_eq!(seen, [Seen::Failed(ProtocolError::ControlTooLong)]);

        let mut server = End::open(Role::Server, Config::default());
        let seen = server.feed(&bytes::frame_from(Role::Client, first & 0x7f, b""));
        assert_eq!(seen, [Seen::Failed(ProtocolError::FragmentedControl)]);
        assert_eq!(server.state(), State::Closing);
    }
}

#[test]
fn m2_s5_5_3_of_many_pings_the_latest_alone_is_answered() {
    let mut server = End::open(Role::Server, Config::default());
    server.core.hold_pongs();
    for i in 0_u32..100_000 {
        server.feed(&bytes::frame_from(Role::Client, PING, &i.to_be_bytes()));
    }
    assert!(server.out.is_empty(), "nothing piles up while output does not move");
    server.core.hold_pongs();
    let owed = server.core.release_pongs().unwrap();
    assert_eq!(owed.payload(), &99_999_u32.to_be_bytes());
    assert!(server.core.release_pongs().is_none());

    server.feed(&bytes::frame_from(Role::Client, PING, b"at once"));
    assert!(bytes::only(&server.out).is(PONG, b"at once"));
}

#[test]
fn s5_5_2_a_pong_that_was_held_back_is_owed_until_the_peers_close_is_there() {
    for closes in [false, true] {
        let mut server = End::open(Role::Server, Config::default());
        server.core.hold_pongs();
        server.feed(&bytes::frame_from(Role::Client, PING, b"before the close"));
        server.close(sockeye::CloseCode::Normal, "").unwrap();
        if closes {
            server.feed(&bytes::close_from(Role::Client, 1000, b""));
        }
        assert_eq!(server.core.release_pongs().is_none(), closes);
    }
}
