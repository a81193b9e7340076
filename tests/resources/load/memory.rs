//! M1, M2, M4, M7, M11, and pauses: what is held in memory.

use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sockeye::{Frame, Message, OpCode, Sender, Settings, WebSocket};

use super::alone;
use sockeye_test_support::child::{self, RELEASE_AT_ONCE, is_child};
use sockeye_test_support::peer::{Peer, masked};
use sockeye_test_support::probes::{Hook, Probes};
use sockeye_test_support::server::Server;
use sockeye_test_support::system::resident;
use sockeye_test_support::{join, wait_until};

const MIB: usize = 1024 * 1024;

/// Runs the body of a test in a process whose allocator gives back at once what is freed.
pub(super) fn measured(test: &str, body: impl FnOnce()) {
    if is_child(test) {
        return body();
    }
    let _alone = alone();
    child::start(test, "", &RELEASE_AT_ONCE).finish();
}

pub(super) fn assert_grown_by_less_than(base: usize, most: usize) {
    let grown = resident().saturating_sub(base);
    assert!(grown < most, "{} KiB more than before", grown / 1024);
}

/// What an allocator does not give back at once, since something small lies behind it.
const REST: usize = 8 * MIB;

/// Waits until no more is held than before, apart from a rest.
pub(super) fn assert_released(base: usize) {
    wait_until("the memory is released", || resident() <= base + REST);
}

fn echo_server() -> Server {
    Server::start(Settings::default(), |out: Sender| move |msg: Message| out.send(msg))
}

/// Has the loop answer something, so that it has done with all that came before.
fn settle(peer: &mut Peer) {
    peer.send(Frame::ping(b"done".to_vec()));
    while peer.next_frame().unwrap().payload() != b"done" {}
}

#[test]
fn m1_a_peer_that_does_not_read_uses_no_more_memory_than_the_limit() {
    measured("memory::m1_a_peer_that_does_not_read_uses_no_more_memory_than_the_limit", || {
        let (server, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
        let mut slow = Peer::open(server.addr);
        let out = calls.opened();
        settle(&mut slow);
        let base = resident();
        for number in 0..2000 {
            // Some for it alone, some for all.
            let sent =
                if number % 2 == 0 { out.send(vec![7; 65_536]) } else { server.all.send(vec![7; 65_536]) };
            sent.unwrap();
            wait_until("its turn", || out.buffered_amount() < 17 * MIB);
            // On a busy machine the loop has its turn late, and what is for all waits in the queue till then.
            wait_until("no more is held than the limit", || resident() < base + 24 * MIB);
        }
        wait_until("the connection has failed", || !out.is_open());
        assert!(matches!(calls.error(), sockeye::ErrorKind::Capacity));
        drop(slow);
        calls.lost();
        assert_released(base);
        server.stop();
    });
}

/// Floods a loop with Pings of 125 bytes, and does not read the answers until the end.
fn flood_with_pings(peer: &mut Peer, encode: impl Fn(Frame) -> Vec<u8>) {
    const COUNT: usize = 160_000;
    const BATCH: usize = 1_000;
    let base = resident();
    // Many in each write. A system whose receive buffer is full of tiny segments shrinks its TCP window, drops what is beyond
    // it, acknowledgments included, and so stalls what it sends itself.
    for first in (0..COUNT).step_by(BATCH) {
        let pings = (first..first + BATCH).flat_map(|number| {
            let mut payload = format!("{number:0125}").into_bytes();
            payload.truncate(125);
            encode(Frame::ping(payload))
        });
        peer.stream.write_all(&pings.collect::<Vec<u8>>()).unwrap();
        assert_grown_by_less_than(base, 3 * MIB);
    }
    // Of the Pings that waited, the last one has to be answered; before that, not every one.
    let last = format!("{:0125}", COUNT - 1).into_bytes();
    let mut answers = 1;
    while peer.next_frame().unwrap().payload() != &last {
        answers += 1;
    }
    assert!(answers < COUNT, "nothing was ever held back");
    assert_grown_by_less_than(base, 3 * MIB);
}

#[test]
fn m2_pings_of_a_client_that_does_not_read_use_limited_memory() {
    measured("memory::m2_pings_of_a_client_that_does_not_read_use_limited_memory", || {
        let server = echo_server();
        let mut peer = Peer::open(server.addr);
        settle(&mut peer);
        flood_with_pings(&mut peer, masked);
        peer.echo("and it goes on");
        peer.finish();
        server.stop();
    });
}

#[test]
fn m2_pings_of_a_server_that_does_not_read_use_limited_memory() {
    measured("memory::m2_pings_of_a_server_that_does_not_read_use_limited_memory", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut socket = WebSocket::new(|_| |_| Ok(())).unwrap();
        socket.connect(format!("ws://{}", listener.local_addr().unwrap()).parse().unwrap()).unwrap();
        let client = std::thread::spawn(move || socket.run().map(drop));
        let mut peer = Peer::accept(&listener);
        peer.upgrade();
        flood_with_pings(&mut peer, |mut frame| {
            let mut bytes = Vec::new();
            frame.format(&mut bytes).unwrap();
            bytes
        });
        drop(peer);
        join(client).unwrap().unwrap();
    });
}

