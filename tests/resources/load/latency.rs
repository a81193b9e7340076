//! M8, M9, M10: connections that do no harm are served while others flood the loop.
//!
//! Progress is counted here. How long it takes is measured by `tests/stress`.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sockeye::{Frame, Message, OpCode, Sender, Settings};

use super::alone;
use sockeye_test_support::assert_once;
use sockeye_test_support::nuisance::{Nuisance, commands, connections, echo_server, flood};
use sockeye_test_support::peer::{Peer, masked};
use sockeye_test_support::server::Server;

/// Asserts that echoes come back while a nuisance lasts, at least until it was repeated this often.
fn check(least: usize, start: impl FnOnce(&Server) -> Nuisance) {
    let _alone = alone();
    let server = echo_server();
    let mut peer = Peer::open(server.addr);
    let nuisance = start(&server);
    let mut echoes = 0;
    while echoes < 30 || nuisance.count() < least {
        peer.echo(&format!("echo {echoes}"));
        echoes += 1;
    }
    nuisance.end();
    peer.finish();
    server.stop();
}

#[test]
fn m8_a_flood_of_large_messages_does_not_delay_other_connections() {
    check(10, |server| flood(server, Frame::message(vec![7; 1 << 20], OpCode::Binary, true)));
}

#[test]
fn m8_a_flood_of_small_messages_does_not_delay_other_connections() {
    check(10, |server| flood(server, Frame::message(vec![7; 10], OpCode::Binary, true)));
}

#[test]
fn m8_a_flood_of_empty_pings_does_not_delay_other_connections() {
    check(10, |server| flood(server, Frame::ping(Vec::new())));
}

/// A server that answers texts, and does something else for binary messages, which it counts.
fn counting(settings: Settings, busy: fn()) -> (Server, Arc<AtomicUsize>) {
    let handled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&handled);
    let server = Server::start(settings, move |out: Sender| {
        let count = Arc::clone(&count);
        move |msg: Message| match msg {
            Message::Text(_) => out.send(msg),
            Message::Binary(_) => {
                busy();
                count.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    });
    (server, handled)
}

/// Returns for how many messages of others each of 100 echoes had to wait, in ascending order. On a busy machine some wait
/// for more, since this thread does not run when its echo arrives.
fn echo_waits(peer: &mut Peer, handled: &AtomicUsize) -> Vec<usize> {
    let mut waits: Vec<_> = (0..100)
        .map(|round| {
            let before = handled.load(Ordering::Relaxed);
            peer.echo(&format!("echo {round}"));
            handled.load(Ordering::Relaxed) - before
        })
        .collect();
    waits.sort_unstable();
    waits
}

#[test]
fn m8_a_slow_handler_delays_other_connections_by_few_frames() {
    let _alone = alone();
    let short = Duration::from_millis(100);
    let settings = Settings { close_timeout: short, write_timeout: Some(short), ..Settings::default() };
    let (server, handled) = counting(settings, || thread::sleep(Duration::from_millis(1)));
    let mut peer = Peer::open(server.addr);
    let frames = masked(Frame::message(vec![7; 10], OpCode::Binary, true)).repeat(4000);
    // The 256 frames of each connection that a turn may bring would be 1024 for each echo.
    assert_once("an echo waits for a few frames", || {
        let mut slow: Vec<_> = (0..4).map(|_| Peer::open(server.addr)).collect();
        slow.iter_mut().for_each(|slow| slow.stream.write_all(&frames).unwrap());
        let before = handled.load(Ordering::Relaxed);
        let waits = echo_waits(&mut peer, &handled);
        handled.load(Ordering::Relaxed) > before && waits[50] <= 64
    });
    peer.finish();
    server.stop();
}

#[test]
fn m8_a_connection_gets_one_budget_for_each_turn() {
    let _alone = alone();
    let (server, handled) = counting(Settings::default(), || {});
    let mut peer = Peer::open(server.addr);
    let nuisance = flood(&server, Frame::message(vec![7; 10], OpCode::Binary, true));
    // A turn brings 256 of them. One more share for each piece that arrives would be a hundred thousand.
    assert_once("an echo waits for one share", || {
        let waits = echo_waits(&mut peer, &handled);
        waits[98] > 0 && waits[25] <= 8192
    });
    nuisance.end();
    peer.finish();
    server.stop();
}

#[test]
fn m9_new_and_closed_connections_do_not_delay_other_connections() {
    check(20, connections);
}

#[test]
fn m10_commands_of_other_threads_do_not_delay_other_connections() {
    check(1000, commands);
}
