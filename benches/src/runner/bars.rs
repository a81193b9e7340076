//! The goals, with the measured figure of each goal and whether it is reached.

use super::pages::Pages;
use super::ratios::{self, Found, OURS, Ratio, judge};
use super::results::{Results, Row};
use super::syscalls::{self, Counts};
use super::tables::number;
use super::workloads::ALONE;
use super::workloads::Measure::{self, Late, MemoryAdded, MemoryEach, Processor};
use crate::Result;

/// The size of the handler in our server, in bytes. The handler is a closure that contains a `Sender`.
const HANDLER: f64 = 24.0;

/// The factor allowed for differences between runs.
const NOISE: f64 = 1.03;

const HEAD: &str = "
## Goals

The goals were set before measuring. *Peer* is the best other server in the same cell, including uWebSockets. A ratio is
Sockeye's figure (the closure) divided by the other's. If several cells count, the worst one is shown. A deviation of 3 %
is allowed for noise.

| goal | measured | reached |
|---|---|---|
";

/// Returns one line for each goal.
///
/// # Errors
///
/// Returns an error if the stored results cannot be read.
pub fn section(pages: &Pages) -> Result<String> {
    let mut text = HEAD.to_owned();
    for (goal, found) in [echo(pages)?, calls(pages)?, loads(pages)?, rest(pages)?].concat() {
        let (figure, holds) = match &found {
            Some(found) => (found.figure.as_str(), if found.holds { "yes" } else { "**no**" }),
            None => ("not measured", "–"),
        };
        text += &format!("| {goal} | {figure} | {holds} |\n");
    }
    Ok(text)
}

