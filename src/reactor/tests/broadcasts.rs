//! W8: commands for all connections, which are delivered in several turns.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::{REQUEST, listening, open_client, run_until_idle, text};
use crate::reactor::Reactor;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::Settings;
use crate::reactor::system::fake::{Fake, Wire};
use crate::{CloseCode, Message};

/// More than one turn can serve.
const CLIENTS: usize = 300;

/// How many connections receive a broadcast in a turn whose time is used up.
const PER_TURN: usize = 64;

fn echo(out: Sender) -> impl FnMut(Message) -> crate::Result<()> {
    move |message| out.send(message)
}

/// Opens many connections. Afterwards, the clock moves by five milliseconds each time it is read.
fn crowd<F: Factory>(reactor: &mut Reactor<F, Fake>, system: &Fake) -> (Vec<Wire>, Sender) {
    let clients = (0..CLIENTS).map(|_| open_client(reactor, system)).collect();
    system.set_pace(Duration::from_millis(5));
    (clients, Sender::all(Arc::clone(&reactor.state.queue)))
}

#[test]
fn w8_a_broadcast_to_many_takes_several_turns_and_others_are_served_between_them() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(echo, Settings::without_timeouts(), &system);
    let (clients, all) = crowd(&mut reactor, &system);
    all.broadcast("to all").unwrap();
    reactor.turn().unwrap();
    let received: Vec<Vec<u8>> = clients.iter().map(Wire::take_received).collect();
    let served = received.iter().filter(|bytes| !bytes.is_empty()).count();
    assert!((PER_TURN..2 * PER_TURN).contains(&served), "{served} receivers in the first turn");

    // The last connection has not received the broadcast. It receives it before the reply to its message, and before the others do.
    let last = clients.last().unwrap();
    last.send(&text("mine"));
    reactor.turn().unwrap();
    assert_eq!(last.take_received(), b"\x81\x06to all\x81\x04mine");
    assert_eq!(clients[CLIENTS - 2].take_received(), b"", "the broadcast is complete already");

    run_until_idle(&mut reactor);
    for (client, before) in clients[..CLIENTS - 1].iter().zip(received) {
        assert_eq!([before, client.take_received()].concat(), b"\x81\x06to all");
    }
    assert_eq!(last.take_received(), b"");
}

#[test]
fn w8_nothing_overtakes_a_broadcast() {
    let (system, senders) = (Fake::new(), RefCell::new(Vec::new()));
    let factory = |out: Sender| {
        senders.borrow_mut().push(out.clone());
        echo(out)
    };
    let (mut reactor, _entered) = listening(factory, Settings::without_timeouts(), &system);
    let (clients, all) = crowd(&mut reactor, &system);
    all.broadcast("first").unwrap();
    reactor.turn().unwrap();
    // Some connections have received the first one, most have not.
    senders.borrow().iter().step_by(7).for_each(|out| out.send("own").unwrap());
    reactor.turn().unwrap();
    all.broadcast("second").unwrap();
    all.close(CloseCode::Away).unwrap();
    all.broadcast("too late").unwrap();
    run_until_idle(&mut reactor);
    for (number, client) in clients.iter().enumerate() {
        let own: &[u8] = if number % 7 == 0 { b"\x81\x03own" } else { b"" };
        let expected = [b"\x81\x05first", own, b"\x81\x06second\x88\x02\x03\xe9"].concat();
        assert_eq!(client.take_received(), expected, "client {number}");
    }
}

#[test]
fn w8_a_new_connection_receives_only_later_broadcasts() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(echo, Settings::without_timeouts(), &system);
    let (mut clients, all) = crowd(&mut reactor, &system);
    all.broadcast("before").unwrap();
    reactor.turn().unwrap();
    // One connection ends, and another one takes its slot before the broadcast is complete.
    let ended = clients.pop().unwrap();
    ended.reset();
    reactor.turn().unwrap();
    let new = system.connect_client();
    new.send(REQUEST);
    reactor.turn().unwrap();
    assert!(reactor.state.publications.is_pending());
    all.broadcast("after").unwrap();
    run_until_idle(&mut reactor);
    let received = new.take_received();
    assert!(received.starts_with(b"HTTP/1.1 101 ") && received.ends_with(b"\r\n\r\n\x81\x05after"));
    for client in clients {
        assert_eq!(client.take_received(), b"\x81\x06before\x81\x05after");
    }
}

#[test]
fn w8_broadcasts_do_not_accumulate_while_they_are_delivered() {
    let system = Fake::new();
    let factory = |out: Sender| move |message: Message| out.broadcast(message);
    let (mut reactor, _entered) = listening(factory, Settings::without_timeouts(), &system);
    let (clients, all) = crowd(&mut reactor, &system);
    clients.iter().for_each(|client| client.send(&text("x").repeat(20)));
    for _ in 0..500 {
        all.broadcast("y").unwrap();
    }
    let mut most = 0;
    while system.has_events() || reactor.has_work() || reactor.state.queue.remote.has_commands() {
        reactor.turn().unwrap();
        most = most.max(reactor.state.publications.len() + reactor.state.queue.local_load().0);
    }
    assert!(most <= 1000, "{most} of {} broadcasts waited", CLIENTS * 20 + 500);
    for client in clients {
        assert_eq!(client.take_received().len(), (CLIENTS * 20 + 500) * 3);
    }
}
