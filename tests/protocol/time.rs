//! What waits for time: the handshake, silence, Pings, the closing handshake, the end of TCP (L1 to L4).

use std::time::{Duration, Instant};

use sockeye::CloseCode;
use sockeye::protocol::{Config, ProtocolError, Role, State};

use sockeye_test_support::bytes::{self, BINARY, BINARY_START, CLOSE, CONTINUATION, LAST, PING, TEXT};
use sockeye_test_support::pair::{End, Pair, Seen};

const SECOND: Duration = Duration::from_secs(1);

/// How long from now something is due.
fn due(end: &End) -> Option<Duration> {
    end.core.deadline().map(|deadline: Instant| deadline - end.now)
}

/// An end that is open, with an idle timeout and automatic Pings.
fn watchful(role: Role, idle: u64, ping: u64) -> End {
    let seconds = |n| (n > 0).then_some(Duration::from_secs(n));
    let config =
        Config { idle_timeout: seconds(idle), ping_interval: seconds(ping), ..Config::without_timeouts() };
    End::open(role, config)
}

#[test]
fn h4_s4_1_a_silent_server_times_out() {
    let mut client = End::client(Config { handshake_timeout: 3 * SECOND, ..Config::default() });
    client.take_out();
    client.advance(2 * SECOND);
    client.feed(b"HTTP/1.1 101");
    assert_eq!(due(&client), Some(SECOND), "a byte now and then does not prolong it");
    assert_eq!(client.tick(), Err(ProtocolError::HandshakeTimeout));
    assert_eq!((client.state(), client.out.len()), (State::Closed, 0));
}

#[test]
fn h4_s4_2_a_silent_client_receives_no_response() {
    let mut server = End::server(Config::default());
    assert_eq!(due(&server), Some(10 * SECOND));
    assert_eq!(server.tick(), Err(ProtocolError::HandshakeTimeout));
    assert_eq!((server.state(), server.out.len()), (State::Closed, 0));
}

#[test]
fn h4_s4_2_an_incomplete_request_receives_a_408() {
    let mut server = End::server(Config::default());
    server.feed(b"GET /chat HTTP/1.1\r\nHost: exa");
    assert_eq!(server.tick(), Err(ProtocolError::HandshakeTimeout));
    assert!(server.out.starts_with(b"HTTP/1.1 408 "), "{}", server.out.escape_ascii());
    assert_eq!(server.state(), State::Closing);
    assert!(server.flush());
    assert_eq!(server.feed(b"mple.com\r\n\r\n"), [], "too late");
}

#[test]
fn h4_an_open_connection_has_no_deadline_without_timeouts() {
    for role in [Role::Client, Role::Server] {
        let mut end = End::open(role, Config::without_timeouts());
        assert_eq!(due(&end), None);
        end.advance(1_000_000 * SECOND);
        assert!(matches!(end.core.tick(end.now, &mut end.out), Ok(())));
        assert_eq!(end.state(), State::Open);
    }
}

#[test]
fn l1_s7_1_1_a_peer_that_sends_no_close_times_out() {
    for role in [Role::Client, Role::Server] {
        let mut end = End::open(role, Config { close_timeout: 5 * SECOND, ..Config::default() });
        end.close(CloseCode::Normal, "").unwrap();
        end.flush();
        end.advance(4 * SECOND);
        end.feed(&bytes::frame_from(!role, TEXT, b"but I am still talking"));
        assert_eq!(due(&end), Some(SECOND), "what it sends does not prolong it");
        assert_eq!(end.tick(), Err(ProtocolError::ConnectionLost));
        assert_eq!((end.state(), end.core.deadline()), (State::Closed, None));
    }
}

#[test]
fn l1_s7_1_1_a_server_that_does_not_shut_down_tcp_times_out() {
    let mut client = End::open(Role::Client, Config::default());
    client.feed(&bytes::close_from(Role::Server, 1000, b""));
    client.flush();
    assert_eq!(due(&client), Some(10 * SECOND));
    assert_eq!(client.tick(), Ok(()), "the closing handshake is done: nothing is lost");
    assert_eq!(client.state(), State::Closed);
}

