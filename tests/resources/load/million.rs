//! T2, M7: a million messages from one callback.

use std::io::{self, Read};
use std::time::Duration;

use sockeye::{CloseCode, ErrorKind, Message, Sender, Settings};

use super::alone;
use super::memory::{assert_released, measured};
use sockeye_test_support::peer::Peer;
use sockeye_test_support::probes::{Hook, Probes};
use sockeye_test_support::server::Server;
use sockeye_test_support::system::resident;

const MILLION: usize = 1_000_000;

/// A server that answers one message with a million.
fn generous() -> Server {
    Server::start(Settings::default(), |out: Sender| {
        move |msg: Message| (0..MILLION).try_for_each(|_| out.send(msg.as_bytes()))
    })
}

/// Reads a million messages of one byte.
fn read_million(peer: &mut Peer) {
    peer.stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (mut buffer, mut len) = (vec![0; 1 << 20], 0);
    while len < MILLION * 3 {
        let read = match peer.stream.read(&mut buffer) {
            // A wait is broken off by whatever stops the process for a while.
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            read => read.unwrap(),
        };
        for (at, byte) in buffer[..read].iter().enumerate() {
            assert_eq!(*byte, [0x82, 1, b'x'][(len + at) % 3]);
        }
        len += read;
    }
}

#[test]
fn t2_a_million_messages_from_one_callback_are_delivered_and_released() {
    let name = "million::t2_a_million_messages_from_one_callback_are_delivered_and_released";
    measured(name, || {
        let server = generous();
        let mut peer = Peer::open(server.addr);
        let base = resident();
        peer.send_text("x");
        read_million(&mut peer);
        // M7: neither do the queues stay as large as they once were.
        assert_released(base);
        peer.finish();
        server.stop();
    });
}

#[test]
fn t2_a_million_messages_beyond_the_limit_are_a_capacity_error() {
    let _alone = alone();
    let (server, calls) = Probes::listen(Settings::default(), |hook, out| match hook {
        Hook::Message => (0..MILLION).try_for_each(|_| out.send([7; 100].as_slice())),
        _ => Ok(()),
    });
    let mut peer = Peer::open(server.addr);
    peer.send_text("go");
    let mut count = 0;
    let code = loop {
        let frame = peer.next_frame().unwrap();
        if frame.is_control() {
            break frame.payload().get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
        }
        count += 1;
    };
    assert_eq!(code.map(CloseCode::from), Some(CloseCode::Size));
    assert_eq!(count, Settings::default().max_buffered / 100);
    assert!(matches!(calls.error(), ErrorKind::Capacity));
    drop(peer);
    server.stop();
}
