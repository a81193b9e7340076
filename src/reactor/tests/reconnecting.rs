//! Clients that connect again after their connection was lost.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::{accept, run_until, run_until_idle};
use crate::close::CloseCode;
use crate::reactor::Reactor;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::api::util::Token;
use crate::reactor::queue::{Command, ConnectMode, NewConnection, QueuedCommand, Target};
use crate::reactor::system::fake::{Fake, Wire};
use crate::{Error, Handshake, Lost, Message, Reconnect, Request, Result};

const SECOND: Duration = Duration::from_secs(1);

/// What the handler of a test has received, and what it does.
#[derive(Default)]
struct Shared {
    calls: Vec<String>,
    out: Option<Sender>,
    /// Waits that the handler demands instead of those of the policy, one for each loss.
    waits: Vec<Option<Duration>>,
    handlers: usize,
    /// What `on_open` sends.
    greeting: Option<&'static str>,
}

type Log = Rc<RefCell<Shared>>;

struct Client(Log);

impl Client {
    fn note(&self, call: impl Into<String>) {
        self.0.borrow_mut().calls.push(call.into());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.0.borrow_mut().handlers -= 1;
    }
}

impl Handler for Client {
    fn build_request(&mut self, url: &url::Url) -> Result<Request> {
        self.note(format!("request {}", url.path()));
        Request::from_url(url)
    }

    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.note("open");
        let greeting = self.0.borrow().greeting;
        match (greeting, self.0.borrow().out.as_ref()) {
            (Some(greeting), Some(out)) => out.send(greeting),
            _ => Ok(()),
        }
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.note(format!("message {msg}"));
        Ok(())
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.note(format!("close {} {reason}", u16::from(code)));
    }

    fn on_lost(&mut self, lost: &mut Lost) {
        let code = lost.closed().map(|closed| u16::from(closed.code));
        let plan = if lost.wait().is_some() { "waits" } else { "stops" };
        self.note(format!("lost {code:?} {:?} {} {plan}", lost.status(), lost.unsent()));
        let next = self.0.borrow_mut().waits.pop();
        match next {
            Some(Some(wait)) => lost.retry_in(wait),
            Some(None) => lost.stop(),
            None => {}
        }
    }

    fn on_error(&mut self, err: Error) {
        self.note(format!("error {err}"));
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        self.note(format!("timeout {}", event.0));
        Ok(())
    }

    fn on_shutdown(&mut self) {
        self.note("shutdown");
    }
}

/// A loop with one client that connects again, and its servers.
struct Test<F: Factory> {
    reactor: Reactor<F, Fake>,
    system: Fake,
    log: Log,
}

impl<F: Factory> Test<F> {
    /// Begins to connect in the next turn.
    fn connect(&mut self, settings: Reconnect) {
        request(&self.reactor, "ws://127.0.0.1/a", settings);
    }

    /// The next attempt reaches a server that accepts the handshake.
    fn open(&mut self) -> Wire {
        let server = self.system.add_server();
        // The clock moves to the next attempt.
        run_until(&mut self.reactor, || server.has_received());
        accept(&mut self.reactor, &server);
        run_until_idle(&mut self.reactor);
        server
    }

    /// The next attempt reaches a server that sends this response.
    fn reject(&mut self, response: &str) {
        let server = self.system.add_server();
        run_until(&mut self.reactor, || server.has_received());
        server.send(format!("HTTP/1.1 {response}\r\nContent-Length: 0\r\n\r\n").as_bytes());
        server.end();
        run_until_idle(&mut self.reactor);
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.log.borrow_mut().calls)
    }

    fn out(&self) -> Sender {
        self.log.borrow().out.clone().unwrap()
    }

    /// Whether the loop has nothing left to do.
    fn is_over(&self) -> bool {
        self.reactor.entries.is_empty() && self.log.borrow().handlers == 0
    }
}

fn start_with(settings: Settings) -> (Test<impl Factory<Handler = Client>>, impl Sized) {
    let (system, log) = (Fake::new(), Log::default());
    let made = Rc::clone(&log);
    let factory = move |out: Sender| {
        made.borrow_mut().handlers += 1;
        made.borrow_mut().out = Some(out);
        Client(Rc::clone(&made))
    };
    let reactor = Reactor::with_system(factory, settings, system.clone());
    let entered = reactor.state.queue.enter();
    (Test { reactor, system, log }, entered)
}

