//! The rows: what fails while publishers, nodes and clients are busy.

use std::process::ExitCode;
use std::thread;

use crate::access::Access;
use crate::cluster::{Cluster, Setup};
use crate::histogram::Histogram;
use crate::ledger::PER_NODE;
use crate::options::Options;
use crate::packet::{JOINED, NODE_LOST, OTHER};
use crate::relay::Losing;
use crate::report::{self, Report};
use crate::tally::Tally;
use crate::topics::Topics;

/// What happens to a cluster.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Changes the usual setup.
    setup: fn(&mut Setup),
    fail: fn(&mut Cluster<'_>, &Options),
    expected: Expected,
    /// The places of the nodes whose clients must not notice the failure, except that messages of the other nodes are missing.
    unaffected: &'static [usize],
}

/// What the clients must have received in the end, in addition to the bars of all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// No gap, except for those at the beginning of subscriptions.
    NoGap,
    /// Some messages are missing, which shows that the failure has had an effect.
    SomeMissing,
    /// The same, and some messages have reached nodes twice.
    SomeMissingAndRepeated,
    /// Connections end.
    SomeLeave,
    Anything,
}

const ALL: &[usize] = &[0, 1, 2, 3];

pub(crate) const ROWS: [Row; 9] = [
    Row { name: "no_failure", setup: usual, fail: wait, expected: Expected::NoGap, unaffected: ALL },
    Row {
        name: "server_killed",
        // As many as the first messages.
        setup: |setup| setup.unacknowledged = setup.topics.all().count() * PER_NODE,
        fail: kill_server,
        expected: Expected::SomeMissing,
        unaffected: ALL,
    },
    Row {
        name: "connections_killed",
        setup: usual,
        fail: kill_connections,
        expected: Expected::Anything,
        unaffected: ALL,
    },
    Row {
        name: "server_paused",
        setup: usual,
        fail: pause_server,
        expected: Expected::Anything,
        unaffected: ALL,
    },
    Row {
        name: "node_stopped",
        setup: usual,
        fail: stop_node,
        expected: Expected::Anything,
        unaffected: &[1, 2, 3],
    },
    Row {
        name: "relay_loses",
        setup: |setup| setup.relayed = &[0, 1],
        fail: lose_in_relay,
        expected: Expected::SomeMissingAndRepeated,
        unaffected: &[2, 3],
    },
    Row {
        name: "node_killed",
        setup: usual,
        fail: kill_node,
        expected: Expected::SomeLeave,
        unaffected: &[1, 2, 3],
    },
    Row {
        name: "rolling_restart",
        setup: usual,
        fail: restart_nodes,
        expected: Expected::SomeLeave,
        unaffected: ALL,
    },
    Row {
        name: "user_and_tls",
        setup: |setup| setup.access = Access::strictest(),
        fail: wait,
        expected: Expected::NoGap,
        unaffected: ALL,
    },
];

fn usual(_: &mut Setup) {}

fn wait(_: &mut Cluster<'_>, options: &Options) {
    thread::sleep(options.millis(1500, 15_000));
}

/// The nodes publish more in this time than they keep.
fn kill_server(cluster: &mut Cluster<'_>, options: &Options) {
    cluster.server.kill();
    thread::sleep(options.millis(1500, 25_000));
    cluster.server.restart();
}

/// The connections that subscribe, and those that publish. The server may have executed commands whose replies are lost.
fn kill_connections(cluster: &mut Cluster<'_>, options: &Options) {
    for kind in ["pubsub", "normal"].repeat(options.pick(2, 4)) {
        cluster.server.client().call(&["CLIENT", "KILL", "TYPE", kind]);
        thread::sleep(options.millis(300, 2500));
    }
}

/// Shorter than the time after which nodes consider the connection failed.
fn pause_server(cluster: &mut Cluster<'_>, options: &Options) {
    cluster.server.client().call(&["CLIENT", "PAUSE", options.pick("800", "4000"), "ALL"]);
    thread::sleep(options.millis(1200, 6000));
}

/// Longer than the time after which other nodes consider it lost. The server keeps little for it.
fn stop_node(cluster: &mut Cluster<'_>, options: &Options) {
    let mut client = cluster.server.client();
    let mut limit = |limit| client.call(&["CONFIG", "SET", "client-output-buffer-limit", limit]);
    limit(options.pick("pubsub 64kb 0 0", "pubsub 1mb 0 0"));
    cluster.stop(0, options.millis(3000, 30_000));
    // The last messages come all at once.
    limit("pubsub 32mb 8mb 60");
}

/// Deliveries are lost for longer than the time after which nodes consider the connection failed. Publications without a reply are published
/// again.
fn lose_in_relay(cluster: &mut Cluster<'_>, options: &Options) {
    cluster.relay.lose(Losing::Replies);
    thread::sleep(options.millis(200, 2000));
    cluster.server.client().call(&["CLIENT", "KILL", "TYPE", "normal"]);
    for losing in [Losing::Some, Losing::Deliveries, Losing::Publications, Losing::Some] {
        cluster.relay.lose(losing);
        thread::sleep(if losing == Losing::Some {
            options.millis(600, 5000)
        } else {
            options.millis(1000, 10_000)
        });
    }
    cluster.relay.lose(Losing::Nothing);
}

