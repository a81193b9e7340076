//! The tables of the main cells, which are written into other pages of the repository, between two comments.

use std::fs;
use std::path::Path;

use super::archive::Archive;
use super::beside::{calls, instructions};
use super::comparison::{Comparison, Verdict};
use super::results::Row;
use super::servers::{FLOOR, Server, Task, UWEBSOCKETS, WS, find, handlers};
use super::tables::{marked, table};
use super::workloads::Measure;
use crate::Result;

/// The pages, relative to the root of the repository, and the place of the picture, relative to the page.
const PAGES: [(&str, &str); 2] =
    [("README.md", "docs/performance.svg"), ("docs/performance.md", "performance.svg")];

/// The comments between which the tables are.
const BEGIN: &str = "<!-- Written by `benches/run pages`. -->\n";
const END: &str = "<!-- The end of what `benches/run pages` writes. -->\n";

/// The main cells: the workload, the name of the cell, and how the tables name it.
const CELLS: [(&str, &str, &str); 20] = [
    ("echo", "20 B × 100 × 1", "echo, 100 connections: 20 bytes, 1 in flight"),
    ("echo", "20 B × 100 × 16", "20 bytes, 16 in flight"),
    ("echo", "1 KiB × 100 × 16", "1 KiB, 16 in flight"),
    ("echo", "16 KiB × 100 × 1", "16 KiB, 1 in flight"),
    ("echo", "16 KiB × 100 × 16", "16 KiB, 16 in flight"),
    ("echo", "256 KiB × 100 × 1", "256 KiB, 1 in flight"),
    ("text", "mixed scripts, 16 KiB × 100 × 16", "text of mixed scripts, 16 KiB, 16 in flight"),
    ("broadcast", "64 B to 1000, 1 a tick", "broadcast to 1,000: 64 bytes, 1 at once"),
    ("broadcast", "64 B to 1000, 16 a tick", "64 bytes, 16 at once"),
    ("broadcast", "1 KiB to 1000, 16 a tick", "1 KiB, 16 at once"),
    ("handshakes", "small head", "opening handshake, short head"),
    ("handshakes", "a browser's head", "opening handshake, a browser's head"),
    ("compressed", "2 KiB of JSON, context not kept", "compressed, 2 KiB of JSON, context not kept"),
    ("tls", "1 KiB × 100 × 16", "TLS, 1 KiB, 16 in flight"),
    ("tls", "16 KiB × 100 × 16", "TLS, 16 KiB, 16 in flight"),
    ("latency", "20 B × 100", "99th percentile of the latency at a fixed rate, 20 bytes"),
    ("idle", "1000 idle connections", "bytes for each of 1,000 idle connections"),
    ("idle", "10000 idle connections", "bytes for each of 10,000 idle connections"),
    ("idle-tls", "1000 idle connections over TLS", "bytes for each of 1,000 idle connections over TLS"),
    ("idle-tls", "10000 idle connections over TLS", "bytes for each of 10,000 idle connections over TLS"),
];

/// Writes the tables into all pages.
///
/// # Errors
///
/// Returns an error if a page cannot be read or written, or does not contain the two comments.
pub fn write(repository: &Path, archive: &Archive) -> Result<()> {
    for (page, picture) in PAGES {
        let file = repository.join(page);
        let text = fs::read_to_string(&file)?;
        let written = insert(&text, &tables(archive, picture)).map_err(|error| format!("{page}: {error}"))?;
        fs::write(file, written)?;
    }
    Ok(())
}

/// Replaces what is between the two comments.
fn insert(page: &str, text: &str) -> Result<String> {
    let (before, rest) = page.split_once(BEGIN).ok_or("the comment before the tables is missing")?;
    let (_, after) = rest.split_once(END).ok_or("the comment behind the tables is missing")?;
    Ok(format!("{before}{BEGIN}{text}{END}{after}"))
}

/// One of the main cells that has been measured.
struct Measured<'a> {
    label: &'static str,
    workload: &'static str,
    task: Task,
    measure: Measure,
    row: &'a Row,
}

fn measured(archive: &Archive) -> Vec<Measured<'_>> {
    let cell = |(workload, cell, label): (&'static str, &str, &'static str)| {
        let (task, measure) = archive.find(workload).map(|(one, _)| (one.task, one.measure))?;
        Some(Measured { label, workload, task, measure, row: archive.row(workload, cell)? })
    };
    CELLS.into_iter().filter_map(cell).collect()
}

