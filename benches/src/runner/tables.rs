//! Tables in Markdown, for the terminal and for the page.

use super::comparison::Comparison;
use super::results::{Entry, Figure, Results, Row, rate};
use super::servers::{FLOOR, Kind, SERVERS, Server, Task, handlers};
use super::workloads::{Measure, Workload};

/// Returns a table of a workload. It has a row for each cell, and columns for the ratios and for each server.
#[must_use]
pub fn figures(workload: &Workload, results: &Results, measure: Measure) -> String {
    let servers = columns(&results.rows);
    let ours: Vec<_> = servers.iter().copied().filter(|server| server.kind == Kind::Handler).collect();
    let ratios = ours.iter().flat_map(|server| {
        let kind = kind(server, workload.task);
        [format!("{kind}÷ floor"), format!("{kind}÷ best peer")]
    });
    let first = std::iter::once("cell".to_owned()).chain(ratios).chain(["best peer".to_owned()]);
    let heads: Vec<_> =
        first.chain(servers.iter().map(|server| server.label(workload.task).to_owned())).collect();
    let lines = results.rows.iter().map(|row| {
        let (floor, best) = (row.figure(FLOOR, measure), row.best_peer(measure));
        let name =
            row.rate.map_or(row.name.clone(), |rate| format!("{}, {} per second", row.name, thousands(rate)));
        let compared = ours.iter().flat_map(|server| {
            let own = row.figure(server.name, measure);
            [floor, best.map(|(_, figure)| figure)].map(|other| compared(own, other))
        });
        let first = std::iter::once(name).chain(compared);
        let first = first.chain([best.map_or("–".into(), |(peer, _)| peer.label(workload.task).to_owned())]);
        first.chain(servers.iter().map(|server| entry(row, server, measure))).collect()
    });
    table(&heads, 1, lines)
}

/// Returns the table of throughput and latency.
#[must_use]
pub fn speeds(results: &Results, task: Task) -> String {
    let servers = columns(&results.rows);
    let heads = servers.iter().map(|server| server.label(task).to_owned());
    let heads: Vec<_> = std::iter::once("cell".to_owned()).chain(heads).collect();
    let lines = results.rows.iter().map(|row| {
        let values = servers.iter().map(|server| speed(row.servers.get(server.name)));
        std::iter::once(row.name.clone()).chain(values).collect()
    });
    table(&heads, 1, lines)
}

/// Returns the table of the number of frames in each reply, without the cells in which each reply of each server is one frame. It is
/// empty if the frames were not counted, or if there are no other cells.
#[must_use]
pub fn frames(results: &Results, task: Task) -> String {
    let counted = |row: &Row, server: &Server| {
        let entry = row.servers.get(server.name)?;
        entry.median(|run| run.frames).filter(|frames| *frames > 0.0)
    };
    let servers: Vec<_> =
        columns(&results.rows).into_iter().filter(|server| server.kind != Kind::Floor).collect();
    let several =
        |row: &&Row| servers.iter().any(|server| counted(row, server).is_some_and(|count| count > 1.005));
    let rows: Vec<_> = results.rows.iter().filter(several).collect();
    if rows.is_empty() {
        return String::new();
    }
    let heads: Vec<_> = std::iter::once("cell".to_owned())
        .chain(servers.iter().map(|server| server.label(task).to_owned()))
        .collect();
    let lines = rows.into_iter().map(|row| {
        let values = servers.iter().map(|server| {
            counted(row, server).map_or("–".into(), |count| number(count).replace(".00", ""))
        });
        std::iter::once(row.name.clone()).chain(values).collect()
    });
    table(&heads, 1, lines)
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

/// Returns the servers that have runs or failures in any row, in their order.
pub(super) fn columns(rows: &[Row]) -> Vec<&'static Server> {
    let present = |server: &&Server| rows.iter().any(|row| row.servers.contains_key(server.name));
    SERVERS.iter().filter(present).collect()
}

/// Returns the kind of a handler, such as `closure`, with a space behind it. It is empty if the task has only one kind.
fn kind(server: &Server, task: Task) -> String {
    let all = handlers().filter(|handler| handler.argument(task).is_some()).count();
    let label = server.label(task).split_once(", ");
    label.filter(|_| all > 1).map_or(String::new(), |(_, kind)| format!("{kind} "))
}

/// Returns a table whose first `left` columns contain text, and the others numbers.
pub(super) fn table(heads: &[String], left: usize, lines: impl Iterator<Item = Vec<String>>) -> String {
    let rule = (0..heads.len()).map(|column| if column < left { "---" } else { "--:" }.to_owned()).collect();
    let all = [heads.to_vec(), rule].into_iter().chain(lines);
    all.map(|fields| format!("| {} |\n", fields.join(" | "))).collect()
}

/// Returns a server's figure with its marks, or a dash.
pub(super) fn entry(row: &Row, server: &Server, measure: Measure) -> String {
    let Some(figure) = row.figure(server.name, measure) else { return "–".into() };
    let packed = row
        .servers
        .get(server.name)
        .and_then(|entry| entry.median(|run| run.ratio))
        .filter(|ratio| *ratio > 0.0);
    let packed = packed.map_or(String::new(), |ratio| format!(" ({ratio:.1}:1)"));
    let text = format!("{}{packed}", marked(figure));
    if server.kind == Kind::Handler { format!("**{text}**") } else { text }
}

/// Returns a figure with its marks, for a page in Markdown.
pub(super) fn marked(figure: Figure) -> String {
    number(figure.value) + &escaped(figure.marks())
}

/// Prevents that Markdown takes asterisks for emphasis.
pub(super) fn escaped(marks: &str) -> String {
    marks.replace('*', "\\*")
}

fn compared(ours: Option<Figure>, other: Option<Figure>) -> String {
    match (ours, other) {
        (Some(ours), Some(other)) if other.value > 0.0 => Comparison::new(ours, other).text(),
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

/// Formats a number as an integer, with commas between the thousands.
pub(super) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
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
