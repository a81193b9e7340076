//! The goals, with the measured figure of each goal and whether it is reached.

use super::archive::Archive;
use super::comparison::Verdict;
use super::ratios::{self, Found, Ratio, join, judge};
use super::results::{Figure, Row};
use super::servers::{FLOOR, Server, handlers};
use super::syscalls::Calls;
use super::tables::{marked, number};
use super::workloads::ALONE;
use super::workloads::Measure::{Late, MemoryAdded, MemoryEach, Processor};

/// The size of the handler in our server, in bytes. The handler is a closure that contains a `Sender`, or a struct with the same content.
const HANDLER: f64 = 24.0;

const HEAD: &str = "
## Goals

The goals were set before measuring. *Peer* is the best other server in the same cell, including uWebSockets. A ratio is
Sockeye's figure divided by the other's, for each kind of handler. If several cells count, the worst one is shown, and how many
are within the limit, beyond it, or so close to it that the ranges of the runs overlap (ties). A goal is reached if all cells are within, and not reached if
one is beyond. Otherwise it is a tie.

| goal | measured | reached |
|---|---|---|
";

/// Returns one line for each goal. `in_process` contains the output of the in-process benchmarks.
#[must_use]
pub fn section(archive: &Archive, in_process: &str) -> String {
    let mut text = HEAD.to_owned();
    for (goal, found) in [echo(archive), calls(archive), loads(archive), rest(archive, in_process)].concat() {
        let (figure, reached) = match &found {
            None => ("not measured", "–"),
            Some(found) => (found.figure.as_str(), reached(found.verdict)),
        };
        text += &format!("| {goal} | {figure} | {reached} |\n");
    }
    text
}

fn reached(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ahead => "yes",
        Verdict::Tie => "tie",
        Verdict::Behind => "**no**",
    }
}

