//! Runs the loop on a system whose sockets follow a script: the fuzz target `reactor`, and the tests that came from it.
//!
//! A script is a list of bytes, so that a fuzzer can change it. The first bytes are settings. Each further action is a byte, and
//! its arguments: a client connects, sends, resets; a system call fails; time passes; the program sends or closes. When the script
//! ends, all peers end, and time passes. Then nothing must be left, and every handler must have received matching calls.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::api::deferred::DeferredResponse;
use super::api::drain::Drain;
use super::api::factory::Factory;
use super::api::handler::Handler;
use super::api::sender::Sender;
use super::api::settings::{Overflow, Settings};
use super::api::util::{Timeout, Token};
use super::queue::{Command, ConnectMode, NewConnection, QueuedCommand, Target};
use super::system::fake::{Fake, FakeListener, Wire};
use super::{Reactor, RunState};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Frame, State};
use crate::{CloseCode, Handshake, Lost, Message, Reconnect, protocol};

/// The request of a client.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The most turns that are needed besides those that move bytes, connections or the clock.
const MAX_IDLE_TURNS: usize = 400;

/// How a client connects again. It gives up soon, so that it ends after the script.
const AGAIN: Reconnect = Reconnect {
    first_wait: Duration::from_millis(20),
    longest_wait: Duration::from_millis(50),
    stable_after: Duration::from_secs(1),
    max_attempts: Some(2),
};

/// The most peers of a script.
const MAX_PEERS: usize = 8;

/// Takes values off the front of a script. Behind its end, all bytes are zero.
#[derive(Debug)]
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte());
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn error(&mut self) -> io::ErrorKind {
        const KINDS: [io::ErrorKind; 6] = [
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::TimedOut,
            io::ErrorKind::Interrupted,
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::OutOfMemory,
        ];
        KINDS[usize::from(self.byte()) % KINDS.len()]
    }
}

/// What the handlers of a script share.
#[derive(Debug, Default)]
struct Program {
    /// How the next hooks react. Without an entry, messages are echoed.
    reactions: VecDeque<u8>,
    senders: Vec<Sender>,
    /// The number of handlers that exist, and how many there were.
    handlers: usize,
    created: usize,
    timeouts: Vec<Timeout>,
    /// The responses that were deferred, with their requests.
    deferred: VecDeque<(DeferredResponse, Request)>,
    /// A connection was paused, and may still be.
    has_paused: bool,
}

/// The handlers of the loop.
struct Handlers(Rc<RefCell<Program>>);

/// A handler that verifies the order of its calls.
#[derive(Debug)]
struct Scripted {
    program: Rc<RefCell<Program>>,
    out: Sender,
    is_open: bool,
    /// A connection of a client that connects again has been lost.
    was_lost: bool,
    has_closed: bool,
}

impl Factory for Handlers {
    type Handler = Scripted;

    fn connection_made(&mut self, out: Sender) -> Scripted {
        let mut program = self.0.borrow_mut();
        program.handlers += 1;
        program.created += 1;
        program.senders.push(out.clone());
        Scripted { program: Rc::clone(&self.0), out, is_open: false, was_lost: false, has_closed: false }
    }

    fn connection_lost(&mut self, handler: Scripted) {
        assert!(!handler.is_open, "on_open without on_close or on_lost");
        assert!(!handler.was_lost || handler.has_closed, "on_lost without on_close at the end");
        self.0.borrow_mut().handlers -= 1;
    }
}

impl Scripted {
    fn assert_open(&self, hook: &str) {
        assert!(self.is_open, "{hook} outside of on_open and on_close");
    }

    /// Reacts as the script requires, or as a program does by default.
    fn react(&self, default: impl FnOnce(&Sender) -> Result<()>) -> Result<()> {
        let reaction = self.program.borrow_mut().reactions.pop_front();
        match reaction {
            Some(reaction) => act(&self.out, reaction, &self.program),
            None => default(&self.out),
        }
    }
}

