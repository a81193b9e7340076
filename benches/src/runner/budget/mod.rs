//! The instruction budget: counts the instructions and allocations of a list of cases, and compares them with a committed table.
//!
//! valgrind shows the same processor on every machine with AVX2, so the variants of functions that the C library and Rust's
//! libraries choose at run time are the same. The counts still depend on the compiler, the C library and valgrind. With
//! other versions of these than in the table, the differences are printed and nothing fails.

mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::callgrind::{self, Profile, Totals};
use super::instructions::{CONNECTIONS, CORE, HANDSHAKES, REACTOR};
use super::machine::output_of;
use super::programs::{Program, Programs};
use crate::Result;
use table::{ALLOWED, Cost, Table};

/// The name of this part.
pub const NAME: &str = "budget";

/// The exit status if the counts cannot be compared, as in `.ci/run`.
const SKIPPED: u8 = 77;

/// The broadcasts and publications: the kind, the size, and the number of messages in one write.
const DELIVERIES: [(&str, &str, &str); 4] =
    [("broadcast", "64", "1"), ("broadcast", "64", "16"), ("publish", "64", "1"), ("publish", "64", "16")];

/// The largest difference of these cases, in percent. When a receiver has read, the system reports that its socket is writable. How many of these
/// reports arrive together depends on the load of the machine.
const ALLOWED_DELIVERIES: f64 = 15.0;

/// The number of connections that receive each of these messages.
const RECEIVERS: f64 = 1000.0;

/// One case.
struct Case {
    name: String,
    program: Program,
    arguments: Vec<&'static str>,
    /// The numbers of messages of the short and of the long run.
    messages: [u32; 2],
    /// The number of operations for each message.
    each: f64,
    /// The largest difference that is allowed, in percent.
    allowed: f64,
}

/// Counts all cases. With `update`, the table is written. Otherwise the counts are compared with it.
///
/// # Errors
///
/// Returns an error if valgrind cannot be started, a program cannot be built, or the table cannot be read or written.
pub fn run(programs: &mut Programs, root: &Path, update: bool) -> Result<ExitCode> {
    let cases = cases(programs)?;
    let new = Table { tools: tools(), costs: count(&cases, programs.folder())? };
    let file = root.join("budget.md");
    if update {
        fs::write(&file, new.to_markdown())?;
        println!("{}written: {}", new.to_markdown(), file.display());
        return Ok(ExitCode::SUCCESS);
    }
    let old = Table::parse(&fs::read_to_string(&file)?)?;
    println!("{}", new.to_markdown());
    Ok(report(&old, &new))
}

/// Prints the differences, and returns the exit status.
fn report(old: &Table, new: &Table) -> ExitCode {
    let problems = old.problems(new);
    for problem in &problems {
        println!("{problem}");
    }
    if old.tools != new.tools {
        println!(
            "SKIPPED: the table was made with {:?}, not {:?}; the counts cannot be compared",
            old.tools, new.tools
        );
        ExitCode::from(SKIPPED)
    } else if problems.is_empty() {
        println!("{} cases are within the budget", new.costs.len());
        ExitCode::SUCCESS
    } else {
        println!(
            "If this is intended, run `benches/run budget --update`, and commit benches/budget.md with the change."
        );
        ExitCode::FAILURE
    }
}

/// Returns the versions of what the counts depend on.
fn tools() -> BTreeMap<String, String> {
    let folder = Path::new(".");
    let first = |text: String| text.lines().next().unwrap_or("?").to_owned();
    let libc = output_of("getconf", &["GNU_LIBC_VERSION"], folder);
    let mut tools = BTreeMap::from([
        ("rustc".into(), first(output_of("rustc", &["--version"], folder))),
        ("valgrind".into(), first(output_of("valgrind", &["--version"], folder))),
        ("C library".into(), first(libc)),
        ("architecture".into(), std::env::consts::ARCH.into()),
    ]);
    // Other flags, such as `-C target-cpu=native`, change what the compiler generates.
    if let Ok(flags) = std::env::var("RUSTFLAGS") {
        tools.insert("RUSTFLAGS".into(), flags);
    }
    tools
}

fn cases(programs: &mut Programs) -> Result<Vec<Case>> {
    let core = programs.counted("instructions")?;
    let reactor = programs.counted("reactor")?;
    let mut cases = Vec::new();
    for (content, size) in CORE {
        cases.push(Case {
            name: format!("core: {content}, {size} bytes"),
            program: core.clone(),
            arguments: vec![content, size],
            messages: messages(size),
            each: 1.0,
            allowed: ALLOWED,
        });
    }
    for (handler, size, in_flight) in REACTOR {
        cases.push(Case {
            name: format!("{handler}: {size}, {in_flight} in flight"),
            program: reactor.clone(),
            arguments: vec![handler, size, in_flight],
            messages: messages(size),
            each: 1.0,
            allowed: ALLOWED,
        });
    }
    for request in HANDSHAKES {
        cases.push(Case {
            name: format!("opening handshake, {request} request"),
            program: reactor.clone(),
            arguments: vec!["handshake", request, "kept"],
            messages: CONNECTIONS,
            each: 1.0,
            allowed: ALLOWED,
        });
    }
    for (kind, size, in_flight) in DELIVERIES {
        cases.push(Case {
            name: format!("{kind}: a delivery of {size} bytes, {in_flight} in flight"),
            program: reactor.clone(),
            arguments: vec![kind, size, in_flight],
            messages: if in_flight == "1" { [16, 112] } else { [160, 1760] },
            each: RECEIVERS,
            allowed: ALLOWED_DELIVERIES,
        });
    }
    Ok(cases)
}

/// Returns the numbers of messages, which are multiples of 16. Fewer large messages are enough.
fn messages(size: &str) -> [u32; 2] {
    match size.parse::<usize>() {
        Ok(0..=256) => [1_600, 9_600],
        Ok(257..=4096) => [800, 4_800],
        _ => [160, 800],
    }
}

/// Counts all cases on all cores: the counts do not depend on other processes.
fn count(cases: &[Case], folder: &Path) -> Result<Vec<(String, Cost)>> {
    let (next, costs) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || -> Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(number) else { return Ok(()) };
            let out = folder.join(format!("budget-{number}.callgrind"));
            let cost = cost(case, out).map_err(|error| format!("{}: {error}", case.name))?;
            costs.lock().map_err(|_| "a count panicked")?.insert(number, (case.name.clone(), cost));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a count panicked")?)
    })?;
    Ok(costs.into_inner().map_err(|_| "a count panicked")?.into_values().collect())
}

/// Returns the difference of a short and a long run per operation, which contains neither startup nor opening.
fn cost(case: &Case, out: PathBuf) -> Result<Cost> {
    let out = Profile(out);
    let run = |messages: u32| -> Result<Totals> {
        let messages = messages.to_string();
        callgrind::run(&case.program, &[&case.arguments[..], &[&messages]].concat(), &out.0)
    };
    let [short, long] = case.messages;
    let (first, last) = (run(short)?, run(long)?);
    let operations = f64::from(long - short) * case.each;
    let each = |last: u64, first: u64| (last as f64 - first as f64) / operations;
    Ok(Cost {
        instructions: each(last.instructions, first.instructions),
        allocations: each(last.allocations, first.allocations).max(0.0),
        allowed: case.allowed,
    })
}
