//! Measures clusters over a private Redis server: latency, the processor time of publications, and the memory of topics.

mod clients;
mod deliveries;
mod fanout;
mod latency;
mod nodes;
mod priority;
mod redis;
mod samples;
mod topics;

use std::fs;
use std::process::Command;

use super::machine;
use super::measure::Cores;
use super::options::{Options, Pace};
use super::programs::Programs;
use crate::Result;
use nodes::Setup;

/// The name of this part.
pub const NAME: &str = "cluster";

const INTRODUCTION: &str = "\n## Clusters\n\nNodes that are connected to a private Redis server, and a single process without a broker. Each node has one event \
    loop. All nodes run on the first core, and the clients and Redis on the last one. Processor time is user and system time of the process. \
    Figures are medians, with the lowest and the highest run in parentheses. `benches/README.md` describes what they can show.\n";

/// Measures something with a number of repetitions, and returns its tables.
type Table = fn(Setup<'_>, usize) -> Result<String>;

/// The names for `--cell`, and the tables.
const TABLES: [(&str, Table); 5] = [
    ("latency", latency::run),
    ("deliveries", deliveries::many),
    ("share", deliveries::few),
    ("redis", fanout::run),
    ("topics", topics::run),
];

/// Measures everything, and returns a section.
///
/// # Errors
///
/// Returns an error if there is no `redis-server`, or if a message is missing.
pub fn run(programs: &mut Programs, options: &Options, command: &str, origin: &str) -> Result<String> {
    let version = redis_version()?;
    let program = programs.cargo("peer-sockeye", "peer-sockeye", Some(NAME))?;
    let seconds = if options.pace == Pace::Full { 1.0 } else { 0.5 };
    let setup = Setup { program: &program, cores: Cores::choose()?, seconds };
    let before = load();
    let mut text = INTRODUCTION.to_owned();
    for (name, run) in TABLES {
        if options.cell.as_ref().is_none_or(|cell| name.contains(cell.as_str())) {
            text += &run(setup, options.repetitions)?;
        }
    }
    let (date, after) = (machine::date(), load());
    text += &format!(
        "\n`{command}`, {date}, {origin}; Redis {version}. Load average before: {before}; at the end: {after}.\n"
    );
    Ok(text)
}

/// Returns the version of the installed server.
fn redis_version() -> Result<String> {
    let output = Command::new("redis-server").arg("--version").output().map_err(|error| {
        format!("redis-server: {error}. It is needed for this part: install the package redis-server")
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split(' ').find_map(|word| word.strip_prefix("v="));
    Ok(version.unwrap_or("?").to_owned())
}

/// Returns the average number of processes that were ready to run, in the last minute and the last five.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(2).collect::<Vec<_>>().join(" and ")
}