/// Returns the picture, the sentences, and the two tables.
fn tables(archive: &Archive, picture: &str) -> String {
    let cells = measured(archive);
    format!(
        "![Processor time of the servers in eight cells of the benchmark]({picture})\n\n{}\n\n{}\n{}\n{}",
        EXPLANATION,
        times(&cells),
        summary(&cells),
        counts(archive, &cells)
    )
}

const EXPLANATION: &str = "\
Microseconds of the server's processor time per message, delivery or handshake, and bytes of memory per idle connection; lower is better.
In a *tie*, the ranges of the runs of both figures overlap. An asterisk marks
figures of disturbed runs: processor time was missing in more than half of them. A circle (°) marks figures of servers that were behind after one to three runs and were not
run again. uWebSockets is version 20 of February 2024, the newest source in a registry, built with `-O3`, link-time optimization and `-march=native` (without AVX-512, which
valgrind cannot run), without its option libdeflate, and with its own check of UTF-8, which is slow for mixed scripts. Newer versions may be faster, and can check UTF-8 with simdutf. A figure *with options*
is that of a build of the same source with both, where that build is faster.";

/// The best peer that is not uWebSockets. A library for Node is not one for Rust.
fn best_rust<'a>(cell: &Measured<'a>) -> Option<(&'static Server, super::results::Figure)> {
    cell.row.best(cell.measure, |peer| !matches!(peer.package, "uwebsockets" | "node"))
}

/// Returns the best build of uWebSockets in a cell.
fn best_uwebsockets(cell: &Measured<'_>) -> Option<(&'static Server, super::results::Figure)> {
    cell.row.best(cell.measure, |peer| peer.package == "uwebsockets")
}

