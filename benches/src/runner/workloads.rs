//! The workloads, with their sizes and explanations.

mod many;
mod opening;

pub use many::TOPICS_EACH;

use super::options::Pace;
use super::servers::Task;
use crate::spec::{Compression, Content, Head, Mode, Nuisance, Spec};

/// The quantity that a table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Processor time of the server per operation, in microseconds.
    Processor,
    /// Resident memory of the server per connection, in bytes.
    MemoryEach,
    /// Resident memory of the server per subscription, in bytes.
    MemorySubscription,
    /// Increase of the server's resident memory, in MiB.
    MemoryAdded,
    /// The median of the round-trip time, in microseconds.
    Middle,
    /// The 99th percentile of the round-trip time, in microseconds.
    Late,
    /// The 99.9th percentile of the round-trip time, in microseconds.
    Latest,
    /// The 99.9th percentile of the time by which the load generator sent a message late, in microseconds.
    SentLate,
}

/// A set of cells that form a table.
#[derive(Debug)]
pub struct Workload {
    /// The name on the command line.
    pub name: &'static str,
    /// The heading.
    pub title: &'static str,
    /// The explanation of the figures.
    pub explanation: &'static str,
    /// The task of the servers.
    pub task: Task,
    /// The quantity that the figures measure.
    pub measure: Measure,
    /// The rows.
    pub cells: Vec<Cell>,
}

/// One row, with its name and the specification of the load generator. The address and the process ID are added later.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The name of the row.
    pub name: String,
    /// The specification of the load generator.
    pub spec: Spec,
    /// The quickest pace that includes the row.
    pub pace: Pace,
}

/// The name of the cell in which there is no connection besides the neighbors.
pub const ALONE: &str = "alone";

/// Returns all workloads.
#[must_use]
pub fn all() -> Vec<Workload> {
    vec![
        echo(),
        scale(),
        text(),
        latency(),
        many::broadcast(),
        many::publish(),
        many::subscriptions(),
        many::slow(),
        opening::handshakes(),
        opening::idle(),
        opening::idle_tls(),
        compressed(),
        tls(),
        expiry(),
        neighbors(),
    ]
}

pub(crate) fn spec(mode: Mode, connections: usize, size: usize, in_flight: usize) -> Spec {
    Spec {
        mode,
        address: String::new(),
        pid: 0,
        connections,
        idle: 0,
        nuisance: Nuisance::None,
        size,
        in_flight,
        content: Content::Binary,
        head: Head::Small,
        compression: Compression::Off,
        verify: false,
        raw: false,
        warm_up: 0.3,
        seconds: 1.0,
        rate: 0.0,
        rounds: 0,
    }
}

/// Formats a number of bytes, such as `20 B` or `16 KiB`.
fn bytes(size: usize) -> String {
    if size >= 1 << 20 {
        format!("{} MiB", size >> 20)
    } else if size >= 1024 {
        format!("{} KiB", size >> 10)
    } else {
        format!("{size} B")
    }
}

fn echo_cell(size: usize, connections: usize, in_flight: usize) -> Cell {
    let name = format!("{} × {connections} × {in_flight}", bytes(size));
    let pace = if connections == 100 && size < 1 << 18 {
        Pace::Quick
    } else if connections * size * in_flight < 1 << 30 {
        Pace::Fast
    } else {
        // It can take 30 seconds until all replies of the first round have been received.
        Pace::Full
    };
    Cell { name, spec: spec(Mode::Echo, connections, size, in_flight), pace }
}

fn echo() -> Workload {
    let mut cells = Vec::new();
    for size in [20, 1 << 10, 16 << 10, 256 << 10] {
        for connections in [1, 100, 1000] {
            for in_flight in [1, 16] {
                cells.push(echo_cell(size, connections, in_flight));
            }
        }
    }
    Workload {
        name: "echo",
        title: "Echo",
        explanation: "Binary messages: size × connections × messages in flight on each. Microseconds of the server's \
            processor time per message.",
        task: Task::Echo,
        measure: Measure::Processor,
        cells,
    }
}

fn scale() -> Workload {
    let mut cells = vec![echo_cell(20, 1000, 1), echo_cell(20, 10_000, 1)];
    let mut beside = echo_cell(20, 100, 1);
    beside.spec.idle = 10_000;
    beside.name += ", 10,000 idle";
    cells.extend([echo_cell(20, 100, 1), beside]);
    for cell in &mut cells {
        cell.pace = Pace::Quick;
    }
    Workload {
        name: "scale",
        title: "As connections grow",
        explanation: "The same echo with ten times the connections, and with 100 active connections beside 10,000 idle ones. \
            Microseconds of the server's processor time per message.",
        task: Task::Echo,
        measure: Measure::Processor,
        cells,
    }
}

