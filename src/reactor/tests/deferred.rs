//! Responses that follow after `on_request` has returned.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::{REQUEST, frame, listening, run_until_idle, text};
use crate::protocol::handshake::{Request, Response};
use crate::reactor::Reactor;
use crate::reactor::api::deferred::DeferredResponse;
use crate::reactor::api::drain::Drain;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::system::fake::{Fake, Wire};
use crate::{ErrorKind, Handshake, Message, QueueError, Result};

/// What the handlers of a test share.
#[derive(Default)]
struct Shared {
    /// The responses that are deferred, with their requests.
    deferred: Vec<(DeferredResponse, Request)>,
    opened: Vec<String>,
    messages: Vec<String>,
    errors: Vec<String>,
    senders: Vec<Sender>,
}

type Log = Rc<RefCell<Shared>>;

/// Defers every response, except for the path `/now`.
struct Deferring(Log, Sender);

impl Handler for Deferring {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        let mut log = self.0.borrow_mut();
        match req.resource() {
            "/now" => Response::from_request(req),
            "/never" => Ok(Response::deferred()),
            "/panic" => {
                log.deferred.push((self.1.defer()?, req.clone()));
                drop(log);
                panic!("after the response was deferred");
            }
            "/both" => {
                log.deferred.push((self.1.defer()?, req.clone()));
                Response::from_request(req)
            }
            "/twice" => {
                let (_first, second) = (self.1.defer()?, self.1.defer());
                log.errors.push(second.unwrap_err().to_string());
                Ok(Response::deferred())
            }
            "/elsewhere" => {
                let err = log.senders[0].defer().unwrap_err();
                log.errors.push(err.to_string());
                Response::from_request(req)
            }
            "/at-once" => {
                self.1.defer()?.respond(Response::from_request(req)?)?;
                Ok(Response::deferred())
            }
            _ => {
                log.deferred.push((self.1.defer()?, req.clone()));
                Ok(Response::deferred())
            }
        }
    }

    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        let user = shake.response.data::<&str>().copied().unwrap_or("nobody");
        self.0.borrow_mut().opened.push(user.to_owned());
        self.1.send("welcome")
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.0.borrow_mut().messages.push(msg.into_text()?);
        Ok(())
    }

    fn on_error(&mut self, err: crate::Error) {
        self.0.borrow_mut().errors.push(err.to_string());
    }
}

/// A loop of `Deferring`.
fn start(settings: Settings) -> (Reactor<impl Factory, Fake>, impl Sized, Fake, Log) {
    let (system, log) = (Fake::new(), Log::default());
    let made = Rc::clone(&log);
    let factory = move |out: Sender| {
        made.borrow_mut().senders.push(out.clone());
        Deferring(Rc::clone(&made), out)
    };
    let (reactor, entered) = listening(factory, settings, &system);
    (reactor, entered, system, log)
}

fn request(path: &str) -> Vec<u8> {
    String::from_utf8_lossy(REQUEST).replacen("GET /", &format!("GET {path}"), 1).into_bytes()
}

/// A client that has sent its request.
fn ask<F: Factory>(reactor: &mut Reactor<F, Fake>, system: &Fake, path: &str) -> Wire {
    let client = system.connect_client();
    client.send(&request(path));
    run_until_idle(reactor);
    client
}

fn status(received: &[u8]) -> &str {
    std::str::from_utf8(received.get(9..12).unwrap_or_default()).unwrap()
}

#[test]
fn another_thread_answers_while_other_connections_are_served() {
    let (mut reactor, _entered, system, log) = start(Settings::default());
    let waiting = ask(&mut reactor, &system, "/");
    assert!(waiting.take_received().is_empty() && !reactor.has_work());
    let other = ask(&mut reactor, &system, "/now");
    assert_eq!(status(&other.take_received()), "101");
    let (later, req) = log.borrow_mut().deferred.pop().unwrap();
    let response = Response::from_request(&req).unwrap().with_data("salmon");
    thread::spawn(move || later.respond(response).unwrap()).join().unwrap();
    run_until_idle(&mut reactor);
    let received = waiting.take_received();
    assert!(status(&received) == "101" && received.ends_with(b"\x81\x07welcome"));
    assert_eq!(log.borrow().opened, ["nobody", "salmon"]);
    waiting.send(&text("hello"));
    run_until_idle(&mut reactor);
    assert_eq!(log.borrow().messages, ["hello"]);
}

