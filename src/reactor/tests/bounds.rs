//! W1 to W7 and W11: the limits of all connections together, and of connections that make no progress.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::{frame, listening, open_client, run_until, run_until_idle, text};
use crate::reactor::Reactor;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::system::fake::{Fake, Wire};
use crate::{CloseCode, Error, ErrorKind, Message, Result};

const SECOND: Duration = Duration::from_secs(1);
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Returns messages, and records how connections fail and end.
struct Recorder {
    out: Sender,
    number: usize,
    ends: Rc<RefCell<Vec<End>>>,
}

#[derive(Debug, Clone, PartialEq)]
enum End {
    Capacity(usize),
    Closed(usize, CloseCode),
}

impl Handler for Recorder {
    fn on_message(&mut self, message: Message) -> Result<()> {
        self.out.send(message)
    }

    fn on_error(&mut self, err: Error) {
        if matches!(err.kind, ErrorKind::Capacity) {
            self.ends.borrow_mut().push(End::Capacity(self.number));
        }
    }

    fn on_close(&mut self, code: CloseCode, _: &str) {
        self.ends.borrow_mut().push(End::Closed(self.number, code));
    }

    fn wants_frames(&self) -> bool {
        false
    }
}

/// A loop whose handlers are numbered in the order in which the clients connect.
struct Loop<F: Factory> {
    reactor: Reactor<F, Fake>,
    system: Fake,
    ends: Rc<RefCell<Vec<End>>>,
}

fn recorder() -> (Rc<RefCell<Vec<End>>>, impl FnMut(Sender) -> Recorder) {
    let ends: Rc<RefCell<Vec<End>>> = Rc::default();
    let (shared, mut count) = (Rc::clone(&ends), 0);
    (ends, move |out| {
        count += 1;
        Recorder { out, number: count - 1, ends: Rc::clone(&shared) }
    })
}

impl<F: Factory> Loop<F> {
    fn held(&self) -> usize {
        self.reactor.state.memory.held()
    }

    fn open(&mut self) -> Wire {
        open_client(&mut self.reactor, &self.system)
    }

    /// The peer sends bytes, and the loop receives them.
    fn send(&mut self, client: &Wire, bytes: &[u8]) {
        client.send(bytes);
        run_until_idle(&mut self.reactor);
    }

    /// Whether a connection still works.
    fn echoes(&mut self, client: &Wire) -> bool {
        self.send(client, &text("hello"));
        client.take_received() == b"\x81\x05hello"
    }
}

macro_rules! start {
    ($settings:expr, $name:ident) => {
        let system = Fake::new();
        let (ends, factory) = recorder();
        let (reactor, _entered) = listening(factory, $settings, &system);
        let mut $name = Loop { reactor, system, ends };
    };
}

/// The header of a frame of a client, with a mask of zero.
fn header(first: u8, len: usize) -> Vec<u8> {
    let bytes = u64::try_from(len).unwrap().to_be_bytes();
    match len {
        0..126 => vec![first, 0x80 | bytes[7], 0, 0, 0, 0],
        126..65_536 => [&[first, 0x80 | 126][..], &bytes[6..], &[0; 4]].concat(),
        _ => [&[first, 0x80 | 127][..], &bytes, &[0; 4]].concat(),
    }
}

fn limited(max_memory: usize) -> Settings {
    Settings { max_memory, ..Settings::without_timeouts() }
}

#[test]
fn w2_unfinished_messages_of_all_connections_are_limited_together() {
    start!(limited(4 * MIB), it);
    let neighbor = it.open();
    let clients: Vec<Wire> = (0..10).map(|_| it.open()).collect();
    for (number, client) in clients.iter().enumerate() {
        let sent = MIB - 10 * KIB * number;
        it.send(client, &[header(0x82, sent + 1), vec![0; sent]].concat());
        assert!(it.held() <= 4 * MIB, "{}", it.held());
    }
    let failed: Vec<usize> = it.ends.borrow().iter().filter_map(capacity).collect();
    assert!(failed.len() >= 6 && failed.contains(&1), "the largest one fails first: {failed:?}");
    for number in &failed {
        assert!(clients[number - 1].take_received().ends_with(&[0x88, 2, 0x03, 0xf5]), "a Close with 1013");
    }
    assert!(it.echoes(&neighbor));
    clients.iter().for_each(Wire::end);
    run_until_idle(&mut it.reactor);
    assert_eq!(it.held(), 0);
}

