//! Timeouts that handlers set, cancel and postpone, with a clock that only the test moves.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::{accept, frame, listening, open_client, run_until, run_until_idle, text};
use crate::reactor::Reactor;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::api::util::{Timeout, Token};
use crate::reactor::queue::{Command, ConnectMode, NewConnection};
use crate::reactor::system::fake::{Fake, Wire};
use crate::{Frame, Handshake, Message, Reconnect, Result};

/// The loop rounds each deadline up to the next millisecond.
const TICK: Duration = Duration::from_millis(1);

/// What the handlers of a test share.
#[derive(Default)]
struct Shared {
    calls: Vec<String>,
    timeouts: Vec<Timeout>,
    senders: Vec<Sender>,
    /// What the next calls of `on_timeout` do.
    when_fired: VecDeque<&'static str>,
    /// What the handler does as soon as it is created.
    when_made: &'static str,
}

type Log = Rc<RefCell<Shared>>;

/// A handler that records its calls, and does what the messages demand.
struct Scripted {
    out: Sender,
    log: Log,
    /// The token of the next timeout.
    next: usize,
}

impl Scripted {
    fn note(&self, call: impl Into<String>) {
        self.log.borrow_mut().calls.push(call.into());
    }

    /// Executes instructions that are separated by commas: `set MS`, `move NUMBER MS`, `cancel NUMBER`, `send`.
    fn act(&mut self, script: &str) -> Result<()> {
        script.split(", ").filter(|instruction| !instruction.is_empty()).try_for_each(|it| self.execute(it))
    }

    fn execute(&mut self, instruction: &str) -> Result<()> {
        let words: Vec<&str> = instruction.split(' ').collect();
        let number = |at: usize| words[at].parse::<usize>().unwrap();
        let timeout = |at: usize| self.log.borrow().timeouts[number(at)].clone();
        match words[0] {
            "set" => {
                self.next += 1;
                self.out.timeout(number(1) as u64, Token(self.next - 1))
            }
            "move" => self.out.postpone(&timeout(1), number(2) as u64),
            "cancel" => self.out.cancel(timeout(1)),
            "send" => self.out.send("sent"),
            other => panic!("unknown instruction {other}"),
        }
    }
}

impl Handler for Scripted {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.note("open");
        Ok(())
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.act(msg.as_text()?)
    }

    fn on_new_timeout(&mut self, event: Token, timeout: Timeout) -> Result<()> {
        self.note(format!("new {}", event.0));
        self.log.borrow_mut().timeouts.push(timeout);
        Ok(())
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        self.note(format!("timeout {}", event.0));
        let script = self.log.borrow_mut().when_fired.pop_front();
        self.act(script.unwrap_or_default())
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.note("send");
        Ok(Some(frame))
    }
}

/// A loop with a handler that tests script, and its peer.
struct Test<F: Factory> {
    reactor: Reactor<F, Fake>,
    system: Fake,
    log: Log,
}

impl<F: Factory> Test<F> {
    /// The client sends a script, which the handler executes.
    fn script(&mut self, client: &Wire, script: &str) {
        client.send(&text(script));
        run_until_idle(&mut self.reactor);
    }

    /// Lets time pass without a turn before its end. The turn does not wait, because the clock would move to the next timer.
    fn pass(&mut self, ms: u64) {
        self.system.advance(Duration::from_millis(ms));
        self.reactor.state.begin_turn();
        self.reactor.deadlines();
        self.reactor.reap();
        self.reactor.state.end_turn();
        run_until_idle(&mut self.reactor);
    }

    /// Returns the calls since the last time.
    fn calls(&self) -> String {
        std::mem::take(&mut self.log.borrow_mut().calls).join(", ")
    }

    /// Runs the loop until a call, and returns how long that took, without the rounding of the timer.
    fn wait_for(&mut self, call: &str) -> Duration {
        let start = self.system.time();
        run_until(&mut self.reactor, || self.log.borrow().calls.iter().any(|it| it == call));
        self.system.time() - start - TICK
    }
}

fn scripted(log: &Log) -> impl Fn(Sender) -> Scripted + use<> {
    let log = Rc::clone(log);
    move |out: Sender| {
        log.borrow_mut().senders.push(out.clone());
        let mut handler = Scripted { out, log: Rc::clone(&log), next: 0 };
        let script = log.borrow().when_made;
        handler.act(script).unwrap();
        handler
    }
}

