//! L1 to L4: peers that do not answer, that are not there any more, that are slow, and that talk on.

use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use sockeye::{CloseCode, Response};

use sockeye_test_support::bytes::{
    CLOSE, PING, PONG, TEXT, UPGRADE, close_payload, frame, header, masked, masked_close, upgrade_and,
};
use sockeye_test_support::host::Host;
use sockeye_test_support::journal::Hook;
use sockeye_test_support::peer::End;
use sockeye_test_support::running::Running;
use sockeye_test_support::script::Script;
use sockeye_test_support::{NEVER, while_on_time};

const OPENED: &str = "made, request GET /chat, open";

/// The timeout under test.
const SHORT: Duration = Duration::from_millis(300);

/// Asserts that the timeout was not early. If it did not fire at all, the test would have failed before.
fn assert_not_early(start: Instant, end: Instant) {
    let spent = end - start;
    assert!(spent >= SHORT, "{spent:?}");
}

/// Handlers that close at the word "close".
fn closer() -> Script {
    Script::new().settings(|it| it.close_timeout = SHORT).on(|out, hook| match hook {
        Hook::Message(message) if message.as_text()? == "close" => out.close(CloseCode::Away),
        _ => Ok(()),
    })
}

#[test]
fn l1_a_client_that_sends_no_close_is_dropped_at_the_close_timeout() {
    let server = closer().serve();
    let mut peer = server.open();
    let start = Instant::now();
    peer.send(&masked(TEXT, b"close"));
    peer.expect_close(1001);
    // It goes on sending instead; no handler is called for that.
    while !peer.receives_within(Duration::from_millis(20)) && peer.try_send(&masked(TEXT, b"deaf")) {}
    assert_eq!(server.journal.story_of_lost(0), format!("{OPENED}, message close, close 1006, lost"));
    assert_not_early(start, server.journal.time_of("close 1006"));
    let full = server.journal.full_story(0);
    assert!(full.ends_with("message close, send CLOSE, close 1006, lost"), "{full}");
    server.wait_for_sockets(0);
}

#[test]
fn l1_a_server_that_sends_no_close_is_dropped_at_the_close_timeout() {
    let host = Host::new();
    let mut client = closer().connect(&host.url());
    let mut peer = host.open();
    let start = Instant::now();
    peer.send(&frame(TEXT, b"close"));
    assert_eq!(peer.masked_frame().2, close_payload(1001, ""));
    while !peer.receives_within(Duration::from_millis(20)) && peer.try_send(&frame(TEXT, b"deaf")) {}
    client.wait_for_end();
    assert_not_early(start, client.journal.time_of("close 1006"));
    assert!(client.journal.full_story(0).ends_with("message close, send CLOSE, close 1006, lost"));
}

#[test]
fn l1_a_peer_that_does_not_end_tcp_is_dropped_at_the_close_timeout() {
    // Our client waits for the server (§7.1.1), within the limit.
    let host = Host::new();
    let mut client = closer().connect(&host.url());
    let mut peer = host.open();
    let start = Instant::now();
    peer.send(&[frame(TEXT, b"close"), frame(CLOSE, &close_payload(1001, "bye"))].concat());
    peer.masked_frame();
    client.wait_for_end();
    assert_not_early(start, client.journal.time_of("lost"));
    assert!(client.journal.story(0).ends_with("message close, close 1001 bye, lost"));

    // A server ends its side at once.
    let server = closer().settings(|it| it.close_timeout = NEVER).serve();
    let mut peer = server.open();
    peer.close(1000);
    drop(server);

    // And it gives up its socket in time.
    let server = closer().serve();
    let mut peer = server.open();
    peer.send(&masked_close(1000, ""));
    peer.expect_close(1000);
    assert_eq!(peer.end(), End::Fin);
    assert_eq!(server.journal.story_of_lost(0), format!("{OPENED}, close 1000, lost"));
    server.wait_for_sockets(0);
}

#[test]
fn l1_a_close_received_during_a_pause_is_processed_after_the_local_close() {
    let server = Script::new()
        .settings(|it| it.close_timeout = NEVER)
        .on(|out, hook| match hook {
            Hook::Message(_) => {
                out.pause()?;
                out.timeout(100, sockeye::util::Token(1))
            }
            Hook::Timeout(_) => out.close(CloseCode::Normal),
            _ => Ok(()),
        })
        .serve();
    let mut peer = server.open();
    peer.send(&masked(TEXT, b"pause"));
    server.journal.wait_for("new timeout 1", 1);
    peer.send(&masked_close(1000, "gone"));
    peer.end_writing();
    peer.expect_close(1000);
    assert_eq!(peer.rest(), (Vec::new(), End::Fin));
    let story = format!("{OPENED}, message pause, new timeout 1, timeout 1, close 1000 gone, lost");
    assert_eq!(server.journal.story_of_lost(0), story);
}

#[test]
fn l2_a_silent_peer_is_dropped_at_the_idle_timeout() {
    let server = Script::new().settings(|it| it.idle_timeout = Some(SHORT)).serve();
    let start = Instant::now();
    let mut peer = server.open();
    assert!(peer.rest().0.is_empty());
    assert_eq!(server.journal.story_of_lost(0), format!("{OPENED}, close 1006, lost"));
    assert_not_early(start, server.journal.time_of("close 1006"));
}

