//! §7.1 and §5.5.1: the closing handshake, from either side.

use std::time::Duration;

use sockeye::CloseCode;
use sockeye::protocol::{Config, ProtocolError, Role, State};

use sockeye_test_support::bytes::{self, CLOSE, PING, PONG, TEXT, TEXT_START};
use sockeye_test_support::pair::{End, Pair, Seen};

/// Every form that the payload of a Close frame has.
fn forms() -> Vec<(CloseCode, String)> {
    vec![
        (CloseCode::Status, String::new()),
        (CloseCode::Normal, String::new()),
        (CloseCode::Away, "gone fishing".to_owned()),
        (CloseCode::Extension, "\u{1f41f}".to_owned()),
        (CloseCode::Other(3000), "x".repeat(123)),
        (CloseCode::Other(4999), "\u{20ac}".repeat(41)),
    ]
}

#[test]
fn s7_1_2_client_closes() {
    for (code, reason) in forms() {
        let mut pair = Pair::open();
        pair.client.close(code, &reason).unwrap();
        assert_eq!(pair.states(), (State::Closing, State::Open));
        let (at_client, at_server) = pair.run();
        assert_eq!(at_server, [Seen::close(code, &reason)]);
        assert_eq!(at_client, [Seen::close(code, "")], "§5.5.1: the answer has the code that came");
        assert_eq!(pair.states(), (State::Closed, State::Closed));
    }
}

#[test]
fn s7_1_2_server_closes() {
    for (code, reason) in forms() {
        let mut pair = Pair::open();
        pair.server.close(code, &reason).unwrap();
        assert_eq!(pair.states(), (State::Open, State::Closing));
        let (at_client, at_server) = pair.run();
        assert_eq!((at_client, at_server), (vec![Seen::close(code, &reason)], vec![Seen::close(code, "")]));
        assert_eq!(pair.states(), (State::Closed, State::Closed));
    }
}

#[test]
fn s7_1_2_both_ends_close_at_once() {
    let mut pair = Pair::open();
    pair.client.close(CloseCode::Normal, "client").unwrap();
    pair.server.close(CloseCode::Away, "server").unwrap();
    let (at_client, at_server) = pair.run();
    assert_eq!(at_client, [Seen::close(CloseCode::Away, "server")]);
    assert_eq!(at_server, [Seen::close(CloseCode::Normal, "client")], "and neither is answered again");
    assert_eq!(pair.states(), (State::Closed, State::Closed));
}

#[test]
fn s7_1_1_the_server_shuts_down_tcp_first() {
    let mut server = End::open(Role::Server, Config::default());
    server.feed(&bytes::close_from(Role::Client, 1000, b""));
    assert!(server.flush(), "the server shuts down its side as soon as all is written");
    assert!(!server.flush(), "once");
    assert_eq!(server.state(), State::Closing);
    assert_eq!(server.core.receive_eof(), Ok(()));
    assert_eq!(server.state(), State::Closed);

    let mut client = End::open(Role::Client, Config::default());
    client.feed(&bytes::close_from(Role::Server, 1000, b""));
    assert!(!client.flush(), "the client waits for the server");
    assert_eq!(client.core.receive_eof(), Ok(()));
    assert_eq!(client.state(), State::Closed);
}

#[test]
fn s7_1_1_the_reply_to_a_close_is_written_after_the_peer_shuts_down_tcp() {
    let mut server = End::open(Role::Server, Config::default());
    server.feed(&bytes::close_from(Role::Client, 1000, b""));
    assert_eq!(server.core.receive_eof(), Ok(()));
    assert_eq!(server.state(), State::Closing, "the answer is not written yet");
    server.flush();
    assert_eq!(server.state(), State::Closed);
}

#[test]
fn s5_5_1_nothing_is_sent_after_close() {
    for role in [Role::Client, Role::Server] {
        let mut end = End::open(role, Config::default());
        end.close(CloseCode::Normal, "").unwrap();
        end.take_out();
        nothing_can_be_sent(&mut end);

        let mut end = End::open(role, Config::default());
        end.feed(&bytes::close_from(!role, 1000, b""));
        assert!(bytes::only(&end.take_out()).is(CLOSE, &1000_u16.to_be_bytes()));
        nothing_can_be_sent(&mut end);
        let pong = end.core.pong("late", end.now, &mut end.out);
        assert_eq!((pong, end.out.is_empty()), (Err(ProtocolError::NotOpen), true));
    }
}

fn nothing_can_be_sent(end: &mut End) {
    let now = end.now;
    assert_eq!(end.core.send("late", now, &mut end.out), Err(ProtocolError::NotOpen));
    assert_eq!(end.core.ping("late", now, &mut end.out), Err(ProtocolError::NotOpen));
    assert_eq!(end.close(CloseCode::Away, ""), Err(ProtocolError::NotOpen));
    assert!(end.out.is_empty());
    assert!(end.state().is_ending());
}

#[test]
fn l1_s5_5_1_no_message_is_received_after_the_local_close() {
    for role in [Role::Client, Role::Server] {
        let mut end = End::open(role, Config::default());
        end.close(CloseCode::Normal, "").unwrap();
        end.take_out();
        let late = [
            bytes::frame_from(!role, TEXT, b"late"),
            bytes::frame_from(!role, TEXT_START, b"later \xff"),
            bytes::frame_from(!role, bytes::LAST, b"latest"),
        ];
        assert_eq!(end.feed(&late.concat()), []);
        assert!(end.out.is_empty());
        assert_eq!(
            end.feed(&bytes::close_from(!role, 1001, b"same to you")),
            [Seen::close(CloseCode::Away, "same to you")]
        );
    }
}

