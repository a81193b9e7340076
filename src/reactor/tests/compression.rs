//! W8: long messages are compressed and decompressed in several turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{REQUEST, listening, open_client, run_until_idle, text};
use crate::protocol::handshake::Extension;
use crate::protocol::{Config, Connection, Deflate, Event, Role};
use crate::reactor::Reactor;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::system::fake::{Fake, Wire};
use crate::{CloseCode, Message, Result};

const MIB: usize = 1024 * 1024;

/// A client that has negotiated compression.
struct Client {
    wire: Wire,
    core: Connection,
}

impl Client {
    fn open<F: Factory>(reactor: &mut Reactor<F, Fake>, system: &Fake, parameters: &str) -> Self {
        let wire = system.connect_client();
        let request = String::from_utf8(REQUEST.to_vec()).unwrap();
        let header = format!("\r\nSec-WebSocket-Extensions: permessage-deflate{parameters}\r\n\r\n");
        wire.send(request.replace("\r\n\r\n", &header).as_bytes());
        run_until_idle(reactor);
        let response = String::from_utf8(wire.take_received()).unwrap();
        let (_, answer) = response.split_once("Sec-WebSocket-Extensions: ").unwrap();
        let extensions = Extension::parse_list(answer.lines().next().unwrap().as_bytes()).unwrap();
        let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
        let core = Connection::after_handshake(Role::Client, Arc::new(config), &extensions, Instant::now());
        Self { wire, core: core.unwrap() }
    }

    fn send(&mut self, message: impl Into<Message>) {
        let mut out = Vec::new();
        self.core.send(message, Instant::now(), &mut out).unwrap();
        self.wire.send(&out);
    }

    /// Returns what has arrived: the lengths of messages, and the codes of Close frames.
    fn received(&mut self) -> Vec<usize> {
        let bytes = self.wire.take_received();
        let (mut bytes, mut input, mut out) = (bytes.clone(), Vec::new(), Vec::new());
        std::mem::swap(&mut bytes, &mut input);
        let (mut input, mut received) = (input.as_mut_slice(), Vec::new());
        while let Some(event) = self.core.receive(&mut input, Instant::now(), &mut out).unwrap() {
            match event {
                Event::Message(message) => received.push(message.len()),
                Event::Close(code, _) => received.push(u16::from(code).into()),
                _ => {}
            }
        }
        self.wire.send(&out);
        received
    }
}

fn deflating() -> Settings {
    Settings { deflate: Some(Deflate::default()), ..Settings::without_timeouts() }
}

/// Bytes that become a little shorter.
fn payload(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24).to_le_bytes()[0] & 0x3f
    };
    (0..len).map(|_| next()).collect()
}

/// Replies with a short message.
fn short_reply(out: Sender) -> impl FnMut(Message) -> Result<()> {
    move |message| out.send(message.len().to_string())
}

/// Runs turns in which a plain neighbor is served, until there is nothing to do. Returns their number.
fn turns_with_neighbor<F: Factory>(reactor: &mut Reactor<F, Fake>, neighbor: &Wire) -> usize {
    let mut turns = 0;
    while reactor.has_work() || reactor.state.system.has_events() {
        neighbor.send(&text("?"));
        reactor.turn().unwrap();
        assert_eq!(neighbor.take_received(), b"\x81\x011", "the neighbor is served in each turn");
        turns += 1;
        assert!(turns < 10_000);
    }
    turns
}

#[test]
fn w8_a_long_message_is_decompressed_in_several_turns() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(short_reply, deflating(), &system);
    let neighbor = open_client(&mut reactor, &system);
    for parameters in ["", "; client_no_context_takeover"] {
        let mut client = Client::open(&mut reactor, &system, parameters);
        system.set_pace(Duration::from_millis(2));
        client.send(vec![0; 8 * MIB]);
        client.send("after");
        // A step produces at least 256 KiB, and a turn consists of a few steps.
        let turns = turns_with_neighbor(&mut reactor, &neighbor);
        assert!((8..=40).contains(&turns), "{turns}");
        assert_eq!(client.received(), [7, 1]);
        system.set_pace(Duration::ZERO);
    }
}

#[test]
fn w8_messages_behind_one_that_is_being_decompressed_arrive_in_long_turns() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(short_reply, deflating(), &system);
    let mut client = Client::open(&mut reactor, &system, "");
    // Every turn is long, so each connection leaves the loop after a frame.
    system.set_pace(Duration::from_millis(5));
    for _ in 0..5 {
        client.send(vec![0; MIB]);
        client.send("after");
    }
    client.send(vec![0; MIB]);
    run_until_idle(&mut reactor);
    assert_eq!(client.received(), [7, 1].repeat(5).into_iter().chain([7]).collect::<Vec<_>>());
}

