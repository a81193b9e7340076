//! L5: a loop that drains closes its connections one after the other, on a clock that only the test moves.

use std::cell::RefCell;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{REQUEST, accept, frame, listening, open_client, run_until, run_until_idle, text};
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Config, Upgrade};
use crate::reactor::Reactor;
use crate::reactor::api::drain::Drain;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::queue::{Command, ConnectMode, NewConnection, QueuedCommand, Target};
use crate::reactor::system::fake::{Fake, Wire};
use crate::{CloseCode, Error, ErrorKind, Frame, Message, QueueError, Result};

const SECOND: Duration = Duration::from_secs(1);

/// The loop rounds each deadline up to the next millisecond.
const TICK: Duration = Duration::from_millis(1);

/// The Close frame of a drain with the default code and reason.
const CLOSE: &[u8] = b"\x88\x0f\x03\xe9shutting down";

type Events = Rc<RefCell<Vec<String>>>;

/// Echoes messages, answers health checks, and records what happens.
struct Recorder {
    out: Sender,
    events: Events,
}

impl Recorder {
    fn record(&self, event: impl Into<String>) {
        self.events.borrow_mut().push(event.into());
    }
}

impl Handler for Recorder {
    fn on_request(&mut self, request: &Request) -> Result<Response> {
        match request.resource() {
            "/health" => Ok(Response::new(200, "OK", format!("draining: {}", self.out.is_draining()).into())),
            _ => Response::from_request(request),
        }
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        match message.as_text()? {
            "connect" => self.out.connect("ws://127.0.0.1/".parse().unwrap()),
            _ => self.out.send(message),
        }
    }

    /// A client that calls itself stubborn never receives a Close frame.
    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        let is_stubborn = self.events.borrow().iter().any(|event| event == "stubborn");
        Ok(Some(frame).filter(|frame| !is_stubborn || !frame.is_control()))
    }

    fn on_error(&mut self, err: Error) {
        self.record(err.to_string());
    }

    fn on_close(&mut self, code: CloseCode, _: &str) {
        self.record(format!("close {}", u16::from(code)));
    }

    fn on_shutdown(&mut self) {
        self.record("shutdown");
    }
}

struct Recorders(Events);

impl Factory for Recorders {
    type Handler = Recorder;

    fn connection_made(&mut self, out: Sender) -> Recorder {
        Recorder { out, events: Rc::clone(&self.0) }
    }

    fn on_shutdown(&mut self) {
        self.0.borrow_mut().push("factory shutdown".to_owned());
    }
}

/// A loop with clients.
struct Loop<E> {
    reactor: Reactor<Recorders, Fake>,
    system: Fake,
    clients: Vec<Wire>,
    events: Events,
    /// This thread belongs to the loop.
    _entered: E,
}

fn with_clients(count: usize, settings: Settings) -> Loop<impl Sized> {
    let (system, events) = (Fake::new(), Events::default());
    let (mut reactor, entered) = listening(Recorders(Rc::clone(&events)), settings, &system);
    let clients = (0..count).map(|_| open_client(&mut reactor, &system)).collect();
    Loop { reactor, system, clients, events, _entered: entered }
}

impl<E> Loop<E> {
    fn all(&self) -> Sender {
        Sender::all(Arc::clone(&self.reactor.state.queue))
    }

    /// Begins to drain.
    fn drain(&mut self, drain: Drain) {
        self.all().drain(drain).unwrap();
        self.reactor.turn().unwrap();
    }

    /// Runs until the loop ends, while clients answer each Close frame. Returns when each client received one.
    fn run_to_end(&mut self) -> Vec<Option<Duration>> {
        let start = self.system.time();
        let mut closed = vec![None; self.clients.len()];
        while !self.reactor.try_finish() {
            self.reactor.turn().unwrap();
            for (client, closed) in
                self.clients.iter().zip(&mut closed).filter(|(_, closed)| closed.is_none())
            {
                if client.take_received().ends_with(CLOSE) {
                    *closed = Some(self.system.time() - start);
                    client.send(&frame(8, b"\x03\xe9"));
                    client.end();
                }
            }
        }
        closed
    }