#[test]
fn l4_s7_1_1_a_peer_has_a_second_to_end_tcp_after_the_last_close() {
    for failing in [bytes::frame_from(Role::Client, 0x83, b""), bytes::close_from(Role::Client, 1000, b"")] {
        let mut server = End::open(Role::Server, Config::default());
        server.feed(&failing);
        assert_eq!(due(&server), Some(60 * SECOND), "until the Close is written");
        server.advance(2 * SECOND);
        assert!(server.flush());
        assert_eq!(due(&server), Some(SECOND));
        server.advance(SECOND / 2);
        server.feed(&[0; 1000]);
        assert!(!server.flush());
        assert_eq!(due(&server), Some(SECOND / 2), "neither bytes nor another flush prolong it");
        assert_eq!(server.tick(), Ok(()));
        assert_eq!(server.state(), State::Closed);
    }
}

#[test]
fn l4_w7_output_before_the_end_ends_when_the_peer_accepts_nothing() {
    let ends: [fn(&mut End); 3] = [
        |server| server.close(CloseCode::Normal, "").unwrap(),
        |server| drop(server.feed(&bytes::frame_from(Role::Client, 0x83, b""))),
        |server| drop(server.feed(&bytes::close_from(Role::Client, 1000, b""))),
    ];
    for (limit, patience) in [(Some(60 * SECOND), 60), (None, 10)] {
        for end in ends {
            let config = Config { write_timeout: limit, ..Config::default() };
            let mut server = End::open(Role::Server, config);
            end(&mut server);
            // As long as the peer reads, the end waits.
            for _ in 0..1000 {
                assert_eq!(due(&server), Some(patience * SECOND));
                server.advance((patience - 1) * SECOND);
                server.core.unsent(1, server.now);
            }
            server.core.unsent(0, server.now);
            assert_eq!(server.tick(), Err(ProtocolError::WriteTimeout));
            assert_eq!(server.state(), State::Closed);
        }
    }
}

#[test]
fn w7_the_close_timeout_begins_when_the_output_is_written() {
    let mut server = End::open(Role::Server, Config::default());
    server.close(CloseCode::Normal, "").unwrap();
    server.core.unsent(100, server.now);
    server.advance(59 * SECOND);
    assert!(!server.flush());
    assert_eq!(due(&server), Some(10 * SECOND));
    assert_eq!(server.tick(), Err(ProtocolError::ConnectionLost));
}

#[test]
fn w6_an_open_connection_ends_when_the_peer_accepts_no_output() {
    for role in [Role::Client, Role::Server] {
        let config = Config { write_timeout: Some(60 * SECOND), ..Config::without_timeouts() };
        let mut end = End::open(role, config);
        end.core.unsent(0, end.now);
        end.advance(50 * SECOND);
        end.core.unsent(1, end.now);
        end.core.unsent(0, end.now);
        assert_eq!(due(&end), Some(60 * SECOND), "a byte is progress");
        end.flush();
        assert_eq!(due(&end), None, "no output waits");
        end.core.unsent(0, end.now);
        assert_eq!(end.tick(), Err(ProtocolError::WriteTimeout));
        assert_eq!(
            (end.state(), ProtocolError::WriteTimeout.close_code()),
            (State::Closed, CloseCode::Abnormal)
        );
    }
}

/// An end that has no time limit except the rate of messages.
fn measuring() -> End {
    End::open(Role::Server, Config { min_message_rate: 1024, ..Config::without_timeouts() })
}

/// Sends something every second for a minute. The connection must then fail because the message is slow.
fn assert_slow(mut send: impl FnMut(&mut End, usize)) {
    let mut end = measuring();
    for second in 0..60 {
        send(&mut end, second);
        end.take_out();
        end.advance(SECOND);
    }
    assert_eq!(due(&end), Some(Duration::ZERO));
    assert_eq!(end.tick(), Err(ProtocolError::SlowMessage));
    assert!(bytes::only(&end.take_out()).is(CLOSE, &bytes::close_payload(1008, "")));
}

#[test]
fn w6_a_message_that_arrives_slowly_fails_the_connection() {
    let message = bytes::frame_from(Role::Client, BINARY, &[1; 200_000]);
    assert_slow(|end, second| drop(end.feed(&message[second..=second])));
    assert_slow(|end, second| (0..17).for_each(|at| drop(end.feed(&message[second * 17 + at..][..1]))));
}