/// The loss of the node is noticed after it.
fn kill_node(cluster: &mut Cluster<'_>, options: &Options) {
    cluster.kill(0);
    thread::sleep(options.millis(1000, 12_000));
}

fn restart_nodes(cluster: &mut Cluster<'_>, options: &Options) {
    for place in ALL {
        cluster.restart(*place);
        thread::sleep(options.millis(100, 2000));
    }
}

/// Runs the selected rows one after the other.
pub(crate) fn run(options: &Options) -> ExitCode {
    println!("{}", report::heading());
    let rows = ROWS.iter().filter(|row| options.selects(row.name));
    let failed: Vec<_> = rows.filter(|row| !passes(row, options)).map(|row| row.name).collect();
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("FAILED: {}", failed.join(" "));
    ExitCode::FAILURE
}

/// Runs a row. Returns whether everything in it was as required.
fn passes(row: &Row, options: &Options) -> bool {
    let mut report = Report::new(row.name);
    let mut setup = Setup {
        clients: options.pick(400, 16_000),
        topics: Topics(options.pick(40, 1000)),
        thread_pause: options.pick(10, 20),
        client_pause: options.pick(1000, 40_000),
        heartbeat: options.millis(300, 2000),
        drain: options.millis(300, 5000),
        unacknowledged: 65_536,
        relayed: &[],
        access: Access::Open,
    };
    (row.setup)(&mut setup);
    let clients = setup.clients as u64;
    report.figure("the server is accessed", setup.access.description());
    let mut cluster = Cluster::start(options, setup).expect("tests/cluster/run finds the server");
    cluster.act();
    thread::sleep(options.millis(600, 8000));
    cluster.next_phase();
    (row.fail)(&mut cluster, options);
    cluster.recover();
    cluster.next_phase();
    thread::sleep(options.millis(600, 8000));
    let is_settled = cluster.rest();
    let tally = cluster.tally();
    let counts = cluster.counts();
    report_counts(&mut report, counts, &tally);
    report_cluster(&mut report, &cluster, &tally);
    report.equals("connections, at least one for each client", tally.opened.min(clients), clients);
    report.equals("hangs at the end", u64::from(!is_settled), 0);
    report_expected(&mut report, row.expected, &tally, counts[1]);
    report_latency(&report, row.unaffected, &tally);
    !report.has_failed()
}

fn report_counts(report: &mut Report, [reconnects, resent, not_sent]: [u64; 3], tally: &Tally) {
    let gaps = |kind: u8| tally.gaps[usize::from(kind)];
    report.at_least("messages delivered", tally.delivered, 1);
    report.figure("messages that nodes could not send", not_sent);
    report.figure("messages that nodes received again", resent);
    report.figure("connections to the server that were replaced", reconnects);
    report.figure("gaps: joined", gaps(JOINED));
    report.figure("gaps: hole or reconnected", gaps(OTHER));
    report.figure("gaps: node lost", gaps(NODE_LOST));
    report.figure("missing, with a gap in their place", reported(tally));
    report.figure("of these, the client is informed late", tally.reported_late);
    report.equals("missing without a gap", tally.unreported + tally.end_missing, 0);
    report.equals("missing at the end, after the failure", tally.end_stalled, 0);
    report.equals("subscribers without the loss of a killed node", tally.deaths_unreported, 0);
    report.equals("duplicates", tally.duplicates, 0);
    report.equals("out of order", tally.out_of_order, 0);
    report.equals("wrong checksum", tally.corrupt, 0);
    report.equals("without a subscription", tally.unexpected, 0);
}

fn report_cluster(report: &mut Report, cluster: &Cluster<'_>, tally: &Tally) {
    report.at_least("messages published", cluster.published(), 1);
    report.equals("missing, lost with a node that has not failed", cluster.wrongly_lost(tally), 0);
}

fn reported(tally: &Tally) -> u64 {
    tally.reported + tally.reported_late + tally.end_reported + tally.reported_as_lost.iter().sum::<u64>()
}

fn report_expected(report: &mut Report, expected: Expected, tally: &Tally, resent: u64) {
    let gaps = tally.gaps[usize::from(OTHER)] + tally.gaps[usize::from(NODE_LOST)];
    match expected {
        Expected::NoGap => report.equals("gaps, except for joined", gaps, 0),
        Expected::SomeMissing => report.at_least("missing because of the failure", reported(tally), 1),
        Expected::SomeMissingAndRepeated => {
            report.at_least("missing because of the failure", reported(tally), 1);
            report.at_least("repeated because of the failure", resent, 1);
        }
        Expected::SomeLeave => {
            report.at_least("connections that end with their node", tally.lost + tally.drained, 1);
            return;
        }
        Expected::Anything => {}
    }
    report.equals("connections that fail", tally.lost + tally.drained, 0);
}

/// Prints the time from publish to arrival, as the median and as what 99 % do not exceed.
fn report_latency(report: &Report, places: &[usize], tally: &Tally) {
    for (is_own, from) in [(1, "own node"), (0, "other nodes")] {
        for (phase, name) in [(1, "before"), (2, "during"), (3, "after")] {
            let mut times = Histogram::new();
            places.iter().for_each(|place| times.merge(tally.latency[*place][phase][is_own].counts()));
            report.figure(&format!("ms from {from} {name}, 50 / 99 %"), times.summary());
        }
    }
}