fn capacity(end: &End) -> Option<usize> {
    match end {
        End::Capacity(number) => Some(*number),
        End::Closed(..) => None,
    }
}

#[test]
fn w2_memory_is_counted_until_its_message_is_complete() {
    start!(limited(64 * MIB), it);
    let client = it.open();
    let message = [header(0x82, MIB), vec![7; MIB]].concat();
    it.send(&client, &message[..message.len() - 1]);
    assert!((MIB..5 * MIB).contains(&it.held()), "{}", it.held());
    it.send(&client, &message[message.len() - 1..]);
    assert_eq!((it.held(), client.take_received().len() > MIB), (0, true));
    // A message in two fragments.
    it.send(&client, &[header(0x02, MIB), vec![7; MIB]].concat());
    assert!(it.held() >= MIB);
    client.end();
    run_until_idle(&mut it.reactor);
    assert_eq!(it.held(), 0);
}

#[cfg(feature = "permessage-deflate")]
#[test]
fn w1_inflated_messages_of_all_connections_are_limited_together() {
    use crate::protocol::Deflate;

    start!(Settings { deflate: Some(Deflate::default()), ..limited(4 * MIB) }, it);
    // The first fragment of a message.
    let stream = compressed(&vec![0; MIB]);
    let fragment = [header(0x42, stream.len()), stream].concat();
    assert!(fragment.len() < 4 * KIB, "{}", fragment.len());
    let request = String::from_utf8(super::REQUEST.to_vec()).unwrap();
    let request = request.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    for _ in 0..100 {
        let client = it.system.connect_client();
        client.send(request.as_bytes());
        run_until_idle(&mut it.reactor);
        assert!(client.take_received().starts_with(b"HTTP/1.1 101 "));
        it.send(&client, &fragment);
        assert!(it.held() <= 4 * MIB, "{}", it.held());
    }
    let failed = it.ends.borrow().iter().filter_map(capacity).count();
    assert!(failed >= 96, "{failed}");
}

/// Compresses with the library that the compression of messages uses.
#[cfg(feature = "permessage-deflate")]
fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut deflate = zlib_rs::Deflate::new(9, false, 15);
    let mut stream = vec![0; bytes.len() / 100 + 1000];
    deflate.compress(bytes, &mut stream, zlib_rs::DeflateFlush::SyncFlush).unwrap();
    stream.truncate(usize::try_from(deflate.total_out()).unwrap());
    stream
}

#[test]
fn w3_unread_output_of_all_connections_is_limited_together() {
    start!(limited(4 * MIB), it);
    let neighbor = it.open();
    let clients: Vec<Wire> = (0..10).map(|_| it.open()).collect();
    for client in &clients {
        client.set_room(0);
        for _ in 0..100 {
            it.send(client, &[header(0x82, 10 * KIB), vec![7; 10 * KIB]].concat());
            // Reading pauses while much output is blocked.
            it.system.advance(SECOND);
        }
        assert!(it.held() <= 4 * MIB, "{}", it.held());
    }
    let failed: Vec<usize> = it.ends.borrow().iter().filter_map(capacity).collect();
    assert!((6..=9).contains(&failed.len()), "{failed:?}");
    assert_eq!(it.ends.borrow().len(), 2 * failed.len(), "each of them is closed");
    assert!(it.echoes(&neighbor));
}

#[test]
fn w3_output_and_a_message_of_the_same_connection_are_released() {
    start!(limited(MIB), it);
    let client = it.open();
    client.set_room(0);
    it.send(&client, &[header(0x82, MIB / 2), vec![7; MIB / 2]].concat());
    it.system.advance(SECOND);
    it.send(&client, &[header(0x82, MIB), vec![7; MIB - 1]].concat());
    run_until(&mut it.reactor, || it.ends.borrow().len() == 2);
    assert_eq!(*it.ends.borrow(), [End::Capacity(0), End::Closed(0, CloseCode::Abnormal)]);
    assert_eq!(it.held(), 0);
}