#[test]
fn l2_only_peers_without_pongs_are_dropped() {
    while_on_time(SHORT / 2, |pace| {
        let server = Script::new()
            .settings(|it| (it.idle_timeout, it.ping_interval) = (Some(SHORT), Some(SHORT / 6)))
            .serve();
        let start = Instant::now();
        let (mut alive, mut dead) = (server.open(), server.open());
        while start.elapsed() < 3 * SHORT {
            let (first, payload) = alive.frame();
            pace.step();
            assert_eq!(first, PING);
            alive.send(&masked(PONG, &payload));
        }
        assert_eq!(server.journal.story(0), OPENED);
        // The dead was asked, and is gone.
        assert_eq!(server.journal.story_of_lost(1), format!("{OPENED}, close 1006, lost"));
        assert_not_early(
            start,
            server.journal.wait("the end", |entries| {
                entries.iter().find(|it| it.id == 1 && matches!(it.hook, Hook::Close(..))).map(|it| it.at)
            }),
        );
        assert_eq!(dead.frame().0, PING);
        alive.close(1000);
    });
}

#[test]
fn l3_a_message_that_arrives_slowly_keeps_the_connection_open() {
    while_on_time(SHORT / 2, |pace| {
        let server = Script::echo().settings(|it| it.idle_timeout = Some(SHORT)).serve();
        let mut peer = server.open();
        let start = Instant::now();
        peer.send(&[header(TEXT, 30, true).as_slice(), &[0; 4]].concat());
        for _ in 0..30 {
            // Slower than the limit as a whole, faster from byte to byte.
            assert!(!peer.receives_within(SHORT / 10));
            peer.send(b"x");
            pace.step();
        }
        assert_eq!(peer.frame(), (TEXT, vec![b'x'; 30]));
        assert!(start.elapsed() > 2 * SHORT);
        // And then silence.
        assert!(peer.rest().0.is_empty());
        let story = format!("{OPENED}, message {}, close 1006, lost", "x".repeat(30));
        assert_eq!(server.journal.story_of_lost(0), story);
    });
}

/// As much as a server reads and throws away behind the end, almost.
const PENDING: usize = 900_000;

#[test]
fn l4_a_close_reaches_the_peer_while_its_input_is_unread() {
    let server = closer().settings(|it| it.close_timeout = NEVER).serve();
    let endings = [(masked(0x83, b""), 1002), (masked(TEXT, b"\xff"), 1007), (masked_close(4000, ""), 4000)];
    for (ending, code) in endings {
        let mut peer = server.open();
        peer.send(&[ending, masked(TEXT, &[b'x'; PENDING])].concat());
        peer.expect_failure(code);
    }
    // A message of which the half is still to come, and will.
    let mut peer = server.open();
    let large = masked(TEXT, &[b'x'; PENDING]);
    peer.send(&[&masked(TEXT, b"close"), &large[..PENDING / 2]].concat());
    peer.expect_close(1001);
    peer.send(&large[PENDING / 2..]);
    peer.send(&masked_close(1001, ""));
    assert_eq!(peer.rest(), (Vec::new(), End::Fin));
    server.journal.wait_for("lost", 4);
}

#[test]
fn l4_a_rejection_reaches_the_client_while_the_body_is_unread() {
    let server = Script::new().on_request(|_| Ok(Response::new(404, "Not Found", b"no".to_vec()))).serve();
    let body = vec![b'x'; PENDING];
    let head = format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {PENDING}\r\n\r\n");
    let requests = [(head, 404), (upgrade_and("Content-Length: 900000\r\n"), 400), (UPGRADE.to_owned(), 404)];
    for (head, status) in requests {
        let mut peer = server.peer();
        peer.send(&[head.as_bytes(), &body].concat());
        let answer = peer.answer();
        assert_eq!((answer.status(), answer.end), (status, End::Fin));
    }
}

fn fail_of(server: &Running, peer: sockeye_test_support::peer::Peer, id: u32) -> String {
    peer.reset();
    server.journal.story_of_lost(id)
}

#[test]
fn l6_every_end_of_a_connection_is_reported_once() {
    let server = closer().serve();
    let story = fail_of(&server, server.open(), 0);
    assert_eq!(story, format!("{OPENED}, error Io, close 1006, lost"));

    drop(server.open());
    assert_eq!(server.journal.story_of_lost(1), format!("{OPENED}, close 1006, lost"));

    let mut peer = server.open();
    peer.end_writing();
    assert_eq!(server.journal.story_of_lost(2), format!("{OPENED}, close 1006, lost"));
    peer.rest();

    // After the Close of the peer, and after ours.
    let mut peer = server.open();
    peer.send(&masked_close(1000, ""));
    peer.expect_close(1000);
    assert_eq!(fail_of(&server, peer, 3), format!("{OPENED}, close 1000, lost"));
    let mut peer = server.open();
    peer.send(&masked(TEXT, b"close"));
    peer.expect_close(1001);
    let story = fail_of(&server, peer, 4);
    assert_eq!(story, format!("{OPENED}, message close, error Io, close 1006, lost"));
}

#[test]
fn l6_a_close_before_a_reset_is_received_after_a_failed_write() {
    let (go_on, stop) = mpsc::channel();
    let stop = Mutex::new(stop);
    let server = Script::new().on(move |out, hook| match hook {
        Hook::Message(_) => {
            // The peer sends a last message meanwhile, and disconnects.
            stop.lock().unwrap().recv().unwrap();
            out.send("too late")
        }
        _ => Ok(()),
    });
    let server = server.serve();
    let mut peer = server.open();
    peer.send(&masked(TEXT, b"wait"));
    server.journal.wait_for("message wait", 1);
    peer.send(&masked_close(1009, "too much"));
    peer.reset();
    go_on.send(()).unwrap();
    assert_eq!(server.journal.story_of_lost(0), format!("{OPENED}, message wait, close 1009 too much, lost"));
}
