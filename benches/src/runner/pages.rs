//! Writes the results: JSON for each workload, the page `RESULTS.md`, and the picture.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::results::Results;
use super::workloads::{self, Measure, Workload};
use super::{bars, picture, tables};
use crate::Result;

const HEAD: &str = "\
# Results

Written by `benches/run`. `benches/README.md` describes what each figure means, and what the figures cannot show. Lower is
better in every table. *÷ floor* and *÷ best peer* are Sockeye's figure (the closure) divided by the other figure of the same
run. **Ratios between 0.83 and 1.20 are ties**: the same cell, measured again, can differ by 20 %.

An asterisk marks figures of disturbed runs: in more than half of them the server or the load generator was ready and had no
core, or the host took one away, for more than 2 % of the time. A circle (°) marks peers that were behind after one to three
runs and were not run again (`--fast`, which also leaves out the cell with 4 GiB in flight). Other figures are medians of
five runs, or of three if the command below the table contains `--quick`. A dash means that the library does not offer this,
or failed; failures are listed below the table.
";

/// The folder that contains the results.
#[derive(Debug)]
pub struct Pages {
    folder: PathBuf,
}

impl Pages {
    /// Uses a folder for the results, and creates it if necessary.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder cannot be created.
    pub fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder.join("results"))?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn file(&self, name: &str, extension: &str) -> PathBuf {
        self.folder.join("results").join(format!("{name}.{extension}"))
    }

    /// Stores figures as JSON.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    pub fn keep_json(&self, name: &str, figures: &impl Serialize) -> Result<()> {
        Ok(fs::write(self.file(name, "json"), serde_json::to_string(figures)? + "\n")?)
    }

    /// Stores a table that does not belong to a workload.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    pub fn keep_text(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.file(name, "md"), text)?)
    }

    /// Returns stored figures, or `None` if there are none.
    ///
    /// # Errors
    ///
    /// Returns an error if the file exists but cannot be read.
    pub fn find<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let file = self.file(name, "json");
        if !file.exists() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&fs::read_to_string(file)?)?))
    }

    /// Returns a stored table that does not belong to a workload, or an empty text.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name, "md")).unwrap_or_default()
    }

    /// Writes the page and the picture.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read or written.
    pub fn write(&self) -> Result<()> {
        let mut page = HEAD.to_owned() + &bars::section(self)?;
        for workload in workloads::all() {
            if let Some(results) = self.find::<Results>(workload.name)? {
                page += &section(&workload, &results);
            }
        }
        for name in ["cluster", "syscalls", "topics", "instructions", "in-process"] {
            page += &self.text(name);
        }
        fs::write(self.folder.join("RESULTS.md"), page)?;
        picture::write(self)?;
        eprintln!("written: {}", self.folder.join("RESULTS.md").display());
        Ok(())
    }

    /// Returns the path of the picture.
    #[must_use]
    pub fn picture(&self) -> PathBuf {
        self.folder.join("results").join("summary.svg")
    }
}

/// Returns the section of one workload.
#[must_use]
pub fn section(workload: &Workload, results: &Results) -> String {
    let mut text = format!(
        "\n## {}\n\n{}\n\n{}",
        workload.title,
        workload.explanation,
        tables::figures(workload, results)
    );
    let failures = tables::failures(results);
    if !failures.is_empty() {
        text += &format!("\n{failures}");
    }
    if workload.measure == Measure::Processor {
        text += &format!(
            "\n<details><summary>Throughput and latency</summary>\n\nThousands per second, and median / 99th \
             percentile of the time in microseconds.\n\n{}\n</details>\n",
            tables::speeds(results)
        );
    }
    text + &origin(results)
}

fn origin(results: &Results) -> String {
    let versions: Vec<_> =
        results.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let runs = results.rows.iter().flat_map(|row| row.servers.values());
    let (all, disturbed) =
        runs.fold((0, 0), |sum, entry| (sum.0 + entry.runs.len(), sum.1 + entry.disturbed()));
    format!(
        "\n`{}`, {}, commit {}; {}; {}. Disturbed: {disturbed} of {all} runs.\n",
        results.command,
        results.date,
        results.commit,
        results.machine,
        versions.join(", ")
    )
}
