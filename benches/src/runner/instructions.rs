//! Instructions of the protocol core per message, counted by `valgrind --tool=callgrind`. They do not depend
//! on the load of the machine.

use std::process::Command;

use super::programs::{Program, Programs};
use crate::Result;

/// Messages in the short run and in the long one: what both have in common, such as the start, falls out.
const SHORT: u32 = 1_000;
const LONG: u32 = 11_000;

const CASES: [(&str, &str); 6] = [
    ("binary", "20"),
    ("binary", "1024"),
    ("binary", "16384"),
    ("text", "20"),
    ("text", "1024"),
    ("text", "16384"),
];

/// Counts, and returns a table.
///
/// # Errors
///
/// If there is no `valgrind`, or the program does not build.
pub fn run(programs: &mut Programs) -> Result<String> {
    let program = programs.cargo("sockeye-inprocess", "instructions", None)?;
    let mut text =
        "\n## Instructions of the core\n\nInstructions per echoed message in the protocol core alone: \
        `receive` until there is no more, `send` of what came, 16 messages to a read. By callgrind.\n\n\
        | messages | instructions | per byte |\n|---|--:|--:|\n"
            .to_owned();
    for (content, size) in CASES {
        let difference =
            collected(&program, content, size, LONG)? - collected(&program, content, size, SHORT)?;
        let each = difference as f64 / f64::from(LONG - SHORT);
        text += &format!("| {content}, {size} bytes | {each:.0} | {:.2} |\n", each / size.parse::<f64>()?);
    }
    Ok(text)
}

fn collected(program: &Program, content: &str, size: &str, count: u32) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(&program.path)
        .args([content, size, &count.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let number = text.lines().find_map(|line| line.split_once("Collected : ")?.1.split(' ').next());
    Ok(number.ok_or_else(|| format!("valgrind printed: {text}"))?.parse()?)
}
