//! All stored results. A cell that several workloads measure has one figure: its runs are pooled, so every table shows the same.

use std::collections::HashMap;

use super::counts::{self, Counted};
use super::pages::Pages;
use super::results::{Entry, Results, Row};
use super::servers;
use super::syscalls::{self, Counts};
use super::workloads::{self, Workload};
use crate::Result;
use crate::spec::Spec;

/// The results of all workloads, and the counts.
#[derive(Debug)]
pub struct Archive {
    workloads: Vec<(Workload, Results)>,
    counted: Option<Counted>,
    calls: Vec<Counts>,
}

impl Archive {
    /// Reads all results, and pools the runs of cells that several workloads have.
    ///
    /// # Errors
    ///
    /// Returns an error if a file exists but cannot be read.
    pub fn load(pages: &Pages) -> Result<Self> {
        let mut workloads = Vec::new();
        for workload in workloads::all() {
            if let Some(results) = pages.find::<Results>(workload.name)? {
                workloads.push((workload, results));
            }
        }
        pool(&mut workloads);
        let calls = pages.find(syscalls::NAME)?.unwrap_or_default();
        Ok(Self { workloads, counted: pages.find(counts::NAME)?, calls })
    }

    /// Returns all workloads that have results.
    pub fn workloads(&self) -> impl Iterator<Item = (&Workload, &Results)> {
        self.workloads.iter().map(|(workload, results)| (workload, results))
    }

    /// Returns a workload and its results, if there are any.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(&Workload, &Results)> {
        self.workloads().find(|(workload, _)| workload.name == name)
    }

    /// Returns the cells of a workload.
    #[must_use]
    pub fn rows(&self, workload: &str) -> &[Row] {
        self.find(workload).map_or(&[], |(_, results)| &results.rows)
    }

    /// Returns one cell of a workload.
    #[must_use]
    pub fn row(&self, workload: &str, cell: &str) -> Option<&Row> {
        self.rows(workload).iter().find(|row| row.name == cell)
    }

    /// Returns a server's instructions per operation in a cell.
    #[must_use]
    pub fn instructions(&self, workload: &str, cell: &str, server: &str) -> Option<f64> {
        self.counted.as_ref()?.find(workload, cell, server)
    }

    /// Returns a server's system calls per operation in a cell.
    #[must_use]
    pub fn calls(&self, workload: &str, cell: &str, server: &str) -> Option<f64> {
        let cell = syscalls::cell_name(workload, cell);
        let counts = self.calls.iter().find(|one| one.cell == cell && one.server == server)?;
        counts.calls.and_then(|calls| calls.last().copied())
    }

    /// Returns all counts of system calls.
    #[must_use]
    pub fn all_calls(&self) -> &[Counts] {
        &self.calls
    }

    /// Returns the origin of the counts of instructions.
    #[must_use]
    pub fn counted(&self) -> Option<&Counted> {
        self.counted.as_ref()
    }
}

/// Identifies what a server does in a cell: its package, its argument, and the load.
fn key(workload: &Workload, cell: &str, server: &str) -> Option<String> {
    let server = servers::find(server)?;
    let argument = server.argument(workload.task)?;
    let cell = workload.cells.iter().find(|one| one.name == cell)?;
    // The lengths of the runs do not change the figures. Everything else is part of the load.
    let load = Spec { warm_up: 0.0, seconds: 0.0, verify: false, ..cell.spec.clone() };
    let feature = server.feature(workload.task);
    Some(format!("{} {feature:?} {argument} {}", server.package, serde_json::to_string(&load).ok()?))
}

/// Gives each cell and server that several workloads have measured with the same commit the runs of all of them.
fn pool(workloads: &mut [(Workload, Results)]) {
    let mut pooled: HashMap<String, Entry> = HashMap::new();
    for (workload, results) in workloads.iter() {
        for row in &results.rows {
            for (server, entry) in &row.servers {
                let Some(key) = key(workload, &row.name, server) else { continue };
                pooled.entry(format!("{key} {}", results.commit)).or_default().join(entry);
            }
        }
    }
    for (workload, results) in workloads.iter_mut() {
        for row in &mut results.rows {
            let name = row.name.clone();
            for (server, entry) in &mut row.servers {
                let Some(key) = key(workload, &name, server) else { continue };
                if let Some(all) = pooled.get(&format!("{key} {}", results.commit)) {
                    *entry = all.clone();
                }
            }
        }
    }
}

