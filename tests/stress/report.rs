//! One line for each measurement: the row, what was measured, the bar, and whether it was met.

use std::fmt::Display;

/// The measurements of a row.
#[derive(Debug)]
pub(crate) struct Report {
    row: String,
    has_failed: bool,
}

/// Returns the line above the measurements.
pub(crate) fn heading() -> String {
    line("row", "measured", "", "bar", "")
}

fn line(row: &str, what: &str, measured: &str, bar: &str, verdict: &str) -> String {
    format!("{row:<20}{what:<44}{measured:>14}{bar:>14}  {verdict}")
}

impl Report {
    pub(crate) fn new(row: &str) -> Self {
        Self { row: row.to_owned(), has_failed: false }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Prints a count that must have this value.
    pub(crate) fn equals(&mut self, what: &str, measured: usize, bar: usize) {
        self.print(what, measured, format!("= {bar}"), measured == bar);
    }

    /// Prints a count that must have at least this value.
    pub(crate) fn at_least(&mut self, what: &str, measured: usize, bar: usize) {
        self.print(what, measured, format!(">= {bar}"), measured >= bar);
    }

    /// Prints a count that must not be higher.
    pub(crate) fn at_most(&mut self, what: &str, measured: usize, bar: usize) {
        self.print(what, measured, format!("<= {bar}"), measured <= bar);
    }

    /// Prints an amount of memory in bytes, which must not be larger.
    pub(crate) fn memory(&mut self, what: &str, measured: usize, bar: usize) {
        const MIB: usize = 1024 * 1024;
        let rounded = |bytes: usize| bytes.div_ceil(MIB);
        self.print(
            what,
            format!("{} MiB", rounded(measured)),
            format!("<= {} MiB", rounded(bar)),
            measured <= bar,
        );
    }

    /// Prints a ratio of two times, which must not be larger.
    pub(crate) fn ratio(&mut self, what: &str, measured: f64, bar: f64) {
        self.print(what, format!("{measured:.1} x"), format!("<= {bar:.0} x"), measured <= bar);
    }

    fn print(&mut self, what: &str, measured: impl Display, bar: impl Display, is_met: bool) {
        let verdict = if is_met { "pass" } else { "FAIL" };
        println!("{}", line(&self.row, what, &measured.to_string(), &bar.to_string(), verdict));
        self.has_failed |= !is_met;
    }
}