fn start() -> (Test<impl Factory<Handler = Client>>, impl Sized) {
    start_with(Settings::default())
}

/// Queues the request for a client that connects again.
fn request<F: Factory>(reactor: &Reactor<F, Fake>, url: &str, settings: Reconnect) {
    let connect = NewConnection::Connect(url.parse().unwrap(), ConnectMode::Again(settings));
    let command = Command::NewConnection(Box::new(connect.into()));
    reactor.state.queue.push(QueuedCommand { target: Target::All, command }).unwrap();
}

/// Returns the texts of short masked frames.
fn texts(mut frames: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let [0x81, len, a, b, c, d, rest @ ..] = frames {
        let (payload, rest) = rest.split_at(usize::from(len & 0x7f));
        let mask = [a, b, c, d].into_iter().cycle();
        texts.push(payload.iter().zip(mask).map(|(byte, mask)| char::from(byte ^ mask)).collect());
        frames = rest;
    }
    assert!(frames.is_empty(), "{frames:?}");
    texts
}

/// A Close frame of a server.
fn close(code: u16, reason: &str) -> Vec<u8> {
    let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
    [&[0x88, u8::try_from(payload.len()).unwrap()], payload.as_slice()].concat()
}

#[test]
fn the_same_handler_continues_after_each_loss() {
    let (mut test, _entered) = start();
    test.connect(Reconnect::default());
    let first = test.open();
    first.send(b"\x81\x02hi");
    run_until_idle(&mut test.reactor);
    assert_eq!(test.calls(), ["request /a", "open", "message hi"]);
    // The server is killed.
    first.end();
    run_until_idle(&mut test.reactor);
    assert_eq!(test.calls(), ["lost Some(1006) None 0 waits"]);
    assert!(!test.reactor.entries.is_empty() && !test.out().is_open());
    let second = test.open();
    assert_eq!(test.calls(), ["request /a", "open"]);
    assert!(test.out().is_open());
    // It goes away politely, and the client answers.
    second.take_received();
    second.send(&close(1001, "bye"));
    run_until_idle(&mut test.reactor);
    assert_eq!(second.take_received()[..2], [0x88, 0x82], "a masked code without a reason");
    second.end();
    run_until_idle(&mut test.reactor);
    assert_eq!(test.calls(), ["lost Some(1001) None 0 waits"]);
    let third = test.open();
    third.reset();
    run_until_idle(&mut test.reactor);
    let calls = test.calls();
    assert_eq!(calls.first().map(String::as_str), Some("request /a"));
    assert_eq!(calls.last().map(String::as_str), Some("lost Some(1006) None 0 waits"));
    assert_eq!(test.log.borrow().handlers, 1);
}

#[test]
fn attempts_continue_until_the_server_is_there() {
    let (mut test, _entered) = start();
    test.connect(Reconnect::default());
    let began = test.system.time();
    // There is no server: each attempt is refused.
    let log = Rc::clone(&test.log);
    let losses = move || log.borrow().calls.iter().filter(|call| call.starts_with("lost None None")).count();
    run_until(&mut test.reactor, || losses() == 8);
    let waited = test.system.time() - began;
    assert!(
        waited <= Duration::from_millis(500 + 1000 + 2000 + 4000 + 8000 + 16_000 + 30_000 + 100),
        "{waited:?}"
    );
    let calls = test.calls();
    assert!(
        calls.iter().any(|call| call.starts_with("error cannot connect to ws://127.0.0.1/a")),
        "{calls:?}"
    );
    test.open();
    assert_eq!(test.calls(), ["request /a", "open"]);
}

#[test]
fn a_client_stops_if_the_server_does_not_want_it() {
    let (mut test, _entered) = start();
    test.connect(Reconnect::default());
    let server = test.open();
    test.calls();
    server.send(&close(1008, "banned"));
    server.end();
    run_until_idle(&mut test.reactor);
    assert_eq!(test.calls(), ["lost Some(1008) None 0 stops", "close 1008 banned"]);
    assert!(test.is_over());
    assert_eq!(test.reactor.state.outcome.take().unwrap().unwrap().reason, "banned");
}

