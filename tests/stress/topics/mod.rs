//! W14: topics on several workers. Handlers, timers and threads publish, while clients join and leave topics, and some reconnect.
//!
//! Each publisher numbers its publications on each topic, and a client checks for each of its subscriptions that it receives
//! consecutive numbers ([`membership`]). At the end, each publisher publishes a last number on each topic, so that a loss at the end is
//! detected as well. The clients are in two processes, because a process may not have enough descriptors for all of them.

mod clients;
mod ledger;
mod membership;
mod process;
mod publishers;
mod server;
mod tally;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use sockeye::{ErrorKind, QueueError, Result, Settings, Stats};
use sockeye_test_support::system::peak_of;

use crate::crowd::Crowd;
use crate::options::Options;
use crate::report::Report;
use crate::rows::holds_in_time;
use ledger::Ledger;
use process::Plan;
use publishers::Publishers;
use server::PoolServer;
use tally::Tally;
use wire::{ORDERS, Order, PUBLISHERS, Publisher, WORKERS};

const MIB: usize = 1024 * 1024;

/// The number of processes of clients.
const PROCESSES: usize = 2;

/// The number of connections in the full form.
const CONNECTIONS: usize = 15_000;

/// The limit for all connections together.
const MAX_MEMORY: usize = 32 * MIB;

/// The bytes of the queue for the commands of other threads: so few that publishers often find it full.
const QUEUE_BYTES: usize = 4 * 1024;

/// The resident memory of a connection with its subscriptions in bytes, in addition to the output that waits.
const CONNECTION: usize = 2 * 1024;

/// The resident memory of the workers themselves.
const OTHER_MEMORY: usize = 8 * MIB;

/// How large the row is.
struct Scale {
    plan: Plan,
    batches: usize,
    /// How long clients join, leave, publish and reconnect.
    span: Duration,
    /// About how many milliseconds pass between two timeouts of a connection.
    tick: u64,
}

impl Scale {
    fn of(options: &Options) -> Self {
        let count = options.pick(1000, options.connections(CONNECTIONS)) / PROCESSES;
        let batches = options.pick(4, 10);
        let plan = Plan {
            count,
            batch: count.div_ceil(batches),
            topics: options.pick(100, 1000),
            pause: options.pick(300, 4000),
        };
        let span = Duration::from_secs(options.pick(4, 60));
        Self { plan, batches, span, tick: options.pick(2000, 30_000) }
    }

    fn connections(&self) -> usize {
        self.plan.count * PROCESSES
    }
}

/// The server, its clients, and what was measured.
struct Run {
    scale: Scale,
    ledger: Arc<Ledger>,
    server: PoolServer,
    crowds: Vec<Crowd>,
    /// The largest difference between the numbers of connections of two workers, after a batch.
    imbalance: usize,
    /// The most bytes that connections, broadcasts and commands hold.
    held: AtomicUsize,
    tally: Tally,
    memberships: usize,
}

/// Every receiver gets exactly the messages for it, in order.
pub(crate) fn topics(options: &Options, report: &mut Report) {
    let scale = Scale::of(options);
    // Without protection, a publication that finds a full queue is lost.
    let ledger = Arc::new(Ledger::new(scale.plan.topics, options.protected(true, false)));
    let (growth, mut run) = peak_of(|| {
        let mut run = Run::start(scale, ledger);
        run.open_clients(report);
        let publishers = Publishers::start(&run.server.all, &run.ledger);
        run.act();
        run.finish(report);
        run.publish_last(publishers);
        run.collect();
        run
    });
    report.memory("growth of the resident memory", growth, bar(&run.scale));
    report.memory("most that connections and queues hold", run.held.load(SeqCst), MAX_MEMORY);
    run.report_publications(report);
    run.report_deliveries(report);
    run.report_balance(report);
    run.server.stop();
}

/// The limit, of which a tenth is the inaccuracy that is allowed, and the connections themselves.
fn bar(scale: &Scale) -> usize {
    MAX_MEMORY + MAX_MEMORY / 10 + OTHER_MEMORY + scale.connections() * CONNECTION
}

impl Run {
    fn start(scale: Scale, ledger: Arc<Ledger>) -> Self {
        let count = scale.connections();
        let settings = Settings {
            max_connections: count + count / 10,
            max_memory: MAX_MEMORY,
            queue_size: 1,
            queue_bytes: QUEUE_BYTES,
            handshake_timeout: Duration::from_secs(60),
            ..Settings::default()
        };
        let server = PoolServer::start(settings, &ledger, scale.tick);
        let start = |(seed, address): (u64, &SocketAddr)| {
            let Plan { count, batch, topics, pause } = scale.plan;
            Crowd::start("members", &[address, &seed, &count, &batch, &topics, &pause])
        };
        let crowds = (1..).zip(&server.addresses).map(start).collect();
        Self {
            scale,
            ledger,
            server,
            crowds,
            imbalance: 0,
            held: AtomicUsize::new(0),
            tally: Tally::default(),
            memberships: 0,
        }
    }

    fn stats(&self) -> Stats {
        let stats = self.server.all.stats();
        self.held.fetch_max(held(&stats), SeqCst);
        stats
    }

    /// Lets the clients connect in batches. No connection is opened or closed between two batches, so the counts of the workers are then
    /// those of the same moment.
    fn open_clients(&mut self, report: &mut Report) {
        let mut open = 0;
        for batch in 0..self.scale.batches {
            if batch > 0 {
                self.order(Order::Open);
            }
            open = self.crowds.iter().map(Crowd::number).sum();
            holds_in_time(|| self.stats().connections_open == open as u64);
            let workers = self.server.all.worker_stats();
            let counts = workers.iter().map(|worker| worker.connections_open);
            let difference = counts.clone().max().unwrap_or(0) - counts.min().unwrap_or(0);
            self.imbalance = self.imbalance.max(size(difference));
        }
        report.equals("connections that open", open, self.scale.connections());
        report.at_most("difference of the workers after a batch", self.imbalance, 1);
        report.equals("topics", size(self.stats().topics), self.ledger.topics() + 1);
    }