/// Runs a test with an open connection.
fn with_client(test: impl FnOnce(&mut Test<Box<dyn Fn(Sender) -> Scripted>>, Wire)) {
    let (system, log) = (Fake::new(), Log::default());
    let factory: Box<dyn Fn(Sender) -> Scripted> = Box::new(scripted(&log));
    let (mut reactor, _entered) = listening(factory, Settings::without_timeouts(), &system);
    let client = open_client(&mut reactor, &system);
    let mut opened = Test { reactor, system, log };
    opened.calls();
    test(&mut opened, client);
}

#[test]
fn l7_a_postponed_timeout_fires_once_after_the_last_message() {
    with_client(|it, client| {
        it.script(&client, "set 100");
        for _ in 0..10 {
            it.system.advance(Duration::from_millis(60));
            it.script(&client, "move 0 100");
        }
        assert_eq!(it.calls(), "new 0", "it has not fired, and on_new_timeout is not called again");
        assert_eq!(it.wait_for("timeout 0"), Duration::from_millis(100));
        it.pass(1_000);
        assert_eq!(it.calls(), "timeout 0");
    });
}

#[test]
fn l7_a_timeout_can_move_to_an_earlier_time() {
    with_client(|it, client| {
        it.script(&client, "set 100000");
        it.script(&client, "move 0 20");
        assert_eq!(it.wait_for("timeout 0"), Duration::from_millis(20));
        it.script(&client, "set 100000, set 50");
        it.script(&client, "move 1 0");
        assert_eq!(it.wait_for("timeout 1"), Duration::ZERO);
        assert_eq!(it.wait_for("timeout 2"), Duration::from_millis(49));
    });
}

#[test]
fn l7_a_timeout_that_has_fired_or_was_cancelled_is_not_postponed() {
    with_client(|it, client| {
        it.script(&client, "set 10, set 20, set 30, set 40");
        it.pass(11);
        it.calls();
        // The first has fired. The second is cancelled before, the third after it is postponed, all in one hook.
        it.script(&client, "move 0 5, cancel 1, move 1 5, move 2 5, cancel 2, move 2 5");
        it.pass(10);
        assert_eq!(it.calls(), "");
        assert_eq!(it.wait_for("timeout 3"), Duration::from_millis(19));
        it.pass(1_000);
        assert_eq!(it.calls(), "timeout 3");
    });
}

#[test]
fn l7_a_timeout_that_is_postponed_in_its_own_call_does_not_fire_again() {
    with_client(|it, client| {
        it.log.borrow_mut().when_fired = ["move 0 10", "set 10"].into();
        it.script(&client, "set 10");
        it.pass(11);
        it.pass(1_000);
        assert_eq!(it.calls(), "new 0, timeout 0");
        it.script(&client, "set 10");
        it.pass(11);
        it.pass(11);
        assert_eq!(it.calls(), "new 1, timeout 1, new 2, timeout 2");
    });
}

/// What a handler asks for takes effect when it returns, before the next timer fires.
#[test]
fn l7_a_call_of_a_timer_can_postpone_and_cancel_others_that_are_due() {
    with_client(|it, client| {
        it.log.borrow_mut().when_fired = ["move 1 50, cancel 2"].into();
        it.script(&client, "set 10, set 11, set 12, set 13");
        it.pass(100);
        assert_eq!(it.calls(), "new 0, new 1, new 2, new 3, timeout 0, timeout 3");
        assert_eq!(it.wait_for("timeout 1"), Duration::from_millis(50));
        it.pass(100);
        assert_eq!(it.calls(), "timeout 1");
    });
}

#[test]
fn l7_hooks_are_called_in_the_order_of_the_commands() {
    with_client(|it, client| {
        it.script(&client, "set 10, send");
        it.script(&client, "send, set 10, send, set 10");
        it.script(&client, "set 10, set 10, set 10, set 10, set 10, set 10, send, send");
        assert_eq!(
            it.calls(),
            "new 0, send, send, new 1, send, new 2, new 3, new 4, new 5, new 6, new 7, new 8, send, send"
        );
    });
}

#[test]
fn l7_other_threads_postpone_timeouts() {
    with_client(|it, client| {
        it.script(&client, "set 10, set 20");
        let (out, moved) = (it.log.borrow().senders[0].clone(), it.log.borrow().timeouts[0].clone());
        let cancelled = it.log.borrow().timeouts[1].clone();
        let start = it.system.time();
        let thread = std::thread::spawn(move || {
            out.postpone(&moved, 300)?;
            out.cancel(cancelled)
        });
        thread.join().unwrap().unwrap();
        // The time begins with the call, however late the loop executes the command.
        it.system.advance(Duration::from_millis(9));
        run_until_idle(&mut it.reactor);
        it.wait_for("timeout 0");
        assert_eq!(it.system.time() - start - TICK, Duration::from_millis(300));
        assert_eq!(it.calls(), "new 0, new 1, timeout 0");
    });
}

