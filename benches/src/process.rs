//! Reads the processor time and the memory of a process, and the time for which it waited for a core, on Linux.

use std::fs;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

use crate::Result;
use crate::spec::Usage;

/// The length of a clock tick of `/proc/stat` in nanoseconds. There are 100 ticks per second on every Linux.
const TICK_NS: u64 = 10_000_000;

/// Measures the resources that are used from one moment on.
#[derive(Debug)]
pub struct Meter {
    server: ClockId,
    pid: i32,
    started: Instant,
    then: Usage,
}

impl Meter {
    /// Starts to measure a server and the current process.
    ///
    /// # Errors
    ///
    /// Returns an error if the server has exited.
    pub fn start(pid: i32) -> Result<Self> {
        let server = clock_getcpuclockid(Pid::from_raw(pid))?;
        Ok(Self { server, pid, then: read(server, pid)?, started: Instant::now() })
    }

    /// Returns the resources that were used since the start.
    ///
    /// # Errors
    ///
    /// Returns an error if the server has exited.
    pub fn stop(&self) -> Result<Usage> {
        let elapsed = self.started.elapsed();
        let (now, then) = (read(self.server, self.pid)?, &self.then);
        Ok(Usage {
            elapsed_ns: u64::try_from(elapsed.as_nanos())?,
            server_ns: now.server_ns - then.server_ns,
            server_wait_ns: now.server_wait_ns - then.server_wait_ns,
            client_ns: now.client_ns - then.client_ns,
            client_wait_ns: now.client_wait_ns - then.client_wait_ns,
            stolen_ns: now.stolen_ns - then.stolen_ns,
        })
    }

    /// Returns the time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Returns the current values of all counters. The processor time comes from the clock of the process. It is exact, and
/// includes threads that have ended.
fn read(server: ClockId, pid: i32) -> Result<Usage> {
    Ok(Usage {
        elapsed_ns: 0,
        server_ns: nanoseconds(server)?,
        server_wait_ns: waited(&pid.to_string())?,
        client_ns: nanoseconds(ClockId::CLOCK_PROCESS_CPUTIME_ID)?,
        client_wait_ns: waited("self")?,
        stolen_ns: stolen()?,
    })
}

fn nanoseconds(clock: ClockId) -> Result<u64> {
    Ok(u64::try_from(Duration::from(clock.now()?).as_nanos())?)
}

/// Returns the time for which the first thread was in the queue of a core: the second number of `schedstat`.
fn waited(process: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/schedstat"))?;
    Ok(text.split(' ').nth(1).ok_or("schedstat has no second number")?.parse()?)
}

/// Returns the time that the host took away: the eighth number of the first line of `/proc/stat`.
fn stolen() -> Result<u64> {
    let text = fs::read_to_string("/proc/stat")?;
    let ticks: u64 = text.split_ascii_whitespace().nth(8).ok_or("/proc/stat has too few numbers")?.parse()?;
    Ok(ticks * TICK_NS)
}

/// Returns the value of a line of `/proc/PID/status` that is in kilobytes, such as `VmRSS` or `VmHWM`, in bytes.
///
/// # Errors
///
/// Returns an error if the process has exited, or if there is no such line.
pub fn memory(pid: i32, line: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = text.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
    let kilobytes: u64 = value.ok_or("no such line in status")?.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}

/// Returns the number of open files and sockets of a process.
///
/// # Errors
///
/// Returns an error if the process has exited.
pub fn open_files(pid: i32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// Pins this thread, and the processes that it starts from now on, to one core. `None` allows all cores again.
///
/// # Errors
///
/// Returns an error if the core does not exist.
pub fn pin(core: Option<usize>) -> Result<()> {
    let mut cores = CpuSet::new();
    for one in core.map_or(0..CpuSet::count(), |core| core..core + 1) {
        cores.set(one)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}

/// Returns the cores on which this process may run.
///
/// # Errors
///
/// Returns an error if the system does not report them.
pub fn cores() -> Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect())
}
