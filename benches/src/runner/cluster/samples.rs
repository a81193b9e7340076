//! The same figure of several runs.

use crate::runner::results::median;
use crate::runner::tables::number;

/// The figures of all runs.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    pub(super) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Returns the median, or NaN if there is no run.
    pub(super) fn median(&self) -> f64 {
        median(self.0.clone()).unwrap_or(f64::NAN)
    }

    /// Returns the median, with the lowest and the highest figure.
    pub(super) fn text(&self) -> String {
        let lowest = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{} ({}–{})", number(self.median()), number(lowest), number(highest))
    }
}