fn text() -> Workload {
    let mut cells = Vec::new();
    for (name, content) in
        [("binary", Content::Binary), ("ASCII", Content::Ascii), ("mixed scripts", Content::Mixed)]
    {
        for (size, in_flight) in [(1 << 10, 16), (16 << 10, 1), (16 << 10, 16)] {
            let mut cell = echo_cell(size, 100, in_flight);
            cell.spec.content = content;
            cell.name = format!("{name}, {}", cell.name);
            cells.push(cell);
        }
    }
    Workload {
        name: "text",
        title: "Text",
        explanation: "The same echo with text, whose UTF-8 must be validated, and with binary messages. Mixed scripts \
            have characters of one to four bytes. Microseconds of the server's processor time per message.",
        task: Task::Text,
        measure: Measure::Processor,
        cells,
    }
}

fn latency() -> Workload {
    let cells = [20, 1 << 10, 16 << 10].map(|size| Cell {
        name: format!("{} × 100", bytes(size)),
        spec: spec(Mode::Paced, 100, size, 1),
        pace: Pace::Quick,
    });
    Workload {
        name: "latency",
        title: "Latency at a fixed rate",
        explanation: "Binary messages on 100 connections in turn, at the same rate for all servers, whatever they do (an open loop). The \
            rate is half of what the slowest of them reaches with one message in flight on each connection. The time of a message \
            begins when it is due, also if it cannot be sent then.",
        task: Task::Latency,
        measure: Measure::Late,
        cells: cells.into(),
    }
}

fn compressed() -> Workload {
    let cells = [("context not kept", Compression::NotKept), ("context kept", Compression::Kept)];
    let cells = cells.map(|(name, compression)| Cell {
        name: format!("2 KiB of JSON, {name}"),
        spec: Spec { compression, content: Content::Json, warm_up: 0.5, ..spec(Mode::Echo, 100, 2 << 10, 4) },
        pace: Pace::Quick,
    });
    Workload {
        name: "compressed",
        title: "Compressed echo",
        explanation: "permessage-deflate, 100 connections × 4 in flight, each server at its own default level. \
            Microseconds of the server's processor time per message, and the \
            compression ratio of its replies.",
        task: Task::Deflate,
        measure: Measure::Processor,
        cells: cells.into(),
    }
}

fn tls() -> Workload {
    let cells = [1 << 10, 16 << 10].into_iter().flat_map(|size| [1, 16].map(|n| echo_cell(size, 100, n)));
    Workload {
        name: "tls",
        title: "Echo over TLS",
        explanation: "TLS 1.3 with OpenSSL, and Sockeye also with rustls. The floor is a bare OpenSSL echo on the same \
            kind of loop. Microseconds of the server's processor time per message.",
        task: Task::Tls,
        measure: Measure::Processor,
        cells: cells.collect(),
    }
}

fn expiry() -> Workload {
    let cells = [1, 16].map(|in_flight| Cell { pace: Pace::Quick, ..echo_cell(20, 100, in_flight) });
    Workload {
        name: "expiry",
        title: "A timeout that is set again for every frame",
        explanation: "Sockeye's echo with a timeout that is cancelled and set again for every frame, with one that is \
            postponed, with `Settings::idle_timeout`, and without any of them. Microseconds of the server's processor time per message.",
        task: Task::Expiry,
        measure: Measure::Processor,
        cells: cells.into(),
    }
}

fn neighbors() -> Workload {
    let cells = [
        (ALONE, Nuisance::None),
        ("beside a flood of 1 MiB", Nuisance::Messages(1 << 20)),
        ("beside a flood of 10 B", Nuisance::Messages(10)),
        ("beside a flood of empty Pings", Nuisance::Pings),
        ("beside a slow handler", Nuisance::Texts),
    ];
    let cells = cells.map(|(name, nuisance)| Cell {
        name: name.into(),
        spec: Spec { nuisance, ..spec(Mode::Echo, 10, 20, 1) },
        pace: Pace::Quick,
    });
    Workload {
        name: "neighbors",
        title: "Neighbors",
        explanation: "Ten connections echo 20 bytes each, with one message in flight. Another connection sends as fast as \
            the server reads and reads the replies, or sends texts for each of which its handler works for a \
            millisecond. The 99th percentile of the round-trip time of the ten, in microseconds.",
        task: Task::Neighbors,
        measure: Measure::Late,
        cells: cells.into(),
    }
}
