//! Large messages: how often sockets are called for them, and what is read into which memory.

use std::cell::RefCell;
use std::rc::Rc;

use super::{listening, open_client, run_until_idle, text};
use crate::reactor::Reactor;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::system::fake::{Calls, Fake, Wire};
use crate::{CloseCode, Handler, Message, Result};

const KIB: usize = 1024;

/// Returns a binary frame of a client, and the frames of the echo.
fn binary(len: usize) -> (Vec<u8>, Vec<u8>) {
    let payload: Vec<u8> = (0..=250).cycle().take(len).collect();
    let mut echo = Vec::new();
    let pieces: Vec<_> = payload.chunks(65_535).collect();
    for (at, piece) in pieces.iter().enumerate() {
        let fin = if at + 1 == pieces.len() { 0x80 } else { 0 };
        header(fin | if at == 0 { 2 } else { 0 }, 0, piece.len(), &mut echo);
        echo.extend_from_slice(piece);
    }
    let mut frame = Vec::new();
    header(0x82, 0x80, len, &mut frame);
    frame.extend([1, 2, 3, 4]);
    frame.extend(payload.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, key)| byte ^ key));
    (frame, echo)
}

fn header(first: u8, masked: u8, len: usize, out: &mut Vec<u8>) {
    match u16::try_from(len) {
        Ok(len @ 0..126) => out.extend([first, masked | u8::try_from(len).unwrap()]),
        Ok(len) => out.extend([&[first, masked | 126], &len.to_be_bytes()[..]].concat()),
        Err(_) => {
            out.extend([&[first, masked | 127], &u64::try_from(len).unwrap().to_be_bytes()[..]].concat());
        }
    }
}

fn echo(out: Sender) -> impl Handler {
    move |message: Message| out.send(message)
}

/// Sends bytes to the loop, and returns what it has sent and how often it has called the socket.
fn exchange<F: Factory>(reactor: &mut Reactor<F, Fake>, client: &Wire, bytes: &[u8]) -> (Vec<u8>, Calls) {
    client.take_calls();
    client.send(bytes);
    run_until_idle(reactor);
    (client.take_received(), client.take_calls())
}

#[test]
fn a_message_of_256_kib_takes_a_read_for_each_arrival_and_one_write() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(echo, Settings::default(), &system);
    let client = open_client(&mut reactor, &system);
    let (frame, reply) = binary(256 * KIB);
    let (first, second) = frame.split_at(60 * KIB);
    for round in 0..3 {
        let (received, calls) = exchange(&mut reactor, &client, first);
        assert_eq!((received.len(), calls.reads, calls.writes), (0, 1, 0), "round {round}");
        let (received, calls) = exchange(&mut reactor, &client, second);
        assert!(received == reply, "round {round}");
        // Five frames, each with a header.
        assert_eq!(calls, Calls { reads: 1, writes: 1, slices: 10 }, "round {round}");
    }
}

#[test]
fn a_message_of_16_kib_takes_one_read_and_one_write() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(echo, Settings::default(), &system);
    let client = open_client(&mut reactor, &system);
    let (frame, reply) = binary(16 * KIB);
    for round in 0..4 {
        let (received, calls) = exchange(&mut reactor, &client, &frame);
        assert!(received == reply, "round {round}");
        assert_eq!(calls, Calls { reads: 1, writes: 1, slices: 2 }, "round {round}");
    }
    // Another number of messages, and messages of other lengths, which were not expected.
    for (count, len, reads) in
        [(16, 16 * KIB, 4), (1, 16 * KIB, 1), (1, 17 * KIB, 1), (1, 9 * KIB, 1), (3, 20, 1)]
    {
        let (frame, reply) = if len == 20 {
            (text(&"x".repeat(20)), [b"\x81\x14", &[b'x'; 20][..]].concat())
        } else {
            binary(len)
        };
        let (received, calls) = exchange(&mut reactor, &client, &frame.repeat(count));
        assert!(received == reply.repeat(count), "{count} messages of {len} bytes");
        assert!(calls.reads <= reads, "{count} messages of {len} bytes: {calls:?}");
    }
}

#[test]
fn o4_what_follows_a_large_message_is_processed_at_every_split() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(echo, Settings::default(), &system);
    let client = open_client(&mut reactor, &system);
    let (large, large_reply) = binary(40 * KIB);
    let stream = [large.clone(), text("one"), large, text("two")].concat();
    let reply = [&large_reply, &b"\x81\x03one"[..], &large_reply, b"\x81\x03two"].concat();
    for at in (1..stream.len()).step_by(997) {
        let (first, second) = stream.split_at(at);
        let mut received = exchange(&mut reactor, &client, first).0;
        received.extend(exchange(&mut reactor, &client, second).0);
        assert!(received == reply, "split at {at}");
    }
    // Each read returns a few bytes.
    for most in [1009, 5003, 30_011] {
        client.set_most(most, usize::MAX);
        assert!(exchange(&mut reactor, &client, &stream).0 == reply, "{most} bytes per read");
    }
}

