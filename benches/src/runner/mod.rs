//! The runner: builds the programs, runs the servers in turns, and writes the results.

pub mod archive;
pub mod awake;
pub mod bars;
pub mod beside;
pub mod budget;
pub mod callgrind;
pub mod certificate;
pub mod cluster;
pub mod comparison;
pub mod counts;
pub mod inprocess;
pub mod instructions;
pub mod machine;
pub mod measure;
pub mod options;
pub mod pages;
pub mod picture;
pub mod programs;
pub mod ratios;
pub mod readme;
pub mod results;
pub mod servers;
pub mod sockets;
pub mod syscalls;
pub mod tables;
pub mod topics;
pub mod workloads;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::Result;
use measure::Cores;
use options::Options;
use pages::Pages;
use programs::Programs;
use results::Results;

/// Executes the command line.
///
/// # Errors
///
/// Returns an error if an argument is unknown, or if a part fails.
pub fn main() -> Result<ExitCode> {
    if std::env::args().nth(1).is_some_and(|argument| argument == awake::ARGUMENT) {
        awake::turn();
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options::parse(std::env::args().skip(1))?;
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut programs = Programs::new(&root)?;
    if options.parts == [budget::NAME] {
        return budget::run(&mut programs, &root, options.update);
    }
    let folder =
        if options.is_partial() { programs.folder().with_file_name("partial-results") } else { root.clone() };
    let repository = if options.is_partial() { None } else { root.parent().map(Path::to_owned) };
    let pages = Pages::new(&folder, repository)?;
    let mut failed = Vec::new();
    for part in parts(&options)? {
        // A failed part must not discard the results of the others.
        if let Err(error) = run_part(part, &mut programs, &options, &pages, &root) {
            eprintln!("{part}: {error}");
            failed.push(part);
        }
    }
    pages.write()?;
    if failed.is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(format!("failed: {}", failed.join(", ")).into())
    }
}

/// Replaces `all` with all parts, and rejects unknown parts.
fn parts(options: &Options) -> Result<Vec<&'static str>> {
    let others = [cluster::NAME, syscalls::NAME, counts::NAME, topics::NAME, "instructions", "in-process"];
    let known: Vec<_> = workloads::all().iter().map(|workload| workload.name).chain(others).collect();
    if options.parts.iter().any(|part| part == "all") {
        return Ok(known);
    }
    let wanted = options.parts.iter().filter(|part| *part != "pages");
    let find = |part: &String| known.iter().copied().find(|name| name == part);
    wanted.map(|part| find(part).ok_or(format!("unknown part: {part}\n{}", options::USAGE).into())).collect()
}

fn run_part(
    part: &str,
    programs: &mut Programs,
    options: &Options,
    pages: &Pages,
    root: &Path,
) -> Result<()> {
    let text = match part {
        syscalls::NAME => {
            let counts = syscalls::run(programs, options, Cores::choose()?)?;
            pages.keep_json(part, &counts)?;
            syscalls::table(&counts)
        }
        counts::NAME => {
            let counts = counts::run(programs, options, Cores::choose()?)?;
            let (command, date) = (command(), machine::date());
            let counted = counts::Counted { command, date, origin: origin(root), counts };
            pages.keep_json(part, &counted)?;
            println!("{}", beside::table_of_counts(&archive::Archive::load(pages)?));
            return Ok(());
        }
        cluster::NAME => cluster::run(programs, options, &command(), &origin(root))?,
        topics::NAME => topics::run(programs, &command(), &origin(root))?,
        "instructions" => instructions::run(programs)?,
        "in-process" => inprocess::run(root)?,
        name => return run_workload(name, programs, options, pages, root),
    };
    println!("{text}");
    pages.keep_text(part, &text)
}

fn run_workload(
    name: &str,
    programs: &mut Programs,
    options: &Options,
    pages: &Pages,
    root: &Path,
) -> Result<()> {
    let Some(workload) = workloads::all().into_iter().find(|workload| workload.name == name) else {
        return Ok(());
    };
    let rows = measure::run(&workload, programs, options, Cores::choose()?)?;
    let results = Results {
        workload: name.to_owned(),
        command: command(),
        date: machine::date(),
        commit: machine::commit(root),
        machine: machine::machine(),
        versions: machine::versions(root),
        rows,
    };
    pages.keep_json(name, &results)?;
    println!("{}", pages::section(&archive::Archive::load(pages)?, &workload, &results));
    Ok(())
}

/// The commit and the machine of a measurement.
fn origin(root: &Path) -> String {
    format!("commit {}; {}", machine::commit(root), machine::machine())
}

fn command() -> String {
    std::iter::once("benches/run".to_owned()).chain(std::env::args().skip(1)).collect::<Vec<_>>().join(" ")
}
