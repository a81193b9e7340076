//! Instructions and system calls next to the times. Counts do not depend on the load of the machine.

use super::archive::Archive;
use super::counts::is_counted;
use super::servers::{FLOOR, SERVERS, Server};
use super::tables::{entry, table, thousands};
use super::workloads::Workload;

/// Returns the counts of the cells of a workload, next to the times, or an empty text if there are none.
#[must_use]
pub fn of_workload(archive: &Archive, workload: &Workload) -> String {
    let mut lines = Vec::new();
    for row in archive.rows(workload.name) {
        let shown = SERVERS.iter().filter(|server| server.name == FLOOR || is_counted(server));
        for server in shown.filter(|server| row.servers.contains_key(server.name)) {
            let counts = [
                instructions(archive, workload.name, &row.name, server),
                calls(archive, workload.name, &row.name, server),
            ];
            if counts.iter().any(|count| count != "–") {
                let first = [
                    row.name.clone(),
                    server.label(workload.task).into(),
                    entry(row, server, workload.measure),
                ];
                lines.push(first.into_iter().chain(counts).collect());
            }
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    let heads = ["cell", "server", "microseconds", "instructions", "system calls"].map(str::to_owned);
    format!(
        "\nInstructions (without the kernel) and system calls, next to the times:\n\n{}",
        table(&heads, 2, lines.into_iter())
    )
}

/// Returns a server's instructions per operation, or a dash.
pub(super) fn instructions(archive: &Archive, workload: &str, cell: &str, server: &Server) -> String {
    archive.instructions(workload, cell, server.name).map_or("–".into(), thousands)
}

/// Returns a server's system calls per operation, or a dash.
pub(super) fn calls(archive: &Archive, workload: &str, cell: &str, server: &Server) -> String {
    archive.calls(workload, cell, server.name).map_or("–".into(), |calls| format!("{calls:.2}"))
}

/// Returns all counts of instructions, with the reasons for missing ones and their origin. It is empty if nothing was counted.
#[must_use]
pub fn table_of_counts(archive: &Archive) -> String {
    let Some(counted) = archive.counted() else { return String::new() };
    let label =
        |name: &str| super::servers::find(name).map_or(name.to_owned(), |server| server.name.to_owned());
    let lines = counted.counts.iter().map(|one| {
        let number = one.instructions.map_or("–".into(), thousands);
        vec![one.workload.clone(), one.cell.clone(), label(&one.server), number]
    });
    let heads = ["workload", "cell", "server", "instructions"].map(str::to_owned);
    let failures: String = counted
        .counts
        .iter()
        .filter_map(|one| Some(format!("- {}, {}: {}\n", one.server, one.cell, one.failure.as_ref()?)))
        .collect();
    format!(
        "\n## Instructions of the servers\n\nInstructions per message, delivery or handshake, without those of the kernel: the difference of \
         two runs of the load generator with different numbers of rounds, counted by callgrind. In a round, all connections send, and all \
         replies are received. Each server is counted in the same cells as its time is measured in.\n\n{}\n{failures}\n`{}`, {}, {}.\n",
        table(&heads, 3, lines),
        counted.command,
        counted.date,
        counted.origin
    )
}
