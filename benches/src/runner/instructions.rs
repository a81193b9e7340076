//! Counts the instructions of the protocol core and of the reactor per message, with `valgrind --tool=callgrind`. The
//! counts do not depend on the load of the machine.

use super::callgrind::{self, Profile, Totals};
use super::programs::{Program, Programs};
use crate::Result;

/// The numbers of messages in the short run and in the long run.
const MESSAGES: [u32; 2] = [1_000, 11_000];

/// The content and size of the messages that the core echoes.
pub(super) const CORE: [(&str, &str); 6] = [
    ("binary", "20"),
    ("binary", "1024"),
    ("binary", "16384"),
    ("text", "20"),
    ("text", "1024"),
    ("text", "16384"),
];

/// For the reactor: the handler, the size of the messages, and the number of messages in flight.
pub(super) const REACTOR: [(&str, &str, &str); 9] = [
    ("closure", "20", "16"),
    ("struct", "20", "16"),
    ("borrow", "20", "16"),
    ("closure", "20", "1"),
    ("closure", "1024", "16"),
    ("borrow", "1024", "16"),
    ("closure", "16384", "1"),
    ("timeout-cancel", "20", "16"),
    ("timeout-postpone", "20", "16"),
];

/// The numbers of connections in the short run and in the long run.
pub(super) const CONNECTIONS: [u32; 2] = [100, 900];

/// For opening handshakes: the request.
pub(super) const HANDSHAKES: [&str; 2] = ["short", "browser"];

/// Counts the instructions, and returns three tables.
///
/// # Errors
///
/// Returns an error if `valgrind` cannot be started, or if a program cannot be built.
pub fn run(programs: &mut Programs) -> Result<String> {
    let program = programs.counted("instructions")?;
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
    let program = programs.counted("reactor")?;
    text += "\n## Instructions of the reactor\n\nInstructions of a server per echoed message, without those of the \
        kernel. The client sends a batch with one write and waits for all replies. Counted by callgrind.\n\n\
        | handler | message | in flight | instructions |\n|---|---|--:|--:|\n";
    for (handler, size, in_flight) in REACTOR {
        let each = between(&program, &[handler, size, in_flight], MESSAGES)?;
        text += &format!("| {handler} | binary, {size} bytes | {in_flight} | {each:.0} |\n");
    }
    text += &handshakes(&program)?;
    Ok(text)
}

/// Counts what it costs the server to open a connection, and to notice that the client has closed it.
fn handshakes(program: &Program) -> Result<String> {
    let mut text = "\n## Opening handshakes\n\nInstructions and allocations of a server per connection, without those of the kernel, from \
        accepting it to the response and `on_open`. The client opens one connection after the other. Processors with SHA instructions need \
        fewer, because valgrind hides these. Counted by callgrind.\n\n\
        | request | opening: instructions | allocations | end of the connection: instructions |\n|---|--:|--:|--:|\n"
        .to_owned();
    for request in HANDSHAKES {
        let kept = ["handshake", request, "kept"];
        let opening = between(program, &kept, CONNECTIONS)?;
        let whole = between(program, &["handshake", request, "dropped"], CONNECTIONS)?;
        let [short, long] = CONNECTIONS.map(|count| allocated(program, &kept, count));
        let allocations = (long? - short?) as f64 / f64::from(CONNECTIONS[1] - CONNECTIONS[0]);
        text += &format!("| {request} | {opening:.0} | {allocations:.1} | {:.0} |\n", whole - opening);
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
    Ok(counted(program, case, count)?.instructions)
}

/// Returns the number of allocations of a run.
fn allocated(program: &Program, case: &[&str], count: u32) -> Result<u64> {
    Ok(counted(program, case, count)?.allocations)
}

fn counted(program: &Program, case: &[&str], count: u32) -> Result<Totals> {
    let profile = Profile(program.path.with_file_name("instructions.callgrind"));
    callgrind::run(program, &[case, &[&count.to_string()]].concat(), &profile.0)
}
