//! Read timeouts, receiving without waiting, and the timeouts that a program sets on its stream.

use std::io::{ErrorKind, Read};
use std::thread;
use std::time::Duration;

use sockeye::CloseCode;
use sockeye::blocking::{Builder, Error, TimeoutKind};
use sockeye::protocol::{Config, Role};

use crate::{LIMIT, pair, served, streams};
use sockeye_test_support::bytes::{CONTINUATION, LAST, PING, PONG, TEXT_START, masked, masked_close};

const SHORT: Duration = Duration::from_millis(60);

fn is_read_timeout<T>(received: Result<T, Error>) -> bool {
    matches!(received, Err(Error::Timeout(TimeoutKind::Read)))
}

/// `receive` used to clear the timeout, and then blocked forever.
#[test]
fn a_read_timeout_on_the_stream_becomes_the_timeout_of_the_socket() {
    let (ours, theirs) = streams();
    ours.set_read_timeout(Some(SHORT)).unwrap();
    let mut socket = Builder::new().after_handshake(ours, Role::Server, &[], []).unwrap();
    assert_eq!(socket.read_timeout(), Some(SHORT));
    for _ in 0..2 {
        assert!(is_read_timeout(socket.receive()));
    }
    assert!(socket.is_open());
    let mut client = Builder::new().after_handshake(theirs, Role::Client, &[], []).unwrap();
    client.send("salmon").unwrap();
    socket.set_read_timeout(Some(LIMIT));
    assert_eq!(socket.receive().unwrap(), Some("salmon".into()));
}

#[test]
fn a_read_timeout_on_the_stream_does_not_limit_the_opening_handshake() {
    let (ours, theirs) = streams();
    ours.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let accepting = thread::spawn(move || Builder::new().server(ours).accept().unwrap());
    let mut peer = sockeye_test_support::peer::Peer::new(theirs);
    assert!(!peer.receives_within(SHORT));
    peer.upgrade();
    let mut socket = accepting.join().unwrap();
    assert!(is_read_timeout(socket.receive()));
}

#[test]
fn into_inner_restores_the_timeouts_of_the_stream() {
    let (ours, _theirs) = streams();
    let (read, write) = (Some(Duration::from_secs(3)), Some(Duration::from_secs(4)));
    ours.set_read_timeout(read).unwrap();
    ours.set_write_timeout(write).unwrap();
    let idle_timeout = Some(Duration::from_secs(60));
    let builder = Builder::new().config(Config { idle_timeout, ..Config::default() }).read_timeout(SHORT);
    let mut socket = builder.after_handshake(ours, Role::Server, &[], []).unwrap();
    assert!(is_read_timeout(socket.receive()));
    socket.send("salmon").unwrap();
    let (stream, _) = socket.into_inner().unwrap();
    assert_eq!((stream.read_timeout().unwrap(), stream.write_timeout().unwrap()), (read, write));
}

#[test]
fn a_write_timeout_on_the_stream_is_kept() {
    let (ours, _theirs) = streams();
    ours.set_write_timeout(Some(SHORT)).unwrap();
    let mut socket = Builder::new().after_handshake(ours, Role::Server, &[], []).unwrap();
    // The peer reads nothing, so at some point the system accepts nothing.
    let err = (0..1000).find_map(|_| socket.send(vec![7; 1 << 20]).err()).unwrap();
    assert!(matches!(err, Error::Timeout(TimeoutKind::Write)), "{err}");
    assert!(
        matches!(socket.send("more"), Err(Error::ConnectionLost(err)) if err.kind() == ErrorKind::TimedOut)
    );
}