#[test]
fn what_follows_the_request_waits_for_the_response() {
    let (mut reactor, _entered, system, log) = start(Settings::default());
    let client = system.connect_client();
    client.send(&[request("/"), text("early")].concat());
    run_until_idle(&mut reactor);
    client.send(&text("later"));
    run_until_idle(&mut reactor);
    assert!(log.borrow().messages.is_empty());
    let (later, req) = log.borrow_mut().deferred.pop().unwrap();
    later.respond(Response::from_request(&req).unwrap()).unwrap();
    run_until_idle(&mut reactor);
    assert_eq!(log.borrow().messages, ["early", "later"]);
}

#[test]
fn a_response_can_come_before_on_request_returns() {
    let (mut reactor, _entered, system, log) = start(Settings::default());
    let client = ask(&mut reactor, &system, "/at-once");
    assert_eq!(status(&client.take_received()), "101");
    assert_eq!(log.borrow().opened, ["nobody"]);
}

#[test]
fn without_a_response_the_client_receives_503() {
    let (mut reactor, _entered, system, log) = start(Settings::default());
    let dropped = ask(&mut reactor, &system, "/");
    log.borrow_mut().deferred.clear();
    run_until_idle(&mut reactor);
    let never = ask(&mut reactor, &system, "/never");
    let twice = ask(&mut reactor, &system, "/twice");
    for client in [dropped, never, twice] {
        assert_eq!(status(&client.take_received()), "503");
    }
    assert_eq!(log.borrow().errors, ["the response is deferred already"]);
    assert!(log.borrow().opened.is_empty());
}

#[test]
fn a_response_other_than_101_ends_the_connection() {
    let (mut reactor, _entered, system, log) = start(Settings::default());
    let client = system.connect_client();
    client.send(b"HEAD /page HTTP/1.1\r\nHost: localhost\r\n\r\n");
    run_until_idle(&mut reactor);
    let (later, _) = log.borrow_mut().deferred.pop().unwrap();
    later.respond(Response::new(200, "OK", b"page".to_vec())).unwrap();
    run_until_idle(&mut reactor);
    let received = String::from_utf8(client.take_received()).unwrap();
    assert!(received.starts_with("HTTP/1.1 200 ") && received.contains("Content-Length: 4\r\n"));
    assert!(received.ends_with("\r\n\r\n"), "a response to HEAD has no body");
    client.end();
    run_until_idle(&mut reactor);
    assert_eq!(system.open_sockets(), 0);
}

#[test]
fn only_on_request_of_the_connection_can_defer() {
    let (mut reactor, _entered, system, log) = start(Settings::default());
    let _first = ask(&mut reactor, &system, "/now");
    ask(&mut reactor, &system, "/elsewhere");
    let outside = log.borrow().senders[0].defer().unwrap_err();
    let message = "a response can be deferred only while `on_request` of its connection runs";
    assert_eq!(outside.to_string(), message);
    assert_eq!(log.borrow().errors, [message]);
}

/// Returns a response whose cancellation is counted.
fn counted(log: &Log) -> (DeferredResponse, Request, Arc<AtomicUsize>) {
    let (later, req) = log.borrow_mut().deferred.pop().unwrap();
    let canceled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&canceled);
    later.on_cancel(move || count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed));
    (later, req, canceled)
}

/// The client has left, so the program need not prepare its response.
fn assert_canceled(later: DeferredResponse, req: &Request, canceled: &AtomicUsize) {
    assert!(later.is_canceled());
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    later.on_cancel(move || count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed));
    assert_eq!((canceled.load(Ordering::Relaxed), called.load(Ordering::Relaxed)), (1, 1));
    let err = later.respond(Response::from_request(req).unwrap()).unwrap_err();
    assert!(matches!(err.kind, ErrorKind::Queue(QueueError::Disconnected)), "{err}");
}