    fn count(&self, event: &str) -> usize {
        self.events.borrow().iter().filter(|recorded| *recorded == event).count()
    }

    /// A new client sends a request. Returns the response.
    fn request(&mut self, request: &[u8]) -> String {
        let client = self.system.connect_client();
        client.send(request);
        run_until_idle(&mut self.reactor);
        String::from_utf8(client.take_received()).unwrap()
    }
}

#[test]
fn l5_a_drain_closes_connections_at_equal_intervals() {
    for (count, intervals) in [(1, 1), (7, 5), (1000, 50)] {
        let mut it = with_clients(count, Settings::default());
        it.drain(Drain::new().over(5 * SECOND));
        let closed: Vec<_> =
            it.run_to_end().into_iter().map(|at| at.expect("each client is closed")).collect();
        let interval = 5 * SECOND / intervals;
        let mut closes = vec![0; intervals as usize];
        for at in &closed {
            closes[((*at - TICK).as_nanos() / interval.as_nanos()) as usize] += 1;
        }
        let (least, most) = (closes.iter().min().unwrap(), closes.iter().max().unwrap());
        assert!(most - least <= 1, "{count} connections: {closes:?}");
        assert!(closed.is_sorted(), "in the order of the slots");
        assert_eq!((it.count("shutdown"), it.count("close 1001")), (count, count));
        assert_eq!(it.count("factory shutdown"), 1);
    }
}

#[test]
fn l5_without_connections_a_drain_ends_at_once() {
    let mut it = with_clients(0, Settings::default());
    let start = it.system.time();
    it.drain(Drain::new());
    it.run_to_end();
    assert_eq!(it.system.time(), start);
    assert!(it.all().is_draining());
    assert_eq!(*it.events.borrow(), ["factory shutdown"]);
}

#[test]
fn l5_output_before_the_turn_of_a_connection_reaches_a_slow_reader() {
    let mut it = with_clients(1, Settings { close_timeout: 2 * SECOND, ..Settings::default() });
    let client = it.clients[0].clone();
    client.set_room(0);
    client.send(&text("0123456789").repeat(20));
    run_until_idle(&mut it.reactor);
    it.drain(Drain::new().over(Duration::ZERO));
    let (start, mut received) = (it.system.time(), Vec::new());
    while !received.ends_with(CLOSE) {
        // Much longer than the time limit for the closing handshake, which begins afterwards.
        it.system.advance(SECOND);
        client.set_room(12);
        run_until_idle(&mut it.reactor);
        received.extend(client.take_received());
        assert!(it.system.time() - start < 30 * SECOND, "{received:?}");
    }
    assert_eq!(received, [b"\x81\x0a0123456789".repeat(20), CLOSE.to_vec()].concat());
    client.send(&frame(8, b"\x03\xe9"));
    it.run_to_end();
    assert_eq!(it.count("close 1001"), 1);
}

#[test]
fn l5_what_is_left_at_the_deadline_is_dropped() {
    let mut it = with_clients(2, Settings::default());
    it.clients[0].set_room(0);
    it.clients[0].send(&text("unread"));
    run_until_idle(&mut it.reactor);
    let start = it.system.time();
    it.drain(Drain::new().over(SECOND).deadline(20 * SECOND));
    let closed = it.run_to_end();
    assert_eq!(it.system.time() - start, 20 * SECOND + TICK);
    assert!(closed[0].is_none() && closed[1].is_some());
    assert_eq!((it.count("close 1006"), it.count("close 1001")), (1, 1));
}

