//! Tables in Markdown, for the terminal and for the page.

use super::results::{Entry, Figure, Results, Row, rate};
use super::servers::{Kind, SERVERS, Server};
use super::workloads::{Measure, Workload};

const FLOOR: &str = "floor";
const OURS: &str = "Sockeye";

/// Returns the main table of a workload. It has a row for each cell, and columns for the ratios and for each server.
#[must_use]
pub fn figures(workload: &Workload, results: &Results) -> String {
    let servers = columns(results);
    let heads = servers.iter().map(|server| server.name.to_owned());
    let mut lines = vec![
        line(["cell", "÷ floor", "÷ best peer", "best peer"].map(str::to_owned).into_iter().chain(heads)),
        line(
            std::iter::once("---".to_owned()).chain(std::iter::repeat_n("--:".to_owned(), servers.len() + 3)),
        ),
    ];
    for row in &results.rows {
        let measure = workload.measure;
        let ours = row.figure(OURS, measure);
        let floor = row.figure(FLOOR, measure).map(|figure| figure.value);
        let best = row.best_peer(measure);
        let first = [
            row.name.clone(),
            ratio(ours, floor),
            ratio(ours, best.map(|(_, value)| value)),
            best.map_or("–".into(), |(name, _)| name.to_owned()),
        ];
        let others = servers.iter().map(|server| entry(row, server, measure));
        lines.push(line(first.into_iter().chain(others)));
    }
    lines.join("\n") + "\n"
}

/// Returns the table of throughput and latency.
#[must_use]
pub fn speeds(results: &Results) -> String {
    let servers = columns(results);
    let heads = servers.iter().map(|server| server.name.to_owned());
    let mut lines = vec![
        line(std::iter::once("cell".to_owned()).chain(heads)),
        line(std::iter::once("---".to_owned()).chain(std::iter::repeat_n("--:".to_owned(), servers.len()))),
    ];
    for row in &results.rows {
        let values = servers.iter().map(|server| speed(row.servers.get(server.name)));
        lines.push(line(std::iter::once(row.name.clone()).chain(values)));
    }
    lines.join("\n") + "\n"
}

/// Returns a line for each failure of a server in a cell.
#[must_use]
pub fn failures(results: &Results) -> String {
    let failed = results.rows.iter().flat_map(|row| {
        row.servers.iter().filter_map(|(server, entry)| {
            let reason = entry.failure.as_ref()?;
            let runs = entry.runs.len();
            Some(format!("- {server}, {}: {reason} ({runs} other runs succeeded)\n", row.name))
        })
    });
    failed.collect()
}

fn columns(results: &Results) -> Vec<&'static Server> {
    let present = |server: &&Server| results.rows.iter().any(|row| row.servers.contains_key(server.name));
    SERVERS.iter().filter(present).collect()
}

fn line(fields: impl Iterator<Item = String>) -> String {
    format!("| {} |", fields.collect::<Vec<_>>().join(" | "))
}

fn entry(row: &Row, server: &Server, measure: Measure) -> String {
    let Some(figure) = row.figure(server.name, measure) else { return "–".into() };
    let packed = row
        .servers
        .get(server.name)
        .and_then(|entry| entry.median(|run| run.ratio))
        .filter(|ratio| *ratio > 0.0);
    let packed = packed.map_or(String::new(), |ratio| format!(" ({ratio:.1}:1)"));
    let few = if row.servers.get(server.name).is_some_and(|entry| entry.left_out) { "°" } else { "" };
    let text = format!("{}{few}{}{packed}", number(figure.value), mark(figure));
    if server.kind == Kind::Ours { format!("**{text}**") } else { text }
}

fn mark(figure: Figure) -> &'static str {
    if figure.marked { "\\*" } else { "" }
}

fn ratio(ours: Option<Figure>, other: Option<f64>) -> String {
    match (ours, other) {
        (Some(ours), Some(other)) if other > 0.0 => format!("{:.2}", ours.value / other),
        _ => "–".into(),
    }
}

/// Formats a number with three significant digits, or as an integer if it is 100 or more.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Returns thousands of operations per second, and the median and the 99th percentile of the round-trip time.
fn speed(entry: Option<&Entry>) -> String {
    let figures = entry.and_then(|entry| {
        Some((
            entry.median(rate)?,
            entry.median(|run| run.latency.p50)?,
            entry.median(|run| run.latency.p99)?,
        ))
    });
    figures.map_or("–".into(), |(rate, p50, p99)| {
        format!("{}k/s, {}/{}", number(rate / 1e3), number(p50), number(p99))
    })
}