#[test]
fn the_program_learns_that_the_client_has_left() {
    let leave: [fn(&Wire); 3] = [Wire::end, Wire::reset, |client| {
        client.send(&frame(1, b"more"));
        client.end();
    }];
    for leave in leave {
        let (mut reactor, _entered, system, log) = start(Settings::default());
        let client = ask(&mut reactor, &system, "/");
        let (later, req, canceled) = counted(&log);
        assert!(!later.is_canceled());
        leave(&client);
        run_until_idle(&mut reactor);
        assert_eq!(system.open_sockets(), 0);
        // Another client in the same slot does not receive the response.
        let next = ask(&mut reactor, &system, "/");
        assert_canceled(later, &req, &canceled);
        run_until_idle(&mut reactor);
        assert!(next.take_received().is_empty() && log.borrow().opened.is_empty());
    }
}

/// The end of the client is in the first read already.
#[test]
fn a_client_that_has_ended_its_side_receives_no_deferred_response() {
    let (mut reactor, _entered, system, log) = start(Settings::default());
    let client = system.connect_client();
    client.send(&request("/"));
    client.end();
    run_until_idle(&mut reactor);
    let (later, req) = log.borrow_mut().deferred.pop().unwrap();
    assert!(later.is_canceled());
    assert!(later.respond(Response::from_request(&req).unwrap()).is_err());
    assert_eq!(system.open_sockets(), 0);
}

#[test]
fn the_handshake_timeout_applies() {
    let settings = Settings { handshake_timeout: Duration::from_secs(5), ..Settings::default() };
    let (mut reactor, _entered, system, log) = start(settings);
    let client = ask(&mut reactor, &system, "/");
    let (later, req, canceled) = counted(&log);
    system.advance(Duration::from_secs(6));
    reactor.turn().unwrap();
    run_until_idle(&mut reactor);
    assert_eq!(status(&client.take_received()), "503");
    assert_canceled(later, &req, &canceled);
    assert_eq!(log.borrow().errors, ["the program did not respond to the request in time"]);
}

#[test]
fn a_drain_and_a_panic_cancel_the_response() {
    let (mut reactor, _entered, system, log) = start(Settings { catch_panics: true, ..Settings::default() });
    let client = ask(&mut reactor, &system, "/");
    let (later, req, canceled) = counted(&log);
    Sender::all(Arc::clone(&reactor.state.queue)).drain(Drain::new().over(Duration::ZERO)).unwrap();
    run_until_idle(&mut reactor);
    system.advance(Duration::from_secs(1));
    reactor.turn().unwrap();
    assert_eq!(status(&client.take_received()), "503");
    assert_canceled(later, &req, &canceled);

    let (mut reactor, _entered, system, log) = start(Settings { catch_panics: true, ..Settings::default() });
    ask(&mut reactor, &system, "/panic");
    assert!(log.borrow().deferred[0].0.is_canceled());
    let client = ask(&mut reactor, &system, "/both");
    assert_eq!(status(&client.take_received()), "101");
    assert!(log.borrow().deferred[1].0.is_canceled());
}

#[test]
fn a_full_queue_accepts_responses() {
    let settings = Settings { queue_size: 1, ..Settings::default() };
    let (mut reactor, _entered, system, log) = start(settings);
    let clients = [(); 3].map(|()| ask(&mut reactor, &system, "/"));
    let deferred = std::mem::take(&mut log.borrow_mut().deferred);
    let all = Sender::all(Arc::clone(&reactor.state.queue));
    thread::spawn(move || {
        while all.broadcast("x").is_ok() {}
        for (later, req) in deferred {
            later.respond(Response::from_request(&req).unwrap()).unwrap();
        }
    })
    .join()
    .unwrap();
    run_until_idle(&mut reactor);
    assert!(clients.iter().all(|client| status(&client.take_received()) == "101"));
}

#[test]
fn waiting_requests_take_little_memory_and_no_turns() {
    let (mut reactor, _entered, system, _log) =
        start(Settings { max_connections: 1000, ..Settings::default() });
    let before = reactor.state.memory.held();
    let _clients: Vec<_> = (0..1000).map(|_| ask(&mut reactor, &system, "/")).collect();
    assert!(!reactor.has_work() && !system.has_events());
    let held = reactor.state.memory.held() - before;
    assert!((1000 * REQUEST.len()..1000 * (REQUEST.len() + 1024)).contains(&held), "{held}");
}