impl Handler for Scripted {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        assert!(!self.is_open && !self.has_closed, "on_open is called twice");
        self.is_open = true;
        self.react(|_| Ok(()))
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        self.assert_open("on_message");
        self.react(|out| out.send(message))
    }

    fn on_close(&mut self, _: CloseCode, _: &str) {
        assert!(self.is_open || self.was_lost, "on_close without on_open");
        assert!(!self.has_closed, "on_close is called twice");
        self.is_open = false;
        self.has_closed = true;
        let _ = self.react(|_| Ok(()));
    }

    fn on_lost(&mut self, lost: &mut Lost) {
        assert_eq!(lost.closed().is_some(), self.is_open, "the end of a connection that is not open");
        self.was_lost |= self.is_open;
        self.is_open = false;
        if self.program.borrow().reactions.front() == Some(&0xfa) {
            lost.stop();
        }
        let _ = self.react(|_| Ok(()));
    }

    fn on_error(&mut self, _: Error) {
        let _ = self.react(|_| Ok(()));
    }

    fn on_drain(&mut self) -> Result<()> {
        self.assert_open("on_drain");
        self.react(|_| Ok(()))
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        self.react(|out| out.send("late"))
    }

    fn on_new_timeout(&mut self, _: Token, timeout: Timeout) -> Result<()> {
        self.program.borrow_mut().timeouts.push(timeout);
        Ok(())
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        // A frame is suppressed now and then.
        let reaction = self.program.borrow().reactions.front().copied();
        Ok(Some(frame).filter(|_| reaction != Some(0xff)))
    }

    fn on_request(&mut self, request: &Request) -> Result<Response> {
        let reaction = self.program.borrow().reactions.front().copied();
        match reaction {
            Some(0xfe) => Err(Error::new(ErrorKind::Internal, "scripted")),
            Some(0xfd) => Ok(Response::new(200, "OK", b"a page".to_vec())),
            Some(0xfc) => {
                let deferred = (self.out.defer()?, request.clone());
                self.program.borrow_mut().deferred.push_back(deferred);
                Ok(Response::deferred())
            }
            Some(0xfb) => Ok(Response::deferred()),
            _ => Response::from_request(request),
        }
    }

    fn on_shutdown(&mut self) {
        let _ = self.react(|out| out.send("bye"));
    }
}

/// Executes one call of a program.
fn act(out: &Sender, what: u8, program: &RefCell<Program>) -> Result<()> {
    let argument = usize::from(what / 24);
    program.borrow_mut().has_paused |= matches!(what % 24, 8 | 20);
    match what % 24 {
        0 => out.send("echo"),
        1 => out.send(vec![b'x'; 1 << (argument + 4)]),
        2 => out.send(vec![0; 8_000 * argument]),
        3 => out.broadcast(vec![b'b'; 100 * argument]),
        4 => out.ping(vec![b'p'; argument]),
        5 => out.pong(vec![b'q'; 12 * argument]),
        6 => out.close(CloseCode::Normal),
        7 => out.close_with_reason(CloseCode::from(1000 + 7 * u16::from(what / 24)), "scripted"),
        8 => out.pause(),
        9 => out.resume(),
        10 => out.timeout(1 << (2 * argument), Token(argument)),
        11 => {
            let timeout = program.borrow_mut().timeouts.pop();
            timeout.map_or(Ok(()), |timeout| out.cancel(timeout))
        }
        12 => out.connect(url(argument)),
        13 => out.try_send("perhaps"),
        14 => out.send_uncompressed(vec![b'u'; 300 * argument]),
        15 => Err(Error::new(ErrorKind::Internal, "scripted")),
        16 => Err(Error::new(ErrorKind::Capacity, "scripted")),
        17 => Err(Error::new(ErrorKind::Custom("scripted".into()), "")),
        18 => Err(Error::from(io::Error::from(io::ErrorKind::Other))),
        19 => out.send("one").and_then(|()| out.send("two")).and_then(|()| out.close(CloseCode::Away)),
        20 => out.pause().and_then(|()| out.send("paused")),
        21 if argument < 6 => {
            let timeout = program.borrow().timeouts.last().cloned();
            timeout.map_or(Ok(()), |timeout| out.postpone(&timeout, 1 << (3 * argument)))
        }
        21 if argument == 6 => out.drain(Drain::new().over(Duration::from_millis(20))),
        21 if argument == 7 => out.shutdown(),
        22 => Err(Error::new(ErrorKind::Protocol, "scripted")),
        23 => {
            let deferred = program.borrow_mut().deferred.pop_front();
            // The client may have left. With an odd argument, there is no response.
            let _ = deferred
                .filter(|_| argument % 2 == 0)
                .map(|(later, req)| later.respond(Response::from_request(&req)?));
            Ok(())
        }
        _ => Ok(()),
    }
}

fn url(number: usize) -> url::Url {
    let urls = ["ws://127.0.0.1/", "ws://named.example/chat", "ws://missing.invalid/", "ws://[::1]:8080/a?b"];
    urls[number % urls.len()].parse().expect("the URL is valid")
}

