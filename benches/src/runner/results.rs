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
    /// The number of messages per second, if it was fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
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

/// A median, with the spread of its runs, and the marks that every page shows with it.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// The median.
    pub value: f64,
    /// The lowest and the highest value of the counted runs.
    pub range: [f64; 2],
    /// The number of counted runs.
    pub runs: usize,
    /// Whether fewer than half of the runs were undisturbed, so that disturbed runs are counted.
    pub marked: bool,
    /// Whether the server was run less often than others.
    pub few: bool,
}

impl Figure {
    /// Returns the highest value of the counted runs, divided by the lowest one. A single run has no spread.
    #[must_use]
    pub fn spread(&self) -> Option<f64> {
        let [low, high] = self.range;
        (self.runs > 1 && low > 0.0).then(|| high / low)
    }

    /// Returns the marks of this figure: a circle for few runs, and an asterisk for disturbed runs.
    #[must_use]
    pub fn marks(&self) -> &'static str {
        match (self.few, self.marked) {
            (false, false) => "",
            (true, false) => "°",
            (false, true) => "*",
            (true, true) => "°*",
        }
    }
}

impl Entry {
    /// Returns the median of the measured values. Disturbed runs are excluded if at least half of the runs were
    /// undisturbed.
    #[must_use]
    pub fn figure(&self, measure: Measure) -> Option<Figure> {
        let clean: Vec<_> = self.runs.iter().filter(|run| !disturbed(run)).collect();
        let marked = clean.len() * 2 < self.runs.len();
        let runs = if marked { self.runs.iter().collect() } else { clean };
        let mut values: Vec<f64> = runs.iter().map(|run| value(run, measure)).collect();
        values.sort_by(f64::total_cmp);
        let range = [*values.first()?, *values.last()?];
        Some(Figure { runs: values.len(), value: median(values)?, range, marked, few: self.left_out })
    }

    /// Adds the runs of the same server in the same cell.
    pub fn join(&mut self, other: &Self) {
        self.runs.extend(other.runs.iter().cloned());
        self.failure = self.failure.take().or_else(|| other.failure.clone());
        self.left_out |= other.left_out;
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
        Measure::Middle => run.latency.p50,
        Measure::Late => run.latency.p99,
        Measure::Latest => run.latency.p999,
        Measure::SentLate => run.sent_late,
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
    pub fn best_peer(&self, measure: Measure) -> Option<(&'static Server, Figure)> {
        self.best(measure, |_| true)
    }

    /// Returns the peer with the lowest figure among some of them.
    #[must_use]
    pub fn best(
        &self,
        measure: Measure,
        is_meant: impl Fn(&Server) -> bool,
    ) -> Option<(&'static Server, Figure)> {
        let meant = peers().filter(|peer| is_meant(peer));
        let figures = meant.filter_map(|peer| Some((peer, self.figure(peer.name, measure)?)));
        figures.min_by(|one, other| one.1.value.total_cmp(&other.1.value))
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

#[cfg(test)]
pub(super) mod tests {
    use super::super::workloads::Measure::{Late, Processor};
    use super::{Entry, median};
    use crate::spec::{Latency, Outcome, Usage};

    /// Returns runs with these processor times in microseconds per message.
    pub(crate) fn entry(times: &[f64]) -> Entry {
        let run = |time: &f64| Outcome {
            operations: 1000,
            usage: Usage {
                elapsed_ns: 1_000_000_000,
                server_ns: std::time::Duration::from_secs_f64(time / 1e3).as_nanos().try_into().unwrap_or(0),
                ..Usage::default()
            },
            latency: Latency { p99: time * 10.0, ..Latency::default() },
            ..Outcome::default()
        };
        Entry { runs: times.iter().map(run).collect(), ..Entry::default() }
    }

    /// Disturbs all runs: the host took processor time away.
    pub(crate) fn disturbed_runs(mut entry: Entry) -> Entry {
        entry.runs.iter_mut().for_each(|run| run.usage.stolen_ns = 30_000_000);
        entry
    }

    #[test]
    fn disturbed_runs_are_excluded_if_they_are_few() {
        let mut all = entry(&[1.0, 2.0, 3.0]);
        all.runs.extend(disturbed_runs(entry(&[9.0, 9.5])).runs);
        let figure =
            all.figure(Processor).map(|figure| (figure.value, figure.range, figure.runs, figure.marks()));
        assert_eq!(figure, Some((2.0, [1.0, 3.0], 3, "")));
    }

    #[test]
    fn figures_of_disturbed_runs_are_marked() {
        let mut all = disturbed_runs(entry(&[1.0, 2.0, 4.0]));
        all.runs.extend(entry(&[3.0]).runs);
        all.left_out = true;
        let figure =
            all.figure(Processor).map(|figure| (figure.value, figure.range, figure.spread(), figure.marks()));
        assert_eq!(figure, Some((2.5, [1.0, 4.0], Some(4.0), "°*")));
    }

    #[test]
    fn latencies_have_a_spread_too() {
        let figure = entry(&[1.0, 2.0, 3.0]).figure(Late);
        assert_eq!(figure.and_then(|figure| figure.spread()), Some(3.0));
        assert!(Entry::default().figure(Late).is_none());
    }

    #[test]
    fn the_median_of_an_even_number_of_values_is_between_them() {
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }
}
