//! The complete programs of the guide, as they are on its pages. `guide-programs NAME ADDRESS` runs one of them.

#![allow(
    clippy::print_stdout,
    clippy::unnecessary_wraps,
    clippy::needless_question_mark,
    reason = "some programs print what they do, and the source around them is generated"
)]

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The name of a program, and its `main`.
type Program = (&'static str, fn() -> Outcome);

include!(concat!(env!("OUT_DIR"), "/programs.rs"));

/// The address on the command line, with what is before and after it. The programs on the pages contain a fixed one.
fn at(before: &str, after: &str) -> String {
    let address = std::env::args().nth(2).unwrap_or_default();
    format!("{before}{address}{after}")
}

fn main() -> Outcome {
    let name = std::env::args().nth(1).unwrap_or_default();
    let found = PROGRAMS.iter().find(|(program, _)| *program == name);
    let (_, run) =
        found.ok_or_else(|| format!("there is no program {name:?}, or its feature is not enabled"))?;
    run()
}