/// The loop, its system and its peers.
struct Run {
    system: Fake,
    reactor: Reactor<Handlers, Fake>,
    program: Rc<RefCell<Program>>,
    peers: Vec<Wire>,
    /// The turns that may still pass.
    turns: usize,
}

/// Runs a script.
///
/// # Panics
///
/// If something is left at the end, if a handler receives a call that it must not receive, or if the loop turns without need.
pub(crate) fn run(script: &[u8]) {
    run_on(Fake::new(), script);
}

/// Runs a script. One call of the system fails. Returns the number of calls.
///
/// # Panics
///
/// As [`run`].
#[cfg(test)]
pub(super) fn run_with_fault(script: &[u8], number: usize, kind: io::ErrorKind) -> usize {
    let system = Fake::new();
    system.fail_call(number, kind);
    run_on(system.clone(), script);
    system.calls()
}

fn run_on(system: Fake, script: &[u8]) {
    let mut script = Script(script);
    let settings = settings(&mut script);
    let program = Rc::new(RefCell::new(Program::default()));
    let mut reactor = Reactor::with_system(Handlers(Rc::clone(&program)), settings, system.clone());
    reactor.listeners.add(FakeListener, &system).expect("the system listens");
    let _entered = reactor.state.queue.enter();
    let mut run = Run { system, reactor, program, peers: Vec::new(), turns: MAX_IDLE_TURNS };
    while !script.0.is_empty() {
        run.act(&mut script);
    }
    run.finish();
}

fn settings(script: &mut Script<'_>) -> Settings {
    let (flags, limits) = (script.byte(), script.byte());
    let has = |bit: u8| flags & bit != 0;
    Settings {
        max_connections: if has(1) { 2 } else { 100 },
        out_buffer_grow: !has(2),
        overflow: if has(4) { Overflow::Drop } else { Overflow::Fail },
        idle_timeout: has(8).then_some(Duration::from_secs(25)),
        ping_interval: has(16).then_some(Duration::from_secs(10)),
        max_redirects: if has(32) { 2 } else { 0 },
        shutdown_on_interrupt: has(64),
        deflate: deflate(has(128)),
        max_message_size: 1 << (6 + limits % 16),
        fragments_grow: limits & 16 != 0,
        fragment_size: if limits & 32 != 0 { 100 } else { 65_535 },
        max_buffered: if limits & 64 != 0 { 10_000 } else { 16 << 20 },
        max_memory: if limits & 16 != 0 { 20_000 } else { 1 << 30 },
        max_head_size: if limits & 128 != 0 { 300 } else { 16 << 10 },
        ..Settings::default()
    }
}

#[cfg(feature = "permessage-deflate")]
fn deflate(is_wanted: bool) -> Option<crate::Deflate> {
    is_wanted.then(|| crate::Deflate { threshold: 64, ..crate::Deflate::default() })
}

#[cfg(not(feature = "permessage-deflate"))]
fn deflate(_: bool) -> Option<crate::Deflate> {
    None
}

impl Run {
    fn act(&mut self, script: &mut Script<'_>) {
        let action = script.byte();
        let peer = self.peers.get(usize::from(action >> 5) % self.peers.len().max(1)).cloned();
        match (action % 32, peer) {
            (0, _) => self.run_until_idle(),
            (1, _) => self.turn(),
            (2, _) => self.pass(Duration::from_millis(u64::from(script.byte()))),
            (3, _) => self.pass(Duration::from_secs(u64::from(script.byte()))),
            (4, _) => self.connect_client(&[]),
            (5, _) => self.connect_client(REQUEST),
            (6, _) => self.add_server(script),
            (7, _) => self.system.fail_accept(script.error()),
            (8, _) => self.system.refuse_registrations(usize::from(script.byte() % 4)),
            (9, _) => self.program.borrow_mut().reactions.extend(script.bytes()),
            (10, _) => self.execute(script),
            (11, _) => self.call(script),
            (_, None) => {}
            (12, Some(peer)) => peer.send(script.bytes()),
            (13, Some(peer)) => send_frame(&peer, 0x81, script.bytes()),
            (14, Some(peer)) => {
                let first = script.byte();
                send_frame(&peer, first, script.bytes());
            }
            (15, Some(peer)) => send_frame(&peer, 0x88, &[0x03, 0xe8]),
            (16, Some(peer)) => send_large(&peer, script.byte()),
            (17, Some(peer)) => peer.end(),
            (18, Some(peer)) => peer.reset(),
            (19, Some(peer)) => peer.fail_read(script.error()),
            (20, Some(peer)) => peer.fail_writes(script.error()),
            (21, Some(peer)) => peer.set_room(usize::from(script.byte())),
            (22, Some(peer)) => peer.set_room(usize::from(script.byte()) << 10),
            (23, Some(peer)) => peer.set_most(1 + (usize::from(script.byte()) << 3), usize::MAX),
            (24, Some(peer)) => peer.set_most(usize::MAX, 64 + (usize::from(script.byte()) << 4)),
            (25, Some(peer)) => drop(peer.take_received()),
            (26, Some(peer)) => peer.finish_connecting(Ok(())),
            (27, Some(peer)) => peer.finish_connecting(Err(script.error())),
            (28, Some(peer)) => self.answer(&peer),
            (29, Some(peer)) => (0..script.byte() % 64).for_each(|_| send_frame(&peer, 0x89, b"ping")),
            (30, Some(peer)) => peer.use_records(),
            (31, Some(peer)) => redirect(&peer, script.byte()),
            (32.., _) => {}
        }
    }

