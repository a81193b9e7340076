//! The loop on a system without sockets and without waiting.

mod arrivals;
mod borrowing;
mod bounds;
mod broadcasts;
#[cfg(feature = "permessage-deflate")]
mod compression;
mod connecting;
mod deferred;
mod draining;
mod frame_hooks;
mod large;
#[cfg(loom)]
mod models;
mod monitoring;
mod phases;
mod pool;
mod reconnecting;
mod scheduling;
mod scripts;
mod system;
mod time;
mod timeouts;
mod topics;
mod turns;

use std::time::Instant;

use super::Reactor;
use super::api::factory::Factory;
use super::api::settings::Settings;
use super::system::fake::{Fake, FakeListener, Wire};
use crate::protocol::handshake::Response;
use crate::protocol::{Config, Connection, Event};

/// The request of a client.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Returns a frame of a client. Its mask is zero.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).unwrap();
    [&[0x80 | opcode, 0x80 | len, 0, 0, 0, 0], payload].concat()
}

fn text(payload: &str) -> Vec<u8> {
    frame(1, payload.as_bytes())
}

/// Creates a loop that listens. This thread belongs to it until the second value is dropped.
fn listening<F: Factory>(
    factory: F,
    settings: Settings,
    system: &Fake,
) -> (Reactor<F, Fake>, impl Sized + use<F>) {
    let mut reactor = Reactor::with_system(factory, settings, system.clone());
    reactor.listeners.add(FakeListener, system).unwrap();
    let entered = reactor.state.queue.enter();
    (reactor, entered)
}

/// Runs turns until a condition holds.
fn run_until<F: Factory>(reactor: &mut Reactor<F, Fake>, mut is_done: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_done() {
            return;
        }
        reactor.turn().unwrap();
    }
    panic!("the condition does not hold after 1000 turns");
}

/// Runs turns until only a timer could cause more work.
fn run_until_idle<F: Factory>(reactor: &mut Reactor<F, Fake>) {
    while reactor.state.system.has_events() || reactor.has_work() || reactor.state.queue.remote.has_commands()
    {
        reactor.turn().unwrap();
    }
}

/// Connects a client, and completes its opening handshake.
fn open_client<F: Factory>(reactor: &mut Reactor<F, Fake>, system: &Fake) -> Wire {
    let client = system.connect_client();
    client.send(REQUEST);
    run_until_idle(reactor);
    assert!(client.take_received().starts_with(b"HTTP/1.1 101 "));
    client
}

/// Sends the response of a server that accepts the request of a client of the loop.
fn accept<F: Factory>(reactor: &mut Reactor<F, Fake>, server: &Wire) {
    run_until_idle(reactor);
    let mut request = server.take_received();
    let (mut core, now) = (Connection::server(Config::default().into(), Instant::now()), Instant::now());
    let (mut input, mut out) = (request.as_mut_slice(), Vec::new());
    let Some(Event::Request(request)) = core.receive(&mut input, now, &mut out).unwrap() else {
        panic!("the client sends a request");
    };
    core.respond(&request, &mut Response::from_request(&request).unwrap(), now, &mut out).unwrap();
    server.send(&out);
}
