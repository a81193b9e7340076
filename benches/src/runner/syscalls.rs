//! Counts the system calls per message with `strace`.
//!
//! Tracing makes a server several times slower, so that more messages are available each time it reads. With many
//! messages in flight, the counts are therefore slightly lower than without tracing. With one message in flight,
//! tracing does not change them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use serde::{Deserialize, Serialize};

use super::counts::is_counted;
use super::measure::{Cores, Running, generator, load};
use super::options::Options;
use super::programs::{Program, Programs};
use super::servers::{self, Kind, SERVERS, Server, Task};
use super::workloads::{self, Cell};
use crate::Result;
use crate::spec::{Mode, Spec};

/// The name under which the counts are stored.
pub const NAME: &str = "syscalls";

/// The lengths of the short and of the long run, in seconds. Only the differences between their calls and messages
/// count, so that opening and closing the connections is excluded.
const SECONDS: [f64; 2] = [0.3, 1.8];

/// The groups of calls in the table, and the names in each.
const GROUPS: [(&str, &[&str]); 4] = [
    ("read", &["read", "readv", "recvfrom", "recvmsg"]),
    ("write", &["write", "writev", "sendto", "sendmsg"]),
    ("epoll_wait", &["epoll_wait", "epoll_pwait", "epoll_pwait2"]),
    ("epoll_ctl", &["epoll_ctl"]),
];

/// The number of calls in each group, of all other calls, and of all calls.
pub(super) type Calls = [f64; GROUPS.len() + 2];

/// The calls of one server per message in one cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counts {
    /// The name of the cell.
    pub cell: String,
    /// The name of the server.
    pub server: String,
    /// The calls per message.
    pub calls: Option<Calls>,
    /// The reason why there are no counts.
    pub failure: Option<String>,
}

/// Counts the calls with 100 connections.
///
/// # Errors
///
/// Returns an error if the load generator cannot be built.
pub fn run(programs: &mut Programs, options: &Options, cores: Cores) -> Result<Vec<Counts>> {
    let mut all = Vec::new();
    for (workload, task, cell) in cells() {
        if options.cell.as_ref().is_some_and(|part| !cell.name.contains(part)) {
            continue;
        }
        let name = cell_name(workload, &cell.name);
        let generator = generator(programs, task)?;
        eprintln!("{NAME}: {name}");
        let is_meant = |server: &&Server| {
            options.wants(server)
                && (is_for_all(workload, &cell) || server.kind == Kind::Floor || is_counted(server))
        };
        for server in SERVERS.iter().filter(is_meant) {
            let Some(argument) = server.argument(task) else { continue };
            let counted = programs.server(server, task).map_err(Into::into).and_then(|program| {
                count(&program, argument, &cell, is_raw(server, &cell), &generator, cores)
            });
            let failure = counted.as_ref().err().map(ToString::to_string);
            let (cell, server) = (name.clone(), server.name.into());
            all.push(Counts { cell, server, calls: counted.ok(), failure });
        }
    }
    Ok(all)
}

/// Returns the name of a cell in the table, which contains cells of several workloads.
#[must_use]
pub fn cell_name(workload: &str, cell: &str) -> String {
    match workload {
        "echo" => cell.to_owned(),
        "tls" => format!("TLS, {cell}"),
        other => format!("{other}, {cell}"),
    }
}

/// Returns the cells, with the names of their workloads: echoes with 100 connections, messages over TLS, broadcasts, and handshakes.
fn cells() -> impl Iterator<Item = (&'static str, Task, Cell)> {
    let is_meant = |name: &str, cell: &Cell| match name {
        "echo" => cell.spec.connections == 100 && (cell.spec.size < 1 << 18 || cell.spec.in_flight == 1),
        "tls" | "broadcast" | "handshakes" => true,
        _ => false,
    };
    workloads::all().into_iter().flat_map(move |one| {
        let cells = one.cells.into_iter().filter(move |cell| is_meant(one.name, cell));
        cells.map(move |cell| (one.name, one.task, cell))
    })
}

/// Whether the calls of all servers are counted. In the other cells, these are only the floor, Sockeye and uWebSockets.
fn is_for_all(workload: &str, cell: &Cell) -> bool {
    workload == "tls" || workload == "echo" && cell.spec.size <= 1024
}

