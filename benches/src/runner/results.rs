//! The stored results of runs, as JSON, and the figures that are computed from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::servers::{Kind, SERVERS, Server};
use super::workloads::{Measure, TOPICS_EACH};
use crate::Result;
use crate::spec::Outcome;

/// A run is disturbed if, for more than this fraction of the time, a process was ready and had no core, or the host
/// took processor time away.
const MARKED: f64 = 0.02;

/// The maximum ratio of a peer's figure to that of the best peer for which the peer runs again: after one run, after
/// two runs, and after more.
const BEHIND: [f64; 3] = [2.5, 1.4, 1.2];

/// The results of one workload.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// The name of the workload.
    pub workload: String,
    /// The command line of the runner.
    pub command: String,
    /// The date of the measurement.
    pub date: String,
    /// The commit of Sockeye, with a plus sign if its sources differ from the commit.
    pub commit: String,
    /// The processor, the number of cores, and the kernel.
    pub machine: String,
    /// The versions of the libraries and the compilers.
    pub versions: BTreeMap<String, String>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// One cell of a workload, for all servers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    /// The name of the cell.
    pub name: String,
    /// The runs of each server, by the name of the server.
    pub servers: BTreeMap<String, Entry>,
}

/// All runs of one server in one cell.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Entry {
    /// The outcomes of the successful runs.
    pub runs: Vec<Outcome>,
    /// The error of the last failed run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether the server was so far behind the best peer that it was not run as often as others.
    #[serde(default)]
    pub left_out: bool,
}

/// A median, and whether it includes disturbed runs.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// The median.
    pub value: f64,
    /// Whether fewer than half of the runs were undisturbed.
    pub marked: bool,
}

impl Entry {
    /// Returns the median of the measured values. Disturbed runs are excluded if at least half of the runs were
    /// undisturbed.
    #[must_use]
    pub fn figure(&self, measure: Measure) -> Option<Figure> {
        let clean: Vec<_> = self.runs.iter().filter(|run| !disturbed(run)).collect();
        let marked = clean.len() * 2 < self.runs.len();
        let runs = if marked { self.runs.iter().collect() } else { clean };
        let value = median(runs.iter().map(|run| value(run, measure)).collect())?;
        Some(Figure { value, marked })
    }

    /// Returns the median of another value of all runs.
    #[must_use]
    pub fn median(&self, of: impl Fn(&Outcome) -> f64) -> Option<f64> {
        median(self.runs.iter().map(of).collect())
    }

    /// Returns the lowest figure of all runs.
    fn lowest(&self, measure: Measure) -> Option<f64> {
        self.runs.iter().map(|run| value(run, measure)).min_by(f64::total_cmp)
    }

    /// Returns the number of disturbed runs.
    #[must_use]
    pub fn disturbed(&self) -> usize {
        self.runs.iter().filter(|run| disturbed(run)).count()
    }
}

fn disturbed(run: &Outcome) -> bool {
    let usage = &run.usage;
    let waited = usage.server_wait_ns.max(usage.client_wait_ns).max(usage.stolen_ns);
    waited as f64 > usage.elapsed_ns as f64 * MARKED
}

fn value(run: &Outcome, measure: Measure) -> f64 {
    let added = run.memory_after as f64 - run.memory_before as f64;
    match measure {
        Measure::Processor => run.usage.server_ns as f64 / 1e3 / run.operations as f64,
        Measure::MemoryEach => added / run.operations as f64,
        Measure::MemorySubscription => added / run.operations as f64 / f64::from(TOPICS_EACH),
        Measure::MemoryAdded => added / f64::from(1 << 20),
        Measure::Late => run.latency.p99,
    }
}

/// Returns the number of operations per second.
#[must_use]
pub fn rate(run: &Outcome) -> f64 {
    run.operations as f64 / (run.usage.elapsed_ns as f64 / 1e9)
}

/// Returns the middle value, or the mean of the two middle values.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    let lower = if values.len().is_multiple_of(2) { values[middle - 1] } else { upper };
    Some(f64::midpoint(lower, upper))
}

impl Row {
    /// Returns the figure of a server.
    #[must_use]
    pub fn figure(&self, server: &str, measure: Measure) -> Option<Figure> {
        self.servers.get(server)?.figure(measure)
    }

    /// Returns the peer with the lowest figure.
    #[must_use]
    pub fn best_peer(&self, measure: Measure) -> Option<(&'static str, f64)> {
        let figures = peers().filter_map(|peer| Some((peer.name, self.figure(peer.name, measure)?.value)));
        figures.min_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// Stores the result of a run.
    pub fn note(&mut self, server: &Server, outcome: Result<Outcome>) {
        let entry = self.servers.entry(server.name.into()).or_default();
        match outcome {
            Ok(outcome) => entry.runs.push(outcome),
            Err(error) => entry.failure = Some(error.to_string()),
        }
    }

    /// Leaves out a peer that cannot become the best one with further runs. Returns whether it is left out.
    pub fn leaves_out(&mut self, server: &Server, measure: Measure) -> bool {
        let behind = server.kind == Kind::Peer && self.is_far_behind(server, measure);
        let entry = self.servers.entry(server.name.into()).or_default();
        entry.left_out |= behind;
        entry.left_out
    }

    /// Compares the lowest figure of each peer, which disturbances affect the least.
    fn is_far_behind(&self, server: &Server, measure: Measure) -> bool {
        let Some(entry) = self.servers.get(server.name) else { return false };
        let lowest = peers().filter_map(|peer| self.servers.get(peer.name)?.lowest(measure));
        match (entry.lowest(measure), lowest.min_by(f64::total_cmp)) {
            (None, _) => entry.failure.is_some(),
            (Some(own), Some(best)) => own > best.max(0.0) * BEHIND[entry.runs.len().clamp(1, 3) - 1],
            (Some(_), None) => false,
        }
    }
}

fn peers() -> impl Iterator<Item = &'static Server> {
    SERVERS.iter().filter(|server| server.kind == Kind::Peer)
}
