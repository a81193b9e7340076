//! Counts the instructions of the servers per operation with callgrind, in cells of the workloads. The load generator is a separate
//! process and is not counted. The figure is the difference of two runs with different numbers of rounds, so that
//! the startup and the opening of the connections are excluded.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::callgrind;
use super::measure::{Cores, Running, generator, load};
use super::options::Options;
use super::programs::{Program, Programs};
use super::servers::{Kind, SERVERS, Server, Task, UWEBSOCKETS};
use super::workloads::{self, Cell, Workload};
use crate::Result;
use crate::spec::{Mode, Spec};

/// The name of this part, under which the counts are stored.
pub const NAME: &str = "counts";

/// The number of rounds in the short run, and the least number of operations by which the long run is longer.
const SHORT: usize = 3;
const OPERATIONS: usize = 10_000;

/// The stored counts.
#[derive(Debug, Serialize, Deserialize)]
pub struct Counted {
    /// The command line of the runner, the date, and the commit.
    pub command: String,
    /// The commit and the machine.
    pub origin: String,
    /// The date.
    pub date: String,
    /// The counts.
    pub counts: Vec<Count>,
}

/// The instructions of one server in one cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Count {
    /// The name of the workload.
    pub workload: String,
    /// The name of the cell.
    pub cell: String,
    /// The name of the server.
    pub server: String,
    /// The instructions per operation.
    pub instructions: Option<f64>,
    /// The reason why there is no count.
    pub failure: Option<String>,
}

impl Counted {
    /// Returns the instructions per operation of a server in a cell.
    #[must_use]
    pub fn find(&self, workload: &str, cell: &str, server: &str) -> Option<f64> {
        let is_meant = |one: &&Count| one.workload == workload && one.cell == cell && one.server == server;
        self.counts.iter().find(is_meant)?.instructions
    }
}

/// Whether the instructions of a server are counted, even if it is not named on the command line.
#[must_use]
pub fn is_counted(server: &Server) -> bool {
    server.kind == Kind::Handler || server.name == UWEBSOCKETS
}

/// Counts the instructions of the kinds of handlers, of uWebSockets, and of the servers that are named on the command line.
///
/// # Errors
///
/// Returns an error if the load generator cannot be built. The errors of servers are part of the result.
pub fn run(programs: &mut Programs, options: &Options, cores: Cores) -> Result<Vec<Count>> {
    let generator = generator(programs, Task::Echo)?;
    let mut counts = Vec::new();
    for (workload, cell) in cells() {
        if options.cell.as_ref().is_some_and(|part| !cell.name.contains(part)) {
            continue;
        }
        eprintln!("{NAME}: {}, {}", workload.name, cell.name);
        let named = |server: &Server| {
            !options.servers.is_empty() && options.wants(server) && server.kind == Kind::Peer
        };
        for server in SERVERS.iter().filter(|server| is_counted(server) || named(server)) {
            let Some(argument) = server.argument(workload.task) else { continue };
            let counted = programs
                .server(server, workload.task)
                .map_err(Into::into)
                .and_then(|program| count(&program, argument, &cell.spec, &generator, cores));
            counts.push(Count {
                workload: workload.name.into(),
                cell: cell.name.clone(),
                server: server.name.into(),
                failure: counted.as_ref().err().map(ToString::to_string),
                instructions: counted.ok(),
            });
        }
    }
    Ok(counts)
}

/// Returns the cells: echoes on 100 connections, broadcasts, and opening handshakes.
fn cells() -> Vec<(Workload, Cell)> {
    let is_meant = |workload: &Workload, cell: &Cell| match workload.name {
        "echo" => cell.spec.connections == 100 && (cell.spec.size < 1 << 18 || cell.spec.in_flight == 1),
        "broadcast" | "handshakes" => true,
        _ => false,
    };
    let mut cells = Vec::new();
    for workload in workloads::all() {
        let chosen: Vec<_> =
            workload.cells.iter().filter(|cell| is_meant(&workload, cell)).cloned().collect();
        for cell in chosen {
            cells.push((Workload { cells: Vec::new(), ..workload }, cell));
        }
    }
    cells
}

/// Returns the instructions per operation.
fn count(program: &Program, argument: &str, spec: &Spec, generator: &Program, cores: Cores) -> Result<f64> {
    let each = spec.connections * if spec.mode == Mode::Handshakes { 1 } else { spec.in_flight };
    // A delivery is cheap, and a handshake is not.
    let enough = if spec.mode == Mode::Handshakes { OPERATIONS / 4 } else { OPERATIONS };
    let long = SHORT + enough.div_ceil(each).max(3);
    let [short, long] = [SHORT, long].map(|rounds| once(program, argument, spec, rounds, generator, cores));
    let ((first, few), (last, many)) = (short?, long?);
    Ok((last as f64 - first as f64) / (many - few))
}

/// Returns the instructions of a whole run, and the number of its operations.
fn once(
    program: &Program,
    argument: &str,
    spec: &Spec,
    rounds: usize,
    generator: &Program,
    cores: Cores,
) -> Result<(u64, f64)> {
    let log = generator.path.with_file_name("callgrind.log");
    let mut running = Running::start(&under_callgrind(program, &log), argument, spec.size, cores)?;
    let spec = Spec { address: running.address.clone(), pid: running.pid()?, rounds, ..spec.clone() };
    let outcome = load(generator, &spec, cores);
    running.end()?;
    let text = fs::read_to_string(&log)?;
    Ok((callgrind::collected(&text)?, outcome?.operations as f64))
}

/// Returns the program as it is run by callgrind. The server of uWebSockets replaces a process, which callgrind follows.
fn under_callgrind(program: &Program, log: &Path) -> Program {
    let mut first = callgrind::arguments(Path::new("/dev/null"));
    first.extend(["--trace-children=yes".into(), format!("--log-file={}", log.display())]);
    first.push(program.path.display().to_string());
    first.extend(program.first.iter().cloned());
    Program { path: "valgrind".into(), first }
}
