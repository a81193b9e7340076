//! L5: a loop that drains, on real sockets. When connections are closed is tested in `src/reactor/tests/draining.rs`, with a clock
//! that only the test moves.

use std::time::Duration;

use sockeye::{CloseCode, Drain, Response};
use sockeye_test_support::LIMIT;
use sockeye_test_support::bytes::{TEXT, UPGRADE, masked_close};
use sockeye_test_support::peer::{End, Peer};
use sockeye_test_support::running::Running;
use sockeye_test_support::script::Script;

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A server with a page for health checks.
fn server() -> Running {
    Script::new()
        .settings(|it| it.close_timeout = LIMIT)
        .on_request(|request| match request.resource() {
            "/health" => Ok(Response::new(200, "OK", b"up".to_vec())),
            _ => Response::from_request(request),
        })
        .serve()
}

/// Answers the Close frame of a drain.
fn answer_close(peer: &mut Peer, code: u16) {
    peer.send(&masked_close(code, ""));
    assert_eq!(peer.rest(), (Vec::new(), End::Fin));
}

#[test]
fn l5_a_drain_closes_every_connection_behind_its_output() {
    let mut server = server();
    let mut peers: Vec<Peer> = (0..20).map(|_| server.open()).collect();
    server.journal.wait_for("open", 20);
    let text = "queued ".repeat(9_000);
    (0..10).for_each(|_| server.out.broadcast(text.as_str()).unwrap());
    let drain = Drain::new().code(CloseCode::Restart).reason("update");
    server.out.drain(drain.over(Duration::from_millis(100)).deadline(LIMIT)).unwrap();
    for peer in &mut peers {
        (0..10).for_each(|_| assert_eq!(peer.message(), text));
        peer.expect_close(1012);
        answer_close(peer, 1012);
    }
    server.wait_for_end();
    assert_eq!((server.journal.count("shutdown"), server.journal.count("close 1012")), (20, 20));
    assert!(std::net::TcpStream::connect(server.address()).is_err(), "the loop no longer listens");
}

#[test]
fn l5_new_clients_are_turned_away_during_a_drain() {
    let mut server = server();
    let (mut last, mut half) = (server.open(), server.peer());
    half.send(&UPGRADE.as_bytes()[..50]);
    server.journal.wait_for("made", 2);
    assert!(!server.out.is_draining());
    server.out.drain(Drain::new().deadline(2 * LIMIT)).unwrap();
    last.expect_close(1001);
    // The connection closes when the peer answers, and until then the loop drains.
    assert!(server.out.is_draining() && server.out.connect("ws://127.0.0.1:1".parse().unwrap()).is_err());
    let mut late = server.peer();
    late.send(UPGRADE);
    half.send(&UPGRADE.as_bytes()[50..]);
    for peer in [&mut late, &mut half] {
        let answer = peer.answer();
        assert_eq!((answer.status(), answer.end), (503, End::Fin));
        let seconds: u64 = answer.head.header("Retry-After").unwrap().parse().unwrap();
        assert!(seconds > 0 && seconds <= 2 * LIMIT.as_secs());
    }
    let mut check = server.peer();
    check.send(HEALTH);
    let answer = check.answer();
    assert_eq!((answer.status(), answer.body.as_slice()), (200, &b"up"[..]));
    answer_close(&mut last, 1001);
    server.wait_for_end();
    assert!(server.out.is_draining(), "after the end, nothing is accepted either");
}

#[test]
fn l5_a_loop_that_has_drained_can_run_again() {
    let mut socket = sockeye::Builder::new().build(|out: sockeye::Sender| move |msg| out.send(msg)).unwrap();
    for _ in 0..2 {
        socket = socket.bind("127.0.0.1:0").unwrap();
        let (address, out) = (socket.local_addr().unwrap(), socket.broadcaster());
        let thread = std::thread::spawn(move || socket.run());
        let mut peer = Peer::connect(address);
        peer.upgrade();
        assert!(!out.is_draining());
        out.send("hello").unwrap();
        assert_eq!(peer.frame(), (TEXT, b"hello".to_vec()));
        out.drain(Drain::new()).unwrap();
        peer.expect_close(1001);
        answer_close(&mut peer, 1001);
        socket = thread.join().unwrap().unwrap();
    }
}

#[test]
fn l5_a_drain_with_an_invalid_code_or_reason_is_an_error() {
    let mut server = server();
    assert!(server.out.drain(Drain::new().code(CloseCode::Abnormal)).is_err());
    assert!(server.out.drain(Drain::new().reason("x".repeat(124))).is_err());
    assert!(!server.out.is_draining());
    server.finish();
}
