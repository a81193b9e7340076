//! The arguments of the program.

use std::time::Duration;

use crate::clients;
use crate::node;
use crate::publishers::Defect;
use crate::scenarios::ROWS;

/// What this process has to do.
#[derive(Debug)]
pub(crate) enum Invocation {
    /// Run the selected rows.
    Rows(Options),
    /// Act as a node.
    Node(node::Plan),
    /// Act as many clients.
    Clients(clients::Plan),
}

/// The arguments that apply to every row.
#[derive(Debug)]
pub(crate) struct Options {
    is_short: bool,
    /// What the nodes do wrong on purpose.
    pub(crate) defect: Option<Defect>,
    selected: Vec<String>,
}

/// Reads the arguments.
///
/// # Errors
///
/// Returns a description of the argument that is wrong.
pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Invocation, String> {
    let mut options = Options { is_short: false, defect: None, selected: Vec::new() };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--short" => options.is_short = true,
            "--defect" => options.defect = Some(arguments.next().unwrap_or_default().parse()?),
            "--node" => return Ok(Invocation::Node(node::Plan::parse(arguments)?)),
            "--clients" => return Ok(Invocation::Clients(clients::Plan::parse(arguments)?)),
            name if ROWS.iter().any(|row| row.name.contains(name)) => options.selected.push(argument),
            other => return Err(format!("no row is called {other}")),
        }
    }
    Ok(Invocation::Rows(options))
}

impl Options {
    /// Returns whether a row was selected. Without a selection, all are.
    pub(crate) fn selects(&self, name: &str) -> bool {
        self.selected.is_empty() || self.selected.iter().any(|selected| name.contains(selected.as_str()))
    }

    /// Returns the value for the short or for the full form.
    pub(crate) fn pick<T>(&self, short: T, full: T) -> T {
        if self.is_short { short } else { full }
    }

    /// The same for times in milliseconds.
    pub(crate) fn millis(&self, short: u64, full: u64) -> Duration {
        Duration::from_millis(self.pick(short, full))
    }
}
