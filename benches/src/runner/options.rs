//! The command line.

use super::servers::{Kind, Server};
use crate::Result;
use crate::spec::Spec;

/// How much time is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    /// Some cells, three runs that are short: for a look.
    Quick,
    /// Nearly all cells, five runs that are a little longer; peers that are far behind are not run as often.
    Fast,
    /// All cells, five runs of a second.
    #[default]
    Full,
}

impl Pace {
    /// Shortens what a run takes.
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

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names of workloads, or `syscalls`, `instructions`, `in-process`, `pages`.
    pub parts: Vec<String>,
    /// How much time is taken. After a quick run the pages of this folder stay as they are.
    pub pace: Pace,
    /// How often each server runs in each cell.
    pub repetitions: usize,
    /// Whether the content of replies is compared too.
    pub verify: bool,
    /// Only servers with one of these words in their names, beside the floor and Sockeye.
    pub servers: Vec<String>,
    /// Only cells with this in their names.
    pub cell: Option<String>,
}

/// The help text.
pub const USAGE: &str = "\
usage: benches/run [OPTION]... PART...
  parts: all, or any of echo scale text broadcast slow handshakes idle compressed tls expiry
         neighbors
         syscalls       system calls per message, by strace
         instructions   instructions per message of the protocol core and the reactor, by valgrind
         in-process     the divan benchmarks
         pages          write RESULTS.md and the picture again from what was measured before
  --fast                nearly all cells, shorter; a peer that is far behind is not run again
  --quick               fewer cells, shorter, three repetitions; what is written goes to the target folder
  --repetitions N       how often each server runs in each cell (5)
  --servers A,B         only these peers (any part of the name), beside the floor and Sockeye
  --cell TEXT           only cells with this text in their names
  --verify              compare the content of replies too, not only their lengths";

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    ///
    /// For one that is not known.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        let mut repetitions = None;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--fast" => options.pace = Pace::Fast,
                "--quick" => options.pace = Pace::Quick,
                "--verify" => options.verify = true,
                "--repetitions" => repetitions = Some(value()?.parse()?),
                "--servers" => options.servers = value()?.split(',').map(str::to_lowercase).collect(),
                "--cell" => options.cell = Some(value()?),
                other if other.starts_with('-') => {
                    return Err(format!("{other} is not known\n{USAGE}").into());
                }
                part => options.parts.push(part.to_owned()),
            }
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

    /// Whether a server takes part.
    #[must_use]
    pub fn wants(&self, server: &Server) -> bool {
        let name = server.name.to_lowercase();
        server.kind != Kind::Peer
            || self.servers.is_empty()
            || self.servers.iter().any(|part| name.contains(part))
    }

    /// Whether this is only a part of what could be measured, which must not take the place of the whole.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.pace == Pace::Quick || self.cell.is_some() || !self.servers.is_empty()
    }
}
