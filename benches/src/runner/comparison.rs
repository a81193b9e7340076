//! Compares two figures. If the ranges of their runs overlap, the difference is not larger than the spread of the runs, and is a tie.

use super::results::Figure;
use super::tables::escaped;

/// The quotient of two figures of one cell, of which the first is Sockeye's. Lower is better.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// The quotient of the medians.
    pub ratio: f64,
    /// The ranges of the counted runs of both figures. There are none if each figure is a single run.
    ranges: Option<[[f64; 2]; 2]>,
    /// The marks of both figures together.
    marks: &'static str,
}

/// What the figures show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All of Sockeye's runs are below the limit.
    Ahead,
    /// The ranges of the runs overlap, or there are too few runs.
    Tie,
    /// All of Sockeye's runs are above the limit.
    Behind,
}

impl Comparison {
    /// Compares Sockeye's figure with another one.
    #[must_use]
    pub fn new(ours: Figure, other: Figure) -> Self {
        let both = Figure { few: ours.few || other.few, marked: ours.marked || other.marked, ..ours };
        Self { ratio: ours.value / other.value, ranges: ranges(ours, other), marks: both.marks() }
    }

    /// Compares the ratio with its limit.
    #[must_use]
    pub fn against(&self, limit: f64) -> Verdict {
        match self.ranges {
            Some([[low, _], [_, high]]) if low > high * limit => Verdict::Behind,
            Some([[_, high], [low, _]]) if high < low * limit => Verdict::Ahead,
            _ => Verdict::Tie,
        }
    }

    /// Compares the two figures.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.against(1.0)
    }

    /// Returns the ratio with its marks, for a page in Markdown.
    #[must_use]
    pub fn marked_ratio(&self) -> String {
        format!("{:.2}{}", self.ratio, escaped(self.marks))
    }

    /// Returns the ratio with its marks, and whether it is a tie, for a page in Markdown.
    #[must_use]
    pub fn text(&self) -> String {
        match self.verdict() {
            Verdict::Tie => format!("tie ({})", self.marked_ratio()),
            Verdict::Ahead | Verdict::Behind => self.marked_ratio(),
        }
    }

    /// Returns which side is ahead in words, with the ratio.
    #[must_use]
    pub fn words(&self) -> String {
        let word = match self.verdict() {
            Verdict::Ahead => "ahead",
            Verdict::Tie => "tie",
            Verdict::Behind => "**behind**",
        };
        format!("{word} ({})", self.marked_ratio())
    }
}

/// Returns the ranges of two figures. A single run has no range, and is given the relative range of the other figure.
fn ranges(ours: Figure, other: Figure) -> Option<[[f64; 2]; 2]> {
    let assumed = |single: Figure, spread: f64| [single.value / spread, single.value * spread];
    match (ours.spread(), other.spread()) {
        (Some(_), Some(_)) => Some([ours.range, other.range]),
        (Some(spread), None) => Some([ours.range, assumed(other, spread)]),
        (None, Some(spread)) => Some([assumed(ours, spread), other.range]),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::{disturbed_runs, entry};
    use super::super::workloads::Measure::Processor;
    use super::{Comparison, Verdict};

    /// Compares the processor times of two servers, in microseconds per message.
    fn compare(ours: &[f64], other: &[f64]) -> Comparison {
        let figure = |times| entry(times).figure(Processor).unwrap_or_else(|| panic!("no runs"));
        Comparison::new(figure(ours), figure(other))
    }

    #[test]
    fn differences_within_the_spread_are_ties() {
        assert_eq!(compare(&[1.0, 1.1, 1.2], &[1.0, 1.0, 1.01]).verdict(), Verdict::Tie);
        // The spread of the other server counts as well.
        assert_eq!(compare(&[1.1, 1.1, 1.1], &[0.9, 1.0, 1.1]).verdict(), Verdict::Tie);
        assert_eq!(compare(&[1.0, 1.0, 1.0], &[1.0, 1.0, 1.0]).verdict(), Verdict::Tie);
        // More than 20 % can be a tie.
        assert_eq!(compare(&[1.3, 1.9, 1.0], &[1.0, 1.0, 1.0]).verdict(), Verdict::Tie);
    }

    #[test]
    fn differences_beyond_the_spread_are_not_ties() {
        // Less than 20 % can be a difference.
        assert_eq!(compare(&[1.1, 1.1, 1.1], &[0.99, 1.0, 1.01]).verdict(), Verdict::Behind);
        assert_eq!(compare(&[0.99, 1.0, 1.01], &[1.1, 1.1, 1.1]).verdict(), Verdict::Ahead);
        // A single slow run of the slower server does not make the others equal.
        assert_eq!(compare(&[1.4, 1.41, 1.42, 1.43, 2.2], &[1.0, 1.01, 1.02]).verdict(), Verdict::Behind);
    }

    #[test]
    fn a_single_run_has_no_spread() {
        // A peer that was left out after one run is compared with the spread of Sockeye's runs.
        assert_eq!(compare(&[1.0, 1.05, 1.1], &[3.0]).verdict(), Verdict::Ahead);
        assert_eq!(compare(&[1.0, 1.05, 1.1], &[1.15]).verdict(), Verdict::Tie);
        assert_eq!(compare(&[3.0], &[1.0, 1.05, 1.1]).verdict(), Verdict::Behind);
        assert_eq!(compare(&[1.0], &[3.0]).verdict(), Verdict::Tie);
    }

    #[test]
    fn limits_are_compared_with_the_spread_as_well() {
        let comparison = compare(&[1.15, 1.15, 1.16], &[1.0, 1.0, 1.01]);
        assert_eq!(comparison.against(1.1), Verdict::Behind);
        assert_eq!(comparison.against(1.145), Verdict::Tie);
        assert_eq!(comparison.against(1.2), Verdict::Ahead);
        assert_eq!(comparison.against(0.0), Verdict::Behind);
    }

    #[test]
    fn texts_contain_the_marks() {
        let comparison = compare(&[1.0, 1.1, 1.2], &[1.0, 1.0, 1.0]);
        assert_eq!(comparison.text(), "tie (1.10)");
        let marked = disturbed_runs(entry(&[2.0, 2.0, 2.0])).figure(Processor);
        let ours = entry(&[1.0, 1.0, 1.0]).figure(Processor);
        let comparison = ours.zip(marked).map(|(ours, other)| Comparison::new(ours, other));
        assert_eq!(comparison.map(|one| one.words()).as_deref(), Some("ahead (0.50\\*)"));
    }
}