#[test]
fn a_rejected_client_stops_after_401_and_continues_after_503() {
    let (mut test, _entered) = start();
    test.connect(Reconnect::default());
    test.reject("503 Service Unavailable\r\nRetry-After: 20");
    let until = test.system.time() + 20 * SECOND;
    assert_eq!(
        test.calls()[1..],
        [
            "error the server refused the opening handshake with status 503".to_owned(),
            "lost None Some(503) 0 waits".to_owned()
        ]
    );
    let server = test.open();
    assert!(test.system.time() >= until, "Retry-After is the shortest wait");
    server.end();
    run_until_idle(&mut test.reactor);
    test.calls();
    test.reject("401 Unauthorized");
    let calls = test.calls();
    assert_eq!(calls.last().map(String::as_str), Some("close 1006 "), "{calls:?}");
    assert_eq!(calls[2], "lost None Some(401) 0 stops");
    assert!(test.is_over());
    let outcome = test.reactor.state.outcome.take().unwrap().unwrap_err();
    assert!(outcome.to_string().contains("401"), "{outcome}");
}

#[test]
fn a_client_that_was_never_open_stops_without_on_close() {
    let (mut test, _entered) = start();
    test.connect(Reconnect { max_attempts: Some(1), ..Reconnect::default() });
    let log = Rc::clone(&test.log);
    run_until(&mut test.reactor, || log.borrow().calls.iter().any(|call| call.ends_with("stops")));
    let calls = test.calls();
    assert_eq!(calls.iter().filter(|call| call.starts_with("lost")).count(), 2, "{calls:?}");
    assert_eq!(calls.last().map(String::as_str), Some("lost None None 0 stops"));
    assert!(test.is_over() && test.reactor.state.outcome.as_ref().is_some_and(Result::is_err));
}

#[test]
fn a_url_that_cannot_be_used_is_not_tried_again() {
    let (mut test, _entered) = start();
    request(&test.reactor, "ftp://127.0.0.1/", Reconnect::default());
    run_until_idle(&mut test.reactor);
    assert_eq!(test.calls().last().map(String::as_str), Some("lost None None 0 stops"));
    assert!(test.is_over());
}

#[test]
fn the_handler_decides_last() {
    let (mut test, _entered) = start();
    test.log.borrow_mut().waits = vec![None, Some(7 * SECOND)];
    test.connect(Reconnect::default());
    test.reject("401 Unauthorized");
    let until = test.system.time() + 7 * SECOND;
    let server = test.open();
    assert!(test.system.time() >= until && test.system.time() < until + SECOND);
    test.calls();
    server.end();
    run_until_idle(&mut test.reactor);
    assert_eq!(test.calls(), ["lost Some(1006) None 0 waits", "close 1006 "]);
    assert!(test.is_over());
}

#[test]
fn the_program_stops_a_client_while_it_waits_connects_or_is_open() {
    for step in 0..4 {
        let (mut test, _entered) = start();
        test.connect(Reconnect::default());
        let server = test.open();
        if step < 2 {
            server.end();
            run_until_idle(&mut test.reactor);
        }
        let next = (step == 1).then(|| test.system.add_server());
        if let Some(next) = &next {
            run_until(&mut test.reactor, || next.has_received());
        }
        test.calls();
        if step == 3 {
            // The server has just closed with a code after which the client would connect again.
            server.send(&close(1012, ""));
            test.reactor.turn().unwrap();
        }
        test.out().close(CloseCode::Normal).unwrap();
        run_until_idle(&mut test.reactor);
        for wire in [Some(&server), next.as_ref()].into_iter().flatten() {
            wire.end();
        }
        run_until(&mut test.reactor, || test.log.borrow().handlers == 0);
        let calls = test.calls();
        assert_eq!(calls.iter().filter(|call| call.starts_with("close")).count(), 1, "{step}: {calls:?}");
        assert!(!calls.iter().any(|call| call == "open"), "{step}: {calls:?}");
        assert!(test.is_over(), "{step}");
    }
}

