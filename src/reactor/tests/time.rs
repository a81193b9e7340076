//! Timeouts and Pings, with a clock that only the test moves.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{REQUEST, frame, listening, open_client, run_until, run_until_idle};
use crate::reactor::Reactor;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::api::util::Token;
use crate::reactor::queue::{Command, ConnectMode, NewConnection};
use crate::reactor::system::fake::{Fake, Wire};
use crate::{CloseCode, Handshake, Result};

const SECOND: Duration = Duration::from_secs(1);

/// The loop rounds each deadline up to the next millisecond.
const TICK: Duration = Duration::from_millis(1);

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
fn a_timeout_of_an_hour_fires_without_a_real_wait() {
    let (system, fired) = (Fake::new(), Rc::new(Cell::new(0)));
    let start = system.time();
    let factory = |out: Sender| Sleeper(out, Rc::clone(&fired));
    let (mut reactor, _entered) = listening(factory, Settings::without_timeouts(), &system);
    let client = open_client(&mut reactor, &system);
    assert_eq!(fired.get(), 0);
    run_until(&mut reactor, || fired.get() == 1);
    assert!(system.time() - start >= Duration::from_secs(3600), "the timeout is early");
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
    let start = system.time();
    let mut received = Vec::new();
    run_until(&mut reactor, || {
        received.extend(client.take_received());
        !received.is_empty()
    });
    assert!(received.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&received));
    assert!(system.time() - start >= Duration::from_secs(19));
}

/// Requests a timeout of 100 ms, and then works for 30 ms before it returns.
struct Busy {
    out: Sender,
    system: Fake,
    fired_at: Rc<Cell<Option<Instant>>>,
}

impl Handler for Busy {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        let result = self.out.timeout(100, Token(1));
        self.system.advance(Duration::from_millis(30));
        result
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        self.fired_at.set(Some(self.system.time()));
        Ok(())
    }
}

#[test]
fn l7_a_timeout_counts_from_the_call_of_the_sender() {
    let (system, fired_at) = (Fake::new(), Rc::new(Cell::new(None)));
    let senders = Rc::new(RefCell::new(Vec::new()));
    let factory = |out: Sender| {
        senders.borrow_mut().push(out.clone());
        Busy { out, system: system.clone(), fired_at: Rc::clone(&fired_at) }
    };
    let (mut reactor, _entered) = listening(factory, Settings::without_timeouts(), &system);
    // The clock of the system is not that of the loop.
    system.advance(3600 * SECOND);
    let start = system.time();
    let _client = open_client(&mut reactor, &system);
    run_until(&mut reactor, || fired_at.get().is_some());
    let waited = fired_at.take().unwrap() - start;
    assert_eq!(waited, Duration::from_millis(100) + TICK);

    // A call on another thread counts as well, however late the loop executes the command.
    let (start, out) = (system.time(), senders.borrow()[0].clone());
    std::thread::spawn(move || out.timeout(100, Token(2))).join().unwrap().unwrap();
    system.advance(Duration::from_millis(30));
    run_until(&mut reactor, || fired_at.get().is_some());
    assert_eq!(fired_at.take().unwrap() - start, Duration::from_millis(100) + TICK);
}

fn watchful() -> Settings {
    Settings { ping_interval: Some(20 * SECOND), idle_timeout: Some(50 * SECOND), ..Settings::default() }
}

/// Records when a connection closes, and with which code.
struct Closed(Rc<RefCell<Vec<(CloseCode, Instant)>>>, Fake);

impl Handler for Closed {
    fn on_close(&mut self, code: CloseCode, _: &str) {
        self.0.borrow_mut().push((code, self.1.time()));
    }
}

/// Whether a server has sent a single Ping.
fn is_ping(received: &[u8]) -> bool {
    received.starts_with(b"\x89\x04") && received.len() == 6
}

/// When Pings arrive at a peer, in seconds after the start. Milliseconds are dropped.
fn seconds_of_pings<F: Factory>(
    reactor: &mut Reactor<F, Fake>,
    system: &Fake,
    peer: &Wire,
    is_done: impl Fn() -> bool,
) -> Vec<u64> {
    let (start, mut seconds) = (system.time(), Vec::new());
    run_until(reactor, || {
        let received = peer.take_received();
        if !received.is_empty() {
            assert!(is_ping(&received), "{received:?}");
            seconds.push((system.time() - start).as_secs());
        }
        is_done()
    });
    seconds
}

#[test]
fn l2_a_silent_peer_receives_every_ping_until_the_idle_timeout() {
    for (settings, pings) in [
        (watchful(), vec![20, 40]),
        (Settings { idle_timeout: Some(101 * SECOND), ..watchful() }, vec![20, 40, 60, 80, 100]),
        (Settings { ping_interval: None, ..watchful() }, vec![]),
    ] {
        let (system, closed) = (Fake::new(), Rc::default());
        let factory = |_: Sender| Closed(Rc::clone(&closed), system.clone());
        let (mut reactor, _entered) = listening(factory, settings, &system);
        let client = open_client(&mut reactor, &system);
        let start = system.time();
        let received = seconds_of_pings(&mut reactor, &system, &client, || !closed.borrow().is_empty());
        assert_eq!(received, pings);
        assert_eq!(*closed.borrow(), [(CloseCode::Abnormal, start + settings.idle_timeout.unwrap() + TICK)]);
    }
}