#[test]
fn w6_empty_fragments_and_control_frames_are_no_progress() {
    let first = bytes::frame_from(Role::Client, BINARY_START, b"");
    let empty = bytes::frame_from(Role::Client, CONTINUATION, b"");
    assert_slow(|end, second| drop(end.feed(if second == 0 { &first } else { &empty })));
    // Pings between the fragments, at 2 KiB per second.
    let ping = bytes::frame_from(Role::Client, PING, &[1; 125]);
    assert_slow(|end, second| {
        if second == 0 {
            end.feed(&first);
        }
        (0..16).for_each(|_| drop(end.feed(&ping)));
    });
}

#[test]
fn w6_a_message_at_the_minimum_rate_arrives() {
    let mut end = measuring();
    let message = bytes::frame_from(Role::Client, BINARY, &[1; 400 * 1024]);
    for part in message.chunks(1024) {
        assert_eq!(end.state(), State::Open);
        end.feed(part);
        end.advance(SECOND);
        let _ = end.core.tick(end.now, &mut end.out);
    }
    assert_eq!((end.state(), due(&end)), (State::Open, None), "it is complete");
}

#[test]
fn w6_a_message_in_fragments_is_complete_with_the_last_one() {
    let mut end = measuring();
    let fragment = |first| bytes::frame_from(Role::Client, first, b"roe");
    for _ in 0..2 {
        for first in [BINARY_START, CONTINUATION] {
            end.feed(&fragment(first));
            assert_eq!(due(&end), Some(60 * SECOND));
        }
        let last = fragment(LAST);
        let (begin, rest) = last.split_at(7);
        end.feed(begin);
        assert_eq!(due(&end), Some(60 * SECOND));
        assert_eq!(end.feed(rest), [Seen::Message(b"roeroeroe".to_vec().into())]);
        assert_eq!(due(&end), None, "the peer may be silent now");
    }
}

#[test]
fn w6_a_pause_of_the_front_end_is_not_held_against_the_peer() {
    let config = Config { min_message_rate: 1024, ..Config::default() };
    let mut end = End::open(Role::Server, config);
    end.feed(&bytes::frame_from(Role::Client, BINARY, &[1; 1000])[..100]);
    end.core.pause_reading(end.now);
    assert_eq!(due(&end), None);
    end.advance(1000 * SECOND);
    end.core.resume_reading(end.now);
    assert_eq!(due(&end), Some(30 * SECOND), "a Ping");
    end.advance(59 * SECOND);
    assert_eq!(end.core.tick(end.now, &mut end.out), Ok(()));
    end.advance(SECOND);
    assert_eq!(end.core.tick(end.now, &mut end.out), Err(ProtocolError::SlowMessage));
}

#[test]
fn w5_a_silent_peer_is_dropped_however_often_the_front_end_pauses() {
    let mut end = End::open(Role::Server, Config::default());
    let mut read = Duration::ZERO;
    let dropped = (0..1000).any(|_| {
        end.core.pause_reading(end.now);
        end.advance(100 * SECOND);
        end.core.resume_reading(end.now);
        end.advance(SECOND);
        read += SECOND;
        end.core.tick(end.now, &mut end.out).is_err()
    });
    assert!(dropped);
    assert_eq!(read, 120 * SECOND, "the pauses do not count");
}

#[test]
fn w5_a_silent_peer_receives_pings_and_is_dropped_by_default() {
    for role in [Role::Client, Role::Server] {
        let mut end = End::open(role, Config::default());
        for _ in 0..3 {
            assert_eq!(due(&end), Some(30 * SECOND));
            assert_eq!(end.tick(), Ok(()));
        }
        assert_eq!(bytes::frames(&end.take_out()).len(), 3);
        assert_eq!((due(&end), end.tick()), (Some(30 * SECOND), Err(ProtocolError::IdleTimeout)));
    }
}

#[test]
fn w5_a_program_that_was_away_gives_its_peer_the_time_to_answer() {
    let mut end = End::open(Role::Client, Config::default());
    end.advance(1000 * SECOND);
    assert_eq!(end.core.tick(end.now, &mut end.out), Ok(()), "a Ping instead of the end");
    assert_eq!(bytes::only(&end.take_out()).first, PING);
    assert_eq!(due(&end), Some(30 * SECOND));
    assert_eq!([end.tick(), end.tick()], [Ok(()), Ok(())]);
    assert_eq!(end.tick(), Err(ProtocolError::IdleTimeout));
}