/// Pauses reading in each message, and records how many have arrived and how the connection has ended.
struct Pausing(Sender, Rc<RefCell<(usize, Option<CloseCode>)>>);

impl Handler for Pausing {
    fn on_message(&mut self, message: Message) -> Result<()> {
        self.1.borrow_mut().0 += message.len();
        self.0.pause()
    }

    fn on_close(&mut self, code: CloseCode, _: &str) {
        self.1.borrow_mut().1 = Some(code);
    }
}

#[test]
fn a_pause_in_a_large_message_and_the_end_behind_it_are_obeyed() {
    let system = Fake::new();
    let seen: Rc<RefCell<(usize, Option<CloseCode>)>> = Rc::default();
    let senders: Rc<RefCell<Vec<Sender>>> = Rc::default();
    let factory = |out: Sender| {
        senders.borrow_mut().push(out.clone());
        Pausing(out, Rc::clone(&seen))
    };
    let (mut reactor, _entered) = listening(factory, Settings::default(), &system);
    let client = open_client(&mut reactor, &system);
    let (frame, _) = binary(100 * KIB);
    let (first, second) = frame.split_at(50 * KIB);
    exchange(&mut reactor, &client, first);
    exchange(&mut reactor, &client, second);
    assert_eq!(*seen.borrow(), (100 * KIB, None));
    // Half a message, and the end.
    let (_, calls) = exchange(&mut reactor, &client, first);
    assert_eq!((calls.reads, seen.borrow().0), (0, 100 * KIB), "reading is paused");
    client.end();
    senders.borrow()[0].resume().unwrap();
    run_until_idle(&mut reactor);
    assert_eq!(*seen.borrow(), (100 * KIB, Some(CloseCode::Abnormal)));
}

#[test]
fn w2_memory_that_is_lent_is_counted() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(echo, Settings::default(), &system);
    let client = open_client(&mut reactor, &system);
    let (frame, reply) = binary(200 * KIB);
    for (begin, end) in [(0, 100 * KIB), (100 * KIB, 150 * KIB), (150 * KIB, 190 * KIB)] {
        exchange(&mut reactor, &client, &frame[begin..end]);
        let held = reactor.state.memory.held();
        assert!((end..=201 * KIB).contains(&held), "{held} bytes for {end}");
    }
    let (received, _) = exchange(&mut reactor, &client, &frame[190 * KIB..]);
    assert!(received == reply && reactor.state.memory.held() == 0);
}

#[test]
fn a_large_reply_is_written_before_the_next_connection_is_read() {
    let (system, clients) = (Fake::new(), Rc::new(RefCell::new(Vec::<Wire>::new())));
    let early = Rc::new(RefCell::new(0));
    let (seen, count) = (Rc::clone(&clients), Rc::clone(&early));
    let factory = move |out: Sender| {
        let (seen, count) = (Rc::clone(&seen), Rc::clone(&count));
        move |message: Message| {
            *count.borrow_mut() = seen.borrow().iter().filter(|client| client.has_received()).count();
            out.send(message)
        }
    };
    let (mut reactor, _entered) = listening(factory, Settings::default(), &system);
    clients.borrow_mut().extend([(); 5].map(|()| open_client(&mut reactor, &system)));
    for (len, expected) in [(16 * KIB, 4), (15 * KIB, 0)] {
        clients.borrow().iter().for_each(|client| client.send(&binary(len).0));
        run_until_idle(&mut reactor);
        assert_eq!(*early.borrow(), expected, "when the last message of {len} bytes arrived");
        clients.borrow().iter().for_each(|client| assert!(client.take_received() == binary(len).1));
    }
}

#[test]
fn output_of_encrypted_sockets_is_joined_when_it_is_encoded() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(echo, Settings::default(), &system);
    let client = system.connect_client();
    client.use_records();
    client.send(super::REQUEST);
    run_until_idle(&mut reactor);
    client.take_received();
    let (frame, reply) = binary(16 * KIB);
    let (received, calls) = exchange(&mut reactor, &client, &frame.repeat(3));
    assert!(received == reply.repeat(3));
    assert_eq!((calls.writes, calls.slices), (1, 1));
}