#[test]
fn m4_fragments_use_little_memory_beyond_their_payload() {
    measured("memory::m4_fragments_use_little_memory_beyond_their_payload", || {
        const COUNT: usize = 262_144;
        for opcode in [OpCode::Binary, OpCode::Text] {
            let server = echo_server();
            let mut peer = Peer::open(server.addr);
            let continuation = masked(Frame::message(b"x".to_vec(), OpCode::Continue, false));
            let most: Vec<u8> = continuation.repeat(COUNT - 2);
            settle(&mut peer);
            let base = resident();
            peer.send(Frame::message(b"x".to_vec(), opcode, false));
            peer.stream.write_all(&most).unwrap();
            settle(&mut peer);
            assert_grown_by_less_than(base, 3 * COUNT + MIB);
            peer.send(Frame::message(b"x".to_vec(), OpCode::Continue, true));
            let mut len = 0;
            while len < COUNT {
                len += peer.next_frame().unwrap().payload().len();
            }
            peer.finish();
            server.stop();
        }
    });
}

#[test]
fn m7_the_memory_of_a_large_message_is_released() {
    measured("memory::m7_the_memory_of_a_large_message_is_released", || {
        const LEN: usize = 16 * MIB;
        let server = echo_server();
        let mut peer = Peer::open(server.addr);
        settle(&mut peer);
        let base = resident();
        for round in 0..4 {
            {
                let opcode = if round % 2 == 0 { OpCode::Binary } else { OpCode::Text };
                let message = masked(Frame::message(vec![b'x'; LEN], opcode, true));
                let mut writer = peer.stream.try_clone().unwrap();
                let writing = std::thread::spawn(move || writer.write_all(&message).unwrap());
                let mut len = 0;
                while len < LEN {
                    len += peer.next_frame().unwrap().payload().len();
                }
                join(writing).unwrap();
            }
            peer.release();
            assert_released(base);
        }
        peer.finish();
        server.stop();
    });
}

#[test]
fn m11_a_broadcast_is_not_copied_for_each_receiver() {
    measured("memory::m11_a_broadcast_is_not_copied_for_each_receiver", || {
        let (server, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
        let mut peers: Vec<Peer> = (0..100).map(|_| Peer::open(server.addr)).collect();
        let outs: Vec<Sender> = (0..100).map(|_| calls.opened()).collect();
        peers.iter_mut().for_each(settle);
        let base = resident();
        for round in 1..=4 {
            server.all.send(vec![7; 4 * MIB]).unwrap();
            // It is in everybody's output, and with the fourth, more than the system takes of it.
            wait_until("it is queued", || outs.iter().all(|out| out.buffered_amount() > 0) || round < 4);
        }
        // Until everyone has received a message, the loop keeps it beside its encoded form.
        assert_grown_by_less_than(base, 40 * MIB);
        drop(peers);
        (0..100).for_each(|_| assert!(calls.lost() < 100));
        assert_released(base);
        server.stop();
    });
}

#[test]
fn a_paused_connection_uses_no_additional_memory() {
    measured("memory::a_paused_connection_uses_no_additional_memory", || {
        static RECEIVED: AtomicUsize = AtomicUsize::new(0);
        let (server, calls) = Probes::listen(Settings::default(), |hook, _| {
            RECEIVED.fetch_add(usize::from(hook == Hook::Message), Ordering::Relaxed);
            Ok(())
        });
        let mut peer = Peer::open(server.addr);
        let out = calls.opened();
        settle(&mut peer);
        let message = masked(Frame::message(vec![7; 65_536], OpCode::Binary, true));
        out.pause().unwrap();
        let base = resident();
        peer.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut sent = 0;
        while peer.stream.write_all(&message).is_ok() {
            sent += 1;
            assert!(sent < 1000, "nothing holds the peer back");
            assert_grown_by_less_than(base, MIB);
        }
        assert!(RECEIVED.load(Ordering::Relaxed) < 4);
        out.resume().unwrap();
        wait_until("all is received", || RECEIVED.load(Ordering::Relaxed) == sent);
        drop(peer);
        server.stop();
    });
}