fn times(cells: &[Measured<'_>]) -> String {
    let ours: Vec<_> = handlers().collect();
    let label = |server: &Server| server.label(Task::Echo).to_owned();
    let others = [FLOOR, UWEBSOCKETS, WS].map(|name| find(name).map_or(name.to_owned(), label));
    let [floor, uwebsockets, ws] = others;
    let kinds: Vec<_> = ours.iter().map(|server| label(server).replace("Sockeye, ", "")).collect();
    let kinds = kinds.join(", ");
    let heads: Vec<_> = ["".to_owned(), floor]
        .into_iter()
        .chain(ours.iter().map(|server| label(server)))
        .chain([uwebsockets, ws, "best other Rust library".into()])
        .chain(["uWebSockets", "that library"].map(|other| format!("against {other}: {kinds}")))
        .collect();
    let figure =
        |cell: &Measured<'_>, name: &str| cell.row.figure(name, cell.measure).map_or("–".into(), marked);
    let lines = cells.iter().map(|cell| {
        let (uwebsockets, rust) = (best_uwebsockets(cell), best_rust(cell));
        let named = |best: Option<(&'static Server, super::results::Figure)>| {
            best.map_or("–".into(), |(server, figure)| {
                format!("{} ({})", marked(figure), server.label(cell.task))
            })
        };
        let built = uwebsockets.map_or("–".into(), |(server, figure)| {
            let options = if server.name == UWEBSOCKETS { "" } else { " (with options)" };
            marked(figure) + options
        });
        let own =
            ours.iter().map(|server| format!("**{}**", figure(cell, server.name)).replace("**–**", "–"));
        [cell.label.to_owned(), figure(cell, FLOOR)]
            .into_iter()
            .chain(own)
            .chain([built, figure(cell, WS), named(rust)])
            .chain([uwebsockets, rust].map(|other| compared(cell, other.map(|(_, figure)| figure))))
            .collect()
    });
    table(&heads, 1, lines)
}

/// Compares all kinds of handlers with another figure.
fn compared(cell: &Measured<'_>, other: Option<super::results::Figure>) -> String {
    let Some(other) = other else { return "–".into() };
    let figures = handlers().filter_map(|server| cell.row.figure(server.name, cell.measure));
    let texts: Vec<_> = figures.map(|ours| Comparison::new(ours, other).words()).collect();
    if texts.is_empty() { "–".into() } else { texts.join(", ") }
}

/// Returns a sentence for each kind of handler, with the numbers of cells in which it is ahead or behind.
fn summary(cells: &[Measured<'_>]) -> String {
    let mut text = String::new();
    for server in handlers() {
        let count = |best: &dyn Fn(&Measured<'_>) -> Option<(&'static Server, super::results::Figure)>| {
            let verdicts: Vec<_> = cells
                .iter()
                .filter_map(|cell| {
                    Some(
                        Comparison::new(cell.row.figure(server.name, cell.measure)?, best(cell)?.1).verdict(),
                    )
                })
                .collect();
            let [ahead, tie, behind] = [Verdict::Ahead, Verdict::Tie, Verdict::Behind]
                .map(|one| verdicts.iter().filter(|verdict| **verdict == one).count());
            format!("ahead in {ahead}, a tie in {tie}, behind in {behind} of {} cells", verdicts.len())
        };
        text += &format!(
            "- {}: against uWebSockets {}; against the best other Rust library {}.\n",
            server.label(Task::Echo),
            count(&best_uwebsockets),
            count(&|cell| best_rust(cell))
        );
    }
    text
}

/// Returns the table of instructions and system calls, or an empty text if there are none.
fn counts(archive: &Archive, cells: &[Measured<'_>]) -> String {
    let shown: Vec<_> = handlers().chain(find(UWEBSOCKETS)).collect();
    let heads = ["instructions", "system calls"]
        .into_iter()
        .flat_map(|unit| shown.iter().map(move |server| format!("{unit}: {}", server.label(Task::Echo))));
    let heads: Vec<_> = std::iter::once(String::new()).chain(heads).collect();
    let lines: Vec<Vec<String>> = cells
        .iter()
        .map(|cell| {
            let made =
                shown.iter().map(|server| instructions(archive, cell.workload, &cell.row.name, server));
            let called = shown.iter().map(|server| calls(archive, cell.workload, &cell.row.name, server));
            std::iter::once(cell.label.to_owned()).chain(made).chain(called).collect()
        })
        .filter(|line: &Vec<String>| line[1..].iter().any(|field| field != "–"))
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    format!(
        "Counts per message, delivery or handshake do not depend on the load of the machine. Instructions are those of the server without the \
         kernel (callgrind), system calls were counted by `strace`:\n\n{}\n",
        table(&heads, 1, lines.into_iter())
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::results::tests::{disturbed_runs, entry};
    use super::{BEGIN, END, Measure, Measured, Row, Task, insert, summary, times};
    use crate::Result;

    fn row() -> Row {
        let few = super::super::results::Entry { left_out: true, ..entry(&[9.0]) };
        let servers = [
            ("Sockeye", disturbed_runs(entry(&[1.0, 1.1, 1.3]))),
            ("Sockeye, struct", entry(&[2.0, 2.0, 2.0])),
            ("uWebSockets", entry(&[1.0, 1.0, 1.0])),
            ("ws", few),
        ];
        let servers = servers.map(|(name, entry)| (name.to_owned(), entry));
        Row { name: "20 B × 100 × 1".into(), servers: BTreeMap::from(servers), rate: None }
    }

    #[test]
    fn the_table_contains_the_marks_the_ties_and_the_lost_cells() {
        let row = row();
        let cell = Measured {
            label: "echo",
            workload: "echo",
            task: Task::Echo,
            measure: Measure::Processor,
            row: &row,
        };
        let text = times(std::slice::from_ref(&cell));
        let line = "| echo | – | **1.10\\*** | **2.00** | 1.00 | 9.00° | 9.00° (ws) | tie (1.10\\*), **behind** (2.00) | ahead (0.12°\\*), ahead (0.22°) |";
        assert!(text.contains(line), "{text}");
        let text = summary(&[cell]);
        assert!(
            text.contains("struct: against uWebSockets ahead in 0, a tie in 0, behind in 1 of 1 cells"),
            "{text}"
        );
    }

    #[test]
    fn only_the_text_between_the_comments_is_replaced() -> Result<()> {
        let page = format!("before\n{BEGIN}old\n{END}after\n");
        assert_eq!(insert(&page, "new\n")?, format!("before\n{BEGIN}new\n{END}after\n"));
        assert!(insert("no comments\n", "new\n").is_err());
        assert!(insert(&format!("{BEGIN}old\n"), "new\n").is_err());
        Ok(())
    }
}
