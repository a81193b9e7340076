//! A1: a handler that panics ends its loop, or with `catch_panics` its own connection only.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};

use sockeye::util::Token;
use sockeye::{CloseCode, Error, ErrorKind, Frame, QueueError, Result, Sender, Settings, WebSocket};

use sockeye_test_support::bytes::UPGRADE;
use sockeye_test_support::peer::{Ending, Peer};
use sockeye_test_support::probes::{
    HandlerCall, HandlerCalls, Hook, Probes, send_too_much, wait_until_blocked,
};
use sockeye_test_support::server::Server;

/// What is thrown; nothing is printed for it.
#[derive(Debug, PartialEq, Eq)]
struct Quietly;

fn panic_quietly() -> ! {
    resume_unwind(Box::new(Quietly))
}

fn catching() -> Settings {
    Settings { catch_panics: true, ..Settings::default() }
}

/// Panics in one method of the first handler; the others echo, after a fashion.
fn panicking(hook: Hook) -> impl Fn(Hook, &Sender) -> Result<()> + Send + Sync + 'static {
    let is_done = AtomicBool::new(false);
    move |called, out| {
        if called == hook && out.connection_id() == 0 && !is_done.swap(true, Ordering::Relaxed) {
            panic_quietly();
        }
        match called {
            Hook::Open if out.connection_id() == 0 && hook == Hook::Drain => send_too_much(out),
            Hook::Open if out.connection_id() == 0 => {
                out.timeout(0, Token(1))?;
                out.send("hello")
            }
            Hook::Message if out.connection_id() == 0 => {
                Err(Error::new(ErrorKind::Custom("to be reported".into()), ""))
            }
            Hook::Message => out.send("echo"),
            _ => Ok(()),
        }
    }
}

#[test]
fn a1_by_default_a_panic_propagates_out_of_run() {
    let (server, calls) = Probes::listen(Settings::default(), panicking(Hook::Message));
    let mut culprit = Peer::open(server.addr);
    let first = calls.opened();
    let mut bystander = Peer::open(server.addr);
    let second = calls.opened();
    culprit.send_text("panic");
    let all = server.all.clone();
    assert_eq!(server.join().unwrap_err().downcast_ref(), Some(&Quietly));
    // Every sender reports that its connection has ended.
    assert_eq!(culprit.ending(), Ending::Cut);
    assert_eq!(bystander.ending(), Ending::Cut);
    for out in [&all, &first, &second] {
        assert!(!out.is_open());
        let refused = out.ping(Vec::new()).unwrap_err();
        assert!(matches!(refused.kind, ErrorKind::Queue(QueueError::Disconnected)), "{refused}");
    }
}

/// A client of the loop that must not suffer, and shows it.
fn check_echo(bystander: &mut Peer) {
    bystander.send_text("hello");
    assert_eq!(bystander.message(), "echo");
}

fn check_caught(hook: Hook, expected: &Ending) {
    let (server, calls) = Probes::listen(catching(), panicking(hook));
    let mut culprit = Peer::connect(server.addr);
    calls.made();
    let mut bystander = Peer::open(server.addr);
    culprit.send(UPGRADE);
    match hook {
        Hook::Message | Hook::Frame | Hook::Error => culprit.send_text("panic"),
        Hook::Close => culprit.send(Frame::close(CloseCode::Normal, "")),
        Hook::Shutdown => {
            assert!(culprit.head().text.starts_with("HTTP/1.1 101"));
            server.all.shutdown().unwrap();
        }
        Hook::Drain => wait_until_blocked(calls.first()),
        _ => {}
    }
    if hook == Hook::Request {
        assert_eq!(culprit.ending(), Ending::Cut, "{hook:?}");
    } else {
        if hook != Hook::Shutdown {
            assert!(culprit.head().text.starts_with("HTTP/1.1 101"));
        }
        assert_eq!(&culprit.ending(), expected, "{hook:?}");
    }
    drop(culprit);
    if hook == Hook::Shutdown {
        assert_eq!(bystander.ending(), Ending::Close(CloseCode::Away));
        drop(bystander);
        server.join().unwrap().unwrap();
    } else {
        check_echo(&mut bystander);
        bystander.finish();
        server.stop();
    }
    check_silence(&calls, hook);
}

