//! Limits and timeouts.

use std::time::Duration;

use sockeye::futures::{Builder, Timer};
use sockeye::futures::{Error, Result, TimeoutKind};
use sockeye::protocol::{Config, Event};
use sockeye::{CloseCode, OpCode};

use crate::support::{frame, masked, now, open_client, open_server, pipe, poll, ready, wait};

fn with(config: Config) -> Builder {
    Builder::new().config(config)
}

fn timed(config: Config) -> Builder {
    with(config).timer(Timer::new(|duration| {
        let (done, wake) = futures_channel::oneshot::channel();
        std::thread::spawn(move || {
            std::thread::sleep(duration);
            let _ = done.send(());
        });
        async { wake.await.unwrap_or_default() }
    }))
}

fn is_capacity<T>(received: Result<T>) -> bool {
    matches!(received, Err(Error::Protocol(err)) if err.close_code() == CloseCode::Size)
}

#[test]
fn l1_a_message_over_the_limit_is_rejected() {
    let (mut socket, raw) = open_client(&with(Config { max_message_size: 4, ..Config::default() }));
    raw.write([frame(0x81, b"four"), frame(0x01, b"fi"), frame(0x80, b"ve!")].concat());
    raw.end();
    assert_eq!(ready(socket.receive()).unwrap(), Some("four".into()));
    assert!(is_capacity(ready(socket.receive())));
    assert_eq!(raw.read_frames()[0].payload()[..2], 1009_u16.to_be_bytes());
}

#[test]
fn l1_a_length_of_64_tebibytes_is_an_error() {
    let (mut socket, raw) = open_client(&Builder::new());
    raw.write([&[0x82, 127], &(1_u64 << 46).to_be_bytes()[..], b"abc"].concat());
    raw.end();
    assert!(is_capacity(ready(socket.receive())));
}

#[test]
fn l2_a_frame_over_the_limit_is_rejected() {
    let (mut socket, raw) = open_client(&with(Config { max_frame_size: 2, ..Config::default() }));
    raw.write([frame(0x01, b"a"), frame(0x80, b"bcd")].concat());
    raw.end();
    assert!(is_capacity(ready(socket.receive())));
}

#[test]
fn l3_send_waits_for_the_peer_and_has_a_limit() {
    let (mut socket, raw) = open_server(&Builder::new().max_buffered(100));
    raw.limit(10);
    let mut sending = Box::pin(socket.send(vec![7; 150]));
    assert!(poll(&mut sending).is_pending());
    drop(sending);
    let refused = ready(socket.send("more")).unwrap_err();
    assert!(matches!(&refused, Error::Full(message) if *message == "more".into()), "{refused}");
    let refused = ready(socket.ping("more")).unwrap_err();
    assert!(matches!(&refused, Error::FullFrame(frame) if frame.payload() == b"more"), "{refused}");
    raw.limit(usize::MAX);
    let mut received = raw.read();
    ready(socket.flush()).unwrap();
    ready(socket.send("again")).unwrap();
    received.extend(raw.read());
    assert_eq!(received.len(), 154 + 7, "what was accepted has all come");
}

/// A receiver that takes nothing holds the peer back, whatever else is done with the socket: no more is read than the
/// message that waits, and a buffer.
#[test]
fn l4_reading_stops_until_the_message_is_received() {
    const LEN: usize = 60_000;
    let (socket, raw) = open_server(&Builder::new());
    let (mut sender, mut receiver) = socket.split();
    for _ in 0..100 {
        raw.write(masked(0x82, &[0; LEN]));
        ready(sender.send("x")).unwrap();
    }
    assert!(sender.is_open());
    let unread = raw.unread();
    assert!(unread > 98 * LEN, "of 6 MB, {unread} bytes are left to the stream");
    for taken in 0..100 {
        assert_eq!(ready(receiver.receive()).unwrap().unwrap().len(), LEN);
        assert!(raw.unread() + (taken + 3) * LEN > 100 * LEN);
    }
}

#[test]
fn l4_a_flood_of_pings_uses_limited_output() {
    let (mut socket, raw) = open_server(&Builder::new());
    raw.limit(100);
    for _ in 0..1000 {
        raw.write(masked(0x89, &[0; 125]));
        let _ = now(socket.receive());
    }
    assert!(socket.buffered_amount() < 64 * 1024, "{}", socket.buffered_amount());
    raw.limit(usize::MAX);
    raw.read();
    raw.write(masked(0x89, b"last"));
    let _ = now(socket.receive());
    let _ = now(socket.receive());
    assert!(raw.read_frames().iter().any(|pong| pong.payload() == b"last"));
}