#[test]
fn w5_pongs_for_automatic_pings_are_no_events_and_other_pongs_are() {
    let mut pair = Pair::open_with(Config::default(), Config::default());
    pair.server.tick().unwrap();
    let ping = bytes::only(&pair.server.out).payload.clone();
    pair.run();
    pair.server.core.ping(b"mine".to_vec(), pair.server.now, &mut pair.server.out).unwrap();
    assert_eq!(pair.run(), (vec![Seen::Ping(b"mine".to_vec())], vec![Seen::Pong(b"mine".to_vec())]));
    let mut other = End::open(Role::Server, Config::default());
    let pong = bytes::frame_from(Role::Client, 0x8a, &ping);
    assert_eq!(other.feed(&pong), [Seen::Pong(ping)], "this end has sent no Ping");
}

#[test]
fn l4_s7_1_1_at_most_a_mebibyte_is_read_while_tcp_is_shut_down() {
    let mut server = End::open(Role::Server, Config::default());
    server.feed(&bytes::frame_from(Role::Client, 0x83, b""));
    server.flush();
    server.feed(&vec![0; 1024 * 1024 - 100]);
    assert!(server.core.wants_input());
    server.feed(&[0; 100]);
    assert!(!server.core.wants_input());
    assert_eq!((server.state(), due(&server)), (State::Closing, Some(SECOND)), "TCP is not reset yet");
    assert_eq!(server.tick(), Ok(()));
    assert_eq!(server.state(), State::Closed);
}

#[test]
fn l2_a_silent_peer_is_dropped_at_the_idle_timeout() {
    for role in [Role::Client, Role::Server] {
        let mut end = watchful(role, 30, 0);
        end.advance(29 * SECOND);
        assert!(matches!(end.core.tick(end.now, &mut end.out), Ok(())), "never early");
        assert_eq!(due(&end), Some(SECOND));
        assert_eq!(end.tick(), Err(ProtocolError::IdleTimeout));
        assert_eq!((end.state(), end.out.len()), (State::Closed, 0));
        assert_eq!(ProtocolError::IdleTimeout.close_code(), CloseCode::Abnormal);
    }
}

#[test]
fn l2_sent_messages_do_not_extend_the_idle_timeout() {
    let mut server = watchful(Role::Server, 30, 0);
    server.advance(20 * SECOND);
    server.send("anybody there?");
    assert_eq!(due(&server), Some(10 * SECOND));
}

#[test]
fn l3_any_received_byte_extends_the_idle_timeout() {
    let mut server = watchful(Role::Server, 30, 0);
    let message = bytes::frame_from(Role::Client, BINARY, &[1; 100]);
    for byte in &message[..message.len() - 1] {
        server.advance(29 * SECOND);
        assert_eq!(server.feed(&[*byte]), []);
        assert_eq!(due(&server), Some(30 * SECOND));
    }
    server.advance(29 * SECOND);
    assert_eq!(server.feed(&message[message.len() - 1..]), [Seen::binary([1; 100])]);
}

#[test]
fn l3_an_empty_read_does_not_extend_the_idle_timeout() {
    let mut server = watchful(Role::Server, 30, 0);
    server.advance(20 * SECOND);
    server.feed(b"");
    assert_eq!(due(&server), Some(10 * SECOND));
}

#[test]
fn l2_s5_5_2_a_ping_is_sent_after_silence() {
    let mut server = watchful(Role::Server, 0, 20);
    for _ in 0..3 {
        assert_eq!(due(&server), Some(20 * SECOND));
        assert_eq!(server.tick(), Ok(()));
        assert_eq!(bytes::only(&server.take_out()).first, PING);
    }
    server.advance(15 * SECOND);
    server.feed(&bytes::frame_from(Role::Client, BINARY_START, b"a fragment is a sign of life"));
    assert_eq!(due(&server), Some(20 * SECOND));
}

#[test]
fn l2_s5_5_2_an_interval_of_zero_sends_no_ping() {
    let config = Config { ping_interval: Some(Duration::ZERO), ..Config::without_timeouts() };
    let mut server = End::open(Role::Server, config);
    assert_eq!(due(&server), None);
    assert_eq!(server.core.tick(server.now, &mut server.out), Ok(()));
    assert_eq!(server.take_out(), b"");
}

