//! System calls per message, counted by `strace`.
//!
//! Tracing makes a server several times slower, so that more messages wait for it each time it looks: what is counted
//! with many in flight is a little better than what happens without. With one in flight it is what happens.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use serde::{Deserialize, Serialize};

use super::measure::{Cores, Running, load};
use super::options::Options;
use super::programs::{Program, Programs};
use super::servers::{Kind, SERVERS, Task};
use super::workloads::{self, Cell};
use crate::Result;
use crate::spec::Spec;

/// The name under which the counts are kept.
pub const NAME: &str = "syscalls";

/// For how many seconds messages are exchanged: what the longer time has more calls and messages than the shorter one is
/// what counts, so that the opening and the end do not.
const SECONDS: [f64; 2] = [0.3, 1.8];

/// The groups of calls in the table, and the names in each.
const GROUPS: [(&str, &[&str]); 4] = [
    ("read", &["read", "readv", "recvfrom", "recvmsg"]),
    ("write", &["write", "writev", "sendto", "sendmsg"]),
    ("epoll_wait", &["epoll_wait", "epoll_pwait", "epoll_pwait2"]),
    ("epoll_ctl", &["epoll_ctl"]),
];

/// Numbers of calls: by group, then all others, and all together.
type Calls = [f64; GROUPS.len() + 2];

/// Calls of one server for each message in one cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counts {
    /// The cell.
    pub cell: String,
    /// The server.
    pub server: String,
    /// For each message.
    pub calls: Option<Calls>,
    /// Why there are none.
    pub failure: Option<String>,
}

/// Counts for 100 connections.
///
/// # Errors
///
/// If there is no load generator.
pub fn run(programs: &mut Programs, options: &Options, cores: Cores) -> Result<Vec<Counts>> {
    let generator = programs.cargo("sockeye-benches", "load", None)?;
    let cells = workloads::all().swap_remove(0).cells.into_iter();
    let cells = cells.filter(|cell| cell.spec.connections == 100 && cell.spec.size <= 1024);
    let mut all = Vec::new();
    for cell in cells {
        eprintln!("{NAME}: {}", cell.name);
        for server in SERVERS.iter().filter(|server| options.wants(server)) {
            let Some(argument) = server.argument(Task::Echo) else { continue };
            let counted = programs.server(server, Task::Echo).map_err(Into::into).and_then(|program| {
                count(&program, argument, &cell, server.kind == Kind::Floor, &generator, cores)
            });
            let failure = counted.as_ref().err().map(ToString::to_string);
            let (cell, server) = (cell.name.clone(), server.name.into());
            all.push(Counts { cell, server, calls: counted.ok(), failure });
        }
    }
    Ok(all)
}

/// Returns the table, and below it why some have no figures.
#[must_use]
pub fn table(counts: &[Counts]) -> String {
    let heads = GROUPS.map(|(name, _)| name).join(" | ");
    let mut text = format!(
        "\n## System calls\n\nCalls of the server per message, by `strace -c -f`, 100 connections, opening and end not \
         included: the difference between a long and a short time.\n\n\
         | cell | server | {heads} | others | all |\n|---|---|--:|--:|--:|--:|--:|--:|\n"
    );
    let mut failures = String::new();
    for Counts { cell, server, calls, failure } in counts {
        let fields = calls.map(|calls| calls.map(|each| format!("{each:.3}")).join(" | "));
        text +=
            &format!("| {cell} | {server} | {} |\n", fields.as_deref().unwrap_or("– | – | – | – | – | –"));
        failures.extend(failure.as_ref().map(|reason| format!("- {server}, {cell}: {reason}\n")));
    }
    if failures.is_empty() { text } else { text + "\n" + &failures }
}

/// The calls per message between the opening and the end.
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
    // A call more or less in one of the runs makes it less than none.
    calls.iter_mut().zip(short).for_each(|(long, short)| *long = ((*long - short) / (last - first)).max(0.0));
    Ok(calls)
}

/// The calls of a whole run, and the number of messages.
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
    // It prints nothing when it is ready.
    std::thread::sleep(Duration::from_millis(300));
    Ok(tracer)
}

/// Reads the table of strace: the fourth column is the number of calls, the last one the name.
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