#[test]
fn what_is_sent_meanwhile_arrives_on_the_next_connection() {
    let (mut test, _entered) = start();
    test.connect(Reconnect::default());
    let first = test.open();
    first.set_room(0);
    test.out().send("lost").unwrap();
    run_until_idle(&mut test.reactor);
    first.end();
    run_until_idle(&mut test.reactor);
    let calls = test.calls();
    assert_eq!(calls.last().map(String::as_str), Some("lost Some(1006) None 10 waits"));
    assert_eq!(test.out().buffered_amount(), 0);
    let out = test.out();
    std::thread::scope(|scope| {
        scope.spawn(|| out.send("from another thread").unwrap());
    });
    test.out().send("kept").unwrap();
    assert!(test.out().try_send("not kept").is_err());
    run_until_idle(&mut test.reactor);
    assert_eq!(test.out().buffered_amount(), 23);
    test.log.borrow_mut().greeting = Some("subscribe");
    let second = test.open();
    run_until_idle(&mut test.reactor);
    assert_eq!(texts(&second.take_received()), ["subscribe", "from another thread", "kept"]);
    assert_eq!(test.out().buffered_amount(), 0);
}

#[test]
fn the_next_connection_has_room_again_after_too_much_was_queued() {
    let (mut test, _entered) = start_with(Settings { max_buffered: 1000, ..Settings::default() });
    test.connect(Reconnect::default());
    run_until_idle(&mut test.reactor);
    for _ in 0..3 {
        let _ = test.out().send(vec![b'x'; 600]);
        run_until_idle(&mut test.reactor);
    }
    let calls = test.calls();
    let discarded = "error too much output waits for the next connection: 600 bytes are discarded";
    assert_eq!(calls.iter().filter(|call| *call == discarded).count(), 1, "{calls:?}");
    test.open();
    assert!(test.out().is_open());
    test.out().send("room").unwrap();
    run_until_idle(&mut test.reactor);
    assert!(test.out().is_open());
}

#[test]
fn timeouts_continue_while_the_client_waits() {
    let (mut test, _entered) = start();
    test.log.borrow_mut().waits = vec![Some(60 * SECOND)];
    test.connect(Reconnect::default());
    let server = test.open();
    test.out().timeout(5000, Token(7)).unwrap();
    run_until_idle(&mut test.reactor);
    server.end();
    run_until_idle(&mut test.reactor);
    test.calls();
    let began = test.system.time();
    run_until(&mut test.reactor, || !test.log.borrow().calls.is_empty());
    assert_eq!(test.calls(), ["timeout 7"]);
    assert!(test.system.time() - began < 6 * SECOND);
}

#[test]
fn a_loop_ends_while_its_client_waits() {
    let (mut test, _entered) = start();
    test.connect(Reconnect::default());
    let server = test.open();
    server.end();
    run_until_idle(&mut test.reactor);
    test.calls();
    test.out().shutdown().unwrap();
    run_until_idle(&mut test.reactor);
    assert_eq!(test.calls(), ["shutdown", "close 1006 "]);
    assert!(test.is_over());
}

#[test]
fn a_silent_server_is_a_lost_one() {
    let settings = Settings { idle_timeout: Some(30 * SECOND), ..Settings::default() };
    let (mut test, _entered) = start_with(settings);
    test.connect(Reconnect::default());
    test.open();
    test.calls();
    run_until(&mut test.reactor, || !test.log.borrow().calls.is_empty());
    assert_eq!(test.calls(), ["lost Some(1006) None 0 waits"]);
    test.open();
    assert_eq!(test.calls(), ["request /a", "open"]);
}

#[test]
fn a_handler_that_panics_ends_its_client() {
    struct Panics;
    impl Handler for Panics {
        fn on_lost(&mut self, _: &mut Lost) {
            panic!("in on_lost");
        }
    }
    let system = Fake::new();
    let settings = Settings { catch_panics: true, ..Settings::default() };
    let mut reactor = Reactor::with_system(|_: Sender| Panics, settings, system.clone());
    let _entered = reactor.state.queue.enter();
    request(&reactor, "ws://127.0.0.1/", Reconnect::default());
    run_until_idle(&mut reactor);
    assert!(reactor.entries.is_empty());
}
