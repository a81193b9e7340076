//! One endpoint under test, and two endpoints that are connected in memory, with a clock that only the test advances.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye::protocol::manual::{self, ManualConnection, Received};
use sockeye::protocol::{Config, Connection, Event, ProtocolError, Role, State};
use sockeye::{CloseCode, Frame, Message, OpCode, Request, Response};

/// A report of an endpoint, in a form that can be compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Request(String),
    Response(u16),
    Rejected(u16),
    Frame(OpCode, bool, Vec<u8>),
    Message(Message),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseCode, String),
    Failed(ProtocolError),
}

impl Seen {
    pub fn text(text: &str) -> Self {
        Self::Message(Message::text(text))
    }

    pub fn binary(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Message(Message::binary(bytes))
    }

    pub fn close(code: CloseCode, reason: &str) -> Self {
        Self::Close(code, reason.to_owned())
    }
}

/// The operations of a protocol core that an [`End`] needs. The core or the front end sends the replies.
pub trait Core {
    fn role(&self) -> Role;
    fn state(&self) -> State;
    fn deadline(&self) -> Option<Instant>;
    fn send(&mut self, message: Message, now: Instant, out: &mut Vec<u8>) -> Result<(), ProtocolError>;
    fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError>;
    fn respond(&mut self, request: &Request, now: Instant, out: &mut Vec<u8>) -> Result<(), ProtocolError>;
    fn tick(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<(), ProtocolError>;
    fn flushed(&mut self, now: Instant, out: &mut Vec<u8>) -> bool;

    /// Receives once, and sends the reply if the core does not. Returns the reports, or `None` if more input is needed.
    fn step(&mut self, input: &mut &mut [u8], now: Instant, out: &mut Vec<u8>) -> Option<Vec<Report>>;
}

/// A report of the core, before it is converted to [`Seen`].
#[derive(Debug)]
pub enum Report {
    Event(Event),
    Frame(Frame),
    Failed(ProtocolError),
}

/// Implements the methods that both types of the core have in common.
macro_rules! forward {
    () => {
        fn role(&self) -> Role {
            self.role()
        }

        fn state(&self) -> State {
            self.state()
        }

        fn deadline(&self) -> Option<Instant> {
            self.deadline()
        }

        fn send(&mut self, message: Message, now: Instant, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
            self.send(message, now, out)
        }

        fn close(
            &mut self,
            code: CloseCode,
            reason: &str,
            now: Instant,
            out: &mut Vec<u8>,
        ) -> Result<(), ProtocolError> {
            self.close(code, reason, now, out)
        }

        fn respond(
            &mut self,
            request: &Request,
            now: Instant,
            out: &mut Vec<u8>,
        ) -> Result<(), ProtocolError> {
            self.respond(request, &mut response(request), now, out)
        }
    };
}

impl Core for Connection {
    forward!();

    fn tick(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        self.tick(now, out)
    }

    fn flushed(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        self.flushed(now, out)
    }

    fn step(&mut self, input: &mut &mut [u8], now: Instant, out: &mut Vec<u8>) -> Option<Vec<Report>> {
        let received = self.receive(input, now, out).transpose()?;
        Some(vec![received.map_or_else(Report::Failed, Report::Event)])
    }
}

impl Core for ManualConnection {
    forward!();

    fn tick(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        match self.tick(now, out)? {
            Some(ping) => self.send_frame(ping, now, out),
            None => Ok(()),
        }
    }

    fn flushed(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if let Some(pong) = self.pending_pong() {
            self.send_frame(pong, now, out).unwrap();
        }
        self.flushed(now)
    }

