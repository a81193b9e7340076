//! H1 to H4, H6: how long an opening handshake may be, how much it may cost, and how slow it may come.

use std::time::{Duration, Instant};

use sockeye_test_support::bytes::{UPGRADE, upgrade_and};
use sockeye_test_support::peer::{End, Peer};
use sockeye_test_support::running::Running;
use sockeye_test_support::script::Script;
use sockeye_test_support::{NEVER, assert_once};

/// A right request that is exactly so long.
fn upgrade_of(len: usize) -> String {
    let rest = len - upgrade_and("X: \r\n").len();
    upgrade_and(&format!("X: {}\r\n", "x".repeat(rest)))
}

fn send_in_single_bytes(server: &Running, head: &str) -> Duration {
    let before = server.time_spent();
    let mut peer = server.peer();
    for byte in head.bytes() {
        peer.send(&[byte]);
    }
    peer.opened();
    let spent = server.time_spent().saturating_sub(before);
    peer.close(1000);
    spent
}

#[test]
fn h1_a_head_sent_in_single_bytes_takes_linear_time() {
    let server = Script::new().serve();
    send_in_single_bytes(&server, &upgrade_of(1024));
    // Four times as much costs about four times as much, and sixteen times if every byte is parsed with all before it.
    assert_once("linear time", || {
        let short = send_in_single_bytes(&server, &upgrade_of(4 * 1024));
        let long = send_in_single_bytes(&server, &upgrade_of(16 * 1024));
        long < short * 9 + Duration::from_millis(20)
    });
}

#[test]
fn w5_connections_of_one_address_are_limited() {
    let server = Script::echo().settings(|it| it.max_connections_per_address = Some(2)).serve();
    let (first, mut second) = (server.open(), server.open());
    let mut third = server.peer();
    assert_eq!(third.answer().status(), 503);
    first.finish();
    server.wait_for_sockets(1);
    server.open().echo("there is room again");
    second.echo("nothing is lost");
}

#[test]
fn w5_clients_of_a_trusted_proxy_are_limited_by_their_own_addresses() {
    let server = Script::echo()
        .settings(|it| {
            it.max_connections_per_address = Some(1);
            it.trusted_proxies = sockeye::TrustedProxies::Loopback;
        })
        .serve();
    let open = |client: &str| {
        let mut peer = server.peer();
        peer.send(upgrade_and(&format!("X-Forwarded-For: {client}\r\n")).as_bytes());
        peer
    };
    let (mut first, mut second) = (open("192.0.2.1"), open("192.0.2.2"));
    first.opened();
    second.opened();
    assert_eq!(open("192.0.2.1").answer().status(), 503);
    first.finish();
    server.wait_for_sockets(1);
    open("192.0.2.1").opened();
}

#[test]
fn h2_the_head_size_limit_is_inclusive() {
    let server = Script::new().serve();
    let mut peer = server.peer();
    peer.send(upgrade_of(16 * 1024).as_bytes());
    peer.opened();
    peer.close(1000);

    let mut peer = server.peer();
    peer.send(upgrade_of(16 * 1024 + 1).as_bytes());
    let answer = peer.answer();
    assert_eq!((answer.status(), answer.end), (431, End::Fin));
    assert_eq!(server.journal.story_of_lost(1), "made, error Protocol, lost");
}

#[test]
fn h2_the_target_size_limit_is_inclusive() {
    let server = Script::new().serve();
    for (len, status) in [(8 * 1024, 101), (8 * 1024 + 1, 414)] {
        let target = format!("/{}", "t".repeat(len - 1));
        let mut peer = server.peer();
        peer.send(UPGRADE.replace("/chat", &target).as_bytes());
        let head = peer.head();
        assert_eq!(head.status(), status);
    }
}

#[test]
fn h2_an_endless_head_is_rejected_and_the_client_disconnected() {
    let server = Script::new().serve();
    let mut peer = server.peer();
    peer.send(b"GET / HTTP/1.1\r\nX: ");
    // What is thrown away after the refusal is limited, too: at some point the other end is gone.
    let piece = [b'x'; 64 * 1024];
    let taken = (0..1024).take_while(|_| peer.try_send(&piece)).count();
    assert!(taken < 1024, "64 MiB were taken");
    drop(peer);
    assert_eq!(server.journal.story_of_lost(0), "made, error Protocol, lost");
    server.wait_for_sockets(0);
    server.assert_idle();
}

