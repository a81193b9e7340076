//! A long run of everything at once: connections that begin and end in every way, echoes, fragments, compression,
//! broadcasts, timeouts, TLS, and senders on other threads.
//!
//! The clients of a round are a process of their own. After each round, all connections must be closed, and the process of
//! the servers must use no more descriptors, threads and memory than after the first rounds.

mod server;
mod visitors;

use std::time::{Duration, Instant};

use sockeye_test_support::system;

use crate::crowd::Crowd;
use crate::options::Options;
use crate::report::Report;
use crate::rows::holds_in_time;
use server::Servers;

pub(crate) use visitors::visit;

/// The rounds that fill the pools. Afterwards, nothing may grow.
const FIRST_ROUNDS: usize = 2;

/// The growth of the resident memory after the first rounds that is allowed, in bytes: the allocator cannot always return
/// what is free.
const GROWTH: usize = 8 * 1024 * 1024;

/// The sums of all rounds.
#[derive(Debug, Default)]
struct Totals {
    sent: usize,
    received: usize,
    /// Well-behaved clients that lost something.
    failed: usize,
    connections: usize,
    /// The resident memory after each round.
    resident: Vec<usize>,
    /// The most descriptors and threads after a round, in addition to those before the first one.
    descriptors: usize,
    threads: usize,
}

/// What this process uses.
#[derive(Debug, PartialEq, Eq)]
struct Usage {
    descriptors: usize,
    threads: usize,
}

impl Usage {
    fn now() -> Self {
        Self { descriptors: system::descriptors(), threads: system::threads() }
    }
}

/// Runs rounds until the time is over.
pub(crate) fn soak(options: &Options, report: &mut Report) {
    let round = (options.soak / 6).clamp(Duration::from_secs(1), Duration::from_secs(20));
    let servers = Servers::start(options);
    let base = Usage::now();
    let end = Instant::now() + options.soak;
    let mut totals = Totals::default();
    while Instant::now() < end || totals.resident.len() <= FIRST_ROUNDS {
        totals.add_round(&servers, round);
        totals.add_growth(&base);
    }
    totals.report(&servers, report);
    servers.stop();
}

impl Totals {
    /// Runs the clients of one round, and waits until all connections are closed.
    fn add_round(&mut self, servers: &Servers, round: Duration) {
        let (seed, seconds) = (1 + self.resident.len(), round.as_secs());
        let crowd = Crowd::start("visitors", &[&servers.plain(), &servers.tls(), &seed, &seconds]);
        self.sent += crowd.number();
        self.received += crowd.number();
        self.failed += crowd.number();
        self.connections += crowd.number();
        crowd.finish();
        servers.wait_for_balance();
    }

    /// Measures the process after a round.
    fn add_growth(&mut self, base: &Usage) {
        // The thread that reads the output of the clients ends a moment later.
        holds_in_time(|| Usage::now() == *base);
        let usage = Usage::now();
        self.descriptors = self.descriptors.max(usage.descriptors.saturating_sub(base.descriptors));
        self.threads = self.threads.max(usage.threads.saturating_sub(base.threads));
        self.resident.push(system::resident());
    }

    fn report(&self, servers: &Servers, report: &mut Report) {
        report.at_least("connections of well-behaved clients", self.connections, self.resident.len());
        report.equals("their messages that are lost", self.sent - self.received, 0);
        report.at_least("their echoes", self.received, self.resident.len());
        report.equals("well-behaved clients that lost something", self.failed, 0);
        report.equals("connections opened without being closed", servers.unbalanced(), 0);
        report.at_least("connections with errors", servers.errors(), self.resident.len());
        report.equals("descriptors that stay after a round", self.descriptors, 0);
        report.equals("threads that stay after a round", self.threads, 0);
        let (first, later) = self.resident.split_at(FIRST_ROUNDS);
        let [first, later] = [first, later].map(|sizes| sizes.iter().copied().max().unwrap_or(0));
        report.memory("growth of the resident memory", later.saturating_sub(first), GROWTH);
    }
}
