//! L5: what is queued when the loop is shut down.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use sockeye::util::Token;
use sockeye::{Builder, Error, ErrorKind, QueueError};

use sockeye_test_support::LIMIT;
use sockeye_test_support::bytes::{BINARY, TEXT, UPGRADE, masked, masked_close};
use sockeye_test_support::host::Host;
use sockeye_test_support::journal::{Hook, Journal};
use sockeye_test_support::peer::{End, Peer};
use sockeye_test_support::script::Script;

/// Reads a message of any number of fragments: its kind, and its length.
fn message(peer: &mut Peer) -> (u8, usize) {
    let (first, payload) = peer.frame();
    let (mut len, mut is_final) = (payload.len(), first & 0x80 != 0);
    while !is_final {
        let (next, payload) = peer.frame();
        (len, is_final) = (len + payload.len(), next & 0x80 != 0);
    }
    (first & 0x0f, len)
}

#[test]
fn l5_shutdown_delivers_queued_messages_and_then_1001() {
    let large = 12 * 1024 * 1024;
    let server = Script::new()
        .settings(|it| it.close_timeout = LIMIT)
        .on(move |out, hook| match hook {
            // More than the system takes at once.
            Hook::Message(message) if message.is_binary() => out.send(vec![7; large]),
            Hook::Message(_) => {
                (0..100).try_for_each(|number| out.broadcast(format!("number {number}")))?;
                out.shutdown()?;
                out.send("after the shutdown")
            }
            Hook::Shutdown => out.send("last word"),
            _ => Ok(()),
        })
        .serve();
    let mut slow = server.open();
    slow.send(&masked(BINARY, b"more"));
    server.journal.wait_for("message more", 1);
    let mut others: Vec<Peer> = (0..10).map(|_| server.open()).collect();
    others[3].send(&masked(TEXT, b"stop"));
    server.journal.wait_for("shutdown", 11);

    for (at, peer) in others.iter_mut().enumerate() {
        for number in 0..100 {
            assert_eq!(peer.frame(), (TEXT, format!("number {number}").into_bytes()));
        }
        if at == 3 {
            assert_eq!(peer.frame(), (TEXT, b"after the shutdown".to_vec()));
        }
        assert_eq!(peer.frame(), (TEXT, b"last word".to_vec()));
        peer.expect_close(1001);
        peer.send(&masked_close(1001, ""));
        assert_eq!(peer.rest(), (Vec::new(), End::Fin));
    }
    // All this time nothing was read here.
    assert_eq!(message(&mut slow), (BINARY & 0x0f, large));
    for _ in 0..100 {
        assert_eq!(message(&mut slow).0, TEXT & 0x0f);
    }
    assert_eq!(slow.frame(), (TEXT, b"last word".to_vec()));
    slow.expect_close(1001);
    slow.send(&masked_close(1001, ""));
    assert_eq!(slow.rest(), (Vec::new(), End::Fin));

    let mut server = server;
    server.wait_for_end();
    assert_eq!(server.journal.count("close 1001"), 11);
    assert!(
        server.journal.story(0).ends_with("shutdown, drain, close 1001, lost"),
        "{}",
        server.journal.story(0)
    );
}

#[test]
fn l5_shutdown_delivers_messages_queued_by_other_threads() {
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    let server = Script::new()
        .settings(|it| it.close_timeout = LIMIT)
        .on(move |out, hook| match hook {
            Hook::Message(_) => {
                wait.lock().unwrap().recv_timeout(LIMIT).unwrap();
                out.shutdown()
            }
            _ => Ok(()),
        })
        .serve();
    let mut peer = server.open();
    peer.send(&masked(TEXT, b"stop"));
    server.journal.wait_for("message stop", 1);
    // While the loop is busy with its callback: more than it executes in one turn.
    for number in 0..1000 {
        server.out.send(format!("number {number}")).unwrap();
    }
    go.send(()).unwrap();
    for number in 0..1000 {
        assert_eq!(peer.frame(), (TEXT, format!("number {number}").into_bytes()));
    }
    peer.expect_close(1001);
    peer.send(&masked_close(1001, ""));
    assert_eq!(peer.rest(), (Vec::new(), End::Fin));
    let mut server = server;
    server.wait_for_end();
}

