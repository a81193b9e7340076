//! W8: how long a turn lasts, with handlers and system calls that take time on the clock of the test.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{listening, open_client, run_until_idle, text};
use crate::reactor::api::handler::Handler;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::system::fake::{Fake, Wire};
use crate::{Message, Result};

/// Works for five milliseconds per message, and records who has sent it.
struct Slow {
    system: Fake,
    number: usize,
    served: Rc<RefCell<Vec<usize>>>,
}

impl Handler for Slow {
    fn on_message(&mut self, _: Message) -> Result<()> {
        self.system.advance(Duration::from_millis(5));
        self.served.borrow_mut().push(self.number);
        Ok(())
    }
}

/// How many connections are served before the clock is read for the first time.
const UNTIL_CLOCK: usize = 16;

#[test]
fn w8_a_turn_ends_when_its_time_is_used_up_and_the_others_come_first_in_the_next_one() {
    const CLIENTS: usize = 40;
    let (system, served) = (Fake::new(), Rc::new(RefCell::new(Vec::new())));
    let mut count = 0;
    let factory = |_: Sender| {
        count += 1;
        Slow { system: system.clone(), number: count - 1, served: Rc::clone(&served) }
    };
    let (mut reactor, _entered) = listening(factory, Settings::without_timeouts(), &system);
    let clients: Vec<Wire> = (0..CLIENTS).map(|_| open_client(&mut reactor, &system)).collect();
    clients.iter().for_each(|client| client.send(&text("work").repeat(3)));
    reactor.turn().unwrap();
    // A loop that was quiet before reads the clock rarely.
    assert_eq!(served.borrow().len(), 3 * UNTIL_CLOCK);
    while served.borrow().len() < 3 * CLIENTS {
        let before = served.borrow().len();
        reactor.turn().unwrap();
        let calls = served.borrow().len() - before;
        assert!((1..=2).contains(&calls), "{calls} calls of 5 ms in a turn of 10 ms");
    }
    // In the following turns, each of the others is served once before one of them is served again.
    let rest = served.borrow_mut().split_off(3 * UNTIL_CLOCK);
    let expected: Vec<usize> = (UNTIL_CLOCK..CLIENTS).collect();
    for round in rest.chunks(CLIENTS - UNTIL_CLOCK) {
        let mut round = round.to_vec();
        round.sort_unstable();
        assert_eq!(round, expected);
    }
}

#[test]
fn w8_commands_that_do_not_fit_into_a_turn_are_executed_in_order() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(|_| |_| Ok(()), Settings::without_timeouts(), &system);
    let clients: Vec<Wire> = (0..3).map(|_| open_client(&mut reactor, &system)).collect();
    let all = Sender::all(Arc::clone(&reactor.state.queue));
    // The clock moves with each call, as if every command took two milliseconds.
    system.set_pace(Duration::from_millis(2));
    for number in 0..200 {
        all.broadcast(number.to_string()).unwrap();
        all.ping(Vec::new()).unwrap();
    }
    run_until_idle(&mut reactor);
    let expected: Vec<u8> = (0..200)
        .flat_map(|number: i32| {
            let text = number.to_string();
            let len = u8::try_from(text.len()).unwrap();
            [&[0x81, len][..], text.as_bytes(), &[0x89, 0]].concat()
        })
        .collect();
    for client in clients {
        assert_eq!(client.take_received(), expected);
    }
}

/// Sends every message to all, which takes two milliseconds each.
struct Chat {
    out: Sender,
    system: Fake,
}

impl Handler for Chat {
    fn on_message(&mut self, message: Message) -> Result<()> {
        self.system.advance(Duration::from_millis(2));
        self.out.broadcast(message)
    }
}

#[test]
fn w8_commands_do_not_accumulate_while_turns_are_long() {
    let system = Fake::new();
    let factory = |out: Sender| Chat { out, system: system.clone() };
    let (mut reactor, _entered) = listening(factory, Settings::without_timeouts(), &system);
    let clients: Vec<Wire> = (0..20).map(|_| open_client(&mut reactor, &system)).collect();
    system.set_pace(Duration::from_millis(3));
    clients.iter().for_each(|client| client.send(&text("to all").repeat(50)));
    let mut most = 0;
    while system.has_events() || reactor.has_work() {
        reactor.turn().unwrap();
        most = most.max(reactor.state.queue.local_load().0);
    }
    assert!(most <= 100, "{most} of 1000 commands waited");
    for client in clients {
        assert_eq!(client.take_received(), b"\x81\x06to all".repeat(1000));
    }
}