/// A handler that has panicked is not called again.
fn check_silence(calls: &HandlerCalls, hook: Hook) {
    let events = calls.rest();
    let of_culprit = events.iter().filter(|(id, _)| *id == 0);
    let last_calls: Vec<_> = of_culprit
        .filter(|(_, call)| matches!(call, HandlerCall::Close(..) | HandlerCall::Shutdown))
        .collect();
    let expected = usize::from(matches!(hook, Hook::Close | Hook::Shutdown));
    assert_eq!(last_calls.len(), expected, "{hook:?}: {last_calls:?}");
}

#[test]
fn a1_a_caught_panic_closes_only_its_own_connection() {
    for hook in [
        Hook::Request,
        Hook::Open,
        Hook::Message,
        Hook::Frame,
        Hook::SendFrame,
        Hook::Timeout,
        Hook::NewTimeout,
        Hook::Drain,
        Hook::Error,
        Hook::Close,
        Hook::Shutdown,
    ] {
        check_caught(hook, &Ending::Close(CloseCode::Error));
    }
}

/// Makes a client whose handler panics, on a loop with one that does not.
fn check_client(hook: Hook, url: &str, bystander_url: &str) {
    let (probes, calls) = Probes::new(move |called, out| {
        let is_culprit = out.connection_id() == 0;
        if is_culprit && called == Hook::BuildRequest && matches!(hook, Hook::Timeout | Hook::NewTimeout) {
            out.timeout(0, Token(1))?;
        }
        if is_culprit && called == hook {
            panic_quietly();
        }
        if called == Hook::Message { out.shutdown() } else { Ok(()) }
    });
    let mut socket = sockeye::Builder::new().with_settings(catching()).build(probes).unwrap();
    socket.connect(url.parse().unwrap()).unwrap();
    socket.connect(bystander_url.parse().unwrap()).unwrap();
    let all = socket.broadcaster();
    let runner = std::thread::spawn(move || socket.run().map(drop));
    // The culprit is gone before the bystander is served: it has nothing to open.
    let opened = calls.find(|id, call| matches!(call, HandlerCall::Open).then_some(id));
    assert_eq!(opened, 1, "{hook:?}");
    all.send("hello").unwrap();
    assert_eq!(calls.message(), "hello");
    sockeye_test_support::join(runner).unwrap().unwrap();
}

#[test]
fn a1_a_panic_of_a_connecting_client_is_caught() {
    let server = Server::start(Settings::default(), |out: Sender| move |msg| out.send(msg));
    let refusing = Server::start(Settings::default(), |_| Refusing);
    let (url, refused) = (server.url(), refusing.url());
    check_client(Hook::BuildRequest, url.as_str(), url.as_str());
    check_client(Hook::Response, url.as_str(), url.as_str());
    check_client(Hook::Rejected, refused.as_str(), url.as_str());
    check_client(Hook::Error, "ws://127.0.0.1:1", url.as_str());
    check_client(Hook::Error, "wss://127.0.0.1:1", url.as_str());
    // Looking up a name takes a while, which leaves time for a timeout.
    for hook in [Hook::NewTimeout, Hook::Timeout] {
        check_client(hook, "ws://nobody.invalid", url.as_str());
    }
}

struct Refusing;

impl sockeye::Handler for Refusing {
    fn on_request(&mut self, _: &sockeye::Request) -> Result<sockeye::Response> {
        Ok(sockeye::Response::new(404, "Not Found", Vec::new()))
    }
}

#[test]
fn a1_other_loops_can_run_on_a_thread_after_a_panic() {
    let (probes, _ear) =
        Probes::new(|called, _| if called == Hook::BuildRequest { panic_quietly() } else { Ok(()) });
    let mut socket = WebSocket::new(probes).unwrap();
    socket.connect("ws://127.0.0.1:1".parse().unwrap()).unwrap();
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| socket.run().map(drop)));
    assert_eq!(ran.unwrap_err().downcast_ref(), Some(&Quietly));

    let server = Server::start(Settings::default(), |out: Sender| move |msg| out.send(msg));
    sockeye::connect(server.url().as_str(), |out: Sender| {
        out.send("hello").unwrap();
        move |_| out.close(CloseCode::Normal)
    })
    .unwrap();
}
