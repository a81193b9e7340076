//! The committed table of counts, `benches/budget.md`, and its comparison with new counts.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::tables::thousands;
use crate::Result;

/// The largest difference of most cases, in percent of the count in the table.
pub(super) const ALLOWED: f64 = 3.0;

/// A difference that is allowed even if it is a larger part of the count. Allocations are few, and a batch is sometimes received in
/// two parts.
const ALLOWED_INSTRUCTIONS: f64 = 2.0;
const ALLOWED_ALLOCATIONS: f64 = 0.05;

/// What an operation takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    /// The instructions, without those of the kernel.
    pub(crate) instructions: f64,
    /// The calls of functions that allocate memory.
    pub(crate) allocations: f64,
    /// The largest difference that is allowed, in percent of the count in the table.
    pub(crate) allowed: f64,
}

/// The counts of all cases, and the tools with which they were made.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    /// The versions of what the counts depend on, by name.
    pub(crate) tools: BTreeMap<String, String>,
    /// The counts, by the name of the case, in the order of the table.
    pub(crate) costs: Vec<(String, Cost)>,
}

const HEAD: &str = "\
# Instruction budget

What an operation of Sockeye costs, without the kernel, counted by callgrind. `.ci/run instructions` counts again, and fails if a count differs by
more than the percentage in the last column. A change that changes a count commits this table with it: `benches/run budget --update` writes it. See
[README.md](README.md#instruction-budget).
";

/// What is wrong with new counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Problem {
    /// A count has grown.
    Grown(String),
    /// A count has fallen, and the table must be written again, so that the gain is not lost later.
    Fallen(String),
    /// The table has no row for a case.
    New(String),
    /// The table has a row for which there is no case.
    Stale(String),
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Grown(text) => write!(formatter, "more: {text}"),
            Self::Fallen(text) => write!(formatter, "less, so the table must be updated: {text}"),
            Self::New(text) => write!(formatter, "not in the table: {text}"),
            Self::Stale(text) => write!(formatter, "in the table, but no longer a case: {text}"),
        }
    }
}

impl Table {
    /// Returns the table as a page in Markdown.
    #[must_use]
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = HEAD.to_owned() + "\n| tool | version |\n|---|---|\n";
        for (tool, version) in &self.tools {
            let _ = writeln!(text, "| {tool} | {version} |");
        }
        text += "\n| case | instructions | allocations | allowed |\n|---|--:|--:|--:|\n";
        for (case, cost) in &self.costs {
            let instructions = match cost.instructions {
                small @ ..1000.0 => format!("{small:.1}"),
                large => thousands(large),
            };
            let _ = writeln!(
                text,
                "| {case} | {instructions} | {:.2} | {:.0} % |",
                cost.allocations, cost.allowed
            );
        }
        text
    }

    /// Reads a page that `to_markdown` has written.
    ///
    /// # Errors
    ///
    /// Returns an error if a row is malformed, or if there are no rows.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut table = Self::default();
        let rows = text.lines().filter(|line| {
            line.starts_with("| ") && !line.starts_with("| tool") && !line.starts_with("| case")
        });
        for row in rows {
            let fields: Vec<_> = row.trim_matches(['|', ' ']).split(" | ").collect();
            match *fields.as_slice() {
                [tool, version] => drop(table.tools.insert(tool.into(), version.into())),
                [case, instructions, allocations, allowed] => {
                    let cost = Cost {
                        instructions: instructions.replace(',', "").parse()?,
                        allocations: allocations.parse()?,
                        allowed: allowed.trim_end_matches(" %").parse()?,
                    };
                    table.costs.push((case.into(), cost));
                }
                _ => return Err(format!("a row of the budget has {} columns: {row}", fields.len()).into()),
            }
        }
        if table.costs.is_empty() { Err("the budget has no rows".into()) } else { Ok(table) }
    }

    fn find(&self, case: &str) -> Option<Cost> {
        self.costs.iter().find(|(name, _)| name == case).map(|(_, cost)| *cost)
    }

    /// Returns what is wrong with new counts.
    #[must_use]
    pub(crate) fn problems(&self, new: &Self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (case, cost) in &new.costs {
            match self.find(case) {
                None => problems.push(Problem::New(case.clone())),
                Some(old) => {
                    let allowed = old.allowed / 100.0;
                    let least = (old.instructions * allowed).max(ALLOWED_INSTRUCTIONS);
                    let change = [old.instructions, cost.instructions];
                    problems.extend(compare(case, "instructions", change, least));
                    let least = (old.allocations * allowed).max(ALLOWED_ALLOCATIONS);
                    let change = [old.allocations, cost.allocations];
                    problems.extend(compare(case, "allocations", change, least));
                }
            }
        }
        let stale = self.costs.iter().filter(|(case, _)| new.find(case).is_none());
        problems.extend(stale.map(|(case, _)| Problem::Stale(case.clone())));
        problems
    }
}

