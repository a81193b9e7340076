//! `Stats` and `Health`: what the loop counts, and when it publishes that.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{REQUEST, accept, frame, listening, open_client, run_until_idle, text};
use crate::reactor::Reactor;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::health::LoopStatus;
use crate::reactor::api::publication::Publication;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::{Overflow, Settings};
use crate::reactor::api::stats::Stats;
use crate::reactor::system::fake::{Fake, Wire};
use crate::{CloseCode, Message, Request, Response, Result};

const SECOND: Duration = Duration::from_secs(1);

/// Returns messages.
struct Echo(Sender);

impl Handler for Echo {
    fn on_request(&mut self, request: &Request) -> Result<Response> {
        match request.resource() {
            "/page" => Ok(Response::new(200, "OK", Vec::new())),
            _ => Response::from_request(request),
        }
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        assert!(message != Message::from("panic"), "the client asks for a panic");
        self.0.send(message)
    }

    fn wants_frames(&self) -> bool {
        false
    }
}

fn all<F: Factory>(reactor: &Reactor<F, Fake>) -> Sender {
    Sender::all(Arc::clone(&reactor.state.queue))
}

fn stats<F: Factory>(reactor: &Reactor<F, Fake>) -> Stats {
    all(reactor).stats()
}

/// The peer sends bytes, and the loop receives them.
fn send<F: Factory>(reactor: &mut Reactor<F, Fake>, client: &Wire, bytes: &[u8]) {
    client.send(bytes);
    run_until_idle(reactor);
}

#[test]
fn messages_and_bytes_are_those_on_the_wire() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(Echo, Settings::without_timeouts(), &system);
    let mut read = [REQUEST.len(), 0];
    let client = system.connect_client();
    send(&mut reactor, &client, REQUEST);
    read[1] += client.take_received().len();
    // A message, one in two fragments, and a Ping, which is no message.
    let fragments = [&[0x01, 0x82, 0, 0, 0, 0][..], b"he", &frame(0, b"llo")].concat();
    for bytes in [text("hello"), fragments, frame(9, b"ping")] {
        read[0] += bytes.len();
        send(&mut reactor, &client, &bytes);
    }
    let received = client.take_received();
    assert_eq!(received, [&b"\x81\x05hello"[..], b"\x81\x05hello", b"\x8a\x04ping"].concat());
    read[1] += received.len();
    let stats = stats(&reactor);
    assert_eq!((stats.messages_received, stats.messages_sent), (2, 2));
    assert_eq!([stats.bytes_received, stats.bytes_sent], read.map(|len| len as u64));
}

#[test]
fn a_broadcast_counts_once_for_each_receiver() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(Echo, Settings::without_timeouts(), &system);
    let clients: Vec<Wire> = (0..3).map(|_| open_client(&mut reactor, &system)).collect();
    let all = all(&reactor);
    all.broadcast("one").unwrap();
    all.broadcast(vec![2; 1000]).unwrap();
    all.ping(Vec::new()).unwrap();
    all.send_uncompressed("three").unwrap();
    run_until_idle(&mut reactor);
    assert_eq!(stats(&reactor).messages_sent, 9);
    drop(clients);
}

#[test]
fn open_connections_are_those_opened_minus_those_closed() {
    let system = Fake::new();
    let settings = Settings { catch_panics: true, ..Settings::without_timeouts() };
    let (mut reactor, _entered) = listening(Echo, settings, &system);
    let balance = |reactor: &_| {
        let stats: Stats = stats(reactor);
        let closed =
            stats.closed_by_code.iter().map(|(_, count)| count).sum::<u64>() + stats.closed_otherwise;
        assert_eq!(stats.connections_open, stats.opened_as_server + stats.opened_as_client - closed);
        stats
    };
    let mut clients: Vec<Wire> = (0..6).map(|_| open_client(&mut reactor, &system)).collect();
    let server = system.add_server();
    all(&reactor).connect("ws://127.0.0.1:3012/".parse().unwrap()).unwrap();
    accept(&mut reactor, &server);
    run_until_idle(&mut reactor);
    let opened = balance(&reactor);
    assert_eq!((opened.connections_open, opened.opened_as_server, opened.opened_as_client), (7, 6, 1));
    send(&mut reactor, &clients[0], &frame(8, &1000u16.to_be_bytes()));
    send(&mut reactor, &clients[1], &frame(8, &4321u16.to_be_bytes()));
    send(&mut reactor, &clients[2], &frame(8, &3999u16.to_be_bytes()));
    // Not UTF-8.
    send(&mut reactor, &clients[3], &frame(1, &[0xff]));
    send(&mut reactor, &clients[4], &text("panic"));
    server.end();
    clients.iter().take(5).for_each(Wire::end);
    run_until_idle(&mut reactor);
    let closed = balance(&reactor);
    assert_eq!((closed.connections_open, closed.closed_otherwise), (1, 2));
    let expected = [(CloseCode::Normal, 1), (CloseCode::Abnormal, 2), (CloseCode::Error, 1)];
    assert_eq!(closed.closed_by_code, expected);
    clients.pop().unwrap().end();
    run_until_idle(&mut reactor);
    assert_eq!(balance(&reactor).connections_open, 0);
}

