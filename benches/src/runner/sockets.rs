//! The async and blocking sockets of Sockeye next to those of other libraries.

use super::archive::Archive;
use super::comparison::Comparison;
use super::results::Row;
use super::servers::{self, Server, Task};
use super::tables::{entry, table};
use super::workloads::Measure;

/// A socket of Sockeye, and the sockets of the same kind of other libraries.
const GROUPS: [(&str, &[&str]); 2] = [
    (
        "Sockeye, async",
        &[
            "tokio-tungstenite",
            "tokio-websockets",
            "tokio-websockets, forward",
            "fastwebsockets",
            "soketto",
            "yawc",
            "yawc, forward",
            "sockudo-ws",
            "sockudo-ws, forward",
        ],
    ),
    ("Sockeye, blocking", &["tungstenite"]),
];

/// Returns a section with a table for each kind of socket. It is empty if Sockeye's sockets were not measured.
#[must_use]
pub fn section(archive: &Archive) -> String {
    let tables: String = GROUPS.iter().map(|(ours, peers)| group(archive, ours, peers)).collect();
    if tables.is_empty() {
        return tables;
    }
    format!(
        "\n## Sockets without handlers\n\nThe async socket of Sockeye (feature `tokio`, `receive` and `send` in a task for each connection), and \
         its blocking socket (a thread for each connection), next to other sockets of their kind. The figures are those of the tables above: \
         microseconds of processor time per message or handshake, and bytes of resident memory per idle connection.\n{tables}"
    )
}

fn group(archive: &Archive, ours: &str, peers: &[&str]) -> String {
    let Some(own) = servers::find(ours) else { return String::new() };
    let peers: Vec<_> = peers.iter().filter_map(|name| servers::find(name)).collect();
    let mut lines = Vec::new();
    for (workload, results) in
        archive.workloads().filter(|(one, _)| matches!(one.name, "echo" | "handshakes" | "idle"))
    {
        let shown = results.rows.iter().filter(|row| row.figure(own.name, workload.measure).is_some());
        lines.extend(shown.map(|row| line(row, own, &peers, workload.measure)));
    }
    if lines.is_empty() {
        return String::new();
    }
    let label = |server: &&Server| server.label(Task::Echo).to_owned();
    let heads: Vec<_> = ["cell", "÷ best", "best of the others"]
        .map(str::to_owned)
        .into_iter()
        .chain(std::iter::once(label(&own)))
        .chain(peers.iter().map(label))
        .collect();
    format!("\n{}", table(&heads, 1, lines.into_iter()))
}

fn line(row: &Row, own: &Server, peers: &[&'static Server], measure: Measure) -> Vec<String> {
    let best = row.best(measure, |peer| peers.iter().any(|one| one.name == peer.name));
    let compared = row.figure(own.name, measure).zip(best);
    let compared = compared.map_or("–".into(), |(own, (_, best))| Comparison::new(own, best).text());
    let name = best.map_or("–", |(peer, _)| peer.label(Task::Echo));
    let own = format!("**{}**", entry(row, own, measure));
    let others = peers.iter().map(|peer| entry(row, peer, measure));
    [row.name.clone(), compared, name.to_owned(), own].into_iter().chain(others).collect()
}