#[test]
fn l5_a_deadline_before_the_end_of_the_schedule_shortens_it() {
    let mut it = with_clients(10, Settings::default());
    it.drain(Drain::new().over(3600 * SECOND).deadline(10 * SECOND));
    let closed = it.run_to_end();
    assert!(closed.iter().all(Option::is_some), "{closed:?}");
    // A deadline that the clock cannot represent never comes.
    let mut it = with_clients(1, Settings::default());
    it.drain(Drain::new().deadline(Duration::MAX));
    assert!(it.request(REQUEST).contains("\r\nRetry-After: 3600\r\n"));
    it.run_to_end();
}

#[test]
fn l5_during_a_drain_upgrades_are_turned_away_and_health_checks_are_answered() {
    const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut it = with_clients(1, Settings::default());
    assert!(it.request(HEALTH).ends_with("draining: false"));
    let (half, silent) = (it.system.connect_client(), it.system.connect_client());
    half.send(&REQUEST[..20]);
    run_until_idle(&mut it.reactor);
    it.clients[0].set_room(0);
    it.clients[0].send(&text("hello"));
    run_until_idle(&mut it.reactor);
    it.drain(Drain::new());

    half.send(&REQUEST[20..]);
    let response = it.request(REQUEST);
    assert!(
        response.starts_with("HTTP/1.1 503 ") && response.contains("\r\nRetry-After: 30\r\n"),
        "{response}"
    );
    assert!(half.take_received().starts_with(b"HTTP/1.1 503 "));
    it.system.advance(10 * SECOND);
    it.reactor.turn().unwrap();
    assert!(it.request(REQUEST).contains("\r\nRetry-After: 20\r\n"));
    let response = it.request(HEALTH);
    assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("draining: true"), "{response}");

    // The loop does not wait for a client that arrives during the drain, or has not sent a request.
    let late = it.system.connect_client();
    run_until_idle(&mut it.reactor);
    it.clients[0].set_room(1000);
    run_until(&mut it.reactor, || it.clients[0].take_received().ends_with(CLOSE));
    it.clients[0].send(&frame(8, b"\x03\xe9"));
    it.clients[0].end();
    run_until_idle(&mut it.reactor);
    for client in [&silent, &late] {
        let response = String::from_utf8(client.take_received()).unwrap();
        assert!(
            response.starts_with("HTTP/1.1 503 ") && response.contains("\r\nRetry-After: 2"),
            "{response}"
        );
        client.end();
    }
    it.run_to_end();
}

#[test]
fn l5_during_a_drain_nothing_is_connected() {
    let mut it = with_clients(1, Settings::default());
    let server = it.system.add_server();
    it.clients[0].send(&text("connect"));
    accept(&mut it.reactor, &server);
    run_until_idle(&mut it.reactor);
    // This server does not answer, and that attempt to connect continues.
    let (silent, far) = (it.system.add_server(), it.system.add_server());
    far.hold_connecting();
    it.clients[0].send(&text("connect").repeat(2));
    run_until_idle(&mut it.reactor);
    it.drain(Drain::new());
    run_until_idle(&mut it.reactor);
    assert_eq!(it.reactor.entries.len(), 2, "both attempts are dropped");
    assert!(silent.take_received().starts_with(b"GET ") && far.take_received().is_empty());

    // Neither the loop nor a sender begins to connect. The handler that tries it keeps its connection.
    let err = it.all().connect("ws://127.0.0.1/".parse().unwrap()).unwrap_err();
    assert!(matches!(err.kind, ErrorKind::Queue(QueueError::Disconnected)));
    it.clients[0].send(&text("connect"));
    run_until_idle(&mut it.reactor);
    let id = it.reactor.entries.ids().next();
    let connect = NewConnection::Connect("ws://127.0.0.1/".parse().unwrap(), ConnectMode::Once);
    it.reactor.execute(Command::NewConnection(Box::new(connect.into())), id);
    assert!(err.to_string().starts_with("cannot connect to ws://127.0.0.1/: the loop is draining"), "{err}");
    assert_eq!(it.count(&err.to_string()), 2, "{:?}", it.events);

    // A connection that was opened elsewhere receives a Close frame.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let upgrade = Upgrade::new(Request::parse(REQUEST).unwrap().unwrap(), Config::default()).unwrap();
    let command = NewConnection::AcceptUpgraded(listener.accept().unwrap().0, upgrade);
    let command = Command::NewConnection(Box::new(command.into()));
    it.reactor.state.queue.push(QueuedCommand { target: Target::All, command }).unwrap();
    run_until_idle(&mut it.reactor);
    let mut received = Vec::new();
    std::io::Read::read_to_end(&mut peer, &mut received).unwrap();
    assert_eq!(received, CLOSE);
}