    /// A turn, which must be needed: otherwise the loop would wait.
    fn turn(&mut self) {
        let is_needed = self.system.has_events()
            || self.reactor.has_work()
            || self.reactor.state.queue.remote.has_commands();
        if !is_needed {
            return;
        }
        let (before, time) = (self.system.moved(), self.system.time());
        self.reactor.turn().expect("the system waits");
        if self.system.moved() == before && self.system.time() == time {
            self.turns = self.turns.checked_sub(1).expect("the loop turns without need");
        }
    }

    fn run_until_idle(&mut self) {
        while self.system.has_events()
            || self.reactor.has_work()
            || self.reactor.state.queue.remote.has_commands()
        {
            self.turn();
        }
    }

    /// Lets time pass, and fires the timers on the way.
    fn pass(&mut self, time: Duration) {
        let end = self.system.time() + time;
        self.run_until_idle();
        while let Some(wait) =
            self.reactor.state.deadlines.until_next(self.system.time(), || self.system.time())
        {
            if self.system.time() + wait > end {
                break;
            }
            let before = self.system.time();
            self.reactor.turn().expect("the system waits");
            if self.system.time() == before {
                self.turns = self.turns.checked_sub(1).expect("timers fire without end");
            }
            self.run_until_idle();
        }
        self.system.advance(end.saturating_duration_since(self.system.time()));
    }

    fn connect_client(&mut self, bytes: &[u8]) {
        if self.peers.len() < MAX_PEERS {
            let client = self.system.connect_client();
            client.send(bytes);
            self.peers.push(client);
            self.turns += MAX_IDLE_TURNS;
        }
    }

    /// The loop connects to a server, which accepts it at once or later, or is not there.
    fn add_server(&mut self, script: &mut Script<'_>) {
        let how = script.byte();
        if self.peers.len() < MAX_PEERS && how & 1 == 0 {
            let server = self.system.add_server();
            if how & 2 != 0 {
                server.hold_connecting();
            }
            self.peers.push(server);
            self.turns += MAX_IDLE_TURNS;
        }
        let mode = if how & 0x80 == 0 { ConnectMode::Once } else { ConnectMode::Again(AGAIN) };
        self.turns += MAX_IDLE_TURNS;
        let new = NewConnection::Connect(url(usize::from(how >> 2)), mode);
        self.queue(Target::All, Command::NewConnection(Box::new(new.into())));
    }

    /// Another thread sends a command.
    fn execute(&mut self, script: &mut Script<'_>) {
        let what = script.byte();
        let target = match self.reactor.entries.ids().nth(usize::from(what >> 4)) {
            Some(id) => id.target(),
            None => Target::All,
        };
        self.program.borrow_mut().has_paused |= what % 16 == 3;
        let command = match what % 16 {
            0 => Command::Message(Message::text("from another thread")),
            1 => Command::Close(CloseCode::Away, "".into()),
            2 => Command::Overflow,
            3 => Command::Pause,
            4 => Command::Resume,
            5 => Command::Frame(Box::new(Frame::ping(vec![1, 2, 3]))),
            6 => Command::Timeout(None, Token(1)),
            7 => Command::Timeout(self.system.time().checked_add(Duration::from_millis(50)), Token(2)),
            8 => Command::Frame(Box::new(Frame::close(CloseCode::Normal, "frame"))),
            _ => Command::Message(Message::binary(vec![0; 70_000])),
        };
        self.queue(target, command);
    }

