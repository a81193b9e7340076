//! PROXY headers, on a system without sockets.

use std::net::SocketAddr;
use std::time::Duration;

use super::{REQUEST, listening, run_until_idle, text};
use crate::reactor::api::drain::Drain;
use crate::reactor::api::factory::Factory;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::sender::Sender;
use crate::reactor::api::settings::{Settings, TrustedProxies};
use crate::reactor::system::System as _;
use crate::reactor::system::fake::{Fake, Wire};
use crate::reactor::{Reactor, draining};
use crate::{Handshake, Message, Result};

const HEADER: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";

/// What the handler sends when a connection with [`HEADER`] opens.
const GREETING: &[u8] = b"\x81\x1d192.0.2.1:56324, 127.0.0.1:80";

/// Sends the addresses of its connection, and echoes.
struct Reporter(Sender);

impl Handler for Reporter {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        let text = |address: Option<SocketAddr>| address.map_or("none".to_owned(), |it| it.to_string());
        self.0.send(format!("{}, {}", text(shake.peer_addr), text(shake.local_addr)))
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        self.0.send(message)
    }
}

fn settings() -> Settings {
    Settings { proxy_protocol: TrustedProxies::Private, ..Settings::default() }
}

/// Connects the proxy.
fn connect(system: &Fake) -> Wire {
    let wire = system.connect_client();
    wire.set_peer(([10, 0, 0, 1], 4000).into());
    wire
}

/// Asserts that the opening handshake is complete, and returns what follows the response.
#[track_caller]
fn opened(client: &Wire) -> Vec<u8> {
    let mut received = client.take_received();
    assert!(received.starts_with(b"HTTP/1.1 101 "), "{}", received.escape_ascii());
    let end = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    received.split_off(end)
}

/// Asserts that the loop has dropped all connections, and what belonged to them.
#[track_caller]
fn check_empty<F: Factory>(reactor: &Reactor<F, Fake>) {
    assert_eq!((reactor.entries.len(), reactor.entries.rejected), (0, 0));
    assert_eq!(reactor.state.system.open_sockets(), 0);
    assert_eq!(reactor.state.deadlines.until_next(reactor.state.now, || reactor.state.system.now()), None);
}

#[test]
fn a_header_that_arrives_during_a_drain_is_read() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(Reporter, settings(), &system);
    // The loop drains until this client answers the Close frame.
    let open = connect(&system);
    open.send(&[HEADER, REQUEST].concat());
    let waiting = connect(&system);
    waiting.send(&HEADER[..10]);
    run_until_idle(&mut reactor);
    assert_eq!(opened(&open), GREETING);
    draining::begin(&mut reactor, Drain::new());
    let late = connect(&system);
    late.send(&HEADER[..10]);
    run_until_idle(&mut reactor);
    for client in [waiting, late] {
        client.send(&[&HEADER[10..], REQUEST].concat());
        run_until_idle(&mut reactor);
        let received = client.take_received();
        assert!(received.starts_with(b"HTTP/1.1 503 "), "{}", received.escape_ascii());
    }
}

#[test]
fn the_header_may_be_cut_anywhere() {
    let input = [HEADER, REQUEST, &text("hello")].concat();
    let answer = [GREETING, b"\x81\x05hello"].concat();
    let system = Fake::new();
    let (mut reactor, _entered) = listening(Reporter, settings(), &system);
    for at in 0..input.len() {
        let client = connect(&system);
        client.send(&input[..at]);
        run_until_idle(&mut reactor);
        client.send(&input[at..]);
        run_until_idle(&mut reactor);
        assert_eq!(opened(&client), answer, "cut at {at}");
    }
    let client = connect(&system);
    for byte in &input {
        client.send(&[*byte]);
        run_until_idle(&mut reactor);
    }
    assert_eq!(opened(&client), answer);
    assert_eq!(reactor.entries.len(), input.len() + 1);
}

#[test]
fn short_reads_do_not_lose_input() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(Reporter, settings(), &system);
    for most in [1, 2, 7, HEADER.len(), HEADER.len() + 1] {
        let client = connect(&system);
        client.set_most(most, usize::MAX);
        client.send(&[HEADER, REQUEST].concat());
        run_until_idle(&mut reactor);
        assert_eq!(opened(&client), GREETING);
    }
}

#[test]
fn other_peers_need_no_header_and_may_not_send_one() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(Reporter, settings(), &system);
    let [client, impostor] = [(); 2].map(|()| {
        let wire = system.connect_client();
        wire.set_peer("203.0.113.7:1234".parse().unwrap());
        wire
    });
    client.send(REQUEST);
    impostor.send(&[HEADER, REQUEST].concat());
    run_until_idle(&mut reactor);
    assert_eq!(opened(&client), b"\x81\x1e203.0.113.7:1234, 127.0.0.1:80");
    assert!(impostor.take_received().starts_with(b"HTTP/1.1 400 "));
}