    fn step(&mut self, input: &mut &mut [u8], now: Instant, out: &mut Vec<u8>) -> Option<Vec<Report>> {
        let mut reports = Vec::new();
        let received = match manual::lend(self).filter(|_| !input.is_empty()) {
            // The input is read into the memory of the payload.
            Some(memory) => {
                let len = memory.len().min(input.len());
                let (taken, rest) = std::mem::take(input).split_at_mut(len);
                memory[..taken.len()].copy_from_slice(taken);
                *input = rest;
                match manual::receive_lent(self, taken.len(), now).transpose() {
                    Some(received) => Some(received),
                    None => return Some(reports),
                }
            }
            None => self.receive_frame(input, now, out).transpose(),
        };
        let event = match received? {
            Ok(Received::Event(event)) => Ok(Some(event)),
            Ok(Received::Frame(frame)) => {
                reports.push(Report::Frame(frame.clone()));
                self.accept(frame, now)
            }
            Err(err) => Err(err),
        };
        let reply = match &event {
            Ok(Some(Event::Ping(payload))) => self.pong_for(payload.clone(), out.len()),
            Ok(Some(Event::Close(code, _))) => self.close_reply(*code),
            Ok(_) => None,
            Err(err) => self.failure(*err),
        };
        if let Some(reply) = reply {
            self.send_frame(reply, now, out).unwrap();
        }
        reports.extend(event.map_or_else(|err| Some(Report::Failed(err)), |event| event.map(Report::Event)));
        Some(reports)
    }
}

/// Returns the response of the servers in these tests.
fn response(request: &Request) -> Response {
    if request.is_upgrade() && request.key().is_ok() {
        Response::from_request(request).unwrap()
    } else {
        Response::new(200, "OK", b"a page".to_vec())
    }
}

/// One endpoint. It calls the core in the same way as a front end.
#[derive(Debug)]
pub struct End<C = Connection> {
    pub core: C,
    /// The bytes that must be sent and have not been taken yet.
    pub out: Vec<u8>,
    pub now: Instant,
}

impl End {
    /// Creates a server that waits for a request and accepts it.
    pub fn server(config: Config) -> Self {
        let now = Instant::now();
        Self { core: Connection::server(Arc::new(config), now), out: Vec::new(), now }
    }

    /// Creates a client that has written the default request.
    pub fn client(config: Config) -> Self {
        Self::asking(config, request())
    }

    /// Creates a client that has written this request.
    pub fn asking(config: Config, request: Request) -> Self {
        let (now, mut out) = (Instant::now(), Vec::new());
        let core = Connection::client(Arc::new(config), request, now, &mut out).unwrap();
        Self { core, out, now }
    }

    /// Creates an endpoint whose opening handshake was performed elsewhere.
    pub fn resumed(core: Connection, now: Instant) -> Self {
        Self { core, out: Vec::new(), now }
    }

    /// Creates an open endpoint without unsent output.
    pub fn open(role: Role, config: Config) -> Self {
        let pair = match role {
            Role::Client => Pair::open_with(config, Config::default()),
            Role::Server => Pair::open_with(Config::default(), config),
        };
        if role == Role::Client { pair.client } else { pair.server }
    }

    /// Creates an open client with little work, for tests that need many of them.
    pub fn open_cheaply() -> Self {
        let mut client = Self::client(Config { key_strict: false, ..Config::default() });
        client.feed(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        client.take_out();
        client
    }

    /// Converts the endpoint so that the front end sends the replies.
    pub fn into_manual(self) -> End<ManualConnection> {
        End { core: self.core.into(), out: self.out, now: self.now }
    }
}

impl<C: Core> End<C> {
    pub fn state(&self) -> State {
        self.core.state()
    }

    pub fn take_out(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    pub fn advance(&mut self, time: Duration) {
        self.now += time;
    }

    /// Receives bytes until all of them are consumed, and returns the reports.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Seen> {
        let (mut bytes, mut seen) = (bytes.to_vec(), Vec::new());
        let mut input = bytes.as_mut_slice();
        while let Some(reports) = self.core.step(&mut input, self.now, &mut self.out) {
            reports.into_iter().for_each(|report| self.react(report, &mut seen));
        }
        assert!(input.is_empty(), "{} bytes were not consumed", input.len());
        seen
    }

    /// Moves the clock to the deadline, which must exist, and performs the action that is due.
    pub fn tick(&mut self) -> Result<(), ProtocolError> {
        self.now = self.core.deadline().expect("the core has a deadline");
        self.core.tick(self.now, &mut self.out)
    }

