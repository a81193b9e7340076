//! Writes the results: JSON for each workload, the page `RESULTS.md`, and the picture.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::archive::{Archive, measured_elsewhere};
use super::results::Results;
use super::servers::Task;
use super::workloads::{Measure, Workload};
use super::{bars, beside, picture, readme, sockets, tables};
use crate::Result;

const HEAD: &str = "\
# Results

Written by `benches/run`. `benches/README.md` describes what each figure means, and what the figures cannot show. Lower is
better in every table. *÷ floor* and *÷ best peer* are Sockeye's figure divided by the other figure of the same cell, for each kind of
handler: a closure, and a struct that implements `Handler` and keeps its default methods.

**Ties.** A ratio is a *tie* if the ranges of the counted runs of its two figures overlap, so that the difference is not larger than the spread of
the runs. A single run has no range, and is given that of the other figure; if both figures are of single runs, the ratio is a tie. Other
ratios are differences that the runs of this measurement show. They can be smaller than the difference between two sessions on a shared machine.

**Marks.** An asterisk marks figures of disturbed runs: in more than half of them the server or the load generator was ready and had no
core, or the host took one away, for more than 2 % of the time. A circle (°) marks figures of servers that were behind after one to three
runs and were not run again (`--fast`, which also leaves out the cell with 4 GiB in flight). Ratios have the marks of both of their figures. Other
figures are medians of five runs, or of three if the command below the table contains `--quick`. A cell that several tables contain has one figure, from the
runs of all of them, if they were measured with the same commit; otherwise the other figures are listed below the table. A dash means that the
library does not offer this, or failed; failures are listed below the table.
";

/// The folder that contains the results.
#[derive(Debug)]
pub struct Pages {
    folder: PathBuf,
    /// The repository, if the pages in it are written as well.
    repository: Option<PathBuf>,
}

impl Pages {
    /// Uses a folder for the results, and creates it if necessary.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder cannot be created.
    pub fn new(folder: &Path, repository: Option<PathBuf>) -> Result<Self> {
        fs::create_dir_all(folder.join("results"))?;
        Ok(Self { folder: folder.to_owned(), repository })
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

    /// Writes the page, the picture, and the tables of other pages.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read or written, or if a page has no place for its table.
    pub fn write(&self) -> Result<()> {
        let archive = Archive::load(self)?;
        let mut page = HEAD.to_owned() + &bars::section(&archive, &self.text("in-process"));
        for (workload, results) in archive.workloads() {
            page += &section(&archive, workload, results);
        }
        page += &sockets::section(&archive);
        page += &self.text("cluster");
        page += &beside::table_of_counts(&archive);
        for name in ["syscalls", "topics", "instructions", "in-process"] {
            page += &self.text(name);
        }
        fs::write(self.folder.join("RESULTS.md"), page)?;
        let picture = picture::draw(&archive)?;
        fs::write(self.folder.join("results/summary.svg"), &picture)?;
        if let Some(repository) = &self.repository {
            fs::write(repository.join("docs/performance.svg"), &picture)?;
            readme::write(repository, &archive)?;
        }
        eprintln!("written: {}", self.folder.join("RESULTS.md").display());
        Ok(())
    }
}

/// Returns the section of one workload.
#[must_use]
pub fn section(archive: &Archive, workload: &Workload, results: &Results) -> String {
    let mut text = format!("\n## {}\n\n{}\n", workload.title, workload.explanation);
    if workload.task == Task::Latency {
        for (title, measure) in [
            ("The median, in microseconds", Measure::Middle),
            ("The 99th percentile", Measure::Late),
            ("The 99.9th percentile", Measure::Latest),
            ("Processor time of the server per message", Measure::Processor),
            (
                "The 99.9th percentile of the time by which the load generator sent late, which is part of the latencies",
                Measure::SentLate,
            ),
        ] {
            text += &format!("\n{title}:\n\n{}", tables::figures(workload, results, measure));
        }
    } else {
        text += &format!("\n{}", tables::figures(workload, results, workload.measure));
    }
    text += &beside::of_workload(archive, workload);
    let lists = [tables::failures(results), measured_elsewhere(archive, workload, results)];
    for (list, title) in lists.iter().zip(["", "The same cells, measured with another commit:\n\n"]) {
        if !list.is_empty() {
            text += &format!("\n{title}{list}");
        }
    }
    let frames = tables::frames(results, workload.task);
    if !frames.is_empty() {
        text += &format!(
            "\nFrames in each reply, in cells in which not every server sends a reply as one frame:\n\n{frames}"
        );
    }
    if workload.measure == Measure::Processor {
        text += &format!(
            "\n<details><summary>Throughput and latency</summary>\n\nThousands per second, and median / 99th \
             percentile of the time in microseconds.\n\n{}\n</details>\n",
            tables::speeds(results, workload.task)
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