    fn queue(&mut self, target: Target, command: Command) {
        // After a shutdown, nothing is queued.
        let _ = self.reactor.state.queue.push(QueuedCommand { target, command });
    }

    /// The program calls a sender, perhaps one whose connection has ended.
    fn call(&mut self, script: &mut Script<'_>) {
        let (which, what) = (usize::from(script.byte()), script.byte());
        let senders = self.program.borrow().senders.clone();
        if let Some(out) = senders.get(which % senders.len().max(1)) {
            let _ = act(out, what, &self.program);
        }
    }

    /// A server accepts the request of a client of the loop.
    fn answer(&mut self, server: &Wire) {
        let (mut request, now) = (server.take_received(), self.system.time());
        let mut core = protocol::Connection::server(protocol::Config::default().into(), now);
        let (mut input, mut out) = (request.as_mut_slice(), Vec::new());
        if let Ok(Some(protocol::Event::Request(request))) = core.receive(&mut input, now, &mut out)
            && let Ok(mut response) = Response::from_request(&request)
        {
            let _ = core.respond(&request, &mut response, now, &mut out);
            assert!(core.state() != State::Connecting);
        }
        server.send(&out);
    }

    /// All peers end, and time passes. Nothing is left.
    fn finish(mut self) {
        self.system.refuse_registrations(0);
        self.turns += MAX_IDLE_TURNS;
        // Peers that are added by handlers from now on are refused.
        self.program.borrow_mut().reactions.clear();
        // Nothing is read before the response. Without one, the client receives 503.
        drop(std::mem::take(&mut self.program.borrow_mut().deferred));
        for peer in &self.peers {
            peer.set_room(usize::MAX / 2);
            peer.set_most(usize::MAX, usize::MAX);
            peer.finish_connecting(Ok(()));
        }
        self.run_until_idle();
        if !self.program.borrow().has_paused {
            assert_eq!(self.system.unread(), 0, "input is not read, although output is written");
        }
        // A connection that the program has paused does not end by itself.
        self.queue(Target::All, Command::Resume);
        self.run_until_idle();
        assert_eq!(self.system.unread(), 0, "input is not read, although nothing is paused");
        for peer in &self.peers {
            peer.end();
        }
        self.pass(Duration::from_secs(120));
        let left: Vec<String> = self.reactor.entries.iter_mut().map(|entry| format!("{entry:#?}")).collect();
        assert!(left.is_empty(), "a connection is left: {left:#?}");
        let program = self.program.borrow();
        assert_eq!(program.handlers, 0, "of {} handlers, some have not returned", program.created);
        assert_eq!(self.system.open_sockets(), 0, "a socket is registered");
        let next = self.reactor.state.deadlines.until_next(self.system.time(), || self.system.time());
        assert_eq!(next, None, "a timer is left");
        assert!(self.reactor.state.work.is_empty(false), "work is left: {:?}", self.reactor.state.work);
        assert_eq!(self.reactor.state.memory.held(), 0, "memory is counted of connections that have ended");
        let open = self.reactor.state.queue.monitor.connections().open_now();
        assert_eq!(open, 0, "a connection that has ended counts as open");
        assert!(program.senders.iter().all(|out| out.buffered_amount() == 0), "a sender counts output");
        if self.reactor.run_state == RunState::Running {
            assert_eq!(self.system.waiting_clients(), 0, "a client is not accepted");
        } else {
            assert!(self.reactor.try_finish(), "the loop does not end");
        }
    }
}

/// A client sends a frame. Its mask is zero.
fn send_frame(peer: &Wire, first: u8, payload: &[u8]) {
    let payload = &payload[..payload.len().min(125)];
    let len = u8::try_from(payload.len()).unwrap_or(125);
    peer.send(&[&[first, 0x80 | len, 0, 0, 0, 0], payload].concat());
}

/// A client sends a message of some kilobytes, or many small ones.
fn send_large(peer: &Wire, how: u8) {
    if how & 1 != 0 {
        return peer.send(&[0x82, 0x81, 0, 0, 0, 0, 7].repeat(usize::from(how) * 2));
    }
    let len = u16::from(how) << 6;
    let [high, low] = len.to_be_bytes();
    let header = [0x82, 0xfe, high, low, 0, 0, 0, 0];
    peer.send(&[&header[..], &vec![7; usize::from(len)]].concat());
}

/// A server sends the client of the loop elsewhere.
fn redirect(server: &Wire, how: u8) {
    let location = url(usize::from(how));
    let head = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    server.send(head.as_bytes());
}