    /// Records that all output has been written, and drops it.
    pub fn flush(&mut self) -> bool {
        self.out.clear();
        self.core.flushed(self.now, &mut self.out)
    }

    pub fn send(&mut self, message: impl Into<Message>) {
        self.core.send(message.into(), self.now, &mut self.out).unwrap();
    }

    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), ProtocolError> {
        self.core.close(code, reason, self.now, &mut self.out)
    }

    fn react(&mut self, report: Report, seen: &mut Vec<Seen>) {
        seen.push(match report {
            Report::Failed(err) => Seen::Failed(err),
            Report::Frame(frame) => Seen::Frame(frame.opcode(), frame.is_final(), frame.payload().clone()),
            Report::Event(Event::Request(request)) => {
                seen.push(Seen::Request(request.resource().to_owned()));
                if let Err(err) = self.core.respond(&request, self.now, &mut self.out) {
                    seen.push(Seen::Failed(err));
                }
                return;
            }
            Report::Event(Event::Response { response, .. }) => Seen::Response(response.status()),
            Report::Event(Event::Rejected(response)) => Seen::Rejected(response.status()),
            Report::Event(Event::Message(message)) => Seen::Message(message),
            Report::Event(Event::Ping(payload)) => Seen::Ping(payload),
            Report::Event(Event::Pong(payload)) => Seen::Pong(payload),
            Report::Event(Event::Close(code, reason)) => Seen::Close(code, reason),
            Report::Event(event) => panic!("unknown event: {event:?}"),
        });
    }
}

/// Returns the default request of a client.
pub fn request() -> Request {
    Request::from_url(&"ws://example.com/chat".parse().unwrap()).unwrap()
}

/// A client and a server that are connected.
#[derive(Debug)]
pub struct Pair {
    pub client: End,
    pub server: End,
    /// Whether the client and the server have shut down their side of TCP.
    shut: [bool; 2],
}

impl Pair {
    pub fn new(client: Config, server: Config) -> Self {
        let (client, mut server) = (End::client(client), End::server(server));
        server.now = client.now;
        Self { client, server, shut: [false; 2] }
    }

    /// Creates two open endpoints. No bytes are in transit.
    pub fn open() -> Self {
        Self::open_with(Config::default(), Config::default())
    }

    pub fn open_with(client: Config, server: Config) -> Self {
        let mut pair = Self::new(client, server);
        let seen = pair.run();
        assert_eq!(seen, (vec![Seen::Response(101)], vec![Seen::Request("/chat".to_owned())]));
        assert_eq!((pair.client.state(), pair.server.state()), (State::Open, State::Open));
        pair
    }

    pub fn states(&self) -> (State, State) {
        (self.client.state(), self.server.state())
    }

    /// Transfers bytes, and the ends of TCP, until both endpoints are silent. Returns the reports of the client and of
    /// the server.
    pub fn run(&mut self) -> (Vec<Seen>, Vec<Seen>) {
        let (mut at_client, mut at_server) = (Vec::new(), Vec::new());
        loop {
            let [client_shut, server_shut] = &mut self.shut;
            let moved = carry(&mut self.client, &mut self.server, client_shut, &mut at_server)
                | carry(&mut self.server, &mut self.client, server_shut, &mut at_client);
            if !moved {
                return (at_client, at_server);
            }
        }
    }
}

/// Transfers the output of one endpoint to the other. Returns whether there was any output.
fn carry(from: &mut End, to: &mut End, is_shut: &mut bool, seen: &mut Vec<Seen>) -> bool {
    let bytes = from.take_out();
    let shuts = from.flush() || from.state() == State::Closed;
    if !bytes.is_empty() {
        assert!(!*is_shut, "bytes are sent after the end of TCP");
        seen.extend(to.feed(&bytes));
    }
    let ends = shuts && !std::mem::replace(is_shut, *is_shut || shuts);
    if ends && let Err(err) = to.core.receive_eof() {
        seen.push(Seen::Failed(err));
    }
    ends || !bytes.is_empty() || !from.out.is_empty()
}