    /// Sends an order to the first client of each process.
    fn order(&self, order: Order) {
        send_at_last(|| self.server.all.publish(ORDERS, order.word()));
    }

    fn act(&self) {
        self.order(Order::Start);
        let end = Instant::now() + self.scale.span;
        while Instant::now() < end {
            self.stats();
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until no client does anything, and all of them are connected.
    fn finish(&mut self, report: &mut Report) {
        self.order(Order::Finish);
        self.memberships = self.crowds.iter().map(Crowd::number).sum();
        let subscriptions = size(self.stats().subscriptions);
        report.equals(
            "subscriptions, as the clients count them",
            subscriptions,
            self.memberships + PROCESSES,
        );
    }

    /// Waits until every publisher has published its last number on each topic, and all numbers are queued for their receivers.
    fn publish_last(&self, publishers: Publishers) {
        self.ledger.end();
        publishers.end();
        holds_in_time(|| {
            self.stats();
            self.ledger.has_ended()
        });
        // At the end of a turn, a worker passes on what its handlers have published.
        let turns = || self.server.all.worker_stats().into_iter().map(|worker| worker.turns);
        let before: Vec<u64> = turns().collect();
        holds_in_time(|| turns().zip(&before).all(|(now, before)| now > before + 1));
    }

    /// Makes the clients close their connections, and reads what they have received.
    fn collect(&mut self) {
        send_at_last(|| self.server.all.broadcast(Order::Report.word()));
        self.stats();
        for crowd in self.crowds.drain(..) {
            self.tally.read(&crowd);
            crowd.finish();
        }
    }

    fn report_publications(&self, report: &mut Report) {
        let workers = || 0..WORKERS;
        let handlers: Vec<_> = workers().map(Publisher::Handlers).collect();
        let timers: Vec<_> = workers().map(Publisher::Timers).collect();
        let threads: Vec<_> = (0..wire::THREADS).map(Publisher::Thread).collect();
        let last = WORKERS * self.ledger.topics();
        report.at_least("publications of handlers", self.ledger.published(&handlers), last + 1);
        report.at_least("publications of timers", self.ledger.published(&timers), last + 1);
        report.at_least("publications of threads", self.ledger.published(&threads), last + 1);
        report.at_least("publications that threads repeat", self.ledger.refused(&threads), 1);
    }

    fn report_deliveries(&self, report: &mut Report) {
        let tally = &self.tally;
        let last = self.memberships * PUBLISHERS;
        report.at_least("deliveries", tally.received, last + 1);
        report.equals("deliveries out of sequence", tally.out_of_sequence, 0);
        report.equals("deliveries without a subscription", tally.unexpected, 0);
        report.equals("deliveries with a wrong checksum", tally.corrupt, 0);
        report.equals("deliveries of a last number", tally.last, last);
        report.equals("last numbers that are missing", tally.missing, 0);
    }

    /// Waits until everything has been closed, and compares what was opened and closed.
    fn report_balance(&mut self, report: &mut Report) {
        let calls = &self.ledger.calls;
        let count = |count: &AtomicUsize| count.load(SeqCst);
        holds_in_time(|| {
            let stats = self.stats();
            is_empty(&stats) && count(&calls.closed) == count(&calls.opened) && count(&calls.open_topics) == 0
        });
        let stats = self.stats();
        let opened = self.tally.opened;
        report.at_least("reconnections", self.tally.reconnections, 1);
        report.equals("opened, as the server counts it", size(stats.opened_as_server), opened);
        report.equals("calls of on_open", count(&calls.opened), opened);
        report.equals("calls of on_close", count(&calls.closed), opened);
        report.equals("connections that fail", self.tally.lost + count(&calls.errors), 0);
        report.equals("connections that are left", size(stats.connections_open), 0);
        report.equals("topics and subscriptions that are left", size(stats.topics + stats.subscriptions), 0);
        report.equals("bytes that are held at the end", held(&stats), 0);
        report.equals("calls for topics out of order", count(&calls.out_of_order), 0);
        report.equals("topics that the factories consider open", count(&calls.open_topics), 0);
    }
}

fn held(stats: &Stats) -> usize {
    size(stats.held_by_connections + stats.held_by_broadcasts + stats.held_by_commands)
}

fn size(number: u64) -> usize {
    number.try_into().unwrap()
}

fn is_empty(stats: &Stats) -> bool {
    stats.connections_open == 0 && stats.topics == 0 && stats.subscriptions == 0 && held(stats) == 0
}

/// Repeats a command that finds a full queue.
fn send_at_last(mut send: impl FnMut() -> Result<()>) {
    let is_full = |result: &Result<()>| matches!(result, Err(err) if matches!(err.kind, ErrorKind::Queue(QueueError::Full)));
    let sent = holds_in_time(|| {
        let result = send();
        let is_full = is_full(&result);
        result.or_else(|err| if is_full { Ok(()) } else { Err(err) }).unwrap();
        !is_full
    });
    assert!(sent, "the queue stays full");
}

/// Acts as the clients of a process.
pub(crate) fn join_topics(server: SocketAddr, seed: u64, plan: [usize; 4]) {
    let [count, batch, topics, pause] = plan;
    let plan = Plan { count, batch, topics: topics.try_into().unwrap(), pause: pause as u64 };
    clients::run(server, seed, plan);
}
