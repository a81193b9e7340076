//! The comparisons of the goals, and whether they are within their limits.

use super::comparison::{Comparison, Verdict};
use super::results::{Entry, Figure, Row};
use super::servers::{Kind, SERVERS, Server, Task};
use super::tables::marked;
use super::workloads::Measure::{self, Processor};

/// The minimum quotient of two compression ratios that count as equal.
const AS_WELL: f64 = 0.95;

/// A measured figure, and whether it reaches the goal.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) figure: String,
    pub(super) verdict: Verdict,
}

impl Found {
    /// A figure without runs, which either is within its limit or not.
    pub(super) fn exact(figure: String, holds: bool) -> Self {
        Self { figure, verdict: if holds { Verdict::Ahead } else { Verdict::Behind } }
    }
}

/// A comparison, and its maximum.
#[derive(Debug)]
pub(super) struct Ratio {
    name: String,
    comparison: Comparison,
    limit: f64,
}

impl Ratio {
    pub(super) fn new(name: &str, ours: Figure, other: Figure, limit: f64) -> Self {
        Self { name: name.to_owned(), comparison: Comparison::new(ours, other), limit }
    }

    fn verdict(&self) -> Verdict {
        self.comparison.against(self.limit)
    }
}

/// Returns the worst of several ratios, and how many are within their limits, beyond them, or ties.
pub(super) fn judge(ratios: Vec<Ratio>) -> Option<Found> {
    let factor = |one: &Ratio| one.comparison.ratio / one.limit;
    let worst = ratios.iter().max_by(|one, other| {
        (one.verdict().cmp(&other.verdict())).then(factor(one).total_cmp(&factor(other)))
    })?;
    let count = |verdict| ratios.iter().filter(|one| one.verdict() == verdict).count();
    let [ahead, tie, behind] = [Verdict::Ahead, Verdict::Tie, Verdict::Behind].map(count);
    let figure = format!(
        "{} ({}); of {} cells {ahead} within, {tie} ties, {behind} beyond",
        worst.comparison.marked_ratio(),
        worst.name,
        ratios.len()
    );
    Some(Found { figure, verdict: worst.verdict() })
}

/// Joins what was found for several kinds of handlers. The goal is reached if all of them reach it.
pub(super) fn join(found: Vec<(&Server, Option<Found>)>) -> Option<Found> {
    let found: Vec<_> = found.into_iter().filter_map(|(server, found)| Some((server, found?))).collect();
    let verdict = found.iter().map(|(_, found)| found.verdict).max()?;
    let name = |server: &Server| {
        let label = server.label(Task::Echo);
        label.split_once(", ").map_or(label, |(_, kind)| kind).to_owned()
    };
    let texts: Vec<_> =
        found.iter().map(|(server, found)| format!("{}: {}", name(server), found.figure)).collect();
    Some(Found { figure: texts.join("<br>"), verdict })
}

/// Compares a server's figures in two rows.
pub(super) fn between(
    ours: &Server,
    name: &str,
    [row, other]: [&Row; 2],
    measure: Measure,
    limit: f64,
) -> Option<Ratio> {
    Some(Ratio::new(name, row.figure(ours.name, measure)?, other.figure(ours.name, measure)?, limit))
}

/// Compares a server's processor time with that of another one.
pub(super) fn to_server(ours: &Server, row: &Row, server: &str, limit: f64) -> Option<Ratio> {
    Some(Ratio::new(&row.name, row.figure(ours.name, Processor)?, row.figure(server, Processor)?, limit))
}

/// Compares a server's figure in each row with that of the best peer.
pub(super) fn to_peers(ours: &Server, rows: &[Row], measure: Measure) -> Vec<Ratio> {
    let ratio = |row: &Row| {
        let (peer, figure) = row.best_peer(measure)?;
        let name = format!("{}, {}", row.name, peer.label(Task::Echo));
        Some(Ratio::new(&name, row.figure(ours.name, measure)?, figure, 1.0))
    };
    rows.iter().filter_map(ratio).collect()
}

/// Compares a server's processor time with that of the fastest peer whose compression ratio is not much lower.
pub(super) fn to_packing_peer(ours: &Server, row: &Row) -> Option<Ratio> {
    let packing = |name: &str| row.servers.get(name).and_then(|entry: &Entry| entry.median(|run| run.ratio));
    let own = packing(ours.name)?;
    let peers = SERVERS.iter().filter(|server| server.kind == Kind::Peer);
    let able = peers.filter(|peer| packing(peer.name).is_some_and(|ratio| ratio >= own * AS_WELL));
    let figures = able.filter_map(|peer| Some((peer, row.figure(peer.name, Processor)?)));
    let (peer, figure) = figures.min_by(|one, other| one.1.value.total_cmp(&other.1.value))?;
    let theirs = packing(peer.name)?;
    let label = peer.label(Task::Deflate);
    let name = format!("{}, {own:.1}:1 against {theirs:.1}:1 of {label}", row.name);
    // A peer that compresses much better needs more time for it. Being faster than that peer does not reach the goal.
    let limit = if own >= theirs * AS_WELL { 0.8 } else { 0.0 };
    Some(Ratio::new(&name, row.figure(ours.name, Processor)?, figure, limit))
}

/// Compares a server's figure with an absolute limit.
pub(super) fn to_limit(ours: &Server, row: &Row, measure: Measure, limit: f64, unit: &str) -> Option<Found> {
    let figure = row.figure(ours.name, measure)?;
    Some(Found::exact(format!("{} {unit}", marked(figure)), figure.value <= limit))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::results::tests::{disturbed_runs, entry};
    use super::super::servers::handlers;
    use super::super::workloads::Measure::Processor;
    use super::{Row, Verdict, join, judge, to_peers};

    /// Returns a cell of the closure, the struct, and one peer.
    fn row(closure: &[f64], peer: &[f64]) -> Row {
        let servers = [
            ("Sockeye", entry(closure)),
            ("Sockeye, struct", entry(closure)),
            ("ws", disturbed_runs(entry(peer))),
        ];
        let servers = servers.map(|(name, entry)| (name.to_owned(), entry));
        Row { name: "20 B × 1 × 1".into(), servers: BTreeMap::from(servers), rate: None }
    }

    #[test]
    fn goals_contain_the_marks_and_the_ties() {
        let rows = [row(&[1.0, 1.1, 1.2], &[1.0, 1.0, 1.0]), row(&[1.0, 1.0, 1.0], &[2.0, 2.0, 2.0])];
        let each = handlers().map(|server| (server, judge(to_peers(server, &rows, Processor)))).collect();
        let found = join(each).unwrap_or_else(|| panic!("nothing was found"));
        assert_eq!(found.verdict, Verdict::Tie);
        let figure = "1.10\\* (20 B × 1 × 1, ws); of 2 cells 1 within, 1 ties, 0 beyond";
        assert_eq!(found.figure, format!("closure: {figure}<br>struct: {figure}"));
    }

    #[test]
    fn the_worst_cell_decides() {
        let rows = [row(&[1.0, 1.0, 1.0], &[1.0, 1.0, 1.0]), row(&[1.5, 1.5, 1.5], &[1.0, 1.0, 1.0])];
        let found = handlers().next().and_then(|server| judge(to_peers(server, &rows, Processor)));
        assert_eq!(found.map(|found| found.verdict), Some(Verdict::Behind));
    }
}
