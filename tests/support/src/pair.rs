//! One end of a connection under test, and two of them joined in memory, with a clock that only the test moves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye::protocol::{Answers, Config, Connection, Event, ProtocolError, Role, State};
use sockeye::{CloseCode, Frame, Message, OpCode, Request, Response};

/// What an end has reported, in a form that can be compared.
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

/// One end, driven as a front end drives it.
#[derive(Debug)]
pub struct End {
    pub core: Connection,
    /// What is to be sent and has not been taken yet.
    pub out: Vec<u8>,
    pub now: Instant,
    is_manual: bool,
}

impl End {
    /// A server that waits for a request, and accepts it.
    pub fn server(config: Config) -> Self {
        let (now, is_manual) = (Instant::now(), config.answers == Answers::Manual);
        Self { core: Connection::server(Arc::new(config), now), out: Vec::new(), now, is_manual }
    }

    /// A client that has written its request.
    pub fn client(config: Config) -> Self {
        Self::asking(config, request())
    }

    /// A client that has written this request.
    pub fn asking(config: Config, request: Request) -> Self {
        let (now, is_manual, mut out) = (Instant::now(), config.answers == Answers::Manual, Vec::new());
        let core = Connection::client(Arc::new(config), request, now, &mut out).unwrap();
        Self { core, out, now, is_manual }
    }

    /// An end whose opening handshake was performed elsewhere.
    pub fn resumed(core: Connection, now: Instant) -> Self {
        Self { core, out: Vec::new(), now, is_manual: false }
    }

    /// An end that is open, with nothing left to be sent.
    pub fn open(role: Role, config: Config) -> Self {
        let pair = match role {
            Role::Client => Pair::open_with(config, Config::default()),
            Role::Server => Pair::open_with(Config::default(), config),
        };
        if role == Role::Client { pair.client } else { pair.server }
    }

    /// A client that is open, for tests that need very many of them.
    pub fn open_cheaply() -> Self {
        let mut client = Self::client(Config { key_strict: false, ..Config::default() });
        client.feed(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        client.take_out();
        client
    }

    pub fn state(&self) -> State {
        self.core.state()
    }

    pub fn take_out(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    pub fn advance(&mut self, time: Duration) {
        self.now += time;
    }

    /// Receives bytes until all of them are used up; returns what was reported.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Seen> {
        let (mut bytes, mut seen) = (bytes.to_vec(), Vec::new());
        let mut input = bytes.as_mut_slice();
        loop {
            match self.core.receive(&mut input, self.now, &mut self.out) {
                Ok(None) => break,
                Ok(Some(event)) => self.react(event, &mut seen),
                Err(err) => self.failed(err, &mut seen),
            }
        }
        assert!(input.is_empty(), "{} bytes were not used up", input.len());
        seen
    }

    /// Moves the clock to the deadline, which must be there, and does what is due.
    pub fn tick(&mut self) -> Result<(), ProtocolError> {
        self.now = self.core.deadline().expect("something waits for time");
        if let Some(ping) = self.core.tick(self.now, &mut self.out)? {
            self.core.send_frame(ping, self.now, &mut self.out)?;
        }
        Ok(())
    }

    /// Tells that all output is written, and drops it.
    pub fn flush(&mut self) -> bool {
        self.out.clear();
        self.core.flushed(self.now)
    }

    pub fn send(&mut self, message: impl Into<Message>) {
        self.core.send(message, self.now, &mut self.out).unwrap();
    }

    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), ProtocolError> {
        self.core.close(code, reason, self.now, &mut self.out)
    }

    /// The Close frame that answers this one, or nothing if none is owed.
    fn send_if_owed(&mut self, frame: Option<Frame>) {
        if let Some(frame) = frame.filter(|_| self.is_manual) {
            let _ = self.core.send_frame(frame, self.now, &mut self.out);
        }
    }

    fn react(&mut self, event: Event, seen: &mut Vec<Seen>) {
        seen.push(match event {
            Event::Request(request) => {
                seen.push(Seen::Request(request.resource().to_owned()));
                if let Err(err) = self.answer_request(&request) {
                    seen.push(Seen::Failed(err));
                }
                return;
            }
            Event::Frame(frame) => {
                seen.push(Seen::Frame(frame.opcode(), frame.is_final(), frame.payload().clone()));
                match self.core.accept(frame, self.now, &mut self.out) {
                    Ok(Some(event)) => self.react(event, seen),
                    Ok(None) => {}
                    Err(err) => self.failed(err, seen),
                }
                return;
            }
            Event::Response { response, .. } => Seen::Response(response.status()),
            Event::Rejected(response) => Seen::Rejected(response.status()),
            Event::Message(message) => Seen::Message(message),
            Event::Ping(payload) => {
                if self.is_manual {
                    let pong = self.core.answer(payload.clone());
                    self.send_if_owed(pong);
                }
                Seen::Ping(payload)
            }
            Event::Pong(payload) => Seen::Pong(payload),
            Event::Close(code, reason) => {
                let reply = self.core.close_reply(code);
                self.send_if_owed(reply);
                Seen::Close(code, reason)
            }
            event => panic!("an event that no test knows: {event:?}"),
        });
    }

    fn failed(&mut self, err: ProtocolError, seen: &mut Vec<Seen>) {
        seen.push(Seen::Failed(err));
        let failure = self.core.failure(err);
        self.send_if_owed(failure);
    }

    fn answer_request(&mut self, request: &Request) -> Result<(), ProtocolError> {
        let mut response = if request.is_upgrade() && request.key().is_ok() {
            Response::from_request(request).unwrap()
        } else {
            Response::new(200, "OK", b"a page".to_vec())
        };
        self.core.respond(request, &mut response, self.now, &mut self.out)
    }
}

/// The request of every client that needs no special one.
pub fn request() -> Request {
    Request::from_url(&"ws://example.com/chat".parse().unwrap()).unwrap()
}

/// A client and a server, and the wires between them.
#[derive(Debug)]
pub struct Pair {
    pub client: End,
    pub server: End,
    /// Which of the ends have shut down their side of TCP.
    shut: [bool; 2],
}

impl Pair {
    pub fn new(client: Config, server: Config) -> Self {
        let (client, mut server) = (End::client(client), End::server(server));
        server.now = client.now;
        Self { client, server, shut: [false; 2] }
    }

    /// Both ends open, and nothing on the wires.
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

    /// Carries bytes, and the ends of TCP, until both wires are silent; returns what client and server reported.
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

/// Carries what one end has written to the other; returns whether there was anything.
fn carry(from: &mut End, to: &mut End, is_shut: &mut bool, seen: &mut Vec<Seen>) -> bool {
    let bytes = from.take_out();
    let shuts = from.flush() || from.state() == State::Closed;
    if !bytes.is_empty() {
        assert!(!*is_shut, "something is sent after the end of TCP");
        seen.extend(to.feed(&bytes));
    }
    let ends = shuts && !std::mem::replace(is_shut, *is_shut || shuts);
    if ends && let Err(err) = to.core.receive_eof() {
        seen.push(Seen::Failed(err));
    }
    ends || !bytes.is_empty()
}
