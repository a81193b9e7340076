//! Runs callgrind, and reads its reports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::programs::Program;
use crate::Result;

/// The time limit of a run. On an idle machine, the longest one takes a few seconds.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The functions of the C library that allocate memory.
const ALLOCATORS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

/// What a whole run took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// The instructions, without those of the kernel.
    pub instructions: u64,
    /// The calls of functions that allocate memory.
    pub allocations: u64,
}

/// Returns the arguments of `valgrind` that precede the program. `out` receives the profile.
#[must_use]
pub fn arguments(out: &Path) -> Vec<String> {
    vec!["--tool=callgrind".into(), format!("--callgrind-out-file={}", out.display())]
}

/// Runs a program to its end.
///
/// # Errors
///
/// Returns an error if `valgrind` cannot be started, or does not report a count.
pub fn run(program: &Program, arguments: &[&str], out: &Path) -> Result<Totals> {
    // The log is a file, because nothing reads a pipe while the program runs.
    let log = Profile(program.path.with_file_name(format!("{}.log", unique())));
    let mut valgrind = Command::new("valgrind")
        .args(self::arguments(out))
        .arg(format!("--log-file={}", log.0.display()))
        .arg(&program.path)
        .args(arguments)
        .spawn()
        .map_err(|error| format!("valgrind: {error}"))?;
    if !await_end(&mut valgrind, TIMEOUT)?.success() {
        return Err(
            format!("{} {}: it failed under valgrind", program.path.display(), arguments.join(" ")).into()
        );
    }
    let profile = if out == Path::new("/dev/null") { String::new() } else { fs::read_to_string(out)? };
    Ok(Totals { instructions: collected(&fs::read_to_string(&log.0)?)?, allocations: allocations(&profile) })
}

/// Returns a name that no other log of this process has.
fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("callgrind-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Waits until a process has ended, and kills it after a time: a server whose client has failed would run forever.
fn await_end(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Err(format!("the program did not end within {} seconds", limit.as_secs_f64()).into());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A file for the profile or the log, which is removed when this value is dropped.
#[derive(Debug)]
pub struct Profile(pub PathBuf);

impl Drop for Profile {
    fn drop(&mut self) {
        // An error has no consequence here.
        let _ = fs::remove_file(&self.0);
    }
}

/// Finds the number of instructions in what callgrind prints at the end.
///
/// # Errors
///
/// Returns an error if there is none.
pub fn collected(text: &str) -> Result<u64> {
    let number = text.lines().find_map(|line| line.split_once("Collected : ")?.1.split(' ').next());
    Ok(number.ok_or_else(|| format!("valgrind did not report a count: {text}"))?.parse()?)
}

/// Counts the calls of functions that allocate memory in a profile. A line with the called function precedes the line with the number
/// of calls. The name of a function is only present where it occurs first, and later its number in parentheses.
#[must_use]
pub fn allocations(profile: &str) -> u64 {
    let mut numbers: Vec<&str> = Vec::new();
    let (mut is_allocator, mut sum) = (false, 0);
    for line in profile.lines() {
        let is_call = line.starts_with("cfn=");
        if is_call || line.starts_with("fn=") {
            let function = line.split_once('=').map_or("", |(_, function)| function);
            let (number, name) = function.split_once(' ').unwrap_or((function, ""));
            // A version follows the name in some builds of the C library.
            if ALLOCATORS.contains(&name.split('@').next().unwrap_or(name)) {
                numbers.push(number);
            }
            is_allocator = is_call && numbers.contains(&number);
        } else if let Some(calls) = line.strip_prefix("calls=").filter(|_| is_allocator) {
            sum += calls.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::{allocations, await_end, collected};
    use crate::Result;

    #[test]
    fn a_program_that_does_not_end_is_killed() -> Result<()> {
        let mut program = Command::new("sleep").arg("3600").spawn()?;
        assert!(await_end(&mut program, Duration::from_millis(1)).is_err());
        // It has been waited for.
        assert!(program.try_wait()?.is_some_and(|status| !status.success()));
        let mut program = Command::new("true").spawn()?;
        assert!(await_end(&mut program, Duration::from_secs(60))?.success());
        Ok(())
    }

    #[test]
    fn the_count_is_found() {
        let text = "==7== Events    : Ir\n==7== Collected : 4211\n==7==\n";
        assert_eq!(collected(text).ok(), Some(4211));
        assert!(collected("valgrind: no such file").is_err());
    }

    #[test]
    fn calls_of_allocators_are_counted() {
        let profile = "fn=(1) main\n12 3\ncob=(2) libc.so.6\ncfn=(7) malloc\ncalls=3 0\n12 90\ncfn=(8) free\ncalls=4 0\n12 9\n\
            fn=(9) grow\n1 2\ncfn=(7)\ncalls=2 0\n1 7\ncfn=(10) realloc\ncalls=1 0\n1 7\ncfn=(8)\ncalls=1 0\n1 7\n\
            fn=(7)\n1 5\ncfn=(11) _int_malloc\ncalls=5 0\n";
        assert_eq!(allocations(profile), 6);
    }
}
