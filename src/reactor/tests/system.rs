//! What the seam below the loop makes possible: a clock that jumps, and sockets that do what a test demands.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::{REQUEST, frame, listening, open_client, run_until, run_until_idle, text};
use crate::reactor::api::handler::Handler;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::api::util::Token;
use crate::reactor::system::fake::Fake;
use crate::{CloseCode, Handshake, Message, Result};

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

/// Requests a timeout of an hour when the connection opens.
struct Sleeper(Sender, Rc<Cell<usize>>);

impl Handler for Sleeper {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.0.timeout(3_600_000, Token(7))
    }

    fn on_timeout(&mut self, token: Token) -> Result<()> {
        assert_eq!(token, Token(7));
        self.1.set(self.1.get() + 1);
        self.0.send("awake")
    }
}

#[test]
fn an_hour_passes_without_waiting() {
    let (system, fired) = (Fake::new(), Rc::new(Cell::new(0)));
    let start = system.clock();
    let factory = |out: Sender| Sleeper(out, Rc::clone(&fired));
    let (mut reactor, _entered) = listening(factory, Settings::default(), &system);
    let client = open_client(&mut reactor, &system);
    assert_eq!(fired.get(), 0);
    run_until(&mut reactor, || fired.get() == 1);
    assert!(system.clock() - start >= Duration::from_secs(3600), "the timeout is early");
    run_until_idle(&mut reactor);
    assert_eq!(client.take_received(), b"\x81\x05awake");
}

#[test]
fn a_silent_client_is_rejected_after_the_handshake_timeout() {
    let system = Fake::new();
    let settings = Settings { handshake_timeout: Duration::from_secs(20), ..Settings::default() };
    let (mut reactor, _entered) = listening(|_| |_| Ok(()), settings, &system);
    let client = system.connect_client();
    client.send(&REQUEST[..20]);
    run_until_idle(&mut reactor);
    let start = system.clock();
    let mut received = Vec::new();
    run_until(&mut reactor, || {
        received.extend(client.take_received());
        !received.is_empty()
    });
    assert!(received.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&received));
    assert!(system.clock() - start >= Duration::from_secs(19));
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

#[test]
fn a_socket_can_accept_one_byte_at_a_time() {
    let (system, events) = (Fake::new(), Rc::default());
    let factory = |out: Sender| Recorder(Rc::clone(&events), out);
    let (mut reactor, _entered) = listening(factory, Settings::default(), &system);
    let client = open_client(&mut reactor, &system);
    client.set_room(0);
    client.send(&text("hello"));
    run_until_idle(&mut reactor);
    let mut received = Vec::new();
    for _ in 0..b"\x81\x05hello".len() {
        assert_eq!(*events.borrow(), ["hello"]);
        client.set_room(1);
        run_until_idle(&mut reactor);
        received.extend(client.take_received());
    }
    assert_eq!(received, b"\x81\x05hello");
    client.set_room(1);
    run_until_idle(&mut reactor);
    assert_eq!(*events.borrow(), ["hello", "drain"]);
}

#[test]
fn input_before_a_failed_write_is_processed() {
    let (system, events) = (Fake::new(), Rc::default());
    let factory = |out: Sender| Recorder(Rc::clone(&events), out);
    let (mut reactor, _entered) = listening(factory, Settings::default(), &system);
    let client = open_client(&mut reactor, &system);
    client.set_room(0);
    client.send(&text("hello"));
    run_until_idle(&mut reactor);
    client.fail_writes(io::ErrorKind::BrokenPipe);
    client.set_room(1);
    client.send(&[text("last"), frame(8, b"\x03\xe9")].concat());
    run_until_idle(&mut reactor);
    let events = events.borrow();
    assert_eq!(*events, ["hello", "last", "close 1001 "]);
}
