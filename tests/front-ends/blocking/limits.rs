//! Limits, timeouts, compression.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use sockeye::blocking::{Error, ReplyMode, TimeoutKind};
use sockeye::protocol::Config;

use crate::{error_text, served};
use sockeye_test_support::bytes::{BINARY, BINARY_START, LAST, PING, header, masked, masked_close};
use sockeye_test_support::system::Task;
use sockeye_test_support::{wait_until, while_on_time};

#[test]
fn l1_a_message_over_the_limit_is_closed_with_1009() {
    let config = Config { max_message_size: 1000, ..Config::default() };
    let (mut socket, mut peer) = served(config.clone());
    peer.send(&masked(BINARY, &[7; 1001]));
    let reading = thread::spawn(move || error_text(socket.receive()));
    peer.expect_failure(1009);
    assert!(reading.join().unwrap().contains("too long"));
    // And in fragments; what was whole before is delivered.
    let (mut socket, mut peer) = served(config);
    peer.send(
        &[masked(BINARY, &[7; 1000]), masked(BINARY_START, &[7; 600]), masked(LAST, &[7; 600])].concat(),
    );
    assert_eq!(socket.receive().unwrap().unwrap().len(), 1000);
    let reading = thread::spawn(move || error_text(socket.receive()));
    peer.expect_failure(1009);
    assert!(reading.join().unwrap().contains("too long"));
}

#[test]
fn l2_a_frame_over_the_limit_is_closed_with_1009() {
    let (mut socket, mut peer) = served(Config { max_frame_size: 100, ..Config::default() });
    peer.send(&masked(BINARY, &[7; 101]));
    let reading = thread::spawn(move || error_text(socket.receive()));
    peer.expect_failure(1009);
    assert!(reading.join().unwrap().contains("too long"));
}

#[test]
fn l1_a_length_alone_allocates_no_memory() {
    let (mut socket, mut peer) = served(Config { max_message_size: usize::MAX, ..Config::default() });
    peer.send(&[header(BINARY, 1 << 46, true), vec![0; 4]].concat());
    peer.end_writing();
    assert!(error_text(socket.receive()).contains("without a closing handshake"));
}

#[test]
fn l7_a_silent_peer_times_out() {
    let idle_timeout = Some(Duration::from_millis(150));
    let begun = Instant::now();
    let (mut socket, _peer) = served(Config { idle_timeout, ..Config::default() });
    assert!(error_text(socket.receive()).contains("silent"));
    assert!(begun.elapsed() >= Duration::from_millis(150));
    assert!(socket.receive().unwrap().is_none());
}

#[test]
fn l7_w6_a_peer_that_does_not_read_times_out() {
    let write_timeout = Some(Duration::from_millis(150));
    let (mut socket, _peer) = served(Config { write_timeout, ..Config::default() });
    let err = socket.send(vec![7; 15 << 20]).unwrap_err();
    assert!(matches!(err, Error::Timeout(TimeoutKind::Write)), "{err}");
    assert_eq!(socket.closed().map(|closed| closed.was_clean), Some(false));
}

/// The time for the closing handshake also limits what the program sends before its Close. `send` used to wait forever.
#[test]
fn l7_a_peer_that_closes_and_does_not_read_times_out() {
    let close_timeout = Duration::from_millis(150);
    let (mut socket, mut peer) = served(Config { close_timeout, ..Config::default() });
    socket.set_reply_mode(ReplyMode::Manual);
    peer.send(&masked_close(1000, ""));
    assert_eq!(socket.receive().unwrap(), None);
    let sent = socket.send(vec![7; 15 << 20]);
    assert!(matches!(sent, Err(Error::ConnectionLost(_))), "{sent:?}");
    assert!(socket.is_closed());
}