#[test]
fn a_loop_that_is_dropped_has_no_open_connections() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(Echo, Settings::without_timeouts(), &system);
    let _client = open_client(&mut reactor, &system);
    let all = all(&reactor);
    assert_eq!(all.stats().connections_open, 1);
    drop(reactor);
    let stats = all.stats();
    assert_eq!((stats.connections_open, stats.closed_by_code), (0, vec![(CloseCode::Abnormal, 1)]));
    assert_eq!((all.health().status, all.health().lag), (LoopStatus::Ended, Duration::ZERO));
}

#[test]
fn requests_that_are_refused_count_once_by_status() {
    let system = Fake::new();
    let settings =
        Settings { max_connections: 1, origins: crate::Origins::Only(&["https://a"]), ..Settings::default() };
    let (mut reactor, _entered) = listening(Echo, settings, &system);
    let request = |head: &str| format!("{head}\r\nHost: localhost\r\n\r\n");
    let foreign = [&REQUEST[..REQUEST.len() - 2], b"Origin: https://b\r\n\r\n"].concat();
    for bytes in [
        request("GET /page HTTP/1.1").as_bytes(),
        request("GET / HTTP/1.1").as_bytes(),
        b"malformed\r\n\r\n",
        &foreign,
        // Never complete: the loop waits until the handshake times out.
        b"GET / HTTP/1.1\r\n",
        // A client that sends nothing receives no response.
        b"",
    ] {
        let client = system.connect_client();
        send(&mut reactor, &client, bytes);
        system.advance(11 * SECOND);
        reactor.state.now = system.time();
        reactor.deadlines();
        run_until_idle(&mut reactor);
        client.end();
        run_until_idle(&mut reactor);
        assert!(reactor.entries.is_empty());
    }
    let _client = open_client(&mut reactor, &system);
    let rejected: Vec<Wire> = (0..70).map(|_| system.connect_client()).collect();
    run_until_idle(&mut reactor);
    let stats = stats(&reactor);
    assert_eq!(stats.refused_by_status, [(200, 1), (400, 1), (403, 1), (408, 1), (426, 1), (503, 64)]);
    assert_eq!((stats.clients_dropped, stats.connections_open), (6, 1));
    drop(rejected);
}

#[test]
fn dropped_messages_are_counted_on_every_path() {
    let system = Fake::new();
    let settings = Settings { overflow: Overflow::Drop, max_buffered: 1000, ..Settings::without_timeouts() };
    let senders = Rc::new(RefCell::new(Vec::new()));
    let factory = |out: Sender| {
        senders.borrow_mut().push(out.clone());
        Echo(out)
    };
    let (mut reactor, _entered) = listening(factory, settings, &system);
    let slow = open_client(&mut reactor, &system);
    let _fast = open_client(&mut reactor, &system);
    slow.set_room(0);
    let out = senders.borrow()[0].clone();
    out.subscribe("news").unwrap();
    out.send(vec![7; 900]).unwrap();
    run_until_idle(&mut reactor);
    // A sender, a broadcast, and a publication.
    out.send(vec![7; 900]).unwrap();
    let all = all(&reactor);
    all.broadcast(vec![7; 900]).unwrap();
    all.publish("news", vec![7; 900]).unwrap();
    run_until_idle(&mut reactor);
    assert_eq!((all.stats().messages_dropped, all.stats().messages_left_out), (3, 0));
    for _ in 0..2 {
        all.publish_with(Publication::new("news", "price").volatile()).unwrap();
    }
    // The sender's own connection does not receive it anyway.
    out.publish_with(Publication::new("news", "price").volatile()).unwrap();
    run_until_idle(&mut reactor);
    let stats = all.stats();
    assert_eq!((stats.messages_dropped, stats.messages_left_out), (3, 2));
    assert_eq!((stats.topics, stats.subscriptions), (1, 1));
    assert!(stats.held_by_connections >= 900, "{stats:?}");
    slow.end();
    slow.set_room(usize::MAX / 2);
    run_until_idle(&mut reactor);
    let stats = all.stats();
    assert_eq!((stats.topics, stats.subscriptions, stats.held_by_connections), (0, 0, 0));
}

