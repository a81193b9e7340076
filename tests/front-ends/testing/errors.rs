//! What a test that fails reports.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use sockeye::testing::{Peer, TestLoop};
use sockeye::{CloseCode, Handler, Message, Request, Response, Result, Sender, Settings};

/// Returns the text of the panic.
fn panic_of<R>(call: impl FnOnce() -> R) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(call)) else { panic!("the call returns") };
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => {
            panic.downcast::<&str>().map_or_else(|_| "no text".to_owned(), |text| (*text).to_owned())
        }
    }
}

fn silent(_: Sender) -> impl Handler {
    |_: Message| Ok(())
}

#[test]
fn a_missing_message_is_explained() {
    let settings =
        Settings { ping_interval: Some(Duration::from_secs(30)), idle_timeout: None, ..Settings::default() };
    let kit = TestLoop::with_settings(settings, silent);
    let client = kit.connect("/chat");
    kit.advance(Duration::from_millis(101));
    let text = panic_of(|| client.receive());
    assert_eq!(
        text,
        "the client (/chat) received no message: its connection is open; the loop is idle, and the next timer \
         fires in 29.9s"
    );
    client.fall_silent();
    assert!(panic_of(|| client.receive()).contains(": it is silent; the loop is idle"));
    assert!(panic_of(|| client.closed()).starts_with("the client (/chat) was not closed: "));
}

#[test]
fn the_end_of_a_connection_is_explained() -> Result<()> {
    let settings = Settings::without_timeouts();
    let kit = TestLoop::with_settings(settings, silent);
    let client = kit.connect("/");
    client.close_with_reason(CloseCode::Normal, "bye");
    assert_eq!(
        panic_of(|| client.receive()),
        "the client (/) received no message: its connection was closed with 1000 \"\"; the loop is idle, and has no timer"
    );
    assert!(panic_of(|| client.send("late")).starts_with("the client (/) cannot send ("));
    let lost = kit.connect("/lost");
    lost.abort();
    let text = panic_of(|| lost.receive());
    assert!(text.contains(": its connection has ended without a Close; "), "{text}");
    kit.sender().shutdown()?;
    assert!(kit.has_ended());
    assert!(panic_of(|| client.receive()).ends_with("; the loop has ended"));
    assert!(panic_of(|| kit.connect("/")).contains("because the loop has ended"));
    Ok(())
}

struct Bouncer;

impl Handler for Bouncer {
    fn on_request(&mut self, _: &Request) -> Result<Response> {
        Ok(Response::new(401, "Unauthorized", Vec::new()))
    }
}

#[test]
fn a_rejection_is_explained() {
    let kit = TestLoop::new(|_| Bouncer);
    let text = panic_of(|| kit.connect("/members"));
    assert!(
        text.starts_with(
            "the client (/members) is not accepted: its request was answered with 401 Unauthorized; "
        ),
        "{text}"
    );
    let server = kit.serve();
    assert!(panic_of(|| server.request()).starts_with("the server (no request) received no request: "));
}

#[test]
fn a_panic_of_a_handler_is_that_of_the_test() {
    let panicking = |_: Sender| |msg: Message| -> Result<()> { panic!("cannot handle {msg}") };
    let kit = TestLoop::new(panicking);
    let client = kit.connect("/");
    client.send("salmon");
    assert_eq!(panic_of(|| client.receive()), "cannot handle salmon");

    // With this setting, it ends the connection.
    let kit = TestLoop::with_settings(Settings { catch_panics: true, ..Settings::default() }, panicking);
    let client = kit.connect("/");
    client.send("salmon");
    assert_eq!(client.closed().code, CloseCode::Error);
}

#[test]
fn a_loop_that_is_never_idle_is_an_error() {
    struct Restless(Sender);

    impl Handler for Restless {
        fn on_message(&mut self, msg: Message) -> Result<()> {
            self.0.ping(msg.into_data())
        }

        fn on_frame(&mut self, frame: sockeye::Frame) -> Result<Option<sockeye::Frame>> {
            if frame.opcode() == sockeye::OpCode::Pong {
                self.0.ping(b"again".to_vec())?;
            }
            Ok(Some(frame))
        }
    }

    let kit = TestLoop::new(Restless);
    let client = kit.connect("/");
    client.send("begin");
    assert!(panic_of(|| client.try_receive()).starts_with("the loop is still busy after 10000 turns"));
}

/// The files that the panics of each thread have named.
static FILES: Mutex<Vec<(ThreadId, String)>> = Mutex::new(Vec::new());

#[test]
fn a_panic_names_the_line_of_the_test() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let file = info.location().map_or("", Location::file).to_owned();
        FILES.lock().unwrap_or_else(PoisonError::into_inner).push((thread::current().id(), file));
        previous(info);
    }));
    let kit = TestLoop::new(|_| Bouncer);
    let client = kit.client("/").open();
    let calls: [&dyn Fn(); 8] = [
        &|| drop(client.receive()),
        &|| drop(client.receive_event()),
        &|| drop(kit.serve().closed()),
        &|| drop(kit.serve().request()),
        &|| drop(kit.serve().response()),
        &|| client.send("x"),
        &|| client.close(CloseCode::Normal),
        &|| drop(kit.connect("/")),
    ];
    calls.iter().for_each(|call| drop(panic_of(call)));
    let files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    let own: Vec<_> = files.iter().filter(|(id, _)| *id == thread::current().id()).collect();
    assert!(own.len() == 8 && own.iter().all(|(_, file)| file.ends_with("errors.rs")), "{own:?}");
}

#[test]
fn a_handler_cannot_use_the_kit() {
    let own = Rc::new(RefCell::new(None::<Peer<'static>>));
    let used = Rc::clone(&own);
    let kit = TestLoop::new(move |_: Sender| {
        let used = Rc::clone(&used);
        move |_: Message| {
            used.borrow().iter().for_each(|peer| peer.send("from a handler"));
            Ok(())
        }
    });
    *own.borrow_mut() = Some(kit.connect("/"));
    let client = kit.connect("/");
    client.send("hello");
    assert!(panic_of(|| client.receive()).starts_with("the test kit cannot be used inside of a handler"));
    // Otherwise, the handlers own the loop that owns them.
    own.take();
}

#[test]
fn mistakes_of_the_test_are_explained() {
    let kit = TestLoop::new(silent);
    assert_eq!(panic_of(|| kit.connect("chat")), "the path \"chat\" does not begin with a slash");
    assert!(panic_of(|| kit.client("/").header("X", "a\r\nb").open()).contains("cannot be changed"));
    let invalid = Settings { max_message_size: 0, ..Settings::default() };
    assert!(panic_of(|| TestLoop::with_settings(invalid, silent)).starts_with("Settings::max_message_size "));
    let text =
        panic_of(|| kit.client("/").change_request(|request| request.set_header("Host", "a b")).open());
    assert!(text.starts_with("the client cannot send its request: "), "{text}");
}