/// Returns a line for each figure of a workload that another workload has measured with another commit, which pooling leaves apart.
#[must_use]
pub fn measured_elsewhere(archive: &Archive, workload: &Workload, results: &Results) -> String {
    let mut lines = String::new();
    for row in &results.rows {
        for server in row.servers.keys() {
            let Some(own) = key(workload, &row.name, server) else { continue };
            for (other, more) in archive.workloads().filter(|(_, more)| more.commit != results.commit) {
                let found = more
                    .rows
                    .iter()
                    .flat_map(|row| row.servers.iter().map(move |(name, entry)| (row, name, entry)));
                let same = found.filter(|(row, name, _)| key(other, &row.name, name).as_ref() == Some(&own));
                for figure in same.filter_map(|(_, _, entry)| entry.figure(other.measure)) {
                    let label =
                        servers::find(server).map_or(server.as_str(), |server| server.label(workload.task));
                    lines += &format!(
                        "- {label}, {}: {} in the table *{}* (commit {}, {})\n",
                        row.name,
                        super::tables::marked(figure),
                        other.title,
                        more.commit,
                        more.date
                    );
                }
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::results::tests::entry;
    use super::super::workloads::Measure::Processor;
    use super::{Archive, Results, Row, measured_elsewhere, pool, workloads};
    use crate::Result;

    /// Returns the results of a workload with one cell, which one server has measured.
    fn results(
        name: &str,
        cell: &str,
        commit: &str,
        server: &str,
        times: &[f64],
    ) -> Result<(super::Workload, Results)> {
        let workload = workloads::all().into_iter().find(|one| one.name == name).ok_or("no such workload")?;
        let row = Row {
            name: cell.into(),
            servers: BTreeMap::from([(server.to_owned(), entry(times))]),
            rate: None,
        };
        let results = Results {
            workload: name.into(),
            command: "benches/run".into(),
            date: "2026-01-01".into(),
            commit: commit.into(),
            machine: "machine".into(),
            versions: BTreeMap::new(),
            rows: vec![row],
        };
        Ok((workload, results))
    }

    fn value(of: &(super::Workload, Results), server: &str) -> Option<(f64, Option<f64>)> {
        let figure = of.1.rows[0].figure(server, Processor)?;
        Some((figure.value, figure.spread()))
    }

    #[test]
    fn a_cell_in_two_tables_has_one_figure() -> Result<()> {
        let mut all = [
            results("echo", "16 KiB × 100 × 16", "a", "Sockeye", &[4.8, 4.9, 5.0])?,
            results("text", "binary, 16 KiB × 100 × 16", "a", "Sockeye", &[5.8, 5.9, 6.0])?,
        ];
        pool(&mut all);
        assert_eq!(value(&all[0], "Sockeye"), Some((5.4, Some(1.25))));
        assert_eq!(value(&all[0], "Sockeye"), value(&all[1], "Sockeye"));
        Ok(())
    }

    #[test]
    fn a_column_with_another_name_is_the_same_cell_if_the_program_does_the_same() -> Result<()> {
        let cell = "64 B to 1000, 16 a tick";
        let mut all = [
            results("broadcast", cell, "a", "Sockeye", &[1.0])?,
            results("publish", cell, "a", "Sockeye, broadcast", &[3.0])?,
            results("publish", cell, "a", "Sockeye", &[9.0])?,
        ];
        pool(&mut all);
        assert_eq!(value(&all[0], "Sockeye"), Some((2.0, Some(3.0))));
        assert_eq!(value(&all[1], "Sockeye, broadcast"), Some((2.0, Some(3.0))));
        assert_eq!(value(&all[2], "Sockeye"), Some((9.0, None)));
        Ok(())
    }

    #[test]
    fn other_commits_are_not_pooled_but_shown_together() -> Result<()> {
        let mut all = vec![
            results("echo", "20 B × 100 × 1", "a", "Sockeye", &[4.0, 4.0])?,
            results("scale", "20 B × 100 × 1", "b", "Sockeye", &[5.0, 5.0])?,
        ];
        pool(&mut all);
        assert_eq!(value(&all[0], "Sockeye"), Some((4.0, Some(1.0))));
        let archive = Archive { workloads: all, counted: None, calls: Vec::new() };
        let (workload, results) = archive.find("echo").ok_or("no echo")?;
        let lines = measured_elsewhere(&archive, workload, results);
        assert_eq!(lines.lines().count(), 1);
        assert!(
            lines.contains(
                "Sockeye, closure, 20 B × 100 × 1: 5.00 in the table *As connections grow* (commit b"
            ),
            "{lines}"
        );
        Ok(())
    }
}
