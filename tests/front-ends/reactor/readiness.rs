//! O4: short reads, short writes, and spurious readiness.

use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use sockeye::{CloseCode, Frame, Message, OpCode, Sender, Settings};

use sockeye_test_support::peer::{Peer, masked};
use sockeye_test_support::probes::{HandlerCall, Hook, Probes};
use sockeye_test_support::server::Server;
use sockeye_test_support::{LIMIT, wait_until};

fn echo_server() -> Server {
    Server::start(Settings::default(), |out: Sender| move |msg: Message| out.send(msg))
}

/// Payloads of many lengths, each different from the others.
fn payloads() -> Vec<Vec<u8>> {
    let lengths = [0, 1, 125, 126, 127, 4000, 16_383, 16_384, 65_535, 65_536, 70_000, 200_000];
    let numbered = lengths.iter().cycle().take(60).zip(0usize..);
    numbered
        .map(|(len, number)| (0..*len).map(|at| u8::try_from((at * 7 + number) % 251).unwrap()).collect())
        .collect()
}

/// Reads one message, out of all its fragments.
fn read_message(peer: &mut Peer) -> Vec<u8> {
    let mut message = Vec::new();
    loop {
        let frame = peer.next_frame().unwrap();
        let is_final = frame.is_final();
        message.extend(frame.into_data());
        if is_final {
            return message;
        }
    }
}

#[test]
fn o4_short_reads_and_writes_lose_no_data() {
    let server = echo_server();
    let mut peer = Peer::open(server.addr);
    // Small buffers on our side make all of the loop's reads and writes short ones.
    let socket = socket2::SockRef::from(&peer.stream);
    socket.set_recv_buffer_size(32 * 1024).unwrap();
    socket.set_send_buffer_size(32 * 1024).unwrap();
    let mut writer = peer.stream.try_clone().unwrap();
    let writing = thread::spawn(move || {
        for (payload, number) in payloads().into_iter().zip(1usize..) {
            let bytes = masked(Frame::message(payload, OpCode::Binary, true));
            for piece in bytes.chunks(number * 97) {
                writer.write_all(piece).unwrap();
            }
        }
    });
    for payload in payloads() {
        assert!(read_message(&mut peer) == payload);
    }
    writing.join().unwrap();
    peer.finish();
    server.stop();
}

#[test]
fn o4_messages_are_echoed_during_spurious_wake_ups() {
    let server = echo_server();
    let mut peer = Peer::open(server.addr);
    let all = server.all.clone();
    let waking = thread::spawn(move || (0..5000).for_each(|_| all.resume().unwrap()));
    (0..100).for_each(|number| peer.echo(&format!("{number}")));
    waking.join().unwrap();
    peer.echo("done");
    peer.finish();
    server.stop();
}

#[test]
fn o4_events_of_connections_that_end_in_the_same_turn_are_handled() {
    const COUNT: u32 = 100;
    let (tx, held) = channel();
    let tx = Mutex::new(tx);
    let (server, calls) = Probes::listen(Settings::default(), move |hook, out| {
        match hook {
            // The first connection blocks the loop until all others have events.
            Hook::Message if out.connection_id() == 0 => {
                let (release, released) = channel::<()>();
                tx.lock().unwrap().send(release).ok();
                released.recv_timeout(LIMIT).ok();
            }
            // Each of the others takes the rest along.
            Hook::Message | Hook::Close => out.broadcast("one has gone")?,
            Hook::Error => out.connect("ws://127.0.0.1:1".parse().unwrap())?,
            _ => {}
        }
        Ok(())
    });
    let mut first = Peer::open(server.addr);
    let mut others: Vec<Peer> = (1..COUNT).map(|_| Peer::open(server.addr)).collect();
    first.send_text("hold");
    let release = held.recv_timeout(LIMIT).unwrap();
    for (peer, number) in others.iter_mut().zip(0..) {
        match number % 3 {
            0 => peer.send_text("a last word"),
            1 => peer.send(Frame::close(CloseCode::Normal, "")),
            _ => {}
        }
        socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    drop(others);
    let newcomer = Peer::connect(server.addr);
    drop(release);
    let mut lost = 0;
    while lost < COUNT - 1 {
        let (id, call) = calls.next();
        lost += u32::from(id < COUNT && matches!(call, HandlerCall::Lost));
    }
    drop(newcomer);
    drop(first);
    wait_until("room for others", || server.all.is_open());
    Peer::open(server.addr).finish();
    server.stop();
}