#[test]
fn h3_100_headers_are_accepted_and_101_are_rejected() {
    let server = Script::new().serve();
    // A right request has five.
    for (count, status) in [(95, 101), (96, 431)] {
        let mut peer = server.peer();
        peer.send(upgrade_and(&"X: y\r\n".repeat(count)).as_bytes());
        assert_eq!(peer.head().status(), status);
    }
}

#[test]
fn h3_a_missing_header_is_rejected_at_the_header_limit() {
    let server = Script::new().serve();
    let padding = "X: y\r\n".repeat(96);
    for header in UPGRADE.lines().skip(1).filter(|line| !line.is_empty()) {
        let without = upgrade_and(&padding).replacen(&format!("{header}\r\n"), "", 1);
        let mut peer = server.peer();
        peer.send(without.as_bytes());
        let status = peer.answer().status();
        assert!(matches!(status, 400 | 426), "{status} without {header}");
    }
    server.assert_serves();
}

/// Sends the next byte of a request every now and then, until the server ends it: the answer, if there was any.
fn drip(mut peer: Peer) -> (Vec<u8>, End) {
    for byte in UPGRADE.bytes().cycle().skip(1) {
        if peer.receives_within(Duration::from_millis(20)) || !peer.try_send(&[byte]) {
            break;
        }
    }
    peer.rest()
}

#[test]
fn h4_slow_clients_time_out_and_other_clients_are_served() {
    let server = Script::new().settings(|it| it.handshake_timeout = NEVER).serve();
    let waiting: Vec<Peer> = (0..20).map(|_| server.peer()).collect();
    server.journal.wait_for("made", 20);
    server.assert_serves();
    drop((waiting, server));

    let limit = Duration::from_millis(600);
    let server = Script::new().settings(|it| it.handshake_timeout = limit).serve();
    let start = Instant::now();
    let slow: Vec<_> = (0..10)
        .map(|_| {
            let mut peer = server.peer();
            peer.send(b"G");
            std::thread::spawn(move || (drip(peer), Instant::now()))
        })
        .collect();
    let mut silent: Vec<Peer> = (0..10).map(|_| server.peer()).collect();
    server.journal.wait_for("made", 20);

    server.assert_serves();
    for thread in slow {
        let ((answer, _), at) = thread.join().unwrap();
        assert!(at - start >= limit, "closed after {:?}", at - start);
        assert!(answer.starts_with(b"HTTP/1.1 408 "), "{:?}", String::from_utf8_lossy(&answer));
    }
    for peer in &mut silent {
        // A peer that has sent nothing may not speak HTTP.
        assert_eq!(peer.rest(), (Vec::new(), End::Fin));
    }
    server.journal.wait_for("lost", 21);
    server.wait_for_sockets(0);
    for id in 0..20 {
        assert_eq!(server.journal.story(id), "made, lost");
    }
    server.assert_idle();
}

#[test]
fn h6_spaces_commas_and_quotes_take_linear_time() {
    let server = Script::new().settings(|it| it.trusted_proxies = sockeye::TrustedProxies::All).serve();
    let names = [
        "Connection",
        "Upgrade",
        "Host",
        "Origin",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "X-Forwarded-For",
        "Forwarded",
    ];
    let pieces = [" ", ",", "\"", "\\", ";", "=", ", ", "\",", "a ", "a;b=\"\\", "a, ", "for=\"["];
    for name in names {
        assert_once(name, || {
            let before = server.time_spent();
            for piece in pieces {
                let value = piece.repeat(15 * 1024 / piece.len());
                let mut peer = server.peer();
                peer.send(upgrade_and(&format!("{name}: a{value}a\r\n")).as_bytes());
                assert!(peer.receives_within(sockeye_test_support::LIMIT));
            }
            server.time_spent().saturating_sub(before) < Duration::from_millis(500)
        });
    }
    server.assert_serves();
}