/// Returns the table, followed by the reasons for missing figures.
#[must_use]
pub fn table(counts: &[Counts]) -> String {
    let heads = GROUPS.map(|(name, _)| name).join(" | ");
    let mut text = format!(
        "\n## System calls\n\nCalls of the server per message, delivery or handshake, counted by `strace -c -f`. The \
         figures are the difference between a long and a short run, so opening and closing the connections is \
         excluded.\n\n\
         | cell | server | {heads} | others | all |\n|---|---|--:|--:|--:|--:|--:|--:|\n"
    );
    let mut failures = String::new();
    for Counts { cell, server, calls, failure } in counts {
        let fields = calls.map(|calls| calls.map(|each| format!("{each:.3}")).join(" | "));
        let server = servers::find(server).map_or(server.as_str(), |known| known.label(Task::Echo));
        text +=
            &format!("| {cell} | {server} | {} |\n", fields.as_deref().unwrap_or("– | – | – | – | – | –"));
        failures.extend(failure.as_ref().map(|reason| format!("- {server}, {cell}: {reason}\n")));
    }
    if failures.is_empty() { text } else { text + "\n" + &failures }
}

/// Whether the server is the floor, and sends something to which frames would correspond.
fn is_raw(server: &Server, cell: &Cell) -> bool {
    server.kind == Kind::Floor && !matches!(cell.spec.mode, Mode::Handshakes)
}

/// Returns the calls per message, without opening and closing the connections.
fn count(
    program: &Program,
    argument: &str,
    cell: &Cell,
    raw: bool,
    generator: &Program,
    cores: Cores,
) -> Result<Calls> {
    let mut counted = [([0.0; _], 0.0); 2];
    for (counted, seconds) in counted.iter_mut().zip(SECONDS) {
        let spec = Spec { raw, warm_up: 0.0, seconds, ..cell.spec.clone() };
        *counted = count_once(program, argument, &spec, generator, cores)?;
    }
    let [(short, first), (long, last)] = counted;
    let mut calls = long;
    // A small difference between the runs can make a count negative.
    calls.iter_mut().zip(short).for_each(|(long, short)| *long = ((*long - short) / (last - first)).max(0.0));
    Ok(calls)
}

/// Returns the calls of a whole run, and the number of messages.
fn count_once(
    program: &Program,
    argument: &str,
    spec: &Spec,
    generator: &Program,
    cores: Cores,
) -> Result<(Calls, f64)> {
    let running = Running::start(program, argument, spec.size, cores)?;
    let file = generator.path.with_file_name("strace.txt");
    let mut tracer = attach(running.pid()?, &file)?;
    let spec = Spec { address: running.address.clone(), pid: running.pid()?, ..spec.clone() };
    let outcome = load(generator, &spec, cores);
    kill(Pid::from_raw(i32::try_from(tracer.id())?), Signal::SIGINT)?;
    tracer.wait()?;
    Ok((calls(&fs::read_to_string(file)?), outcome?.operations as f64))
}

fn attach(pid: i32, file: &Path) -> Result<Child> {
    let mut strace = Command::new("strace");
    strace
        .args(["-c", "-f", "-p", &pid.to_string(), "-o"])
        .arg(file)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let tracer = strace.spawn().map_err(|error| format!("strace: {error}"))?;
    // strace does not report when it is ready.
    std::thread::sleep(Duration::from_millis(300));
    Ok(tracer)
}

/// Parses the table of strace. The fourth column is the number of calls, and the last column is the name.
fn calls(table: &str) -> Calls {
    let calls: Vec<(String, f64)> = table.lines().filter_map(parse).collect();
    let of = |names: &[&str]| {
        calls.iter().filter(|(name, _)| names.contains(&name.as_str())).map(|(_, n)| n).sum::<f64>()
    };
    let [read, write, wait, control] = GROUPS.map(|(_, names)| of(names));
    let all: f64 = calls.iter().map(|(_, n)| n).sum();
    let others = all - read - write - wait - control;
    [read, write, wait, control, others, all]
}

fn parse(line: &str) -> Option<(String, f64)> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let name = fields.last().filter(|name| **name != "total")?;
    Some(((*name).to_owned(), fields.get(3)?.parse().ok()?))
}
