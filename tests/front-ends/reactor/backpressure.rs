//! M1, T2: what is queued for one connection is counted, limited, and reported.

use std::io::Read;
use std::sync::mpsc::{Sender as Channel, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use sockeye::{CloseCode, ErrorKind, Frame, Message, OpCode, Overflow, QueueError, Sender, Settings};

use sockeye_test_support::peer::{Ending, Peer};
use sockeye_test_support::probes::{
    HandlerCall, HandlerCalls, Hook, Probes, send_too_much, wait_until_blocked,
};
use sockeye_test_support::server::Server;
use sockeye_test_support::{LIMIT, join, wait_until};

const KIB: usize = 1024;
const MIB: usize = 1024 * 1024;

fn limited(max_buffered: usize, overflow: Overflow) -> Settings {
    Settings { max_buffered, overflow, ..Settings::default() }
}

/// A server that answers every message of its first client with many, and those of others with one.
fn generous(settings: Settings, count: usize, size: usize) -> (Server, HandlerCalls) {
    Probes::listen(settings, move |hook, out| {
        if hook != Hook::Message {
            return Ok(());
        }
        if out.connection_id() > 0 {
            return out.send("echo");
        }
        (0..count).try_for_each(|_| out.send(vec![7; size]))
    })
}

fn check_echo(server: &Server) {
    let mut bystander = Peer::open(server.addr);
    bystander.send_text("hello");
    assert_eq!(bystander.message(), "echo");
    bystander.finish();
}

/// Reads whole messages of one size, and returns how many came before the end.
fn count_messages(peer: &mut Peer, size: usize) -> (usize, Ending) {
    let (mut count, mut len) = (0, 0);
    while let Some(frame) = peer.next_frame() {
        if frame.opcode() == OpCode::Close {
            return (
                count,
                Ending::Close(u16::from_be_bytes([frame.payload()[0], frame.payload()[1]]).into()),
            );
        }
        len += frame.payload().len();
        if frame.is_final() {
            assert_eq!(len, size);
            (count, len) = (count + 1, 0);
        }
    }
    (count, Ending::Cut)
}

#[test]
fn m1_only_a_peer_that_does_not_read_is_disconnected() {
    let (server, calls) = generous(limited(MIB, Overflow::Fail), 1000, 64 * KIB);
    let mut slow = Peer::open(server.addr);
    slow.send_text("more");
    assert!(matches!(calls.error(), ErrorKind::Capacity));
    check_echo(&server);
    // What was within the limit is delivered, if the peer reads after all.
    assert_eq!(count_messages(&mut slow, 64 * KIB), (16, Ending::Close(CloseCode::Size)));
    drop(slow);
    server.stop();
    let errors = calls.rest().into_iter().filter(|(_, call)| matches!(call, HandlerCall::Error(_))).count();
    assert_eq!(errors, 0, "one error is enough");
}

#[test]
fn m1_overflow_drop_discards_messages_over_the_limit() {
    let (server, calls) = generous(limited(MIB, Overflow::Drop), 1000, 64 * KIB);
    let mut slow = Peer::open(server.addr);
    let out = calls.opened();
    slow.send_text("more");
    // One piece for every frame of the largest size, and one for the rest.
    (0..16 * 2).for_each(|_| drop(slow.next_frame().unwrap()));
    wait_until("all is sent", || out.buffered_amount() == 0);
    out.send(vec![7; 64 * KIB]).unwrap();
    out.close(CloseCode::Normal).unwrap();
    assert_eq!(count_messages(&mut slow, 64 * KIB), (1, Ending::Close(CloseCode::Normal)));
    drop(slow);
    server.stop();
    assert!(!calls.rest().iter().any(|(_, call)| matches!(call, HandlerCall::Error(_))));
}

#[test]
fn m1_a_single_message_can_exceed_the_limit() {
    let (server, calls) = generous(limited(KIB, Overflow::Fail), 1, MIB);
    let mut peer = Peer::open(server.addr);
    peer.send_text("one, please");
    calls.message();
    peer.send(sockeye::Frame::close(CloseCode::Normal, ""));
    assert_eq!(count_messages(&mut peer, MIB), (1, Ending::Close(CloseCode::Normal)));
    drop(peer);
    server.stop();
}

#[test]
fn m1_control_frames_count_towards_the_limit() {
    for is_for_all in [false, true] {
        let (server, calls) = Probes::listen(limited(64 * KIB, Overflow::Fail), |_, _| Ok(()));
        let slow = Peer::open(server.addr);
        let out = calls.opened();
        let out = if is_for_all { server.all.clone() } else { out };
        let pinging = thread::spawn(move || {
            // As many as fill every buffer of the system, and ours many times.
            for _ in 0..200_000 {
                match out.ping(vec![7; 125]) {
                    Err(err) if matches!(err.kind, ErrorKind::Queue(QueueError::Full)) => thread::yield_now(),
                    sent => sent.unwrap(),
                }
            }
        });
        assert!(matches!(calls.error(), ErrorKind::Capacity), "for all: {is_for_all}");
        join(pinging).unwrap();
        drop(slow);
        server.stop();
    }
}

#[test]
fn m1_broadcasts_count_towards_the_limit_of_each_receiver() {
    let (server, calls) = Probes::listen(limited(MIB, Overflow::Fail), |_, _| Ok(()));
    let slow = Peer::open(server.addr);
    let out = calls.opened();
    let mut fast = Peer::open(server.addr);
    let mut sent = 0;
    while out.is_open() {
        assert!(sent < 10_000, "{sent} messages fit");
        server.all.send(vec![7; 64 * KIB]).unwrap();
        sent += 1;
        while !fast.next_frame().unwrap().is_final() {}
    }
    assert!(matches!(calls.error(), ErrorKind::Capacity));
    fast.finish();
    drop(slow);
    server.stop();
}

#[test]
fn buffered_amount_is_exact() {
    let (tx, rx) = channel();
    let tx = Mutex::new(tx);
    let (server, calls) = Probes::listen(Settings::default(), move |hook, out| {
        if hook == Hook::Message {
            let before = out.buffered_amount();
            out.send(vec![7; 1000])?;
            out.ping(vec![7; 10])?;
            out.send("seven b")?;
            tx.lock().unwrap().send((before, out.buffered_amount())).ok();
        }
        Ok(())
    });
    let mut peer = Peer::open(server.addr);
    let out = calls.opened();
    for _ in 0..10 {
        peer.send_text("hello");
        assert_eq!(rx.recv_timeout(LIMIT).unwrap(), (0, 1017));
        while peer.next_frame().unwrap().payload() != b"seven b" {}
        wait_until("all is sent", || out.buffered_amount() == 0);
    }
    out.send(vec![7; 8 * MIB]).unwrap();
    assert!(out.buffered_amount() > 0);
    let mut len = 0;
    while len < 8 * MIB {
        len += peer.next_frame().unwrap().payload().len();
    }
    wait_until("all is sent", || out.buffered_amount() == 0);
    out.send(vec![7; 8 * MIB]).unwrap();
    drop(peer);
    calls.lost();
    assert_eq!(out.buffered_amount(), 0);
    assert_eq!(server.all.buffered_amount(), 0);
    server.stop();
}

#[test]
fn m1_a_peer_that_sends_everything_before_it_reads_receives_all_replies() {
    const COUNT: u8 = 48;
    let server = Server::start(Settings::default(), |out: Sender| move |msg: Message| out.send(msg));
    let mut peer = Peer::open(server.addr);
    // More than the system takes on both ways: the server would stop reading for good if it waited for this client to read.
    for number in 0..COUNT {
        peer.send(Frame::message(vec![number; 256 * KIB], OpCode::Binary, true));
    }
    for number in 0..COUNT {
        let mut len = 0;
        while len < 256 * KIB {
            let frame = peer.next_frame().unwrap();
            assert!(frame.payload().iter().all(|byte| *byte == number));
            len += frame.payload().len();
        }
    }
    peer.finish();
    server.stop();
}

#[test]
fn m1_reading_from_a_slow_reader_pauses_only_briefly() {
    let server = Server::start(Settings::default(), |out: Sender| {
        move |msg: Message| {
            if msg.len() == 1 { out.broadcast("received") } else { out.send(vec![7; 12 * MIB]) }
        }
    });
    let (mut slow, mut other) = (Peer::open(server.addr), Peer::open(server.addr));
    slow.send_text("much");
    // It has begun, and now more waits than the system takes.
    slow.stream.read_exact(&mut [0]).unwrap();
    slow.send_text("x");
    assert_eq!(other.message(), "received");
    other.finish();
    drop(slow);
    server.stop();
}

#[test]
fn try_send_is_an_error_if_the_connection_is_not_open_or_full() {
    let (tx, rx) = channel();
    let tx = Mutex::new(tx);
    let report = move |out: &Sender, message: Vec<u8>| {
        let result = out.try_send(message).map_err(|err| err.kind);
        tx.lock().unwrap().send((out.is_open(), result)).ok();
    };
    let (server, calls) = Probes::listen(limited(KIB, Overflow::Fail), move |hook, out| {
        match hook {
            Hook::Request | Hook::Close => report(out, Vec::new()),
            Hook::Message => {
                report(out, vec![7; KIB]);
                report(out, vec![7; 1]);
            }
            _ => {}
        }
        Ok(())
    });
    let mut peer = Peer::open(server.addr);
    let out = calls.opened();
    let next_result = || rx.recv_timeout(LIMIT).unwrap();
    assert!(matches!(next_result(), (false, Err(ErrorKind::Protocol))), "not yet open");
    peer.send_text("hello");
    assert!(matches!(next_result(), (true, Ok(()))), "fits exactly");
    assert!(matches!(next_result(), (true, Err(ErrorKind::Capacity))), "one byte too many");
    assert_eq!(peer.next_frame().unwrap().payload().len(), KIB);
    // What was refused has done no harm.
    peer.finish();
    assert!(matches!(next_result(), (false, Err(ErrorKind::Protocol))), "closed");
    calls.lost();
    assert!(matches!(out.try_send("gone").unwrap_err().kind, ErrorKind::Protocol));
    server.stop();
    assert!(matches!(out.try_send("end").unwrap_err().kind, ErrorKind::Queue(QueueError::Disconnected)));
}

#[test]
fn on_drain_is_called_once_for_each_backlog() {
    let buffered: Arc<Mutex<Vec<usize>>> = Arc::default();
    let seen = Arc::clone(&buffered);
    let (server, calls) = Probes::listen(Settings::default(), move |hook, out| {
        if hook == Hook::Drain {
            seen.lock().unwrap().push(out.buffered_amount());
        }
        Ok(())
    });
    let mut peer = Peer::open(server.addr);
    let out = calls.opened();
    for round in 1..=3 {
        out.send("small").unwrap();
        assert_eq!(peer.message(), "small");
        send_too_much(&out).unwrap();
        wait_until_blocked(&out);
        while !peer.next_frame().unwrap().is_final() {}
        calls.find(|_, call| matches!(call, HandlerCall::Drain).then_some(()));
        wait_until("it has looked", || buffered.lock().unwrap().len() == round);
        assert_eq!(buffered.lock().unwrap().as_slice(), vec![0; round]);
    }
    peer.finish();
    server.stop();
    assert_eq!(buffered.lock().unwrap().len(), 3);
}

/// Keeps the loop in a callback until the channel that comes out of `held` is dropped.
fn holding() -> (impl Fn(Hook, &Sender) -> sockeye::Result<()>, std::sync::mpsc::Receiver<Channel<()>>) {
    let (tx, held) = channel();
    let tx = Mutex::new(tx);
    let hold = move |hook, _: &Sender| {
        if hook == Hook::Message {
            let (release, released) = channel::<()>();
            tx.lock().unwrap().send(release).ok();
            released.recv_timeout(LIMIT).ok();
        }
        Ok(())
    };
    (hold, held)
}

#[test]
fn m1_a_message_rejected_by_a_full_queue_does_not_count_towards_the_limit() {
    let (hold, held) = holding();
    let settings = Settings { queue_size: 1, max_connections: 2, ..limited(20, Overflow::Fail) };
    let (server, calls) = Probes::listen(settings, hold);
    let mut peer = Peer::open(server.addr);
    let out = calls.opened();
    peer.send_text("hold");
    let release = held.recv_timeout(LIMIT).unwrap();
    out.send("12345").unwrap();
    out.timeout(0, 1.into()).unwrap();
    let refused = out.send("one more than fits").unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::Queue(QueueError::Full)));
    drop(release);
    // The sender got an error, so the connection need not fail.
    assert_eq!(peer.message(), "12345");
    assert!(out.is_open());
    wait_until("room", || out.send("later").is_ok());
    assert_eq!(peer.message(), "later");
    peer.finish();
    server.stop();
}

#[test]
fn m1_an_overflow_from_another_thread_closes_the_connection() {
    let (hold, held) = holding();
    let (server, calls) = Probes::listen(limited(10, Overflow::Fail), hold);
    let mut peer = Peer::open(server.addr);
    let out = calls.opened();
    peer.send_text("hold");
    let release = held.recv_timeout(LIMIT).unwrap();
    out.send("12345").unwrap();
    out.send("123456").unwrap();
    assert!(!out.is_open(), "no more can be sent");
    out.send("dropped").unwrap();
    drop(release);
    assert!(matches!(calls.error(), ErrorKind::Capacity));
    assert_eq!(peer.message(), "12345");
    assert_eq!(peer.ending(), Ending::Close(CloseCode::Size));
    drop(peer);
    server.stop();
}