#[test]
fn commands_of_other_threads_count_until_the_loop_takes_them() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(Echo, Settings::without_timeouts(), &system);
    let client = open_client(&mut reactor, &system);
    let all = all(&reactor);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            all.send("12345").unwrap();
            all.pause().unwrap();
            all.resume().unwrap();
        });
    });
    // The resumption replaces the pause.
    let before = all.stats();
    assert_eq!((before.commands_queued, before.held_by_commands), (2, 5));
    run_until_idle(&mut reactor);
    let after = all.stats();
    assert_eq!((after.commands_queued, after.held_by_commands, after.messages_sent), (0, 0, 1));
    assert_eq!(client.take_received(), b"\x81\x0512345");
}

/// Takes some time for each message, and looks at the loop.
struct Slow {
    system: Fake,
    out: Sender,
    seen: Rc<RefCell<Vec<Stats>>>,
}

impl Handler for Slow {
    fn on_message(&mut self, message: Message) -> Result<()> {
        let millis = message.as_text()?.parse().expect("the client sends a number");
        self.system.advance(Duration::from_millis(millis));
        self.seen.borrow_mut().push(self.out.stats());
        Ok(())
    }
}

#[test]
fn a_slow_handler_shows_in_the_lag_and_in_the_longest_turn() {
    let (system, seen) = (Fake::new(), Rc::new(RefCell::new(Vec::new())));
    let factory = |out| Slow { system: system.clone(), out, seen: Rc::clone(&seen) };
    let (mut reactor, _entered) = listening(factory, Settings::without_timeouts(), &system);
    let client = open_client(&mut reactor, &system);
    let health = all(&reactor).health();
    assert_eq!((health.lag, health.longest_turn), (Duration::ZERO, Duration::ZERO));
    system.advance(SECOND);
    send(&mut reactor, &client, &text("300"));
    let during = seen.borrow_mut().pop().unwrap();
    assert_eq!(during.lag, Duration::from_millis(300));
    // What happens in a turn is published at its end.
    let after = stats(&reactor);
    assert_eq!((during.messages_received, after.messages_received), (0, 1));
    assert!(after.turns > during.turns);
    assert_eq!((after.lag, after.longest_turn), (Duration::ZERO, Duration::from_millis(300)));
    assert_eq!(after.busy, after.longest_turn);
    system.advance(90 * SECOND);
    send(&mut reactor, &client, &text("20"));
    let later = stats(&reactor);
    let longest = [later.longest_turn, later.longest_recent_turn].map(|time| time.as_millis());
    assert_eq!(longest, [300, 20]);
    assert_eq!(all(&reactor).health().longest_turn, later.longest_recent_turn);
}

#[test]
fn the_status_follows_the_run_of_the_loop() {
    let system = Fake::new();
    let seen = Rc::new(RefCell::new(Vec::new()));
    /// Records the status of the loop in each call.
    struct Observer(Sender, Rc<RefCell<Vec<LoopStatus>>>);
    impl Handler for Observer {
        fn on_open(&mut self, _: crate::Handshake) -> Result<()> {
            self.1.borrow_mut().push(self.0.health().status);
            self.0.shutdown()
        }

        fn on_shutdown(&mut self) {
            self.1.borrow_mut().push(self.0.health().status);
        }
    }
    let factory = |out| Observer(out, Rc::clone(&seen));
    let mut reactor = Reactor::with_system(factory, Settings::default(), system.clone());
    reactor.listeners.add(crate::reactor::system::fake::FakeListener, &system).unwrap();
    let all = all(&reactor);
    assert_eq!(all.health().status, LoopStatus::Idle);
    let client = system.connect_client();
    client.send(REQUEST);
    client.send(&frame(8, &1001u16.to_be_bytes()));
    client.end();
    reactor.run().unwrap();
    assert_eq!(*seen.borrow(), [LoopStatus::Running, LoopStatus::ShuttingDown]);
    assert!(!all.health().is_responsive(SECOND));
    assert_eq!(all.health().status, LoopStatus::Ended);
}

#[test]
fn connections_that_fail_for_memory_are_counted() {
    let system = Fake::new();
    let settings = Settings { max_memory: 1_500_000, ..Settings::without_timeouts() };
    let (mut reactor, _entered) = listening(Echo, settings, &system);
    let clients: Vec<Wire> = (0..2).map(|_| open_client(&mut reactor, &system)).collect();
    for client in &clients {
        // All but the end of a message of 1 MiB.
        let header = [0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0];
        send(&mut reactor, client, &[&header[..], &vec![0; 1_000_000]].concat());
    }
    assert_eq!(stats(&reactor).failed_for_memory, 1);
}