#[test]
fn a_read_timeout_keeps_the_parts_of_a_message() {
    let (mut socket, mut peer) = served(Config::default());
    socket.set_read_timeout(Some(SHORT));
    let message = [masked(TEXT_START, b"sal"), masked(LAST, b"mon")].concat();
    for piece in message.chunks(5) {
        assert!(is_read_timeout(socket.receive()));
        assert!(is_read_timeout(socket.receive_event()));
        peer.send(piece);
    }
    socket.set_read_timeout(None);
    assert_eq!(socket.receive().unwrap(), Some("salmon".into()));
    socket.set_read_timeout(Some(SHORT));
    assert_eq!(socket.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
}

/// Pings are sent and answered, and the idle timeout ends, whatever the read timeout is.
#[test]
fn a_read_timeout_is_independent_of_pings_and_the_idle_timeout() {
    let interval = Duration::from_millis(100);
    let config =
        Config { ping_interval: Some(interval), idle_timeout: Some(interval * 20), ..Config::default() };
    let (mut socket, mut peer) = served(config);
    socket.set_read_timeout(Some(interval / 3));
    let receiving = thread::spawn(move || {
        let mut timeouts = 0;
        loop {
            match socket.receive() {
                Err(Error::Timeout(TimeoutKind::Read)) => timeouts += 1,
                result => return (timeouts, result.unwrap_err()),
            }
        }
    });
    for _ in 0..3 {
        let (first, payload) = peer.frame();
        assert_eq!(first, PING);
        peer.send(&masked(PONG, &payload));
    }
    // Now the peer is silent.
    let (timeouts, err) = receiving.join().unwrap();
    assert!(timeouts > 3 && matches!(err, Error::Timeout(TimeoutKind::Idle)), "{timeouts} {err}");
}

#[test]
fn try_receive_returns_what_has_arrived() {
    let (mut client, mut server) = pair();
    assert!(is_read_timeout(server.try_receive()));
    client.queue("one").unwrap();
    client.queue("two").unwrap();
    client.flush().unwrap();
    let mut next = || loop {
        match server.try_receive() {
            Err(Error::Timeout(TimeoutKind::Read)) => thread::yield_now(),
            received => return received.unwrap(),
        }
    };
    assert_eq!((next(), next()), (Some("one".into()), Some("two".into())));
    drop(client);
    assert_eq!(next(), None);
}

#[test]
fn try_receive_does_not_wait_for_another_receiving_thread() {
    let (mut client, server) = pair();
    let (mut one, mut other) = (server.try_clone().unwrap(), server);
    let receiving = thread::spawn(move || one.receive().unwrap());
    // The other thread is receiving in most of these calls. If one of them waited for it, the test would never end.
    assert!((0..100).all(|_| is_read_timeout(other.try_receive())));
    client.send("salmon").unwrap();
    assert_eq!(receiving.join().unwrap(), Some("salmon".into()));
}

#[test]
fn a_peer_that_keeps_sending_fragments_does_not_extend_the_timeout() {
    let (mut socket, mut peer) = served(Config { max_fragments: Some(usize::MAX), ..Config::default() });
    socket.set_read_timeout(Some(SHORT));
    peer.send(&masked(TEXT_START, b"x"));
    let sending = thread::spawn(move || while peer.try_send(&masked(CONTINUATION, b"x")) {});
    assert!(is_read_timeout(socket.receive()));
    socket.abort();
    sending.join().unwrap();
}

fn is_would_block<T>(received: Result<T, Error>) -> bool {
    matches!(received, Err(Error::Io(err)) if err.kind() == ErrorKind::WouldBlock)
}

/// `receive` used to try again until the deadline, without a pause.
#[test]
fn a_nonblocking_stream_returns_would_block_before_a_deadline() {
    let (mut socket, mut peer) = served(Config { idle_timeout: Some(LIMIT), ..Config::default() });
    socket.get_ref().unwrap().set_nonblocking(true).unwrap();
    for timeout in [None, Some(LIMIT)] {
        socket.set_read_timeout(timeout);
        assert!(is_would_block(socket.receive()));
        assert!(is_would_block(socket.receive_event()));
    }
    assert!(is_read_timeout(socket.try_receive()));
    assert!(is_would_block(socket.close(CloseCode::Normal, "")));
    peer.expect_close(1000);
    peer.send(&masked_close(1000, ""));
    peer.end_writing();
    socket.get_ref().unwrap().set_nonblocking(false).unwrap();
    assert!(socket.close(CloseCode::Normal, "").unwrap().was_clean);
}

#[test]
fn a_nonblocking_stream_returns_would_block_during_the_opening_handshake() {
    let (ours, theirs) = streams();
    ours.set_nonblocking(true).unwrap();
    let mut server = Builder::new().server(ours);
    assert!(is_would_block(server.receive_request().map(drop)));
    let mut client = Builder::new().client(theirs, "ws://localhost/").unwrap();
    let opening = thread::spawn(move || client.handshake().map(|_| client));
    while is_would_block(server.receive_request().map(drop)) {
        thread::yield_now();
    }
    let mut server = server.accept().unwrap();
    let mut client = opening.join().unwrap().unwrap().into_socket().unwrap();
    client.send("salmon").unwrap();
    server.get_ref().unwrap().set_nonblocking(false).unwrap();
    assert_eq!(server.receive().unwrap(), Some("salmon".into()));
}
