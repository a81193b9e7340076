//! Keeps the cores awake.
//!
//! An idle core halts, and on a virtual machine the host wakes it. This takes up to hundreds of microseconds, and a
//! part of this time counts as processor time of the process that is woken. With a single connection, it would be most
//! of the result. Therefore, in these cells, a program of the lowest scheduling class runs a busy loop on each core. It
//! yields to any other program immediately. It affects the measured programs slightly, so it only runs in these cells.

use std::fs;
use std::os::unix::process::parent_id;
use std::process::{Child, Command, Stdio};

use nix::unistd::setsid;

use super::measure::Cores;
use crate::{Result, process};

/// The argument that makes this program run the busy loop.
pub const ARGUMENT: &str = "stay-awake";

/// Keeps the cores awake until it is dropped.
#[derive(Debug)]
pub struct Awake(Vec<Child>);

impl Awake {
    /// Keeps both cores awake, or prints a warning if that is not possible.
    ///
    /// # Errors
    ///
    /// Returns an error if the cores do not exist.
    pub fn start(cores: Cores) -> Result<Self> {
        let mut awake = Self(Vec::new());
        for core in [cores.server, cores.client] {
            match spawn(core)? {
                Ok(child) => awake.0.push(child),
                Err(error) => eprintln!("the cores may become idle: chrt: {error}"),
            }
        }
        Ok(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // An error has no consequence here.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(core: usize) -> Result<std::io::Result<Child>> {
    let mut command = Command::new("chrt");
    command.args(["--idle", "0"]).arg(std::env::current_exe()?).arg(ARGUMENT);
    process::pin(Some(core))?;
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    process::pin(None)?;
    Ok(child)
}

/// Runs a busy loop until the runner ends.
pub fn turn() {
    leave_group();
    const TURNS: usize = 1_000_000;
    let parent = parent_id();
    while parent_id() == parent {
        (0..TURNS).for_each(|_| std::hint::spin_loop());
    }
}

/// Leaves the scheduling group of the runner's session. Otherwise the busy loop would use the share of the measured programs when other
/// sessions use the cores as well. Without such groups, there is nothing to leave.
fn leave_group() {
    if setsid().is_ok() {
        let _ = fs::write("/proc/self/autogroup", "19");
    }
}
