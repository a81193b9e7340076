//! A separate process for tests that would disturb other tests, or that other tests would disturb.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::{LIMIT, wait_until};

/// The environment variable that contains the name of the test for which a process was started.
const VARIABLE: &str = "SOCKEYE_CHILD";

/// Variables that make glibc return memory to the system as soon as it is freed, so that the resident size is what is in use.
pub const RELEASE_AT_ONCE: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "65536"), ("MALLOC_TRIM_THRESHOLD_", "65536")];

/// A process that runs one test of this binary, or another program, as a child of a test.
pub struct Child {
    process: process::Child,
    lines: Mutex<Receiver<String>>,
}

/// Returns whether this process was started for the test with this name.
pub fn is_child(test: &str) -> bool {
    env::var_os(VARIABLE).is_some_and(|name| name == OsStr::new(test))
}

/// Prints a line for the parent.
#[expect(clippy::print_stderr, reason = "the parent reads standard error")]
pub fn print_line(line: &str) {
    eprintln!("{line}");
}

/// Starts a test in a separate process. `test` is its name with all modules, and `limits` contains shell commands that
/// are executed first. [`Child::line`] returns the lines of its standard error.
pub fn start(test: &str, limits: &str, variables: &[(&str, &str)]) -> Child {
    start_with(test, limits, variables, [Stdio::null(), Stdio::null()])
}

/// The same with other files as standard input and standard output, which `limits` can pass on as other descriptors.
pub fn start_with(test: &str, limits: &str, variables: &[(&str, &str)], files: [Stdio; 2]) -> Child {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{limits}\nexec \"$0\" \"$@\""))
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(VARIABLE, test)
        .envs(variables.iter().copied());
    spawn_with(&mut command, files)
}

/// Starts any program in a separate process. [`Child::line`] returns the lines of its standard error.
pub fn spawn(command: &mut Command) -> Child {
    spawn_with(command, [Stdio::null(), Stdio::null()])
}

fn spawn_with(command: &mut Command, [input, output]: [Stdio; 2]) -> Child {
    let command = command.stdin(input).stdout(output).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let errors = BufReader::new(process.stderr.take().unwrap());
    let (print_line, lines) = channel();
    thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| print_line.send(line)));
    Child { process, lines: Mutex::new(lines) }
}

/// Runs a test in a separate process, and returns its standard output: the lines of the test harness and the output of
/// the test. `test` is its name with all modules.
pub fn output_of(test: &str) -> String {
    let mut process = Command::new(env::current_exe().unwrap());
    let process = process.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(VARIABLE, test);
    let output = process.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Child {
    /// Waits for the next line of the child, and returns it.
    pub fn line(&self) -> String {
        self.lines.lock().unwrap().recv_timeout(LIMIT).expect("the child prints nothing")
    }

    /// Returns the lines that the child has printed since the last call.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().try_iter().collect()
    }

    /// Returns the processor time of all threads of the child.
    pub fn time(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let spent = tasks.map(|task| {
            let stat = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
            stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
        });
        Duration::from_nanos(spent.sum())
    }

    /// Stops and continues the child, which interrupts its system calls.
    pub fn interrupt(&self) {
        self.signal("STOP");
        wait_until("the child has stopped", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        });
        self.signal("CONT");
    }

    /// Sends a signal to the child.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.process.id());
        assert!(Command::new("sh").arg("-c").arg(kill).status().unwrap().success());
    }

    /// Waits until the child exits, and asserts that it succeeded.
    pub fn finish(mut self) {
        let status = self.wait(|_| {});
        assert!(status.success(), "{status}: {:#?}", self.lines());
    }

    /// Does something repeatedly until the child exits.
    pub fn end_by(mut self, attempt: impl FnMut(&Self)) -> ExitStatus {
        self.wait(attempt)
    }

    fn wait(&mut self, mut attempt: impl FnMut(&Self)) -> ExitStatus {
        let end = Instant::now() + 6 * LIMIT;
        loop {
            match self.process.try_wait().unwrap() {
                Some(status) => return status,
                None => assert!(Instant::now() < end, "the child does not exit: {:#?}", self.lines()),
            }
            attempt(self);
            thread::park_timeout(Duration::from_millis(2));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The child has already exited, or the test has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
