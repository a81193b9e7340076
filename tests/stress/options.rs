//! The arguments of the program.

use std::fs;
use std::time::Duration;

use crate::rows::ROWS;

/// The descriptors that a process needs besides its connections.
const OTHER_DESCRIPTORS: usize = 200;

/// The number of connections that a loop accepts by default.
const MANY: usize = 10_000;

/// What this process has to do.
#[derive(Debug)]
pub(crate) enum Invocation {
    /// Run the selected rows.
    All(Options),
    /// Run one row in this process.
    Row(String, Options),
    /// Act as the peers of a row.
    Crowd(String, Vec<String>),
}

/// How long and with how many connections the rows run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Short,
    Full,
}

/// Whether the settings that protect the server are in force. Without them, most rows must fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    On,
    Off,
}

/// The arguments that apply to every row.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) scale: Scale,
    pub(crate) protection: Protection,
    /// How long the soak test runs.
    pub(crate) soak: Duration,
    selected: Vec<String>,
}

/// Reads the arguments.
///
/// # Errors
///
/// Returns a description of the argument that is wrong.
pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Invocation, String> {
    let mut arguments = arguments.peekable();
    let mut options = Options::default();
    let mut row = None;
    let mut soak = None;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--short" => options.scale = Scale::Short,
            "--unprotected" => options.protection = Protection::Off,
            "--soak" => {
                let seconds = arguments.next_if(|next| next.parse::<u64>().is_ok());
                soak = Some(seconds.map_or(1800, |seconds| seconds.parse().unwrap()));
            }
            "--row" => row = arguments.next(),
            "--crowd" => {
                let kind = arguments.next().ok_or("--crowd needs a kind")?;
                return Ok(Invocation::Crowd(kind, arguments.collect()));
            }
            name if ROWS.iter().any(|row| row.name.contains(name)) => options.selected.push(argument),
            other => return Err(format!("no row is called {other}")),
        }
    }
    let is_alone = soak.is_some() && options.selected.is_empty();
    options.selected.extend(is_alone.then(|| "soak".to_owned()));
    options.soak = Duration::from_secs(soak.unwrap_or(options.pick(6, 120)));
    Ok(match row {
        Some(name) => Invocation::Row(name, options),
        None => Invocation::All(options),
    })
}

impl Default for Options {
    fn default() -> Self {
        Self { scale: Scale::Full, protection: Protection::On, soak: Duration::ZERO, selected: Vec::new() }
    }
}

impl Options {
    /// Returns whether a row was selected. Without a selection, all are.
    pub(crate) fn selects(&self, name: &str) -> bool {
        self.selected.is_empty() || self.selected.iter().any(|selected| name.contains(selected.as_str()))
    }

    /// Returns the value for the short or for the full form.
    pub(crate) fn pick<T>(&self, short: T, full: T) -> T {
        match self.scale {
            Scale::Short => short,
            Scale::Full => full,
        }
    }

    /// Returns the value for a server with its protections, or for one without.
    pub(crate) fn protected<T>(&self, on: T, off: T) -> T {
        match self.protection {
            Protection::On => on,
            Protection::Off => off,
        }
    }

    /// Returns the number of connections that are many: the default limit, if a process may open enough descriptors.
    pub(crate) fn many(&self) -> usize {
        self.connections(MANY)
    }

    /// Returns this number of connections, or as many as a process may have.
    pub(crate) fn connections(&self, count: usize) -> usize {
        count.min(descriptor_limit().saturating_sub(OTHER_DESCRIPTORS))
    }

    /// Returns the arguments that create these options again, without the selection of rows.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let short = (self.scale == Scale::Short).then(|| "--short".to_owned());
        let unprotected = (self.protection == Protection::Off).then(|| "--unprotected".to_owned());
        let soak = ["--soak".to_owned(), self.soak.as_secs().to_string()];
        short.into_iter().chain(unprotected).chain(soak).collect()
    }

    /// Describes the number of connections.
    pub(crate) fn limits(&self) -> String {
        let (limit, many) = (descriptor_limit(), self.many());
        let note = if many < MANY { ", fewer than by default because of the descriptors" } else { "" };
        format!("{limit} descriptors for each process; rows with many connections use {many}{note}")
    }
}

/// Returns how many descriptors a process can open.
fn descriptor_limit() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    match soft {
        Some("unlimited") => usize::MAX,
        soft => soft.and_then(|soft| soft.parse().ok()).unwrap_or(1024),
    }
}
