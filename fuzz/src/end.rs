//! One end of a connection, driven as a front end does it, with a clock of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye::protocol::handshake::Extension;
use sockeye::protocol::manual::{self, ManualConnection, Received};
use sockeye::protocol::{Config, Connection, Event, Header, ProtocolError, Role, State, mask};
use sockeye::{OpCode, Request, Response};

/// Something that an end reports.
#[derive(Debug, Hash)]
pub enum Seen<'a> {
    Request(&'a str),
    Response(u16),
    Rejected(u16),
    Frame(OpCode, bool, &'a [u8]),
    Message(bool, &'a [u8]),
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    Close(u16, &'a str),
    Failed(ProtocolError),
}

/// Either type of connection.
#[derive(Debug)]
pub enum Core {
    Automatic(Connection),
    Manual(ManualConnection),
}

/// Calls a method that both types of connections have.
macro_rules! either {
    ($core:expr, $connection:ident => $call:expr) => {
        match $core {
            Core::Automatic($connection) => $call,
            Core::Manual($connection) => $call,
        }
    };
}

/// One end, and what its front end keeps.
#[derive(Debug)]
pub struct End {
    pub core: Core,
    /// Output that has not been written.
    pub out: Vec<u8>,
    pub now: Instant,
}

impl End {
    pub fn server(config: Arc<Config>, now: Instant) -> Self {
        Self { core: Core::Automatic(Connection::server(config, now)), out: Vec::new(), now }
    }

    /// Creates a client. Its request is in the output.
    pub fn client(config: Arc<Config>, request: Request, now: Instant) -> Result<Self, ProtocolError> {
        let mut out = Vec::new();
        let core = Connection::client(config, request, now, &mut out)?;
        Ok(Self { core: Core::Automatic(core), out, now })
    }

    /// Creates an end whose opening handshake was performed elsewhere.
    pub fn open(
        role: Role,
        config: Arc<Config>,
        extensions: &[Extension],
        now: Instant,
    ) -> Result<Self, ProtocolError> {
        let core = Connection::after_handshake(role, config, extensions, now)?;
        Ok(Self { core: Core::Automatic(core), out: Vec::new(), now })
    }

    /// Makes the front end send the replies.
    pub fn into_manual(self) -> Self {
        let core = match self.core {
            Core::Automatic(connection) => Core::Manual(connection.into()),
            manual @ Core::Manual(_) => manual,
        };
        Self { core, ..self }
    }

    pub fn role(&self) -> Role {
        either!(&self.core, connection => connection.role())
    }

    pub fn state(&self) -> State {
        either!(&self.core, connection => connection.state())
    }

    pub fn deadline(&self) -> Option<Instant> {
        either!(&self.core, connection => connection.deadline())
    }

    pub fn receive_eof(&mut self) -> Result<(), ProtocolError> {
        either!(&mut self.core, connection => connection.receive_eof())
    }

    pub fn abandon(&mut self) {
        either!(&mut self.core, connection => connection.abandon());
    }

    /// Receives bytes until all of them are consumed.
    pub fn feed(&mut self, piece: &mut [u8], report: &mut dyn FnMut(&Seen<'_>)) {
        let mut input = piece;
        let mut left = input.len();
        while self.step(&mut input, report) {
            // An event consumes input, except that a request may be answered without any.
            assert!(input.len() <= left);
            left = input.len();
        }
        assert!(input.is_empty(), "{} bytes are not consumed in {:?}", input.len(), self.state());
    }

    /// Receives once. Returns false if more input is needed.
    fn step(&mut self, input: &mut &mut [u8], report: &mut dyn FnMut(&Seen<'_>)) -> bool {
        let (now, out) = (self.now, &mut self.out);
        let event = match &mut self.core {
            Core::Automatic(connection) => connection.receive(input, now, out).transpose(),
            Core::Manual(connection) => match receive(connection, input, now, out).transpose() {
                None => None,
                Some(received) => {
                    let event = received.and_then(|received| match received {
                        Received::Event(event) => Ok(Some(event)),
                        Received::Frame(frame) => {
                            report(&Seen::Frame(frame.opcode(), frame.is_final(), frame.payload()));
                            connection.accept(frame, now)
                        }
                    });
                    let reply = match &event {
                        Ok(Some(Event::Ping(payload))) => connection.pong_for(payload.clone(), out.len()),
                        Ok(Some(Event::Close(code, _))) => connection.close_reply(*code),
                        Ok(_) => None,
                        Err(err) => connection.failure(*err),
                    };
                    if let Some(reply) = reply {
                        connection.send_frame(reply, now, out).expect("a reply can be sent");
                    }
                    // A frame without an event.
                    let Some(event) = event.transpose() else { return true };
                    Some(event)
                }
            },
        };
        let Some(event) = event else { return false };
        match event {
            Ok(event) => self.on_event(event, report),
            Err(err) => {
                assert!(self.state().is_ending(), "{err:?} leaves the connection in {:?}", self.state());
                report(&Seen::Failed(err));
            }
        }
        true
    }

    fn on_event(&mut self, event: Event, report: &mut dyn FnMut(&Seen<'_>)) {
        match event {
            Event::Request(request) => {
                report(&Seen::Request(request.resource()));
                let (now, out) = (self.now, &mut self.out);
                let mut response = response(&request);
                let responded = either!(&mut self.core, connection => connection.respond(&request, &mut response, now, out));
                if let Err(err) = responded {
                    assert!(self.state().is_ending());
                    report(&Seen::Failed(err));
                }
                assert_ne!(self.state(), State::Connecting, "a response ends the opening handshake");
            }
            Event::Response { response, .. } => report(&Seen::Response(response.status())),
            Event::Rejected(response) => report(&Seen::Rejected(response.status())),
            Event::Message(message) => report(&Seen::Message(message.is_text(), message.as_bytes())),
            Event::Ping(payload) => report(&Seen::Ping(&payload)),
            Event::Pong(payload) => report(&Seen::Pong(&payload)),
            Event::Close(code, reason) => {
                assert!(self.state().is_ending());
                report(&Seen::Close(code.into(), &reason));
            }
            event => panic!("an event without a test: {event:?}"),
        }
    }

    /// Records that all output was written.
    pub fn flush(&mut self) -> bool {
        self.out.clear();
        let (now, out) = (self.now, &mut self.out);
        match &mut self.core {
            Core::Automatic(connection) => connection.flushed(now, out),
            Core::Manual(connection) => {
                if let Some(pong) = connection.pending_pong() {
                    connection.send_frame(pong, now, out).expect("the Pong can be sent");
                }
                connection.flushed(now)
            }
        }
    }

    /// Does what is due.
    pub fn tick(&mut self) -> Result<(), ProtocolError> {
        let (now, out) = (self.now, &mut self.out);
        match &mut self.core {
            Core::Automatic(connection) => connection.tick(now, out),
            Core::Manual(connection) => match connection.tick(now, out)? {
                Some(ping) => connection.send_frame(ping, now, out),
                None => Ok(()),
            },
        }
    }

    /// Lets time pass until the connection is closed, as it must be: nothing more arrives. An open connection without a timeout
    /// stays open. The front end does not have to record that output was written.
    pub fn assert_ends(&mut self, has_timeout: bool, is_flushed: bool) {
        for _ in 0..64 {
            if is_flushed {
                self.flush();
            }
            let state = self.state();
            let Some(deadline) = self.deadline() else {
                let may_stay = state == State::Closed || (state == State::Open && !has_timeout);
                assert!(may_stay, "the connection stays in {state:?}");
                return;
            };
            assert_ne!(state, State::Closed, "a closed connection has a deadline");
            self.now = self.now.max(deadline);
            let _ = self.tick();
            let next = self.deadline();
            assert!(next.is_none_or(|next| next > self.now), "the deadline of {state:?} does not move");
            self.now += Duration::from_millis(1);
        }
        // With Pings and without a timeout, it stays open.
        assert!(self.state() == State::Open && !has_timeout, "the connection stays in {:?}", self.state());
    }
}

/// Receives a frame or an event. A payload is written into its own memory where the connection lends it.
fn receive(
    connection: &mut ManualConnection,
    input: &mut &mut [u8],
    now: Instant,
    out: &mut Vec<u8>,
) -> Result<Option<Received>, ProtocolError> {
    while let Some(memory) = manual::lend(connection).filter(|_| !input.is_empty()) {
        let len = memory.len().min(input.len());
        let (taken, rest) = std::mem::take(input).split_at_mut(len);
        memory[..len].copy_from_slice(taken);
        *input = rest;
        if let Some(received) = manual::receive_lent(connection, len, now)? {
            return Ok(Some(received));
        }
    }
    connection.receive_frame(input, now, out)
}

/// Returns the response of a server that accepts every upgrade.
pub fn response(request: &Request) -> Response {
    match Response::from_request(request) {
        Ok(response) if request.is_upgrade() => response,
        _ => Response::new(200, "OK", b"a page".to_vec()),
    }
}

/// Checks the output of an end, and returns it without its random parts. `is_open` means that there was no opening handshake.
pub fn checked_output(role: Role, is_open: bool, out: &[u8]) -> Vec<u8> {
    let mut checked = Vec::with_capacity(out.len());
    let mut frames = out;
    if role == Role::Server && !is_open && !out.is_empty() {
        let end = out.windows(4).position(|four| four == b"\r\n\r\n").expect("a response has an end") + 4;
        let response =
            Response::parse(out).expect("a response is well-formed").expect("a response is complete");
        let (head, rest) = out.split_at(end);
        checked.extend_from_slice(head);
        if response.status() != 101 {
            let len =
                response.header("Content-Length").map_or("0".into(), |len| String::from_utf8_lossy(len));
            assert!(rest.is_empty() || rest.len().to_string() == len, "only a body follows a refusal");
            checked.extend_from_slice(rest);
            return checked;
        }
        frames = rest;
    }
    let mut is_closed = false;
    while !frames.is_empty() {
        let (header, len) =
            Header::decode(frames, u64::MAX).expect("a frame is valid").expect("a header is complete");
        assert_eq!(header.key.is_some(), role == Role::Client, "clients mask, servers do not");
        assert!(!is_closed || header.opcode == OpCode::Pong, "{header:?} after the Close");
        is_closed |= header.opcode == OpCode::Close;
        let payload_len = usize::try_from(header.len).expect("a frame fits into memory");
        let (payload, rest) = frames[len..].split_at_checked(payload_len).expect("a frame is complete");
        frames = rest;
        Header { key: None, ..header }.encode(&mut checked);
        let start = checked.len();
        checked.extend_from_slice(payload);
        if let Some(key) = header.key {
            mask::apply(key, 0, &mut checked[start..]);
        }
    }
    checked
}