type Bars = Vec<(&'static str, Option<Found>)>;

/// Evaluates a goal for each kind of handler.
fn each(judge: impl Fn(&'static Server) -> Option<Found>) -> Option<Found> {
    join(handlers().map(|server| (server, judge(server))).collect())
}

fn echo(archive: &Archive) -> Bars {
    let echo = archive.rows("echo");
    let floor = |end, limit| {
        each(|ours| {
            let rows = echo.iter().filter(|row| row.name.ends_with(end));
            judge(rows.filter_map(|row| ratios::to_server(ours, row, FLOOR, limit)).collect())
        })
    };
    vec![
        (
            "echo: at most the peer's time, in every cell",
            each(|ours| judge(ratios::to_peers(ours, echo, Processor))),
        ),
        ("echo, 1 in flight: at most 1.10 × the floor", floor("× 1", 1.1)),
        ("echo, 16 in flight: at most 1.20 × the floor", floor("× 16", 1.2)),
        (
            "text: at most 1.15 × the time for binary",
            each(|ours| judge(text_to_binary(ours, archive.rows("text")))),
        ),
    ]
}

fn text_to_binary(ours: &Server, rows: &[Row]) -> Vec<Ratio> {
    let ratio = |row: &Row| {
        let (kind, size) = row.name.split_once(", ").filter(|(kind, _)| *kind != "binary")?;
        let binary = rows.iter().find(|row| row.name == format!("binary, {size}"))?;
        ratios::between(ours, &format!("{kind}, {size}"), [row, binary], Processor, 1.15)
    };
    rows.iter().filter_map(ratio).collect()
}

fn calls(archive: &Archive) -> Bars {
    let of = |ours: &Server, end: &str| {
        // Large messages, and messages over TLS, have other goals.
        let is_small = |cell: &str| cell.starts_with("20 B ×") || cell.starts_with("1 KiB ×");
        let counts = archive.all_calls().iter().filter(|one| one.server == ours.name);
        let meant = counts.filter(|one| one.cell.ends_with(end) && is_small(&one.cell));
        meant.filter_map(|one| one.calls).collect::<Vec<_>>()
    };
    let most = |calls: &[Calls], group: usize| calls.iter().map(|each| each[group]).fold(0.0, f64::max);
    let single = |ours: &Server| {
        let calls = of(ours, "× 1");
        let [read, write, wait, control] = [0, 1, 2, 3].map(|group| most(&calls, group));
        let figure =
            format!("{read:.2} `recv`, {write:.2} `send`, {wait:.2} `epoll_wait`, {control:.3} `epoll_ctl`");
        let holds = read.max(write) <= 1.01 && wait <= 0.4 && control <= 0.001;
        (!calls.is_empty()).then(|| Found::exact(figure, holds))
    };
    let many = |ours: &Server| {
        let calls = of(ours, "× 16");
        let all = most(&calls, 5);
        (!calls.is_empty()).then(|| Found::exact(format!("{all:.2}"), all <= 0.2))
    };
    vec![
        (
            "system calls per message, 1 in flight: 1 `recv`, 1 `send`, 0.4 `epoll_wait`, `epoll_ctl` only at the \
             opening",
            each(single),
        ),
        ("system calls per message, 16 in flight: at most 0.2 in total", each(many)),
    ]
}

fn loads(archive: &Archive) -> Bars {
    let peers = |workload| each(|ours| judge(ratios::to_peers(ours, archive.rows(workload), Processor)));
    let idle: Vec<_> = archive.row("idle", "10000 idle connections").into_iter().collect();
    vec![
        ("broadcast to 1000: at most the peer's time per delivery", peers("broadcast")),
        ("publications to 1000: at most the peer's time per delivery", peers("publish")),
        (
            "1 MiB to 1000 slow readers: less than 8 MiB more",
            each(|ours| ratios::to_limit(ours, archive.rows("slow").first()?, MemoryAdded, 8.0, "MiB")),
        ),
        ("opening handshakes: at most the peer's time", peers("handshakes")),
        (
            "idle connections, 10,000: at most 256 bytes each, plus the 24 of the handler",
            each(|ours| {
                ratios::to_limit(ours, idle.first()?, MemoryEach, 256.0 + HANDLER, "bytes, handler included")
            }),
        ),
        (
            "compressed echo: at most 0.8 × the time of the best peer with the same ratio (within 5 %)",
            each(|ours| {
                let rows = archive.rows("compressed").iter();
                judge(rows.filter_map(|row| ratios::to_packing_peer(ours, row)).collect())
            }),
        ),
        (
            "TLS: at most 1.1 × a bare OpenSSL echo",
            each(|ours| {
                let rows = archive.rows("tls").iter();
                judge(rows.filter_map(|row| ratios::to_server(ours, row, FLOOR, 1.1)).collect())
            }),
        ),
    ]
}

fn rest(archive: &Archive, in_process: &str) -> Bars {
    let expiry = archive.rows("expiry").iter().filter_map(|row| {
        let (with, without) =
            (row.figure("Sockeye, expiry", Processor)?, row.figure("Sockeye, struct", Processor)?);
        Some(Ratio::new(&row.name, with, without, 1.05))
    });
    vec![
        (
            "timeouts: 5 million scheduled and cancelled per second, with 100,000 pending",
            rate(in_process, "schedule_and_cancel", 5e6),
        ),
        ("a timeout set again for every frame: at most 5 % of an echo", judge(expiry.collect())),
        (
            "`Sender::send` from another thread: 3 million per second",
            rate(in_process, "send_from_another_thread", 3e6),
        ),
        (
            "neighbors of a flood and of a slow handler: 99 of 100 echoes within 20 ms, or twice the time alone",
            neighbors(archive),
        ),
        (
            "10,000 connections: at most 1.15 × the time with 1000; idle connections cost no time, and no more memory each",
            each(|ours| judge(growth(ours, archive))),
        ),
    ]
}

/// The latency of a neighbor that is always allowed, in microseconds.
const MAX_DELAY: f64 = 20_000.0;

fn neighbors(archive: &Archive) -> Option<Found> {
    let ours = handlers().next()?;
    let late = |row: &Row| Some((row.name.clone(), row.figure(ours.name, Late)?));
    let all = archive.rows("neighbors").iter().filter_map(late);
    let (alone, beside): (Vec<_>, Vec<_>) = all.partition(|(name, _)| name == ALONE);
    let worst = beside.into_iter().max_by(|one, other| one.1.value.total_cmp(&other.1.value));
    let milliseconds = |figure: Figure| {
        let range = figure.range.map(|end| end / 1e3);
        marked(Figure { value: figure.value / 1e3, range, ..figure })
    };
    alone.first().zip(worst).map(|((_, alone), (name, worst))| {
        let figure = format!("{} ms ({name}), {} alone", milliseconds(worst), milliseconds(*alone));
        Found::exact(figure, worst.value <= MAX_DELAY.max(2.0 * alone.value))
    })
}

fn growth(ours: &Server, archive: &Archive) -> Vec<Ratio> {
    let pair = |workload, name: &str, more: &str, less: &str, measure| {
        let rows = [archive.row(workload, more)?, archive.row(workload, less)?];
        ratios::between(ours, name, rows, measure, 1.15)
    };
    let pairs = [
        pair("scale", "10,000 active", "20 B × 10000 × 1", "20 B × 1000 × 1", Processor),
        pair("scale", "10,000 idle beside", "20 B × 100 × 1, 10,000 idle", "20 B × 100 × 1", Processor),
        pair("idle", "memory of 10,000", "10000 idle connections", "1000 idle connections", MemoryEach),
    ];
    pairs.into_iter().flatten().collect()
}

/// Finds the median rate of an in-process benchmark. Below the name, divan prints a rate for each of its columns. The
/// third one is the median.
fn rate(text: &str, name: &str, least: f64) -> Option<Found> {
    let mut lines = text.lines().skip_while(|line| !line.contains(name));
    let rates = lines.find(|line| line.contains("item/s"))?;
    let median = rates.split('│').filter(|field| field.contains("item/s")).nth(2)?;
    let (value, unit) = median.trim().trim_start_matches(['╰', '├', '─', ' ']).split_once(' ')?;
    let factor = match unit.trim() {
        "item/s" => 1.0,
        "Kitem/s" => 1e3,
        "Mitem/s" => 1e6,
        "Gitem/s" => 1e9,
        _ => return None,
    };
    let rate = value.parse::<f64>().ok()? * factor;
    Some(Found::exact(format!("{} million per second", number(rate / 1e6)), rate >= least))
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn the_median_rate_of_a_benchmark_is_found() {
        let text = "├─ schedule       105.7 ms │ 140.4 ms │ 112 ms │ 118.7 ms │ 5 │ 5\n\
            │               9.452 Mitem/s │ 7.121 Mitem/s │ 8.925 Mitem/s │ 8.417 Mitem/s │   │\n";
        assert_eq!(
            rate(text, "schedule", 5e6).map(|found| found.figure).as_deref(),
            Some("8.93 million per second")
        );
        assert!(rate(text, "other", 5e6).is_none());
    }
}
