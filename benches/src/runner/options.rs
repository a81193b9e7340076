//! The command line.

use super::servers::{Kind, Server};
use crate::Result;
use crate::spec::Spec;

/// The thoroughness of a measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    /// Some cells, with three short runs: for an overview.
    Quick,
    /// Nearly all cells, with five slightly longer runs. Peers that are far behind have fewer runs.
    Fast,
    /// All cells, with five runs of one second.
    #[default]
    Full,
}

impl Pace {
    /// Shortens a run.
    pub fn shorten(self, spec: &mut Spec) {
        let (warm_up, seconds) = match self {
            Self::Full => (1.0, 1.0),
            Self::Fast => (0.5, 0.6),
            Self::Quick => (0.5, 0.4),
        };
        spec.warm_up *= warm_up;
        spec.seconds *= seconds;
    }
}

/// The options on the command line.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names of workloads, or `cluster`, `topics`, `syscalls`, `counts`, `instructions`, `in-process`, `budget`,
    /// `pages`.
    pub parts: Vec<String>,
    /// The thoroughness. A quick run does not change the pages in this folder.
    pub pace: Pace,
    /// The number of runs of each server in each cell.
    pub repetitions: usize,
    /// Whether the content of replies is also compared.
    pub verify: bool,
    /// If not empty, only peers whose names contain one of these texts are run, in addition to the floor and Sockeye.
    pub servers: Vec<String>,
    /// Whether the budget is written, and not compared.
    pub update: bool,
    /// If set, only cells whose names contain this text are run.
    pub cell: Option<String>,
}

/// The help text.
pub const USAGE: &str = "\
usage: benches/run [OPTION]... PART...
  parts: all, or any of echo scale text latency broadcast publish subscriptions slow handshakes idle idle-tls
         compressed tls expiry neighbors
         cluster        latency, processor time and memory of nodes that are connected by Redis
         topics         instructions per delivery and subscription, with valgrind
         syscalls       system calls per message, with strace
         instructions   instructions per message of the protocol core and the reactor, with valgrind
         in-process     the divan benchmarks
         counts         instructions of the servers per message, delivery and handshake, with valgrind
         budget         instructions and allocations, compared with budget.md; alone, and not part of `all`
         pages          write RESULTS.md, the picture, and the tables of README.md again, from the stored results
  --fast                nearly all cells, with shorter runs; a peer that is far behind is not run again
  --quick               fewer cells, with three shorter runs; the results are written to the target folder
  --repetitions N       the number of runs of each server in each cell (5)
  --servers A,B         only these peers (any part of the name), in addition to the floor and Sockeye
  --cell TEXT           only cells with this text in their names
  --update              write budget.md instead of comparing with it
  --verify              compare the content of replies, and not only their lengths";

impl Options {
    /// Parses the arguments.
    ///
    /// # Errors
    ///
    /// Returns an error if an argument is unknown or has an invalid value. If no part is named and the pace is not set,
    /// the error is the help text.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        let mut repetitions = None;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--fast" => options.pace = Pace::Fast,
                "--quick" => options.pace = Pace::Quick,
                "--verify" => options.verify = true,
                "--update" => options.update = true,
                "--repetitions" => repetitions = Some(value()?.parse()?),
                "--servers" => options.servers = value()?.split(',').map(str::to_lowercase).collect(),
                "--cell" => options.cell = Some(value()?),
                other if other.starts_with('-') => {
                    return Err(format!("unknown option: {other}\n{USAGE}").into());
                }
                part => options.parts.push(part.to_owned()),
            }
        }
        if options.parts.iter().any(|part| part == "budget") && options.parts.len() > 1 {
            return Err("`budget` cannot be combined with other parts".into());
        }
        if options.parts.is_empty() {
            if options.pace == Pace::Full {
                return Err(USAGE.into());
            }
            options.parts.push("all".into());
        }
        options.repetitions = repetitions.unwrap_or(if options.pace == Pace::Quick { 3 } else { 5 });
        Ok(options)
    }

    /// Returns whether a server takes part.
    #[must_use]
    pub fn wants(&self, server: &Server) -> bool {
        let name = server.name.to_lowercase();
        server.kind != Kind::Peer
            || self.servers.is_empty()
            || self.servers.iter().any(|part| name.contains(part))
    }

    /// Returns whether the measurement is partial. Its results must not replace those of a full measurement.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.pace == Pace::Quick || self.cell.is_some() || !self.servers.is_empty()
    }
}