/// Compares a count with that of the table, from which it may differ by `allowed`.
fn compare(case: &str, unit: &str, [before, after]: [f64; 2], allowed: f64) -> Option<Problem> {
    let percent = (after / before - 1.0) * 100.0;
    let text = format!("{case}: {after:.2} {unit} instead of {before:.2} ({percent:+.1} %)");
    if after > before + allowed {
        Some(Problem::Grown(text))
    } else if after < before - allowed {
        Some(Problem::Fallen(text))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{ALLOWED, Cost, Problem, Table};
    use crate::Result;

    fn table(rows: &[(&str, f64, f64)]) -> Table {
        let costs = rows.iter().map(|&(case, instructions, allocations)| {
            (case.into(), Cost { instructions, allocations, allowed: ALLOWED })
        });
        Table { tools: BTreeMap::from([("rustc".into(), "1.90.0".into())]), costs: costs.collect() }
    }

    /// Compares counts with a table in which a case takes 1000 instructions and two allocations.
    fn problems(rows: &[(&str, f64, f64)]) -> Vec<Problem> {
        table(&[("echo", 1000.0, 2.0)]).problems(&table(rows))
    }

    #[test]
    fn growth_of_four_percent_fails_and_of_two_passes() {
        assert!(
            matches!(problems(&[("echo", 1040.0, 2.0)]).as_slice(), [Problem::Grown(text)] if text.contains("+4.0 %"))
        );
        assert_eq!(problems(&[("echo", 1020.0, 2.0)]), []);
        assert_eq!(problems(&[("echo", 980.0, 2.0)]), []);
    }

    #[test]
    fn a_fall_of_four_percent_asks_for_an_update() {
        assert!(matches!(problems(&[("echo", 960.0, 2.0)]).as_slice(), [Problem::Fallen(_)]));
    }

    #[test]
    fn a_case_can_allow_more() {
        let mut old = table(&[("broadcast", 100.0, 0.0)]);
        old.costs[0].1.allowed = 15.0;
        assert_eq!(old.problems(&table(&[("broadcast", 114.0, 0.0)])), []);
        assert!(matches!(old.problems(&table(&[("broadcast", 116.0, 0.0)])).as_slice(), [Problem::Grown(_)]));
    }

    #[test]
    fn a_missing_row_fails() {
        let found = problems(&[("echo", 1000.0, 2.0), ("other", 5.0, 0.0)]);
        assert_eq!(found, [Problem::New("other".into())]);
        assert_eq!(problems(&[]), [Problem::Stale("echo".into())]);
    }

    #[test]
    fn an_additional_allocation_fails() {
        assert!(matches!(problems(&[("echo", 1000.0, 3.0)]).as_slice(), [Problem::Grown(_)]));
        assert!(matches!(problems(&[("echo", 1000.0, 1.0)]).as_slice(), [Problem::Fallen(_)]));
        assert_eq!(problems(&[("echo", 1000.0, 2.04)]), []);
        assert_eq!(table(&[("none", 9.0, 0.0)]).problems(&table(&[("none", 9.0, 0.01)])), []);
    }

    #[test]
    fn the_page_is_read_as_it_was_written() -> Result<()> {
        let written = table(&[("echo, 20 bytes", 30_812.0, 46.0), ("core", 374.0, 0.25)]);
        let text = written.to_markdown();
        assert!(text.contains("| echo, 20 bytes | 30,812 | 46.00 | 3 % |"), "{text}");
        assert_eq!(Table::parse(&text)?, written);
        Ok(())
    }

    #[test]
    fn the_committed_page_can_be_read() -> Result<()> {
        let table = Table::parse(include_str!("../../../budget.md"))?;
        assert!(table.tools.contains_key("rustc"));
        assert!(table.costs.len() > 10 && table.costs.iter().all(|(_, cost)| cost.instructions > 0.0));
        Ok(())
    }

    #[test]
    fn a_page_without_rows_or_with_a_malformed_row_is_an_error() {
        assert!(Table::parse("# Instruction budget\n").is_err());
        assert!(
            Table::parse("| case | instructions | allocations | allowed |\n| echo | many | 2 | 3 % |\n")
                .is_err()
        );
        assert!(Table::parse("| echo | 1 | 2 |\n").is_err());
    }
}
