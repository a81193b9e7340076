//! Settings that protect the loop apply to the kit as well.

use std::cell::RefCell;
use std::time::Duration;

use sockeye::testing::TestLoop;
use sockeye::{CloseCode, Error, ErrorKind, Handler, Message, Overflow, Result, Sender, Settings};

/// Records its errors, and when its output was written.
struct Recorder<'t>(Sender, &'t RefCell<Vec<String>>);

impl Handler for Recorder<'_> {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.0.send(msg)
    }

    fn on_drain(&mut self) -> Result<()> {
        self.1.borrow_mut().push("drained".into());
        Ok(())
    }

    fn on_error(&mut self, err: Error) {
        let kind = if matches!(err.kind, ErrorKind::Capacity) { "capacity" } else { "other" };
        self.1.borrow_mut().push(kind.into());
    }
}

#[test]
fn a_client_that_does_not_read_is_closed_at_the_limit() {
    let events = RefCell::default();
    let settings = Settings { max_buffered: 10_000, ..Settings::default() };
    let kit = TestLoop::with_settings(settings, |out| Recorder(out, &events));
    let (client, other) = (kit.connect("/"), kit.connect("/"));
    client.stop_reading();
    for _ in 0..9 {
        client.send(vec![0; 1000]);
        kit.run_until_idle();
    }
    assert!(client.is_open() && events.borrow().is_empty());
    client.send(vec![0; 1000]);
    kit.run_until_idle();
    assert_eq!(*events.borrow(), ["capacity"]);
    client.resume();
    assert_eq!(client.closed().code, CloseCode::Size);
    other.send("unaffected");
    assert_eq!(other.receive(), "unaffected".into());
}

#[test]
fn with_overflow_drop_messages_beyond_the_limit_are_left_out() {
    let events = RefCell::default();
    let settings = Settings { max_buffered: 2_500, overflow: Overflow::Drop, ..Settings::default() };
    let kit = TestLoop::with_settings(settings, |out| Recorder(out, &events));
    let client = kit.connect("/");
    client.stop_reading();
    for _ in 0..5 {
        client.send(vec![0; 1000]);
        kit.run_until_idle();
    }
    client.resume();
    assert_eq!(std::iter::from_fn(|| client.try_receive()).count(), 2);
    assert_eq!(*events.borrow(), ["drained"]);
}

#[test]
fn a_slow_reader_receives_everything_in_order() {
    let events = RefCell::default();
    let kit = TestLoop::new(|out| Recorder(out, &events));
    let client = kit.connect("/");
    client.stop_reading();
    (0..10).for_each(|number| client.send(format!("message {number}")));
    kit.run_until_idle();
    let mut received = Vec::new();
    while received.len() < 10 {
        client.read(7);
        received.extend(client.try_receive().map(|msg| msg.to_string()));
    }
    assert_eq!(received, (0..10).map(|number| format!("message {number}")).collect::<Vec<_>>());
    assert!(events.borrow().iter().all(|event| event == "drained"));
}

#[test]
fn a_client_that_accepts_nothing_is_lost_after_the_write_timeout() {
    let events = RefCell::default();
    let write_timeout = Some(Duration::from_secs(60));
    let settings = Settings { write_timeout, ping_interval: None, idle_timeout: None, ..Settings::default() };
    let kit = TestLoop::with_settings(settings, |out| Recorder(out, &events));
    let client = kit.connect("/");
    client.stop_reading();
    client.send("hello");
    kit.advance(Duration::from_secs(59));
    assert!(client.is_open());
    kit.advance(Duration::from_secs(1));
    assert!(!client.is_open());
}

#[test]
fn further_clients_are_turned_away_when_the_loop_is_full() {
    let settings = Settings { max_connections: 1, ..Settings::default() };
    let kit = TestLoop::with_settings(settings, |_| |_| Ok(()));
    let first = kit.connect("/");
    assert_eq!(kit.client("/").open().response().status(), 503);
    first.disconnect();
    kit.run_until_idle();
    assert!(kit.connect("/").is_open());
}

#[test]
fn a_long_message_is_refused() {
    let settings = Settings { max_message_size: 1000, ..Settings::default() };
    let kit = TestLoop::with_settings(settings, |_| |_| Ok(()));
    let client = kit.connect("/");
    client.send(vec![0; 1001]);
    assert_eq!(client.closed().code, CloseCode::Size);
}