/// A program that calls nothing sees what the peer has sent in time, also if it calls late.
#[test]
fn l7_input_counts_before_the_idle_timeout_if_the_program_calls_late() {
    let idle_timeout = Duration::from_millis(50);
    let (mut socket, mut peer) = served(Config { idle_timeout: Some(idle_timeout), ..Config::default() });
    peer.send(&masked(BINARY, b"in time"));
    thread::sleep(idle_timeout * 2);
    assert_eq!(socket.receive().unwrap(), Some(b"in time"[..].into()));
    assert!(socket.is_open());
    assert!(error_text(socket.receive()).contains("silent"));
}

#[test]
fn l7_pings_keep_a_connection_open() {
    while_on_time(Duration::from_millis(200), |pace| {
        let interval = Duration::from_millis(40);
        let config =
            Config { ping_interval: Some(interval), idle_timeout: Some(interval * 10), ..Config::default() };
        let (mut socket, mut peer) = served(config);
        let reading = thread::spawn(move || socket.receive());
        for _ in 0..15 {
            let (first, payload) = peer.frame();
            pace.step();
            assert_eq!(first, PING);
            peer.send(&masked(sockeye_test_support::bytes::PONG, &payload));
        }
        peer.send(&masked(BINARY, b"x"));
        assert_eq!(reading.join().unwrap().unwrap().unwrap().len(), 1);
    });
}

#[test]
fn l3_l4_both_ends_limit_their_queues() {
    let (mut client, mut server) = crate::pair();
    let mut clone = client.try_clone().unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let (started, start) = channel();
    let sending = thread::spawn(move || {
        started.send(Task::current()).unwrap();
        for _ in 0..64 {
            clone.send(vec![7; 1 << 20]).unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    // Without a reader the system buffers only a part, and the thread that sends is blocked.
    let task = start.recv().unwrap();
    wait_until("the thread is blocked", || task.is_waiting());
    for received in 0..64 {
        // The buffers of the system hold less than 15 MiB.
        assert!(sent.load(Ordering::SeqCst) < received + 15, "message {received}");
        assert_eq!(server.receive().unwrap().unwrap().len(), 1 << 20);
    }
    sending.join().unwrap();
    client.send("x").unwrap();
    assert_eq!(server.receive().unwrap(), Some("x".into()));
}

#[cfg(feature = "permessage-deflate")]
mod compressed {
    use std::thread;

    use sockeye::Deflate;
    use sockeye::protocol::Config;

    use crate::{error_text, pair_of, with};

    fn config(deflate: Deflate) -> Config {
        Config { deflate: Some(Deflate { threshold: 0, ..deflate }), ..Config::default() }
    }

    #[test]
    fn x2_x3_x4_messages_are_compressed_as_negotiated() {
        let keeps = Deflate {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            ..Deflate::default()
        };
        for (client, server) in
            [(Deflate::default(), Deflate::default()), (keeps, keeps), (keeps, Deflate::default())]
        {
            let (mut client, mut server) = pair_of(&with(config(client)), &with(config(server)));
            assert_eq!(client.response().unwrap().extensions().unwrap().len(), 1);
            for _ in 0..3 {
                client.send("salmon ".repeat(1000)).unwrap();
                let frame = server.receive_frame().unwrap().unwrap();
                assert!(frame.has_rsv1() && frame.payload().len() < 1000);
                server.send("salmon ".repeat(1000)).unwrap();
                assert_eq!(client.receive().unwrap().unwrap().len(), 7000);
            }
        }
    }

    #[test]
    fn l5_inflated_messages_are_limited() {
        let narrow = Config { max_message_size: 1_000_000, ..config(Deflate::default()) };
        let (mut client, mut server) = pair_of(&with(config(Deflate::default())), &with(narrow));
        let sending = thread::spawn(move || {
            client.send(vec![0; 10_000_000]).unwrap();
            client.receive()
        });
        assert!(error_text(server.receive()).contains("too long"));
        assert!(matches!(sending.join().unwrap(), Ok(None)));
    }
}
