//! Measures how much longer an echo takes while others flood the loop, and prints the ratios.
//!
//! ```text
//! cargo run --release --package sockeye-tests --example stress
//! ```
//!
//! A ratio depends on the machine and on what else runs on it. Nothing fails here; `resources/load` counts what must hold on
//! every machine.

#![expect(clippy::print_stdout, reason = "the ratios are the result")]

use std::time::{Duration, Instant};

use sockeye::{Frame, OpCode};
use sockeye_test_support::nuisance::{Nuisance, commands, connections, echo_server, flood};
use sockeye_test_support::peer::Peer;
use sockeye_test_support::server::Server;

/// The least number of echoes of each measurement.
const ROUNDS: usize = 1000;

fn main() {
    let binary = |len| Frame::message(vec![7; len], OpCode::Binary, true);
    println!("{:<24}{:>12}{:>12}{:>12}{:>12}", "echo during", "median", "ratio", "90 %", "ratio");
    measure("large messages", |server| flood(server, binary(1 << 20)));
    measure("small messages", |server| flood(server, binary(10)));
    measure("empty pings", |server| flood(server, Frame::ping(Vec::new())));
    measure("new connections", connections);
    measure("commands", commands);
}

/// Measures echoes without and with a nuisance.
fn measure(name: &str, start: impl FnOnce(&Server) -> Nuisance) {
    let server = echo_server();
    let mut peer = Peer::open(server.addr);
    let usual = echo_times(&mut peer);
    let nuisance = start(&server);
    let disturbed = echo_times(&mut peer);
    nuisance.end();
    peer.finish();
    server.stop();
    let ratio = |at: usize| disturbed[at].as_secs_f64() / usual[at].as_secs_f64();
    let [half, most] = [ROUNDS / 2, ROUNDS * 9 / 10];
    let (median, slow) = (disturbed[half], disturbed[most]);
    println!("{name:<24}{median:>12.0?}{:>12.1}{slow:>12.0?}{:>12.1}", ratio(half), ratio(most));
}

/// Returns the times of echoes in ascending order.
fn echo_times(peer: &mut Peer) -> Vec<Duration> {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|round| {
            let start = Instant::now();
            peer.echo(&round.to_string());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times
}
