//! Counts the instructions of topics: of a delivery, beside a broadcast, and of subscribing and unsubscribing.

use std::process::Command;

use super::instructions::between;
use super::machine;
use super::programs::{Program, Programs};
use super::results::median;
use super::tables::number;
use crate::Result;

/// The name of this part.
pub const NAME: &str = "topics";

/// The number of connections that receive each message.
const RECEIVERS: f64 = 1000.0;

/// The numbers of messages in the short run and in the long run.
const MESSAGES: [u32; 2] = [160, 480];

/// The size of the messages, and the number of messages in one write.
const DELIVERIES: [(&str, &str); 4] = [("64", "1"), ("64", "16"), ("1024", "1"), ("1024", "16")];

/// The numbers of pairs in the short run and in the long run.
const PAIRS: [u32; 2] = [10_000, 50_000];

/// The number of pairs in a run that is timed, and the number of such runs.
const TIMED: u32 = 2_000_000;
const RUNS: usize = 5;

/// Counts the instructions, and returns a section with two tables.
///
/// # Errors
///
/// Returns an error if `valgrind` cannot be started, or if a program cannot be built.
pub fn run(programs: &mut Programs, command: &str, origin: &str) -> Result<String> {
    let program = programs.counted("reactor")?;
    let mut text = "\n## Instructions of topics\n\nInstructions of the server per delivery of a message to 1,000 connections, \
        without those of the kernel. The client sends one or 16 messages with one write, and waits until all connections have \
        received them. Two workers are both loops of a pool together. They are compared with one loop beside a thread that \
        does nothing, because calls of the C library take more instructions in a process with several threads. Counted by callgrind.\n\n\
        | message | in one write | broadcast | publish | publish ÷ broadcast | two workers | two workers ÷ publish beside a thread |\n\
        |---|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for (size, in_flight) in DELIVERIES {
        let count = |options: &[&str], kind| -> Result<f64> {
            let case = [options, &[kind, size, in_flight]].concat();
            Ok(between(&program, &case, MESSAGES)? / RECEIVERS)
        };
        let (broadcast, publish) = (count(&[], "broadcast")?, count(&[], "publish")?);
        let beside_thread = count(&["--workers", "0"], "publish")?;
        let two = count(&["--workers", "2"], "publish")?;
        text += &format!(
            "| {size} bytes | {in_flight} | {broadcast:.1} | {publish:.1} | {:.2} | {two:.1} | {:.3} |\n",
            publish / broadcast,
            two / beside_thread,
        );
    }
    let program = programs.counted("subscribe")?;
    text += "\nA pair of `Sender::subscribe` and `Sender::unsubscribe` in a handler, for one of 100 topics in turn, with its \
        execution by the loop. The time depends on the load of the machine, and is the median of five runs.\n\n\
        | topic | instructions | nanoseconds | million pairs per second |\n|---|--:|--:|--:|\n";
    for (topic, case) in [("has another subscriber", "joined"), ("begins and ends with each pair", "opened")]
    {
        let (each, time) = (between(&program, &[case], PAIRS)?, timed(&program, case)?);
        text += &format!("| {topic} | {each:.0} | {time:.0} | {} |\n", number(1e3 / time));
    }
    Ok(text + &format!("\n`{command}`, {}, {origin}.\n", machine::date()))
}

/// Returns the nanoseconds per pair.
fn timed(program: &Program, case: &str) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let output = Command::new(&program.path).args([case, &TIMED.to_string()]).output()?;
        times.push(String::from_utf8_lossy(&output.stdout).trim().parse()?);
    }
    Ok(median(times).ok_or("no run")?)
}
