//! §5.5: control frames; Close has sections of its own.

use sockeye::protocol::{Config, ProtocolError, Role, State};

use sockeye_test_support::bytes::{self, CLOSE, PING, PONG};
use sockeye_test_support::pair::{Core, End, Pair, Seen};

#[test]
fn s5_5_2_a_pong_has_the_payload_of_its_ping() {
    for role in [Role::Client, Role::Server] {
        let mut end = End::open(role, Config::default());
        for payload in [&b""[..], b"x", &[0xff; 125]] {
            assert_eq!(end.feed(&bytes::frame_from(!role, PING, payload)), [Seen::Ping(payload.to_vec())]);
            assert!(bytes::only(&end.take_out()).is(PONG, payload));
        }
    }
}

#[test]
fn s5_5_2_pongs_are_sent_in_the_order_of_the_pings() {
    let mut server = End::open(Role::Server, Config::default());
    let pings: Vec<u8> = (0..10).flat_map(|i| bytes::frame_from(Role::Client, PING, &[i])).collect();
    server.feed(&pings);
    let pongs = bytes::frames(&server.out);
    assert!((0..10).zip(&pongs).all(|(i, pong)| pong.is(PONG, &[i])));
    assert_eq!(pongs.len(), 10);
}

#[test]
fn s5_5_2_both_ends_can_send_pings() {
    let mut pair = Pair::open();
    pair.client.core.ping("up", pair.client.now, &mut pair.client.out).unwrap();
    pair.server.core.ping("down", pair.server.now, &mut pair.server.out).unwrap();
    let (at_client, at_server) = pair.run();
    assert_eq!(at_client, [Seen::Ping(b"down".to_vec()), Seen::Pong(b"up".to_vec())]);
    assert_eq!(at_server, [Seen::Ping(b"up".to_vec()), Seen::Pong(b"down".to_vec())]);
}

#[test]
fn s5_5_3_an_unsolicited_pong_gets_no_reply() {
    let mut server = End::open(Role::Server, Config::default());
    let seen = server.feed(&bytes::frame_from(Role::Client, PONG, b"well"));
    assert_eq!((seen, server.out.len()), (vec![Seen::Pong(b"well".to_vec())], 0));
    server.core.pong("as well", server.now, &mut server.out).unwrap();
    assert!(bytes::only(&server.out).is(PONG, b"as well"));
}

#[test]
fn s5_5_control_payloads_over_125_bytes_are_not_sent() {
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
fn f4_s5_5_long_or_fragmented_control_frames_are_rejected() {
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
fn m2_s5_5_3_pings_use_little_memory_while_the_output_is_not_written() {
    for len in [0, 4, 125] {
        for manual in [false, true] {
            let server = End::open(Role::Server, Config::default());
            let used = if manual { flood(server.into_manual(), len) } else { flood(server, len) };
            assert!(used < 1024, "{used} bytes for Pings of {len} bytes");
        }
    }
}

/// Sends 200,000 Pings of `len` bytes to an end; returns how many bytes the Pongs need.
fn flood<C: Core>(mut end: End<C>, len: usize) -> usize {
    let pings = bytes::frame_from(Role::Client, PING, &vec![7; len]).repeat(1000);
    for _ in 0..200 {
        assert_eq!(end.feed(&pings).iter().filter(|seen| matches!(seen, Seen::Ping(_))).count(), 1000);
    }
    end.out.capacity()
}

#[test]
fn s5_5_3_a_pending_pong_replies_to_the_latest_ping() {
    let mut server = End::open(Role::Server, Config::default());
    server.send(vec![7; 300]);
    for payload in [&b"first"[..], b"second", b"third"] {
        server.feed(&bytes::frame_from(Role::Client, PING, payload));
    }
    assert_eq!(bytes::only(&server.take_out()).first, bytes::BINARY, "no Pong was appended");
    assert!(!server.flush());
    assert!(bytes::only(&server.take_out()).is(PONG, b"third"));
    assert!(!server.flush() && server.out.is_empty(), "it is sent once");

    server.feed(&bytes::frame_from(Role::Client, PING, b"at once"));
    assert!(bytes::only(&server.out).is(PONG, b"at once"));
}

#[test]
fn s5_5_3_a_pending_pong_is_sent_with_the_next_read_without_a_flush() {
    let mut server = End::open(Role::Server, Config::default());
    server.send(vec![7; 300]);
    server.feed(&bytes::frame_from(Role::Client, PING, b"waits"));
    server.take_out();
    server.feed(b"");
    assert!(bytes::only(&server.out).is(PONG, b"waits"));
}

#[test]
fn s5_5_2_every_ping_of_one_read_gets_a_pong() {
    let mut server = End::open(Role::Server, Config::default());
    let pings: Vec<u8> = (0..10).flat_map(|i: u8| bytes::frame_from(Role::Client, PING, &[i; 10])).collect();
    server.feed(&pings);
    let sent = bytes::frames(&server.out);
    assert_eq!(sent.len(), 10);
    assert!(sent.iter().zip(0..).all(|(read, i): (_, u8)| read.is(PONG, &[i; 10])));
}

#[test]
fn s5_5_2_a_pending_pong_is_sent_unless_the_close_of_the_peer_arrives() {
    for closes in [false, true] {
        let mut server = End::open(Role::Server, Config::default());
        server.send(vec![7; 300]);
        server.feed(&bytes::frame_from(Role::Client, PING, b"before the close"));
        server.close(sockeye::CloseCode::Normal, "").unwrap();
        if closes {
            server.feed(&bytes::close_from(Role::Client, 1000, b""));
        }
        server.flush();
        assert_eq!(server.out.is_empty(), closes);
    }
}