#[test]
fn w8_a_message_that_is_being_decompressed_is_delivered_before_the_end() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(short_reply, deflating(), &system);
    let mut client = Client::open(&mut reactor, &system, "");
    system.set_pace(Duration::from_millis(2));
    client.send(vec![0; 4 * MIB]);
    client.wire.end();
    run_until_idle(&mut reactor);
    assert_eq!(client.received(), [7]);
}

#[test]
fn w8_many_long_messages_do_not_delay_a_neighbor_by_more_than_a_turn() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(short_reply, deflating(), &system);
    let neighbor = open_client(&mut reactor, &system);
    let mut clients: Vec<Client> = (0..40).map(|_| Client::open(&mut reactor, &system, "")).collect();
    system.set_pace(Duration::from_millis(2));
    clients.iter_mut().for_each(|client| client.send(vec![0; 2 * MIB]));
    let mut late = 0;
    while reactor.has_work() || reactor.state.system.has_events() {
        neighbor.send(&text("?"));
        reactor.turn().unwrap();
        late = if neighbor.take_received().is_empty() { late + 1 } else { 0 };
        assert!(late <= 1, "the neighbor waits for more than a turn");
    }
    clients.iter_mut().for_each(|client| assert_eq!(client.received(), [7]));
}

#[test]
fn w8_a_long_message_is_compressed_in_several_turns_and_nothing_overtakes_it() {
    let system = Fake::new();
    let message = payload(2 * MIB);
    let factory = |out: Sender| {
        let message = message.clone();
        move |request: Message| match request {
            Message::Text(text) if text == "long" => {
                out.send(message.clone())?;
                out.send("after")?;
                out.close(CloseCode::Away)
            }
            _ => out.send("1"),
        }
    };
    let (mut reactor, _entered) = listening(factory, deflating(), &system);
    let neighbor = open_client(&mut reactor, &system);
    for parameters in ["", "; server_no_context_takeover"] {
        let mut client = Client::open(&mut reactor, &system, parameters);
        system.set_pace(Duration::from_millis(2));
        client.send("long");
        neighbor.send(&text("?"));
        reactor.turn().unwrap();
        assert_eq!(neighbor.take_received(), b"\x81\x011");
        assert_eq!(client.received(), [0; 0], "a part of a message is never sent");
        assert!(reactor.state.memory.held() >= 2 * MIB, "{}", reactor.state.memory.held());
        let turns = turns_with_neighbor(&mut reactor, &neighbor);
        // A step compresses 64 KiB, and a turn consists of a few steps.
        assert!((10..64).contains(&turns), "{turns}");
        assert_eq!(client.received(), [2 * MIB, 5, 1001]);
        run_until_idle(&mut reactor);
        system.set_pace(Duration::ZERO);
    }
    run_until_idle(&mut reactor);
    assert_eq!(reactor.state.memory.held(), 0);
}

#[test]
fn w8_a_long_broadcast_is_compressed_once_and_in_several_turns() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(short_reply, deflating(), &system);
    let neighbor = open_client(&mut reactor, &system);
    let parameters = "; server_no_context_takeover";
    let mut clients: Vec<Client> = (0..10).map(|_| Client::open(&mut reactor, &system, parameters)).collect();
    let all = Sender::all(Arc::clone(&reactor.state.queue));
    system.set_pace(Duration::from_millis(2));
    all.broadcast(payload(2 * MIB)).unwrap();
    all.broadcast("after").unwrap();
    let mut turns = 0;
    while reactor.has_work() || reactor.state.queue.remote.has_commands() {
        reactor.turn().unwrap();
        turns += 1;
    }
    assert!((4..40).contains(&turns), "{turns}: every connection has compressed the message");
    clients.iter_mut().for_each(|client| assert_eq!(client.received(), [2 * MIB, 5]));
    assert!(neighbor.take_received().ends_with(b"\x81\x05after"));
    assert_eq!(reactor.state.memory.held(), 0);
}

#[test]
fn w8_shutdown_waits_for_a_message_that_is_being_compressed() {
    let system = Fake::new();
    let message = payload(MIB);
    let factory = |out: Sender| {
        let message = message.clone();
        move |_: Message| {
            out.send(message.clone())?;
            out.shutdown()
        }
    };
    let (mut reactor, _entered) = listening(factory, deflating(), &system);
    let mut client = Client::open(&mut reactor, &system, "");
    client.send("go");
    run_until_idle(&mut reactor);
    assert_eq!(client.received(), [MIB, 1001]);
    client.wire.end();
    run_until_idle(&mut reactor);
    assert!(reactor.try_finish());
}