#[test]
fn l7_the_handshake_has_a_timeout_in_both_roles() {
    let short = Config { handshake_timeout: Duration::from_millis(20), ..Config::default() };
    let (end, _raw) = pipe();
    let mut client = timed(short.clone()).client(end, "ws://a/").unwrap();
    assert!(matches!(wait(client.handshake()).unwrap_err(), Error::Timeout(TimeoutKind::Handshake)));
    let (end, raw) = pipe();
    raw.write("GET ");
    assert!(wait(timed(short).server(end).accept()).is_err());
    assert!(raw.read_text().starts_with("HTTP/1.1 408 "));
}

#[test]
fn l7_close_times_out_without_a_reply() {
    let builder = timed(Config { close_timeout: Duration::from_millis(20), ..Config::default() });
    let (mut socket, raw) = open_client(&builder);
    let closed = wait(socket.close(CloseCode::Normal, "")).unwrap();
    assert!(!closed.was_clean);
    assert!(raw.read_frames()[0].opcode() == OpCode::Close && raw.has_ended());
}

#[test]
fn l7_a_silent_peer_receives_pings_and_times_out() {
    let config = Config {
        idle_timeout: Some(Duration::from_millis(500)),
        ping_interval: Some(Duration::from_millis(20)),
        ..Config::default()
    };
    let builder = timed(config);
    let (mut socket, raw) = open_client(&builder);
    assert!(matches!(
        wait(async {
            while socket.receive_event().await?.is_some() {}
            Ok::<_, Error>(())
        })
        .unwrap_err(),
        Error::Timeout(TimeoutKind::Idle)
    ));
    assert!(raw.read_frames().iter().filter(|frame| frame.opcode() == OpCode::Ping).count() >= 1);
    assert!(!ready(socket.closed()).was_clean);
}

#[test]
fn l7_without_a_timer_there_are_no_timeouts() {
    let (mut socket, raw) =
        open_client(&with(Config { idle_timeout: Some(Duration::from_secs(60)), ..Config::default() }));
    assert!(now(socket.receive()).is_none());
    raw.write(frame(0x8a, b"p"));
    assert!(matches!(ready(socket.receive_event()), Ok(Some(Event::Pong(_)))));
}

/// The same while the program waits in `send`, because the peer does not read. Why it has failed is an error of `receive`.
#[test]
fn l7_a_peer_that_does_not_read_times_out() {
    let idle_timeout = Some(Duration::from_millis(20));
    let (mut socket, raw) = open_client(&timed(Config { idle_timeout, ..Config::default() }));
    raw.limit(10);
    assert!(matches!(wait(socket.send(vec![7; 1000])), Err(Error::ConnectionLost(_))));
    assert!(matches!(ready(socket.receive()), Err(Error::Timeout(TimeoutKind::Idle))));
    assert_eq!(ready(socket.receive()).unwrap(), None);
}

/// A task that only awaits the end sends Pings and detects the silence.
#[test]
fn l7_a_task_that_awaits_the_end_keeps_the_timeouts() {
    let config = Config {
        idle_timeout: Some(Duration::from_millis(200)),
        ping_interval: Some(Duration::from_millis(20)),
        ..Config::default()
    };
    let (socket, raw) = open_client(&timed(config));
    assert!(!wait(socket.closed()).was_clean);
    assert!(raw.read_frames().iter().any(|frame| frame.opcode() == OpCode::Ping));
}

/// A program that calls nothing sees what the peer has sent in time, also if it calls late.
#[test]
fn l7_input_counts_before_the_idle_timeout_if_the_program_calls_late() {
    let idle_timeout = Duration::from_millis(20);
    let config = Config { idle_timeout: Some(idle_timeout), ..Config::default() };
    let (mut socket, raw) = open_client(&timed(config));
    raw.write(frame(0x82, b"in time"));
    std::thread::sleep(idle_timeout * 2);
    assert_eq!(ready(socket.receive()).unwrap(), Some(b"in time"[..].into()));
    assert!(socket.is_open());
    assert!(matches!(wait(socket.receive()), Err(Error::Timeout(TimeoutKind::Idle))));
}
