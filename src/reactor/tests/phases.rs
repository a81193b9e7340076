//! Verifies the table of phases in the documentation of the module `reactor`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use super::{REQUEST, accept, frame, listening, open_client, run_until, run_until_idle, text};
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Config, Upgrade};
use crate::reactor::Reactor;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::api::util::{Timeout, Token};
use crate::reactor::queue::{Command, ConnectMode, NewConnection, QueuedCommand, Target};
use crate::reactor::system::fake::{Fake, Wire};
use crate::{CloseCode, Error, ErrorKind, Frame, Handshake, Lost, Message, Reconnect, Result};

type Calls = BTreeSet<(String, String)>;

/// What all handlers of a test share: the current phase, and the hooks that were called.
#[derive(Clone)]
struct Journal {
    system: Fake,
    calls: Rc<RefCell<Calls>>,
}

impl Journal {
    fn new() -> Self {
        Self { system: Fake::new(), calls: Rc::default() }
    }

    fn record(&self, hook: &str) {
        let phase = self.system.phase().expect("hooks are called in phases");
        self.calls.borrow_mut().insert((format!("{phase:?}").to_lowercase(), hook.to_owned()));
    }

    fn has(&self, phase: &str, hook: &str) -> bool {
        self.calls.borrow().contains(&(phase.to_owned(), hook.to_owned()))
    }
}

struct Records(Journal);

impl Factory for Records {
    type Handler = Recorder;

    fn connection_made(&mut self, out: Sender) -> Recorder {
        self.0.record("connection_made");
        Recorder { journal: self.0.clone(), out, requests: 0 }
    }

    fn connection_lost(&mut self, handler: Recorder) {
        handler.journal.record("connection_lost");
    }

    fn on_shutdown(&mut self) {
        self.0.record("on_shutdown");
    }

    fn topic_opened(&mut self, _: &str) {
        self.0.record("topic_opened");
    }

    fn topic_closed(&mut self, _: &str) {
        self.0.record("topic_closed");
    }
}

/// Records every hook, and does what a message asks for.
struct Recorder {
    journal: Journal,
    out: Sender,
    requests: usize,
}

fn failure() -> Error {
    Error::new(ErrorKind::Custom("the handler fails".into()), "")
}

impl Handler for Recorder {
    fn on_message(&mut self, message: Message) -> Result<()> {
        self.journal.record("on_message");
        let before = self.journal.calls.borrow().len();
        let result = match message.as_text()? {
            "timeout" => self.out.timeout(1000, Token(1)),
            "timeout for all" => self.out.broadcast("all").and_then(|()| self.out.timeout(1000, Token(1))),
            "connect" => self.out.connect("ws://127.0.0.1/".parse().unwrap()),
            "connect to an unknown host" => self.out.connect("ws://host.invalid/".parse().unwrap()),
            "fail" => return Err(failure()),
            "shutdown" => self.out.shutdown(),
            "subscribe" => self.out.subscribe("topic"),
            "unsubscribe" => self.out.unsubscribe("topic"),
            _ => self.out.send(message),
        };
        assert_eq!(self.journal.calls.borrow().len(), before, "a call has taken effect in the handler");
        result
    }

    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.journal.record("on_open");
        Ok(())
    }

    fn on_close(&mut self, _: CloseCode, _: &str) {
        self.journal.record("on_close");
    }

    fn on_error(&mut self, _: Error) {
        self.journal.record("on_error");
    }

    fn on_request(&mut self, request: &Request) -> Result<Response> {
        self.journal.record("on_request");
        Response::from_request(request)
    }

    fn on_response(&mut self, _: &Response) -> Result<()> {
        self.journal.record("on_response");
        Ok(())
    }

    fn on_rejected(&mut self, _: &Response) {
        self.journal.record("on_rejected");
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        self.journal.record("on_timeout");
        Err(failure())
    }

    fn on_new_timeout(&mut self, _: Token, _: Timeout) -> Result<()> {
        self.journal.record("on_new_timeout");
        Ok(())
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.journal.record("on_frame");
        Ok(Some(frame))
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.journal.record("on_send_frame");
        Ok(Some(frame))
    }

    fn on_drain(&mut self) -> Result<()> {
        self.journal.record("on_drain");
        Err(failure())
    }

    fn on_shutdown(&mut self) {
        self.journal.record("on_shutdown");
    }

    fn on_lost(&mut self, _: &mut Lost) {
        self.journal.record("on_lost");
    }

    /// Fails when a redirect is followed for the second time, or the client connects again for the second time.
    fn build_request(&mut self, url: &url::Url) -> Result<Request> {
        self.journal.record("build_request");
        self.requests += 1;
        if self.requests > 2 { Err(failure()) } else { Request::from_url(url) }
    }
}

/// Lets a client of the loop connect to this server, and sends the server's response to its request.
fn respond(reactor: &mut Reactor<Records, Fake>, server: &Wire, response: Option<&[u8]>) {
    let Some(response) = response else { return accept(reactor, server) };
    run_until_idle(reactor);
    let request = server.take_received();
    assert!(request.starts_with(b"GET "), "{}", String::from_utf8_lossy(&request));
    server.send(response);
}