#[test]
fn l2_a_client_sends_pings_to_its_server_until_the_idle_timeout() {
    let (system, closed) = (Fake::new(), Rc::default());
    let factory = |_: Sender| Closed(Rc::clone(&closed), system.clone());
    let (mut reactor, _entered) = listening(factory, watchful(), &system);
    let server = open_server(&mut reactor, &system);
    let (mut count, start) = (0, system.time());
    run_until(&mut reactor, || {
        let received = server.take_received();
        // The mask is random.
        assert!(received.is_empty() || (received.starts_with(b"\x89\x84") && received.len() == 10));
        count += usize::from(!received.is_empty());
        !closed.borrow().is_empty()
    });
    assert_eq!(count, 2);
    assert_eq!(*closed.borrow(), [(CloseCode::Abnormal, start + 50 * SECOND + TICK)]);
}

#[test]
fn l3_a_peer_that_sends_pongs_gets_one_ping_per_interval_and_stays_connected() {
    let (system, closed) = (Fake::new(), Rc::default());
    let factory = |_: Sender| Closed(Rc::clone(&closed), system.clone());
    let (mut reactor, _entered) = listening(factory, watchful(), &system);
    let client = open_client(&mut reactor, &system);
    let start = system.time();
    for number in 1..=50 {
        let mut received = Vec::new();
        run_until(&mut reactor, || {
            received.extend(client.take_received());
            !received.is_empty()
        });
        assert!(is_ping(&received), "{received:?}");
        assert_eq!(system.time() - start, number * (20 * SECOND + TICK));
        client.send(&frame(10, b""));
        run_until_idle(&mut reactor);
    }
    assert_eq!((client.take_received().len(), closed.borrow().len()), (0, 0));
}

#[test]
fn l3_any_byte_delays_the_ping_and_the_idle_timeout() {
    let (system, closed) = (Fake::new(), Rc::default());
    let factory = |_: Sender| Closed(Rc::clone(&closed), system.clone());
    let settings = Settings { min_message_rate: 0, ..watchful() };
    let (mut reactor, _entered) = listening(factory, settings, &system);
    let client = open_client(&mut reactor, &system);
    // A message that takes ten minutes, byte by byte.
    for byte in frame(1, &[b'x'; 54]) {
        system.advance(10 * SECOND);
        client.send(&[byte]);
        run_until_idle(&mut reactor);
    }
    assert_eq!(client.take_received(), b"", "no Ping");
    let start = system.time();
    let pings = seconds_of_pings(&mut reactor, &system, &client, || !closed.borrow().is_empty());
    assert_eq!(pings, [20, 40]);
    assert_eq!(*closed.borrow(), [(CloseCode::Abnormal, start + 50 * SECOND + TICK)]);
}

/// Without Pings, nothing arrives after the message.
#[test]
fn w6_a_client_may_be_silent_after_a_message_in_fragments() {
    let (system, fired) = (Fake::new(), Rc::new(Cell::new(0)));
    let factory = |out: Sender| Sleeper(out, Rc::clone(&fired));
    let settings = Settings { min_message_rate: 1024, ..Settings::without_timeouts() };
    let (mut reactor, _entered) = listening(factory, settings, &system);
    let client = open_client(&mut reactor, &system);
    let mut fragments = [frame(1, b"roe"), frame(0, b"milt")];
    fragments[0][0] &= !0x80;
    for fragment in fragments {
        client.send(&fragment);
        run_until_idle(&mut reactor);
    }
    let mut received = Vec::new();
    run_until(&mut reactor, || {
        received.extend(client.take_received());
        fired.get() == 1 || !received.is_empty()
    });
    run_until_idle(&mut reactor);
    received.extend(client.take_received());
    assert_eq!(received, b"\x81\x05awake");
}

/// Connects to a server that accepts the opening handshake.
fn open_server<F: Factory>(reactor: &mut Reactor<F, Fake>, system: &Fake) -> Wire {
    let server = system.add_server();
    let connect = NewConnection::Connect("ws://localhost/".parse().unwrap(), ConnectMode::Once);
    reactor.execute(Command::NewConnection(Box::new(connect.into())), None);
    super::accept(reactor, &server);
    run_until_idle(reactor);
    server
}

/// The timer of the opening handshake must not delay the first Ping.
#[test]
fn l2_a_ping_can_be_due_before_the_handshake_had_to_be_complete() {
    let (system, closed) = (Fake::new(), Rc::default());
    let factory = |_: Sender| Closed(Rc::clone(&closed), system.clone());
    let settings = Settings { handshake_timeout: 1000 * SECOND, ..watchful() };
    let (mut reactor, _entered) = listening(factory, settings, &system);
    let client = open_client(&mut reactor, &system);
    let pings = seconds_of_pings(&mut reactor, &system, &client, || !closed.borrow().is_empty());
    assert_eq!(pings, [20, 40]);
}

#[test]
fn w5_silence_is_measured_from_the_end_of_a_pause() {
    let (system, closed) = (Fake::new(), Rc::default());
    let senders = Rc::new(RefCell::new(Vec::new()));
    let factory = |out: Sender| {
        senders.borrow_mut().push(out);
        Closed(Rc::clone(&closed), system.clone())
    };
    let (mut reactor, _entered) = listening(factory, watchful(), &system);
    let client = open_client(&mut reactor, &system);
    let out = senders.borrow()[0].clone();
    out.pause().unwrap();
    run_until_idle(&mut reactor);
    system.advance(1000 * SECOND);
    out.resume().unwrap();
    run_until_idle(&mut reactor);
    let pings = seconds_of_pings(&mut reactor, &system, &client, || !closed.borrow().is_empty());
    assert_eq!(pings, [20, 40]);
}
