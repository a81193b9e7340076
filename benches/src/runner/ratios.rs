//! Ratios of figures, and whether they are within their limits.

use super::results::{Entry, Figure, Row};
use super::servers::{Kind, SERVERS};
use super::workloads::Measure::{self, Processor};

/// The server for which the goals are evaluated.
pub(super) const OURS: &str = "Sockeye";

/// The minimum quotient of two compression ratios that count as equal.
const AS_WELL: f64 = 0.95;

/// A measured figure, and whether it reaches the goal.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) figure: String,
    pub(super) holds: bool,
}

/// A ratio, and its maximum.
#[derive(Debug)]
pub(super) struct Ratio {
    name: String,
    value: f64,
    limit: f64,
    /// Whether one of the figures comes from disturbed runs.
    marked: bool,
}

impl Ratio {
    pub(super) fn new(name: &str, ours: Figure, other: Figure, limit: f64) -> Self {
        let marked = ours.marked || other.marked;
        Self { name: name.to_owned(), value: ours.value / other.value, limit, marked }
    }
}

/// Returns the worst of several ratios, and the number of ratios that are within their limits.
pub(super) fn judge(ratios: Vec<Ratio>) -> Option<Found> {
    let worst =
        ratios.iter().max_by(|one, other| (one.value / one.limit).total_cmp(&(other.value / other.limit)))?;
    let good = ratios.iter().filter(|one| one.value <= one.limit).count();
    let mark = if worst.marked { "\\*" } else { "" };
    let of = format!("{good} of {} cells", ratios.len());
    Some(Found {
        figure: format!("{:.2}{mark} ({}); {of}", worst.value, worst.name),
        holds: good == ratios.len(),
    })
}

/// Compares Sockeye's figures in two rows.
pub(super) fn between(name: &str, row: &Row, other: &Row, measure: Measure, limit: f64) -> Option<Ratio> {
    Some(Ratio::new(name, row.figure(OURS, measure)?, other.figure(OURS, measure)?, limit))
}

/// Compares Sockeye's processor time with that of one other server.
pub(super) fn to_server(row: &Row, server: &str, limit: f64) -> Option<Ratio> {
    Some(Ratio::new(&row.name, row.figure(OURS, Processor)?, row.figure(server, Processor)?, limit))
}

/// Compares Sockeye's figure in each row with that of the best peer.
pub(super) fn to_peers(rows: &[Row], measure: Measure, limit: f64) -> Vec<Ratio> {
    let ratio = |row: &Row| {
        let (peer, _) = row.best_peer(measure)?;
        let name = format!("{}, {peer}", row.name);
        Some(Ratio::new(&name, row.figure(OURS, measure)?, row.figure(peer, measure)?, limit))
    };
    rows.iter().filter_map(ratio).collect()
}

/// Compares Sockeye's processor time with that of the fastest peer whose compression ratio is not much lower.
pub(super) fn to_packing_peer(row: &Row) -> Option<Ratio> {
    let packing = |name: &str| row.servers.get(name).and_then(|entry: &Entry| entry.median(|run| run.ratio));
    let ours = packing(OURS)?;
    let peers = SERVERS.iter().filter(|server| server.kind == Kind::Peer);
    let able = peers.filter(|peer| packing(peer.name).is_some_and(|ratio| ratio >= ours * AS_WELL));
    let figures = able.filter_map(|peer| Some((peer.name, row.figure(peer.name, Processor)?)));
    let (name, figure) = figures.min_by(|one, other| one.1.value.total_cmp(&other.1.value))?;
    let theirs = packing(name)?;
    let told = format!("{}, {ours:.1}:1 against {theirs:.1}:1 of {name}", row.name);
    // A peer that compresses much better needs more time for it. Being faster than that peer does not reach the goal.
    let limit = if ours >= theirs * AS_WELL { 0.8 } else { 0.0 };
    Some(Ratio::new(&told, row.figure(OURS, Processor)?, figure, limit))
}