#[test]
fn l2_s5_5_2_a_pong_keeps_both_ends_alive() {
    let config =
        Config { ping_interval: Some(20 * SECOND), idle_timeout: Some(30 * SECOND), ..Config::default() };
    let mut pair = Pair::open_with(Config::default(), config);
    for _ in 0..10 {
        assert_eq!(pair.server.tick(), Ok(()));
        pair.client.now = pair.server.now;
        let (client, server) = pair.run();
        assert!(matches!(client.as_slice(), [Seen::Ping(_)]) && server.is_empty(), "{client:?} {server:?}");
    }
    assert_eq!(pair.states(), (State::Open, State::Open));
}

#[test]
fn l2_s5_5_2_a_silence_of_months_is_answered_with_one_ping_per_interval() {
    const DAY: u64 = 24 * 60 * 60;
    let mut server = watchful(Role::Server, 0, 40 * DAY);
    for _ in 0..5 {
        assert_eq!(due(&server), Some(Duration::from_secs(40 * DAY)));
        server.tick().unwrap();
        assert_eq!(server.take_out().first(), Some(&PING));
    }
}

#[test]
fn l2_s5_5_2_a_ping_between_two_milliseconds_is_not_followed_by_an_earlier_one() {
    let mut server = watchful(Role::Server, 0, 2);
    server.advance(2 * SECOND + Duration::from_micros(1));
    server.core.tick(server.now, &mut server.out).unwrap();
    assert_eq!(server.take_out().first(), Some(&PING));
    assert_eq!(due(&server), Some(2 * SECOND + Duration::from_micros(999)));
}

#[test]
fn l2_s5_5_2_a_ping_without_a_pong_leads_to_the_idle_timeout() {
    let mut server = watchful(Role::Server, 50, 20);
    assert_eq!([server.tick(), server.tick()], [Ok(()), Ok(())]);
    assert_eq!(bytes::frames(&server.out).len(), 2);
    assert_eq!(due(&server), Some(10 * SECOND));
    assert_eq!(server.tick(), Err(ProtocolError::IdleTimeout));
}

#[test]
fn l1_l2_the_close_timeout_replaces_the_idle_timeout_after_the_local_close() {
    let mut server = watchful(Role::Server, 3, 2);
    server.close(CloseCode::Normal, "").unwrap();
    server.flush();
    assert_eq!(due(&server), Some(10 * SECOND));
}

#[test]
fn l7_a_timeout_beyond_the_range_of_the_clock_never_fires() {
    let config = Config {
        handshake_timeout: Duration::MAX,
        close_timeout: Duration::MAX,
        idle_timeout: Some(Duration::MAX),
        ping_interval: Some(Duration::MAX),
        write_timeout: Some(Duration::MAX),
        ..Config::default()
    };
    let mut server = End::server(config.clone());
    assert_eq!(due(&server), None);
    server = End::open(Role::Server, config);
    assert_eq!(due(&server), None);
    server.close(CloseCode::Normal, "").unwrap();
    assert_eq!(due(&server), None);
}

/// Drives an end to its end without ever calling `flushed`, as a front end that reads whenever the core wants input and the
/// socket, at its end, is always ready. Returns how many steps it takes.
fn steps_without_flushed(mut end: End) -> usize {
    let mut steps = 0;
    while end.state() != State::Closed && steps < 100 {
        steps += 1;
        if end.core.wants_input() {
            let _ = end.core.receive_eof();
        } else {
            let _ = end.tick();
        }
    }
    steps
}

#[test]
fn l1_a_front_end_that_omits_flushed_does_not_spin() {
    for role in [Role::Client, Role::Server] {
        let mut closed = End::open(role, Config::default());
        closed.feed(&bytes::close_from(!role, 1000, b""));
        assert!(closed.core.awaits_flush());
        assert_eq!(steps_without_flushed(closed), 2, "one read, one wait");

        let mut failed = End::open(role, Config::default());
        failed.feed(&bytes::frame_from(!role, 0x83, b""));
        assert_eq!(steps_without_flushed(failed), 2);
    }
}
