//! H18 and the limit of connections: those who do not want a WebSocket, and those who are too many.

use sockeye_test_support::bytes::UPGRADE;
use sockeye_test_support::peer::{End, Peer};
use sockeye_test_support::script::Script;

/// The beginnings of other protocols, and bytes of none.
fn noises() -> Vec<(&'static str, Vec<u8>)> {
    let tls_hello = {
        let mut hello = vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
        hello.extend((0..512).map(|at: u16| at.to_le_bytes()[0].wrapping_mul(167)));
        hello
    };
    // xorshift: the same noise every time.
    let random = (0..4096).scan(0x2545_f491_u32, |state, _| {
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        Some(state.to_le_bytes()[0])
    });
    vec![
        ("TLS hello", tls_hello),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
        ("random bytes", random.collect()),
        ("zeros", vec![0; 100_000]),
        ("line breaks", b"\r\n".repeat(10_000)),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
        ("SOCKS", vec![5, 1, 0]),
        ("RDP", b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0".to_vec()),
        ("a frame", sockeye_test_support::bytes::masked(sockeye_test_support::bytes::TEXT, b"hello")),
        ("the half of a request", UPGRADE.as_bytes()[..40].to_vec()),
        ("nothing", Vec::new()),
    ]
}

#[test]
fn h18_invalid_input_leaks_no_sockets_and_no_handlers() {
    let server = Script::new().serve();
    for (name, noise) in noises() {
        // Peers that stay and read, end their side, disconnect, reset, and reset at once.
        let mut stays = server.peer();
        stays.try_send(&noise);
        stays.end_writing();
        let (answer, _) = stays.rest();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{name}");
        let mut goes = server.peer();
        goes.try_send(&noise);
        drop(goes);
        let mut resets = server.peer();
        resets.try_send(&noise);
        resets.reset();
        server.peer().reset();
    }
    server.wait_for_sockets(0);
    assert_eq!(server.journal.count("open"), 0);
    assert_eq!(server.journal.count("error Io"), 0, "the end of what never was is no error");
    server.assert_serves();
    server.wait_for_sockets(0);
    let made = server.journal.count("made");
    server.journal.wait_for("lost", made);
    server.assert_idle();
}

#[test]
fn h18_other_protocols_are_rejected_immediately() {
    let server = Script::new().serve();
    for (name, noise) in noises() {
        let is_refused = !matches!(name, "line breaks" | "the half of a request" | "nothing");
        let mut peer = server.peer();
        peer.try_send(&noise);
        if is_refused {
            // The end may be a reset, for what was on its way after the refusal.
            let (answer, _) = peer.rest();
            assert!(answer.starts_with(b"HTTP/1.1 "), "{name}: {answer:?}");
        }
    }
}

#[test]
fn h18_a_server_with_incomplete_handshakes_stays_idle() {
    let server = Script::new().serve();
    let peers: Vec<Peer> = noises()
        .into_iter()
        .map(|(_, noise)| {
            let mut peer = server.peer();
            peer.try_send(&noise[..noise.len() / 2]);
            peer
        })
        .collect();
    server.journal.wait_for("made", peers.len());
    server.assert_serves();
    server.assert_idle();
}

#[test]
fn a_client_beyond_max_connections_receives_503() {
    let server = Script::echo().settings(|it| it.max_connections = 2).serve();
    let (mut first, mut second) = (server.open(), server.open());
    for has_asked in [true, false, true] {
        let mut third = server.peer();
        if has_asked {
            third.send(UPGRADE.as_bytes());
        }
        let answer = third.answer();
        assert_eq!((answer.status(), answer.end), (503, End::Fin));
        assert_eq!(answer.head.header("Content-Length"), Some("0"));
    }
    // No handler was made for them, and those that are in do not notice.
    assert_eq!(server.journal.count("made"), 2);
    server.wait_for_sockets(2);
    first.close(1000);
    server.journal.wait_for("lost", 1);
    server.assert_serves();
    second.close(1000);
}

#[test]
fn rejected_clients_do_not_count_towards_max_connections() {
    let server = Script::echo().settings(|it| it.max_connections = 1).serve();
    let first = server.open();
    // Rejected for want of room, and slow to disconnect.
    let mut crowd: Vec<Peer> = (0..10).map(|_| server.peer()).collect();
    for peer in &mut crowd {
        assert_eq!(peer.head().status(), 503);
    }
    drop(first);
    server.journal.story_of_lost(0);
    server.assert_serves();
    assert_eq!(server.journal.count("made"), 2);
}

#[test]
fn clients_beyond_max_connections_do_not_harm_open_connections() {
    let server = Script::echo().settings(|it| it.max_connections = 1).serve();
    let mut inside = server.open();
    // They neither ask nor leave.
    let crowd: Vec<Peer> = (0..200).map(|_| server.peer()).collect();
    inside.send(&sockeye_test_support::bytes::masked(sockeye_test_support::bytes::TEXT, b"still here"));
    assert_eq!(inside.frame(), (sockeye_test_support::bytes::TEXT, b"still here".to_vec()));
    // All of them end without their help.
    server.wait_for_sockets(1);
    drop(crowd);
    inside.close(1000);
    server.journal.wait_for("lost", 1);
    server.assert_serves();
    server.assert_idle();
}
