//! What a server withstands from many connections together: memory, silence, slow readers, long turns and topics.
//!
//! `tests/stress/run` builds and starts this program, and describes its arguments. Each row runs in a process of its own,
//! and its peers in another one ([`crowd`]), so that the descriptors and the resident memory of the row are those of the
//! server. Times are only reported as ratios of two times of the same run.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is the result")]
#![expect(clippy::unwrap_used, reason = "a panic fails the row, and names the line")]

mod crowd;
mod dial;
mod handlers;
mod options;
mod report;
mod rows;
mod soak;
mod topics;

use std::env;
use std::process::{Command, ExitCode};

use sockeye_test_support::child::RELEASE_AT_ONCE;

use options::{Invocation, Options};
use report::Report;
use rows::{ROWS, Row};

fn main() -> ExitCode {
    match options::parse(env::args().skip(1)) {
        Ok(Invocation::All(options)) => run_all(&options),
        Ok(Invocation::Row(name, options)) => run_row(&name, &options),
        Ok(Invocation::Crowd(kind, arguments)) => {
            crowd::main(&kind, &arguments);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}; tests/stress/run describes the arguments");
            ExitCode::from(2)
        }
    }
}

/// Runs the selected rows one after the other, each in a process of its own.
fn run_all(options: &Options) -> ExitCode {
    println!("{}", options.limits());
    println!("{}", report::heading());
    let rows = ROWS.iter().filter(|row| options.selects(row.name));
    let failed: Vec<_> = rows.filter(|row| !passes(row, options)).map(|row| row.name).collect();
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("FAILED: {}", failed.join(" "));
    ExitCode::FAILURE
}

/// Runs a row in a separate process, and returns whether everything in it was as required.
fn passes(row: &Row, options: &Options) -> bool {
    let mut process = Command::new(env::current_exe().unwrap());
    process.arg("--row").arg(row.name).args(options.arguments()).envs(RELEASE_AT_ONCE);
    process.status().unwrap().success()
}

/// Runs a row in this process.
fn run_row(name: &str, options: &Options) -> ExitCode {
    let mut report = Report::new(name);
    let row = ROWS.iter().find(|row| row.name == name).expect("the row exists");
    (row.run)(options, &mut report);
    if report.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