#[test]
fn s5_5_2_pongs_are_sent_until_the_close_of_the_peer_arrives() {
    for role in [Role::Client, Role::Server] {
        let mut end = End::open(role, Config::default());
        end.close(CloseCode::Normal, "").unwrap();
        end.take_out();
        end.feed(&bytes::frame_from(!role, PING, b"still there?"));
        assert!(bytes::only(&end.take_out()).is(PONG, b"still there?"));
        end.feed(&bytes::close_from(!role, 1000, b""));
        end.feed(&bytes::frame_from(!role, PING, b"and now?"));
        assert!(end.out.is_empty());
    }
}

#[test]
fn l1_s5_5_1_a_partly_received_message_is_dropped_by_the_local_close() {
    let mut server = End::open(Role::Server, Config::default());
    let long = bytes::frame_from(Role::Client, TEXT, &[&[b'x'; 900][..], &[0xff; 100]].concat());
    server.feed(&long[..500]);
    server.close(CloseCode::Normal, "").unwrap();
    assert_eq!(server.feed(&long[500..]), []);

    let mut server = End::open(Role::Server, Config::default());
    server.feed(&bytes::frame_from(Role::Client, TEXT_START, b"one "));
    server.close(CloseCode::Normal, "").unwrap();
    assert_eq!(server.feed(&bytes::frame_from(Role::Client, bytes::LAST, b"two")), []);
    assert_eq!(server.state(), State::Closing);
}

#[test]
fn s5_5_1_a_violation_after_the_local_close_sends_no_second_close() {
    let mut server = End::open(Role::Server, Config::default());
    server.close(CloseCode::Normal, "").unwrap();
    server.take_out();
    let seen = server.feed(&bytes::frame_from(Role::Client, 0x83, b""));
    assert_eq!(seen, [Seen::Failed(ProtocolError::ReservedOpCode)]);
    assert!(server.out.is_empty());
    assert!(server.flush(), "TCP ends without the peer's Close");
}

#[test]
fn f8_s5_5_1_data_after_a_close_is_ignored_and_limited() {
    let mut server = End::open(Role::Server, Config::default());
    let mut bytes = bytes::close_from(Role::Client, 1000, b"");
    bytes.extend(bytes::frame_from(Role::Client, TEXT, b"after the end"));
    bytes.extend(bytes::frame_from(Role::Client, PING, b"and on"));
    assert_eq!(server.feed(&bytes), [Seen::close(CloseCode::Normal, "")]);
    assert!(bytes::only(&server.take_out()).is(CLOSE, &1000_u16.to_be_bytes()));

    let more = vec![0x55; 64 * 1024];
    let mut fed = 0;
    while server.core.wants_input() {
        assert_eq!(server.feed(&more), []);
        fed += more.len();
    }
    assert_eq!(fed, 1024 * 1024, "the drain has its limit");
    assert_eq!((server.feed(&more), server.out.len()), (vec![], 0));
}

#[test]
fn f7_s5_5_a_close_reason_over_123_bytes_is_an_error() {
    let mut server = End::open(Role::Server, Config::default());
    assert_eq!(server.close(CloseCode::Normal, &"x".repeat(124)), Err(ProtocolError::ReasonTooLong));
    assert_eq!(server.close(CloseCode::Status, "no place"), Err(ProtocolError::ReasonTooLong));
    assert_eq!((server.state(), server.out.len()), (State::Open, 0));
    assert_eq!(server.close(CloseCode::Normal, &"x".repeat(123)), Ok(()));
    assert_eq!(bytes::only(&server.out).payload.len(), 125);
}

#[test]
fn s7_1_5_the_end_of_tcp_without_close_is_abnormal() {
    for role in [Role::Client, Role::Server] {
        let mut end = End::open(role, Config::default());
        assert_eq!(end.core.receive_eof(), Err(ProtocolError::ConnectionLost));
        assert_eq!((end.state(), end.core.deadline()), (State::Closed, None));
        assert_eq!(end.core.receive_eof(), Ok(()), "it is reported once");

        let mut end = End::open(role, Config::default());
        end.close(CloseCode::Normal, "").unwrap();
        assert_eq!(end.core.receive_eof(), Err(ProtocolError::ConnectionLost));
    }
    assert_eq!(ProtocolError::ConnectionLost.close_code(), CloseCode::Abnormal);
}

#[test]
fn s7_1_5_the_end_of_tcp_during_the_handshake_is_an_error() {
    for mut end in [End::client(Config::default()), End::server(Config::default())] {
        end.take_out();
        end.feed(b"");
        assert_eq!(end.core.receive_eof(), Err(ProtocolError::HandshakeCut));
        assert_eq!((end.state(), end.out.len()), (State::Closed, 0));
    }
}

#[test]
fn s7_1_an_abandoned_connection_is_closed() {
    let mut server = End::open(Role::Server, Config::default());
    server.core.abandon();
    assert_eq!((server.state(), server.core.deadline()), (State::Closed, None));
    nothing_can_be_sent(&mut server);
    server.advance(Duration::from_secs(1000));
    assert!(matches!(server.core.tick(server.now, &mut server.out), Ok(())));
}