#[test]
fn a_connection_without_a_valid_header_is_closed() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(Reporter, settings(), &system);
    for input in [REQUEST, b"PROXY TCP4 a b 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0", &[b'P'; 200]] {
        let (at_once, later) = (connect(&system), connect(&system));
        at_once.send(input);
        run_until_idle(&mut reactor);
        assert_eq!(reactor.entries.len(), 1);
        later.send(input);
        run_until_idle(&mut reactor);
        check_empty(&reactor);
        assert_eq!((at_once.take_received(), later.take_received()), (Vec::new(), Vec::new()));
    }
}

#[test]
fn a_connection_that_ends_within_the_header_is_closed() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(Reporter, settings(), &system);
    let (ended, reset) = (connect(&system), connect(&system));
    ended.send(&HEADER[..20]);
    run_until_idle(&mut reactor);
    assert_eq!(reactor.entries.len(), 2);
    ended.end();
    reset.reset();
    run_until_idle(&mut reactor);
    check_empty(&reactor);
}

#[test]
fn the_handshake_timeout_begins_when_the_connection_is_accepted() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(Reporter, settings(), &system);
    let (silent, slow) = (connect(&system), connect(&system));
    slow.send(&HEADER[..20]);
    run_until_idle(&mut reactor);
    system.advance(Duration::from_secs(9));
    slow.send(&HEADER[20..]);
    run_until_idle(&mut reactor);
    assert_eq!(reactor.entries.len(), 2);
    system.advance(Duration::from_secs(1));
    reactor.turn().unwrap();
    run_until_idle(&mut reactor);
    check_empty(&reactor);
    assert_eq!((silent.take_received(), slow.take_received()), (Vec::new(), Vec::new()));
}

#[test]
fn arrivals_count_towards_max_connections() {
    let system = Fake::new();
    let settings = Settings { max_connections: 2, ..settings() };
    let (mut reactor, _entered) = listening(Reporter, settings, &system);
    let clients: Vec<Wire> = (0..3).map(|_| connect(&system)).collect();
    run_until_idle(&mut reactor);
    // The third one may be rejected later.
    assert_eq!((reactor.entries.len(), reactor.entries.rejected), (3, 1));
    for client in &clients {
        client.send(&[HEADER, REQUEST].concat());
        run_until_idle(&mut reactor);
    }
    assert_eq!((opened(&clients[0]), opened(&clients[1])), (GREETING.to_vec(), GREETING.to_vec()));
    assert!(clients[2].take_received().starts_with(b"HTTP/1.1 503 "));
    // A limited number of clients wait beyond the limit, and others are dropped.
    let more: Vec<Wire> = (0..100).map(|_| connect(&system)).collect();
    run_until_idle(&mut reactor);
    let crowd = (reactor.entries.len() - 2, reactor.entries.rejected);
    assert_eq!(crowd, (64, 64));
    more.iter().for_each(Wire::end);
    clients.iter().for_each(Wire::end);
    run_until_idle(&mut reactor);
    assert_eq!((reactor.entries.len(), reactor.entries.rejected), (0, 0));
}

#[test]
fn a_connection_does_not_receive_what_was_sent_before_its_header_arrived() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(Reporter, settings(), &system);
    let client = connect(&system);
    run_until_idle(&mut reactor);
    assert_eq!((reactor.entries.len(), reactor.entries.used_slots().count()), (1, 0));
    Sender::all(std::sync::Arc::clone(&reactor.state.queue)).broadcast("early").unwrap();
    run_until_idle(&mut reactor);
    client.send(&[HEADER, REQUEST].concat());
    run_until_idle(&mut reactor);
    assert_eq!(opened(&client), GREETING);
}

#[test]
fn a_shutdown_closes_arrivals() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(Reporter, settings(), &system);
    let client = connect(&system);
    client.send(&HEADER[..20]);
    run_until_idle(&mut reactor);
    let all = Sender::all(std::sync::Arc::clone(&reactor.state.queue));
    all.broadcast("early").unwrap();
    all.shutdown().unwrap();
    while !reactor.try_finish() {
        reactor.turn().unwrap();
    }
    check_empty(&reactor);
    assert_eq!(client.take_received(), b"");
}

#[test]
fn a_socket_that_cannot_be_registered_is_dropped() {
    let system = Fake::new();
    let (mut reactor, _entered) = listening(Reporter, settings(), &system);
    let _client = connect(&system);
    system.refuse_registrations(1);
    run_until_idle(&mut reactor);
    check_empty(&reactor);
}

/// Every call that can fail, while a header arrives in two parts.
#[test]
fn failed_calls_leave_nothing_behind() {
    for kind in [std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::Other] {
        for number in 0.. {
            let system = Fake::new();
            system.fail_call(number, kind);
            let (mut reactor, _entered) = listening(Reporter, settings(), &system);
            let client = connect(&system);
            client.send(&HEADER[..20]);
            run_until_idle(&mut reactor);
            client.send(&[&HEADER[20..], REQUEST].concat());
            client.end();
            run_until_idle(&mut reactor);
            // A listener that could not accept pauses.
            if reactor.state.deadlines.until_next(reactor.state.now, || system.time()).is_some() {
                reactor.turn().unwrap();
                run_until_idle(&mut reactor);
            }
            let calls = system.calls();
            drop(client);
            assert_eq!((reactor.entries.len(), reactor.entries.rejected), (0, 0), "{kind} {number}");
            if number > calls {
                break;
            }
        }
    }
}
