//! Workloads in which connections are opened, and then are idle.

use super::{Cell, Measure, Workload, spec};
use crate::runner::options::Pace;
use crate::runner::servers::Task;
use crate::spec::{Head, Mode, Spec};

pub(super) fn handshakes() -> Workload {
    let cells = [("small head", Head::Small), ("a browser's head", Head::Browser)].map(|(name, head)| Cell {
        name: name.into(),
        spec: Spec { head, ..spec(Mode::Handshakes, 1000, 0, 50) },
        pace: Pace::Quick,
    });
    Workload {
        name: "handshakes",
        title: "Opening handshakes",
        explanation: "Batches of 1000 connections, 50 at a time, from TCP to the response 101. Closing them is not \
            measured. Microseconds of the server's processor time per connection.",
        task: Task::Echo,
        measure: Measure::Processor,
        cells: cells.into(),
    }
}

fn idle_cells(what: &str) -> Vec<Cell> {
    let cell = |(connections, pace)| Cell {
        name: format!("{connections} {what}"),
        spec: spec(Mode::Idle, connections, 0, 0),
        pace,
    };
    [(1000, Pace::Quick), (10_000, Pace::Fast)].map(cell).into()
}

pub(super) fn idle() -> Workload {
    Workload {
        name: "idle",
        title: "Idle connections",
        explanation: "Open connections that send nothing. Bytes of the server's resident memory per connection, without \
            the memory of the kernel.",
        task: Task::Echo,
        measure: Measure::MemoryEach,
        cells: idle_cells("idle connections"),
    }
}

pub(super) fn idle_tls() -> Workload {
    Workload {
        name: "idle-tls",
        title: "Idle connections over TLS",
        explanation: "Open connections that send nothing, over TLS 1.3. Bytes of the server's resident memory per connection, \
            without the memory of the kernel.",
        task: Task::Tls,
        measure: Measure::MemoryEach,
        cells: idle_cells("idle connections over TLS"),
    }
}