#[test]
fn l5_connections_that_are_not_open_yet_are_rejected() {
    let mut server = Script::new().serve();
    let (mut silent, mut half) = (server.peer(), server.peer());
    half.send(&UPGRADE.as_bytes()[..50]);
    let mut open = server.open();
    server.journal.wait_for("made", 3);
    server.out.shutdown().unwrap();
    for peer in [&mut silent, &mut half] {
        let answer = peer.answer();
        assert_eq!((answer.status(), answer.end), (503, End::Fin));
    }
    open.expect_close(1001);
    open.send(&masked_close(1001, ""));
    assert_eq!(open.rest(), (Vec::new(), End::Fin));
    server.wait_for_end();
    assert_eq!(server.journal.story(0), "made, shutdown, lost");

    // The loop no longer listens, and senders return errors.
    assert!(std::net::TcpStream::connect(server.address()).is_err());
    let refused = server.out.send("too late").unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::Queue(QueueError::Disconnected)));
}

#[test]
fn l5_shutdown_ends_in_time_with_unresponsive_peers() {
    let short = std::time::Duration::from_millis(300);
    let mut server =
        Script::echo().settings(|it| (it.close_timeout, it.write_timeout) = (short, Some(short))).serve();
    let mut never_reads = server.open();
    server.out.send(vec![7; 8 * 1024 * 1024]).unwrap();
    let (_never_answers, mut talks_on) = (server.open(), server.open());
    let stop = server.out.clone();
    let start = std::time::Instant::now();
    stop.shutdown().unwrap();
    while talks_on.try_send(&masked(TEXT, b"and another thing")) && start.elapsed() < LIMIT {}
    server.wait_for_end();
    assert!(!never_reads.rest().0.is_empty());
}

#[test]
fn l5_shutdown_ends_connections_that_are_connecting() {
    let host = Host::new();
    let mut client = Script::new()
        .on(|out, hook| if matches!(hook, Hook::Made) { out.timeout(60_000, Token(1)) } else { Ok(()) })
        .connect(&host.url());
    let mut peer = host.accept();
    peer.head();
    client.out.connect("ws://name.invalid/".parse().unwrap()).unwrap();
    client.finish();
    assert!(peer.rest().0.is_empty());
    assert!(client.journal.story(0).ends_with("shutdown, lost"), "{}", client.journal.story(0));
}

#[test]
fn a3_a_handler_that_fails_for_every_frame_does_not_block_a_shutdown() {
    let endings = [
        ("internal", "error Internal, error Internal, close 1011, lost"),
        ("io", "error Io, close 1006, lost"),
        ("custom", "error Custom, shutdown, error Custom, close 1006, lost"),
    ];
    for (kind, ending) in endings {
        let mut server = Script::new()
            .settings(|it| it.close_timeout = LIMIT)
            .on(move |out, hook| match (hook, kind) {
                (Hook::Message(_), _) => out.send("reply"),
                (Hook::SendFrame(_), "internal") => Err(Error::new(ErrorKind::Internal, "")),
                (Hook::SendFrame(_), "io") => Err(Error::from(std::io::Error::other("no"))),
                (Hook::SendFrame(_), _) => Err(Error::new(ErrorKind::Custom("no".into()), "")),
                _ => Ok(()),
            })
            .serve();
        let mut peer = server.open();
        peer.send(&masked(TEXT, b"hello"));
        server.journal.wait_for("send TEXT", 1);
        if kind == "internal" {
            // The Close by which the second error is answered is not shown to the handler, and goes out.
            peer.expect_close(1011);
            peer.send(&masked_close(1011, ""));
            server.journal.wait_for("lost", 1);
        }
        server.finish();
        assert_eq!(
            server.journal.story(0),
            format!("made, request GET /chat, open, message hello, {ending}")
        );
        assert!(peer.rest().0.is_empty());
    }
}

#[test]
fn l5_a_loop_that_was_shut_down_can_run_again() {
    let journal = Journal::default();
    let mut socket = Builder::new().build(Script::new().factory(&journal)).unwrap();
    for run in 0..3 {
        socket = socket.bind("127.0.0.1:0").unwrap();
        let (address, out) = (socket.local_addr().unwrap(), socket.broadcaster());
        let thread = std::thread::spawn(move || socket.run());
        let mut peer = Peer::connect(address);
        peer.upgrade();
        out.send("hello").unwrap();
        assert_eq!(peer.frame(), (TEXT, b"hello".to_vec()));
        out.shutdown().unwrap();
        peer.expect_close(1001);
        peer.send(&masked_close(1001, ""));
        assert_eq!(peer.rest(), (Vec::new(), End::Fin));
        socket = thread.join().unwrap().unwrap();
        assert_eq!(journal.story(run), "made, request GET /chat, open, shutdown, close 1001, lost");
        assert!(out.send("the loop does not listen").is_err());
    }
}