#[test]
fn l5_a_shutdown_ends_a_drain_and_a_second_drain_does_nothing() {
    let mut it = with_clients(10, Settings::default());
    it.drain(Drain::new().over(10 * SECOND).deadline(20 * SECOND));
    it.drain(Drain::new().code(CloseCode::Restart).over(Duration::ZERO));
    it.system.advance(SECOND);
    it.reactor.turn().unwrap();
    run_until_idle(&mut it.reactor);
    let closed = it.clients.iter().take_while(|client| client.take_received() == CLOSE);
    let closed = closed.map(|client| {
        client.send(&frame(8, b"\x03\xe9"));
        client.end();
    });
    assert_eq!(closed.count(), 2, "the first schedule applies");
    let start = it.system.time();
    it.all().shutdown().unwrap();
    it.run_to_end();
    assert_eq!(
        it.system.time(),
        start,
        "the remaining connections are closed at once, with the code of the drain"
    );
    assert_eq!((it.count("shutdown"), it.count("factory shutdown"), it.count("close 1001")), (10, 1, 10));
}

#[test]
fn l5_the_deadline_of_a_drain_also_limits_a_shutdown() {
    let mut it = with_clients(1, Settings::without_timeouts());
    it.clients[0].set_room(0);
    let start = it.system.time();
    it.drain(Drain::new().over(5 * SECOND).deadline(5 * SECOND));
    it.all().shutdown().unwrap();
    it.run_to_end();
    assert_eq!((it.system.time() - start, it.count("close 1006")), (5 * SECOND + TICK, 1));
}

#[test]
fn l5_a_handler_that_drops_close_frames_does_not_delay_a_drain() {
    let mut it = with_clients(1, Settings::default());
    it.events.borrow_mut().push("stubborn".to_owned());
    let start = it.system.time();
    it.drain(Drain::new());
    it.run_to_end();
    assert_eq!((it.system.time() - start, it.count("close 1006")), (TICK, 1));
}

/// Sends messages when the loop begins to end.
struct Notice(Sender);

impl Handler for Notice {
    fn on_shutdown(&mut self) {
        self.0.send("own").and_then(|()| self.0.broadcast("all")).unwrap();
    }
}

#[test]
fn l5_what_handlers_send_in_on_shutdown_arrives() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(Notice, Settings::default(), &system);
    let clients = [(); 3].map(|()| open_client(&mut reactor, &system));
    let all = Sender::all(Arc::clone(&reactor.state.queue));
    all.drain(Drain::new().over(Duration::ZERO)).unwrap();
    let mut received = vec![Vec::new(); 3];
    run_until(&mut reactor, || {
        received
            .iter_mut()
            .zip(&clients)
            .for_each(|(received, client)| received.extend(client.take_received()));
        received.iter().all(|received| received.ends_with(CLOSE))
    });
    for received in received {
        let messages: Vec<_> = received.chunks(5).take(4).collect();
        let (own, all) = (&b"\x81\x03own"[..], &b"\x81\x03all"[..]);
        let count = |expected| messages.iter().filter(|message| **message == expected).count();
        assert_eq!((count(own), count(all), &received[20..]), (1, 3, CLOSE));
    }
}
