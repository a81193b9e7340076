//! Sockets and name lookups that do what a test demands.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::{frame, listening, open_client, run_until_idle, text};
use crate::reactor::Reactor;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::queue::{Command, ConnectMode, NewConnection};
use crate::reactor::system::fake::{Fake, Wire};
use crate::tls::RECORD;
use crate::{CloseCode, Message, Result};

#[test]
fn messages_are_echoed_without_a_socket() {
    let system = Fake::new();
    let factory = |out: Sender| move |message: Message| out.send(message);
    let (mut reactor, _entered) = listening(factory, Settings::default(), &system);
    let clients = [(); 3].map(|()| open_client(&mut reactor, &system));
    for (client, payload) in clients.iter().zip(["one", "two", "three"]) {
        client.send(&[text(payload), text("again")].concat());
    }
    run_until_idle(&mut reactor);
    assert_eq!(clients[0].take_received(), b"\x81\x03one\x81\x05again");
    assert_eq!(clients[1].take_received(), b"\x81\x03two\x81\x05again");
    assert_eq!(clients[2].take_received(), b"\x81\x05three\x81\x05again");
}

#[test]
fn m2_a_pong_that_has_waited_leaves_in_the_same_turn_as_the_output_before_it() {
    let system = Fake::new();
    let factory = |out: Sender| move |message: Message| out.send(message);
    let (mut reactor, _entered) = listening(factory, Settings::default(), &system);
    let client = open_client(&mut reactor, &system);
    client.set_room(0);
    client.send(&text(&"e".repeat(100)).repeat(3));
    client.send(&frame(9, b"ping"));
    run_until_idle(&mut reactor);
    client.set_room(1000);
    reactor.turn().unwrap();
    let received = client.take_received();
    assert_eq!((received.len(), &received[306..]), (312, &b"\x8a\x04ping"[..]));
    assert!(!reactor.has_work(), "nothing is left for another turn");
}

#[test]
fn a_flush_ends_on_a_full_record_while_more_input_is_ready() {
    let system = Fake::new();
    let factory = |out: Sender| move |message: Message| out.send(message);
    let (mut reactor, _entered) = listening(factory, Settings::default(), &system);
    let client = open_client(&mut reactor, &system);
    client.use_records();
    let message = [&[0x82, 0xfe, 0x40, 0, 0, 0, 0, 0][..], &[7; RECORD]].concat();
    client.send(&message.repeat(10));
    reactor.turn().unwrap();
    let mut received = client.take_received();
    assert_eq!((received.len() / RECORD, received.len() % RECORD), (3, 0));
    while reactor.has_work() {
        assert_eq!(received.len() % RECORD, 0, "the end of the output leaves with the next output");
        reactor.turn().unwrap();
        received.extend(client.take_received());
    }
    let reply = [&[0x82, 0x7e, 0x40, 0][..], &[7; RECORD]].concat();
    assert!(received == reply.repeat(10));
}

/// Records what it receives.
struct Recorder(Rc<RefCell<Vec<String>>>, Sender);

impl Recorder {
    fn record(&self, event: impl Into<String>) {
        self.0.borrow_mut().push(event.into());
    }
}

impl Handler for Recorder {
    fn on_message(&mut self, message: Message) -> Result<()> {
        self.record(message.as_text()?);
        self.1.send(message)
    }

    fn on_drain(&mut self) -> Result<()> {
        self.record("drain");
        Ok(())
    }

    fn on_error(&mut self, err: crate::Error) {
        self.record(err.to_string());
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.record(format!("close {} {reason}", u16::from(code)));
    }
}

/// A loop whose client accepts nothing, so that the echo of `hello` is unsent.
struct Blocked<F: Factory, E> {
    reactor: Reactor<F, Fake>,
    client: Wire,
    /// What the handler has received.
    events: Rc<RefCell<Vec<String>>>,
    /// This thread belongs to the loop.
    _entered: E,
}

fn blocked_client() -> Blocked<impl Factory, impl Sized> {
    let (system, events) = (Fake::new(), Rc::new(RefCell::new(Vec::new())));
    let recorded = Rc::clone(&events);
    let factory = move |out: Sender| Recorder(Rc::clone(&recorded), out);
    let (mut reactor, entered) = listening(factory, Settings::default(), &system);
    let client = open_client(&mut reactor, &system);
    client.set_room(0);
    client.send(&text("hello"));
    run_until_idle(&mut reactor);
    assert_eq!(client.take_received(), b"");
    assert_eq!(*events.borrow(), ["hello"]);
    Blocked { reactor, client, events, _entered: entered }
}

#[test]
fn a_message_is_written_one_byte_at_a_time() {
    let Blocked { reactor, client, events, .. } = &mut blocked_client();
    let mut received = Vec::new();
    for _ in 0..b"\x81\x05hello".len() {
        assert_eq!(*events.borrow(), ["hello"]);
        client.set_room(1);
        run_until_idle(reactor);
        received.extend(client.take_received());
    }
    assert_eq!(received, b"\x81\x05hello");
    client.set_room(1);
    run_until_idle(reactor);
    assert_eq!(*events.borrow(), ["hello", "drain"]);
}

#[test]
fn input_before_a_failed_write_is_processed() {
    let Blocked { reactor, client, events, .. } = &mut blocked_client();
    client.fail_writes(io::ErrorKind::BrokenPipe);
    client.set_room(1);
    client.send(&[text("last"), frame(8, b"\x03\xe9")].concat());
    run_until_idle(reactor);
    assert_eq!(*events.borrow(), ["hello", "last", "close 1001 "]);
}

#[test]
fn k7_connections_are_served_while_a_name_is_resolved() {
    let system = Fake::new();
    let factory = |out: Sender| move |message: Message| out.send(message);
    let (mut reactor, _entered) = listening(factory, Settings::default(), &system);
    let client = open_client(&mut reactor, &system);
    let server = system.add_server();
    system.hold_lookups();
    let connect = NewConnection::Connect("ws://slow.example/".parse().unwrap(), ConnectMode::Once);
    reactor.execute(Command::NewConnection(Box::new(connect.into())), None);
    for payload in ["one", "two"] {
        client.send(&text(payload));
        run_until_idle(&mut reactor);
        assert_eq!(client.take_received(), [b"\x81\x03", payload.as_bytes()].concat());
        // The loop has asked the system for the name once, and continues without the answer.
        assert_eq!((system.held_lookups(), server.take_received()), (1, Vec::new()));
    }
    assert_eq!(system.finish_lookup(), "slow.example");
    run_until_idle(&mut reactor);
    assert!(server.take_received().starts_with(b"GET / HTTP/1.1\r\n"));
}