#[test]
fn w4_slow_receivers_of_broadcasts_share_the_output() {
    for len in [300, 4 * KIB, 20 * KIB, 300 * KIB] {
        start!(limited(64 * MIB), it);
        let clients: Vec<Wire> = (0..100).map(|_| it.open()).collect();
        clients.iter().for_each(|client| client.set_room(0));
        let all = Sender::all(std::sync::Arc::clone(&it.reactor.state.queue));
        let rounds = MIB / len;
        for _ in 0..rounds {
            all.broadcast(vec![7; len]).unwrap();
            run_until_idle(&mut it.reactor);
        }
        // Each receiver also has a queue of its own.
        assert!(it.held() < 2 * MIB + 100 * rounds * 100, "{} bytes are held", it.held());
        assert!(it.ends.borrow().is_empty(), "{len}: no connection is closed");
        for client in &clients {
            client.set_room(usize::MAX / 2);
            run_until_idle(&mut it.reactor);
            let received = client.take_received();
            assert_eq!(received.iter().filter(|byte| **byte == 7).count() / len, rounds);
        }
        assert_eq!(it.held(), 0, "{len}");
    }
}

#[test]
fn w4_a_broadcast_counts_in_full_for_the_choice_of_a_connection() {
    start!(limited(3 * MIB), it);
    let slow: Vec<Wire> = (0..2).map(|_| it.open()).collect();
    slow.iter().for_each(|client| client.set_room(0));
    let all = Sender::all(std::sync::Arc::clone(&it.reactor.state.queue));
    all.broadcast(vec![7; 2 * MIB]).unwrap();
    run_until_idle(&mut it.reactor);
    let sender = it.open();
    it.send(&sender, &[header(0x82, MIB + 1), vec![0; MIB]].concat());
    let failed: Vec<usize> = it.ends.borrow().iter().filter_map(capacity).collect();
    assert_eq!(
        failed,
        [1, 0],
        "both receivers hold more than the sender, and nothing is free before both have ended"
    );
    assert!(it.held() <= 3 * MIB);
}

#[test]
fn w6_a_response_that_is_not_read_ends_the_connection() {
    start!(Settings::default(), it);
    let start = it.system.time();
    let client = it.system.connect_client();
    client.set_room(1);
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for second in 0..90 {
        run_until_idle(&mut it.reactor);
        if it.reactor.entries.is_empty() {
            assert!(second >= 60);
            break;
        }
        it.system.advance(SECOND);
        it.reactor.state.now = it.system.time();
        it.reactor.deadlines();
        it.reactor.reap();
    }
    assert!(it.reactor.entries.is_empty() && it.system.time() - start >= 60 * SECOND);
}

#[test]
fn w7_output_before_a_close_arrives_while_the_peer_reads() {
    start!(Settings::default(), it);
    let client = it.open();
    client.set_room(0);
    let all = Sender::all(std::sync::Arc::clone(&it.reactor.state.queue));
    all.send(vec![7; 8 * MIB]).unwrap();
    all.shutdown().unwrap();
    run_until_idle(&mut it.reactor);
    // 300 kB per second.
    let mut received = 0;
    for _ in 0..28 {
        client.set_room(300_000);
        run_until_idle(&mut it.reactor);
        received += client.take_received().len();
        it.system.advance(SECOND);
        it.reactor.state.now = it.system.time();
        it.reactor.deadlines();
        it.reactor.reap();
    }
    assert!(received > 8 * MIB, "{received}");
    client.send(&frame(8, &[0x03, 0xe9]));
    client.end();
    run_until(&mut it.reactor, || !it.ends.borrow().is_empty());
    assert_eq!(*it.ends.borrow(), [End::Closed(0, CloseCode::Away)]);
}

#[test]
fn w11_after_a_peak_no_memory_is_held() {
    start!(limited(64 * MIB), it);
    let message = [header(0x82, MIB), vec![7; MIB]].concat();
    let (readers, writers): (Vec<Wire>, Vec<Wire>) = (0..10).map(|_| (it.open(), it.open())).unzip();
    for (reader, writer) in readers.iter().zip(&writers) {
        reader.set_room(0);
        it.send(reader, &message);
        it.send(writer, &message[..message.len() / 2]);
    }
    assert!(it.held() >= 15 * MIB, "{}", it.held());
    for (reader, writer) in readers.iter().zip(&writers) {
        reader.set_room(usize::MAX);
        it.send(writer, &message[message.len() / 2..]);
    }
    run_until_idle(&mut it.reactor);
    assert!(readers.iter().chain(&writers).all(|client| client.take_received().len() > MIB));
    assert_eq!((it.held(), it.ends.borrow().len()), (0, 0));
}
