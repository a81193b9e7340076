//! One line for each measurement: the row, what was measured, the bar, and whether it was met.

use std::fmt::Display;

/// The measurements of a row.
#[derive(Debug)]
pub(crate) struct Report {
    row: &'static str,
    has_failed: bool,
}

/// Returns the line above the measurements.
pub(crate) fn heading() -> String {
    line("row", "measured", "", "bar", "")
}

fn line(row: &str, what: &str, measured: &str, bar: &str, verdict: &str) -> String {
    let line = format!("{row:<20}{what:<44}{measured:>14}{bar:>14}  {verdict}");
    line.trim_end().to_owned()
}

impl Report {
    pub(crate) fn new(row: &'static str) -> Self {
        Self { row, has_failed: false }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Prints a count that must have this value.
    pub(crate) fn equals(&mut self, what: &str, measured: u64, bar: u64) {
        self.check(what, measured, &format!("= {bar}"), measured == bar);
    }

    /// Prints a count that must have at least this value.
    pub(crate) fn at_least(&mut self, what: &str, measured: u64, bar: u64) {
        self.check(what, measured, &format!(">= {bar}"), measured >= bar);
    }

    /// Prints a measurement without a bar.
    pub(crate) fn figure(&self, what: &str, measured: impl Display) {
        println!("{}", line(self.row, what, &measured.to_string(), "", ""));
    }

    fn check(&mut self, what: &str, measured: u64, bar: &str, is_met: bool) {
        let verdict = if is_met { "pass" } else { "FAIL" };
        println!("{}", line(self.row, what, &measured.to_string(), bar, verdict));
        self.has_failed |= !is_met;
    }
}
