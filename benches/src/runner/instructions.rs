//! Counts the instructions of the protocol core and of the reactor per message, with `valgrind --tool=callgrind`. The
//! counts do not depend on the load of the machine.

use std::process::Command;

use super::programs::{Program, Programs};
use crate::Result;

/// The numbers of messages in the short run and in the long run.
const MESSAGES: [u32; 2] = [1_000, 11_000];

/// The content and size of the messages that the core echoes.
const CORE: [(&str, &str); 6] = [
    ("binary", "20"),
    ("binary", "1024"),
    ("binary", "16384"),
    ("text", "20"),
    ("text", "1024"),
    ("text", "16384"),
];

/// For the reactor: the handler, the size of the messages, and the number of messages in flight.
const REACTOR: [(&str, &str, &str); 5] = [
    ("closure", "20", "16"),
    ("struct", "20", "16"),
    ("closure", "20", "1"),
    ("closure", "1024", "16"),
    ("closure", "16384", "1"),
];

/// Counts the instructions, and returns two tables.
///
/// # Errors
///
/// Returns an error if `valgrind` cannot be started, or if a program cannot be built.
pub fn run(programs: &mut Programs) -> Result<String> {
    let program = programs.cargo("sockeye-inprocess", "instructions", None)?;
    let mut text =
        "\n## Instructions of the core\n\nInstructions per echoed message in the protocol core alone: \
        `receive` until the input is consumed, and `send` of each message, with 16 messages per read. Counted by \
        callgrind.\n\n\
        | messages | instructions | per byte |\n|---|--:|--:|\n"
            .to_owned();
    for (content, size) in CORE {
        let each = between(&program, &[content, size], MESSAGES)?;
        text += &format!("| {content}, {size} bytes | {each:.0} | {:.2} |\n", each / size.parse::<f64>()?);
    }
    let program = programs.cargo("sockeye-inprocess", "reactor", None)?;
    text += "\n## Instructions of the reactor\n\nInstructions of a server per echoed message, without those of the \
        kernel. The client sends a batch with one write and waits for all replies. Counted by callgrind.\n\n\
        | handler | message | in flight | instructions |\n|---|---|--:|--:|\n";
    for (handler, size, in_flight) in REACTOR {
        let each = between(&program, &[handler, size, in_flight], MESSAGES)?;
        text += &format!("| {handler} | binary, {size} bytes | {in_flight} | {each:.0} |\n");
    }
    Ok(text)
}

/// Returns the instructions per message of a short and a long run: the difference, which does not contain the costs that both
/// runs have, such as the startup.
pub(super) fn between(program: &Program, case: &[&str], [short, long]: [u32; 2]) -> Result<f64> {
    let difference = collected(program, case, long)? - collected(program, case, short)?;
    Ok(difference as f64 / f64::from(long - short))
}

fn collected(program: &Program, case: &[&str], count: u32) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(&program.path)
        .args(case)
        .arg(count.to_string())
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let number = text.lines().find_map(|line| line.split_once("Collected : ")?.1.split(' ').next());
    Ok(number.ok_or_else(|| format!("valgrind did not report a count: {text}"))?.parse()?)
}