/// Plays every situation in which the loop calls a hook.
fn play(journal: &Journal) {
    let system = &journal.system;
    let settings = Settings {
        ping_interval: Some(Duration::from_secs(100)),
        handshake_timeout: Duration::from_secs(10),
        max_redirects: 5,
        ..Settings::default()
    };
    let (mut reactor, _entered) = listening(Records(journal.clone()), settings, system);
    let client = open_client(&mut reactor, system);
    let payloads = ["echo", "timeout", "timeout for all", "fail", "connect to an unknown host"];
    for payload in payloads.into_iter().chain(["subscribe", "unsubscribe"]) {
        client.send(&text(payload));
        run_until_idle(&mut reactor);
    }
    assert!(journal.has("open", "on_error"), "the name is not resolved");
    run_until(&mut reactor, || {
        journal.has("deadlines", "on_timeout") && journal.has("deadlines", "on_send_frame")
    });
    play_client(&mut reactor, journal, &client);
    play_reconnecting(&mut reactor, journal);
    play_upgraded(&mut reactor, system);
    // A peer that accepts nothing for a while. A Pong waits while more than 256 bytes do.
    client.set_room(0);
    client.send(&text(&"echo ".repeat(24)).repeat(3));
    run_until_idle(&mut reactor);
    client.send(&frame(9, b"ping"));
    run_until_idle(&mut reactor);
    client.set_room(1000);
    run_until_idle(&mut reactor);
    // The end of connections.
    let lost = open_client(&mut reactor, system);
    lost.send(&text("subscribe"));
    run_until_idle(&mut reactor);
    lost.end();
    client.send(&frame(8, b"\x03\xe8"));
    run_until_idle(&mut reactor);
    let last = open_client(&mut reactor, system);
    last.send(&text("shutdown"));
    run_until(&mut reactor, || journal.has("execute", "on_shutdown"));
}

/// Connections in the role of a client: accepted, rejected, redirected, and without a response.
fn play_client(reactor: &mut Reactor<Records, Fake>, journal: &Journal, client: &Wire) {
    let redirect = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
    let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    for responses in [vec![None], vec![Some(&missing[..])], vec![Some(&redirect[..]); 2]] {
        let servers: Vec<Wire> = responses.iter().map(|_| journal.system.add_server()).collect();
        client.send(&text("connect"));
        for (server, response) in servers.iter().zip(responses) {
            respond(reactor, server, response);
        }
        run_until_idle(reactor);
    }
    let _silent = journal.system.add_server();
    client.send(&text("connect"));
    run_until_idle(reactor);
    // A request that cannot be built fails when the command is executed.
    let url = "http://127.0.0.1/".parse().unwrap();
    let connect = Command::NewConnection(Box::new(NewConnection::Connect(url, ConnectMode::Once).into()));
    reactor.requested.push(connect);
    for command in std::mem::take(&mut reactor.requested) {
        reactor.state.begin(crate::reactor::LoopPhase::Execute);
        reactor.execute(command, None);
    }
    run_until_idle(reactor);
}

/// Clients that connect again. Their third request fails, which ends them.
fn play_reconnecting(reactor: &mut Reactor<Records, Fake>, journal: &Journal) {
    let connect = |reactor: &Reactor<Records, Fake>| {
        let url = "ws://127.0.0.1/".parse().unwrap();
        let new = NewConnection::Connect(url, ConnectMode::Again(Reconnect::default()));
        let command = Command::NewConnection(Box::new(new.into()));
        reactor.state.queue.push(QueuedCommand { target: Target::All, command }).unwrap();
    };
    // There is no server, then one that refuses the connection later.
    connect(reactor);
    run_until_idle(reactor);
    let late = journal.system.add_server();
    late.hold_connecting();
    run_until(reactor, || journal.has("deadlines", "build_request"));
    late.finish_connecting(Err(std::io::ErrorKind::ConnectionRefused));
    run_until(reactor, || journal.has("deadlines", "on_lost"));
    // A server that ends.
    let server = journal.system.add_server();
    connect(reactor);
    accept(reactor, &server);
    server.end();
    run_until_idle(reactor);
    let connections = reactor.entries.len();
    while reactor.entries.len() == connections {
        reactor.turn().unwrap();
    }
}

/// A connection whose opening handshake was performed elsewhere. The stream is a token for the fake system.
fn play_upgraded(reactor: &mut Reactor<Records, Fake>, system: &Fake) {
    let _wire = system.add_server();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let request = Request::parse(REQUEST).unwrap().unwrap();
    let upgrade = Upgrade::new(request, Config::default()).unwrap();
    let command = Command::NewConnection(Box::new(NewConnection::AcceptUpgraded(stream, upgrade).into()));
    reactor.state.queue.push(QueuedCommand { target: Target::All, command }).unwrap();
    run_until_idle(reactor);
}

/// The table in the documentation.
fn documented() -> Calls {
    let mut calls = Calls::new();
    for line in include_str!("../mod.rs").lines() {
        let cells: Vec<&str> = line.trim_start_matches("//! ").split('|').map(str::trim).collect();
        if let ["", phase, hooks, ""] = cells.as_slice()
            && hooks.starts_with('`')
        {
            let hooks = hooks.split(", ").map(|hook| hook.trim_matches('`').to_owned());
            calls.extend(hooks.map(|hook| ((*phase).to_owned(), hook)));
        }
    }
    calls
}

#[test]
fn hooks_are_called_in_the_documented_phases() {
    let journal = Journal::new();
    play(&journal);
    let (documented, called) = (documented(), journal.calls.borrow());
    let undocumented: Vec<_> = called.difference(&documented).collect();
    let never_called: Vec<_> = documented.difference(&called).collect();
    assert!(
        undocumented.is_empty() && never_called.is_empty(),
        "called, but not in the table: {undocumented:?}; in the table, but not called: {never_called:?}"
    );
}