#[test]
fn l7_the_end_of_a_connection_cancels_postponed_timeouts() {
    with_client(|it, client| {
        it.script(&client, "set 10, set 20");
        // The second message closes the connection after the timeout was postponed.
        it.script(&client, "move 0 30, move 1 5");
        client.send(&frame(8, &1000_u16.to_be_bytes()));
        run_until_idle(&mut it.reactor);
        client.end();
        run_until_idle(&mut it.reactor);
        let (out, timeout) = (it.log.borrow().senders[0].clone(), it.log.borrow().timeouts[0].clone());
        assert!(out.postpone(&timeout, 10).is_ok(), "as with `cancel`");
        run_until_idle(&mut it.reactor);
        it.pass(1_000);
        assert_eq!(it.calls(), "new 0, new 1, send");
        let state = &it.reactor.state;
        assert_eq!(state.deadlines.until_next(state.now, || state.now), None, "a timer is left");
    });
}

/// A timer moves in the wheel when it would have fired, and not with each message.
#[test]
fn l7_a_timeout_that_moves_with_each_message_causes_few_turns() {
    with_client(|it, client| {
        it.script(&client, "set 1000");
        for _ in 0..100 {
            it.system.advance(Duration::from_millis(5));
            it.script(&client, "move 0 1000, move 0 1000");
        }
        let (start, mut turns) = (it.system.time(), 0);
        run_until(&mut it.reactor, || {
            turns += 1;
            it.log.borrow().calls.contains(&"timeout 0".to_owned())
        });
        assert_eq!(it.system.time() - start - TICK, Duration::from_secs(1));
        assert!(turns <= 8, "{turns}");
    });
}

/// Requests a connection to a server of the test.
fn connect<F: Factory>(reactor: &mut Reactor<F, Fake>, mode: ConnectMode) {
    let connect = NewConnection::Connect("ws://127.0.0.1/".parse().unwrap(), mode);
    reactor.execute(Command::NewConnection(Box::new(connect.into())), None);
}

#[test]
fn l7_a_timeout_of_a_client_is_postponed_while_it_connects() {
    let (system, log) = (Fake::new(), Log::default());
    log.borrow_mut().when_made = "set 10";
    let (reactor, _entered) = listening(scripted(&log), Settings::without_timeouts(), &system);
    let mut it = Test { reactor, system, log };
    let server = it.system.add_server();
    connect(&mut it.reactor, ConnectMode::Once);
    run_until_idle(&mut it.reactor);
    assert_eq!(it.calls(), "new 0");
    let (out, timeout) = (it.log.borrow().senders[0].clone(), it.log.borrow().timeouts[0].clone());
    out.postpone(&timeout, 40).unwrap();
    it.pass(30);
    assert_eq!(it.calls(), "", "the handshake has not begun");
    // It still belongs to the connection, when that is open.
    accept(&mut it.reactor, &server);
    run_until_idle(&mut it.reactor);
    out.postpone(&timeout, 50).unwrap();
    it.pass(45);
    assert_eq!(it.calls(), "open");
    it.pass(10);
    assert_eq!(it.calls(), "timeout 0");
}

#[test]
fn l7_a_timeout_of_a_client_that_connects_again_is_postponed() {
    let (system, log) = (Fake::new(), Log::default());
    let (reactor, _entered) = listening(scripted(&log), Settings::without_timeouts(), &system);
    let mut it = Test { reactor, system, log };
    let server = it.system.add_server();
    let wait = Duration::from_secs(10);
    let again = Reconnect { first_wait: wait, longest_wait: wait, ..Reconnect::default() };
    connect(&mut it.reactor, ConnectMode::Again(again));
    accept(&mut it.reactor, &server);
    run_until_idle(&mut it.reactor);
    let out = it.log.borrow().senders[0].clone();
    out.timeout(100, Token(0)).unwrap();
    run_until_idle(&mut it.reactor);
    server.reset();
    run_until_idle(&mut it.reactor);
    assert_eq!(it.calls(), "open, new 0");
    // There is no connection now.
    let timeout = it.log.borrow().timeouts[0].clone();
    out.postpone(&timeout, 200).unwrap();
    it.pass(150);
    assert_eq!(it.calls(), "");
    it.pass(60);
    assert_eq!(it.calls(), "timeout 0");
}