type Bars = Vec<(&'static str, Option<Found>)>;

fn rows(pages: &Pages, workload: &str) -> Result<Vec<Row>> {
    Ok(pages.find::<Results>(workload)?.map(|results| results.rows).unwrap_or_default())
}

fn echo(pages: &Pages) -> Result<Bars> {
    let (echo, text) = (rows(pages, "echo")?, rows(pages, "text")?);
    let floor = |end, limit| {
        let rows = echo.iter().filter(|row| row.name.ends_with(end));
        judge(rows.filter_map(|row| ratios::to_server(row, "floor", limit)).collect())
    };
    Ok(vec![
        ("echo: at most the peer's time, in every cell", judge(ratios::to_peers(&echo, Processor, NOISE))),
        ("echo, 1 in flight: at most 1.10 × the floor", floor("× 1", 1.1)),
        ("echo, 16 in flight: at most 1.20 × the floor", floor("× 16", 1.2)),
        ("text: at most 1.15 × the time for binary", judge(text_to_binary(&text))),
    ])
}

fn text_to_binary(rows: &[Row]) -> Vec<Ratio> {
    let ratio = |row: &Row| {
        let (kind, size) = row.name.split_once(", ").filter(|(kind, _)| *kind != "binary")?;
        let binary = rows.iter().find(|row| row.name == format!("binary, {size}"))?;
        ratios::between(&format!("{kind}, {size}"), row, binary, Processor, 1.15)
    };
    rows.iter().filter_map(ratio).collect()
}

fn calls(pages: &Pages) -> Result<Bars> {
    let counts = pages.find::<Vec<Counts>>(syscalls::NAME)?.unwrap_or_default();
    let ours = |end: &str| {
        // Messages over TLS have other goals.
        let is_meant = |one: &&Counts| one.cell.ends_with(end) && !one.cell.starts_with("TLS");
        let mine = counts.iter().filter(|one| one.server == OURS).filter(is_meant);
        mine.filter_map(|one| one.calls).collect::<Vec<_>>()
    };
    let most = |calls: &[[f64; 6]], group: usize| calls.iter().map(|each| each[group]).fold(0.0, f64::max);
    let (single, many) = (ours("× 1"), ours("× 16"));
    let [read, write, wait, control] = [0, 1, 2, 3].map(|group| most(&single, group));
    let one = Found {
        figure: format!(
            "{read:.2} `recv`, {write:.2} `send`, {wait:.2} `epoll_wait`, {control:.3} `epoll_ctl`"
        ),
        holds: read.max(write) <= 1.01 && wait <= 0.4 && control <= 0.001,
    };
    let all = most(&many, 5);
    let sixteen = Found { figure: format!("{all:.2}"), holds: all <= 0.2 };
    Ok(vec![
        (
            "system calls per message, 1 in flight: 1 `recv`, 1 `send`, 0.4 `epoll_wait`, `epoll_ctl` only at the \
             opening",
            Some(one).filter(|_| !single.is_empty()),
        ),
        (
            "system calls per message, 16 in flight: at most 0.2 in total",
            Some(sixteen).filter(|_| !many.is_empty()),
        ),
    ])
}

fn loads(pages: &Pages) -> Result<Bars> {
    let [broadcast, publish, slow, handshakes, idle, compressed, tls] =
        ["broadcast", "publish", "slow", "handshakes", "idle", "compressed", "tls"]
            .map(|name| rows(pages, name));
    let idle = idle?.into_iter().filter(|row| row.name.starts_with("10000")).collect::<Vec<_>>();
    Ok(vec![
        (
            "broadcast to 1000: at most the peer's time per delivery",
            judge(ratios::to_peers(&broadcast?, Processor, NOISE)),
        ),
        (
            "publications to 1000: at most the peer's time per delivery",
            judge(ratios::to_peers(&publish?, Processor, NOISE)),
        ),
        ("1 MiB to 1000 slow readers: less than 8 MiB more", memory(&slow?, MemoryAdded, 8.0, "MiB")),
        (
            "opening handshakes: at most the peer's time",
            judge(ratios::to_peers(&handshakes?, Processor, NOISE)),
        ),
        (
            "idle connections, 10,000: at most 256 bytes each, plus the 24 of the handler",
            memory(&idle, MemoryEach, 256.0 + HANDLER, "bytes, handler included"),
        ),
        (
            "compressed echo: at most 0.8 × the time of the best peer with the same ratio (within 5 %)",
            judge(compressed?.iter().filter_map(ratios::to_packing_peer).collect()),
        ),
        (
            "TLS: at most 1.1 × a bare OpenSSL echo",
            judge(tls?.iter().filter_map(|row| ratios::to_server(row, "floor", 1.1)).collect()),
        ),
    ])
}

fn memory(rows: &[Row], measure: Measure, limit: f64, unit: &str) -> Option<Found> {
    let value = rows.first()?.figure(OURS, measure)?.value;
    Some(Found { figure: format!("{} {unit}", number(value)), holds: value <= limit })
}

fn rest(pages: &Pages) -> Result<Bars> {
    let expiry = rows(pages, "expiry")?;
    let expiry = expiry.iter().filter_map(|row| {
        let (with, without) =
            (row.figure("Sockeye, expiry", Processor)?, row.figure("Sockeye, struct", Processor)?);
        Some(Ratio::new(&row.name, with, without, 1.05))
    });
    let text = pages.text("in-process");
    Ok(vec![
        (
            "timeouts: 5 million scheduled and cancelled per second, with 100,000 pending",
            rate(&text, "schedule_and_cancel", 5e6),
        ),
        ("a timeout set again for every frame: at most 5 % of an echo", judge(expiry.collect())),
        (
            "`Sender::send` from another thread: 3 million per second",
            rate(&text, "send_from_another_thread", 3e6),
        ),
        (
            "neighbors of a flood and of a slow handler: 99 of 100 echoes within 20 ms, or twice the time alone",
            neighbors(pages)?,
        ),
        (
            "10,000 connections: at most 1.15 × the time with 1000; idle connections cost no time, and no more memory each",
            judge(growth(pages)?),
        ),
    ])
}

/// The latency of a neighbor that is always allowed, in microseconds.
const MAX_DELAY: f64 = 20_000.0;

fn neighbors(pages: &Pages) -> Result<Option<Found>> {
    let rows = rows(pages, "neighbors")?;
    let late = |row: &Row| Some((row.name.clone(), row.figure(OURS, Late)?.value));
    let (alone, beside): (Vec<_>, Vec<_>) = rows.iter().filter_map(late).partition(|(name, _)| name == ALONE);
    let worst = beside.into_iter().max_by(|one, other| one.1.total_cmp(&other.1));
    Ok(alone.first().zip(worst).map(|((_, alone), (name, worst))| Found {
        figure: format!("{} ms ({name}), {} alone", number(worst / 1e3), number(alone / 1e3)),
        holds: worst <= MAX_DELAY.max(2.0 * alone),
    }))
}

fn growth(pages: &Pages) -> Result<Vec<Ratio>> {
    let (scale, idle) = (rows(pages, "scale")?, rows(pages, "idle")?);
    let pair = |rows: &[Row], name: &str, more: &str, less: &str, measure| {
        let find = |name: &str| rows.iter().find(|row| row.name == name);
        ratios::between(name, find(more)?, find(less)?, measure, 1.15)
    };
    let pairs = [
        pair(&scale, "10,000 active", "20 B × 10000 × 1", "20 B × 1000 × 1", Processor),
        pair(&scale, "10,000 idle beside", "20 B × 100 × 1, 10,000 idle", "20 B × 100 × 1", Processor),
        pair(&idle, "memory of 10,000", "10000 idle connections", "1000 idle connections", MemoryEach),
    ];
    Ok(pairs.into_iter().flatten().collect())
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
    Some(Found { figure: format!("{} million per second", number(rate / 1e6)), holds: rate >= least })
}
