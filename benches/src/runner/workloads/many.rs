//! Workloads in which a message goes to many connections, and the memory that this takes.

use super::{Cell, Measure, Workload, bytes, spec};
use crate::runner::options::Pace;
use crate::runner::servers::Task;
use crate::spec::Mode;

/// The cells of messages to 1000 connections.
fn to_many() -> Vec<Cell> {
    let mut cells = Vec::new();
    for size in [64, 1 << 10] {
        for in_flight in [1, 16] {
            let name = format!("{} to 1000, {in_flight} a tick", bytes(size));
            cells.push(Cell { name, spec: spec(Mode::Broadcast, 1000, size, in_flight), pace: Pace::Quick });
        }
    }
    cells
}

pub(super) fn broadcast() -> Workload {
    Workload {
        name: "broadcast",
        title: "Broadcast",
        explanation: "One connection sends messages in one write, and the server sends each of them to all 1000. When all \
            have arrived, the next ones follow. Microseconds of the server's processor time per delivery.",
        task: Task::Broadcast,
        measure: Measure::Processor,
        cells: to_many(),
    }
}

pub(super) fn publish() -> Workload {
    Workload {
        name: "publish",
        title: "Publications to a topic",
        explanation: "The same with a topic: all 1000 connections subscribe to it, and the server publishes each message \
            to it, with its sender among the receivers. Beside it, Sockeye's broadcast without a topic. Microseconds of \
            the server's processor time per delivery.",
        task: Task::Publish,
        measure: Measure::Processor,
        cells: to_many(),
    }
}

/// The number of topics to which each connection subscribes.
pub const TOPICS_EACH: u32 = 1000;

pub(super) fn subscriptions() -> Workload {
    // The servers receive the number of topics as the size.
    let cells = [1000, 100_000, 1_000_000].map(|topics| Cell {
        name: format!("{topics} topics × {}", 1_000_000 / topics),
        spec: spec(Mode::Idle, 1000, topics, 0),
        pace: Pace::Quick,
    });
    Workload {
        name: "subscriptions",
        title: "Subscriptions",
        explanation: "A million subscriptions of 1000 idle connections, each to 1000 topics: topics × subscribers of each. \
            A name has 16 bytes. Bytes of the server's resident memory per subscription, with everything included: the \
            topic, its name, and the connection.",
        task: Task::Subscriptions,
        measure: Measure::MemorySubscription,
        cells: cells.into(),
    }
}

pub(super) fn slow() -> Workload {
    let cell = Cell {
        name: "1 MiB to 1000 slow readers".into(),
        spec: spec(Mode::SlowReaders, 1000, 1 << 20, 1),
        pace: Pace::Quick,
    };
    Workload {
        name: "slow",
        title: "Broadcast to slow readers",
        explanation: "1 MiB is sent to 1000 connections that do not read for two seconds and then receive it. The largest \
            increase of the server's resident memory, in MiB.",
        task: Task::Broadcast,
        measure: Measure::MemoryAdded,
        cells: vec![cell],
    }
}
