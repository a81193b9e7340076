//! How a connection ends: the end that starts, the code, the answer, and what else is in transit.

use std::thread;
use std::time::{Duration, Instant};

use sockeye::protocol::Role;
use sockeye::{CloseCode, Message};

use super::{End, Peer, Received, Terms, for_all_ends, for_all_pairs};
use sockeye_test_support::bytes::{CLOSE, PING, TEXT, close_payload};
use sockeye_test_support::peer::End as Ended;

/// The longest reason (§5.5).
const LONG: &str = "lachs lachs lachs lachs lachs lachs lachs lachs lachs lachs lachs lachs lachs lachs lachs \
                    lachs lachs lachs lachs lachs lac";

/// Every payload that a Close may have (§5.5.1).
fn payloads() -> [(CloseCode, &'static str); 5] {
    assert_eq!(LONG.len(), 123);
    [
        (CloseCode::Status, ""),
        (CloseCode::Normal, ""),
        (CloseCode::Away, "gone fishing"),
        (CloseCode::Other(4321), "\u{1f41f}"),
        (CloseCode::Normal, LONG),
    ]
}

fn payload(code: CloseCode, reason: &str) -> Vec<u8> {
    if code == CloseCode::Status { Vec::new() } else { close_payload(code.into(), reason) }
}

/// The end of TCP, in the order of §7.1.1: the server's comes first, and ours must come where it is our turn.
fn expect_end(peer: &mut Peer) {
    if peer.role == Role::Server {
        peer.end_writing();
    }
    let (rest, end) = peer.rest();
    assert_eq!((rest, end), (Vec::new(), Ended::Fin));
}

/// Closes on a thread of its own, which the test waits for last.
fn closing(
    mut end: Box<dyn End>,
    code: CloseCode,
    reason: &'static str,
    meanwhile: impl FnOnce(),
) -> (Received, Duration) {
    thread::scope(|scope| {
        let ending = scope.spawn(move || {
            let begun = Instant::now();
            let received = end.close(code, reason);
            (received, begun.elapsed())
        });
        meanwhile();
        ending.join().unwrap()
    })
}

#[test]
fn s7_1_each_end_closes_the_other() {
    for (code, reason) in payloads() {
        // Who is closed answers with the same code (§5.5.1), and without a reason.
        let answer = Received::close(code, "");
        for_all_pairs(Terms::default(), |client, server| {
            thread::scope(|scope| {
                let other = scope.spawn(|| server.receive());
                assert_eq!(client.close(code, reason), answer);
                assert_eq!(other.join().unwrap(), Received::close(code, reason));
            });
        });
        for_all_pairs(Terms::default(), |client, server| {
            thread::scope(|scope| {
                let other = scope.spawn(|| client.receive());
                assert_eq!(server.close(code, reason), answer);
                assert_eq!(other.join().unwrap(), Received::close(code, reason));
            });
        });
    }
}

#[test]
fn s7_1_3_both_ends_close_at_once() {
    for_all_pairs(Terms::default(), |client, server| {
        thread::scope(|scope| {
            let other = scope.spawn(|| server.close(CloseCode::Away, "server"));
            let one = client.close(CloseCode::Normal, "client");
            assert!(matches!(one, Received::Close(..)), "{one:?}");
            let other = other.join().unwrap();
            assert!(matches!(other, Received::Close(..)), "{other:?}");
        });
    });
}

#[test]
fn s5_5_1_the_close_of_the_peer_gets_a_reply() {
    for (code, reason) in payloads() {
        for_all_ends(Terms::default(), |mut end, mut peer| {
            peer.send_frame(CLOSE, &payload(code, reason));
            let received = thread::scope(|scope| {
                let received = scope.spawn(|| end.receive());
                assert_eq!(peer.frame(), (CLOSE, payload(code, "")));
                expect_end(&mut peer);
                received.join().unwrap()
            });
            assert_eq!(received, Received::close(code, reason));
        });
    }
}

#[test]
fn s5_5_1_a_close_can_arrive_byte_by_byte() {
    for_all_ends(Terms::default(), |mut end, mut peer| {
        for byte in peer.encode(CLOSE, &payload(CloseCode::Away, "slowly")) {
            peer.send(&[byte]);
        }
        let received = thread::scope(|scope| {
            let received = scope.spawn(|| end.receive());
            assert_eq!(peer.frame(), (CLOSE, payload(CloseCode::Away, "")));
            expect_end(&mut peer);
            received.join().unwrap()
        });
        assert_eq!(received, Received::close(CloseCode::Away, "slowly"));
    });
}

#[test]
fn m23_all_messages_before_a_close_are_delivered() {
    for_all_ends(Terms::default(), |mut end, mut peer| {
        let last = [peer.encode(TEXT, b"one"), peer.encode(TEXT, b"two"), peer.encode(CLOSE, b"")].concat();
        peer.send(&last);
        // And nothing that comes after it.
        let late = peer.encode(TEXT, b"late");
        peer.try_send(&late);
        assert_eq!(end.receive(), Received::Message("one".into()));
        assert_eq!(end.receive(), Received::Message("two".into()));
        let received = thread::scope(|scope| {
            let received = scope.spawn(|| end.receive());
            assert_eq!(peer.frame(), (CLOSE, Vec::new()));
            expect_end(&mut peer);
            received.join().unwrap()
        });
        assert_eq!(received, Received::close(CloseCode::Status, ""));
    });
}

#[test]
fn s7_1_2_close_returns_the_close_of_the_peer() {
    for (code, reason) in payloads() {
        for_all_ends(Terms::default(), |end, mut peer| {
            let (received, _) = closing(end, code, reason, || {
                assert_eq!(peer.frame(), (CLOSE, payload(code, reason)));
                peer.send_frame(CLOSE, &payload(CloseCode::Away, "answer"));
                expect_end(&mut peer);
            });
            assert_eq!(received, Received::close(CloseCode::Away, "answer"));
        });
    }
}

#[test]
fn s5_5_1_after_the_local_close_data_is_dropped_and_pings_get_pongs() {
    for_all_ends(Terms::default(), |end, mut peer| {
        let (received, _) = closing(end, CloseCode::Normal, "", || {
            assert_eq!(peer.frame().0, CLOSE);
            peer.send_frame(TEXT, &vec![b'x'; 200_000]);
            peer.send_frame(PING, b"?");
            assert_eq!(peer.frame(), (sockeye_test_support::bytes::PONG, b"?".to_vec()));
            peer.send_frame(CLOSE, &payload(CloseCode::Normal, ""));
            expect_end(&mut peer);
        });
        assert_eq!(received, Received::close(CloseCode::Normal, ""));
    });
}

/// The event loop counts from the beginning of its turn, which may be before the call. `protocol/time.rs` is exact.
fn assert_waited(time: Duration, timeout: Duration) {
    assert!(time >= timeout / 2, "{time:?} instead of {timeout:?}");
}

#[test]
fn l7_a_close_that_is_not_answered_times_out() {
    let close_timeout = Duration::from_millis(300);
    for_all_ends(Terms { close_timeout, ..Terms::default() }, |end, mut peer| {
        let (received, time) = closing(end, CloseCode::Normal, "", || assert_eq!(peer.frame().0, CLOSE));
        assert_eq!(received, Received::Lost);
        assert_waited(time, close_timeout);
    });
}

/// Whoever always has something to read looks at the clock nevertheless.
#[test]
fn l7_close_times_out_while_the_peer_keeps_sending() {
    let close_timeout = Duration::from_millis(300);
    for_all_ends(Terms { close_timeout, ..Terms::default() }, |end, mut peer| {
        let flood = peer.encode(TEXT, &[b'x'; 100]).repeat(1000);
        let (received, time) = closing(end, CloseCode::Normal, "", || {
            let begun = Instant::now();
            while peer.try_send(&flood) && begun.elapsed() < super::LIMIT {}
        });
        assert_eq!(received, Received::Lost);
        assert_waited(time, close_timeout);
    });
}

#[test]
fn s7_1_5_a_disconnect_without_a_close_is_a_lost_connection() {
    for_all_ends(Terms::default(), |mut end, mut peer| {
        peer.send_frame(TEXT, b"last");
        peer.end_writing();
        assert_eq!(end.receive(), Received::Message("last".into()));
        assert_eq!(end.receive(), Received::Lost);
    });
    for_all_ends(Terms::default(), |end, mut peer| {
        let (received, _) = closing(end, CloseCode::Normal, "", || {
            assert_eq!(peer.frame().0, CLOSE);
            peer.end_writing();
        });
        assert_eq!(received, Received::Lost);
    });
}

#[test]
fn m12_dropping_a_connection_sends_a_close() {
    for_all_ends(Terms::default(), |mut end, mut peer| {
        end.send(Message::text("last"));
        drop(end);
        assert_eq!(peer.frame(), (TEXT, b"last".to_vec()));
        let (first, payload) = peer.frame();
        assert_eq!((first, payload.get(..2)), (CLOSE, Some(&1001_u16.to_be_bytes()[..])));
    });
}
