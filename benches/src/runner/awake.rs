//! Keeps the cores awake.
//!
//! A core with nothing to do halts, and on a virtual machine it is the host that wakes it: that takes up to hundreds of
//! microseconds, part of which counts as time of the process that is woken. With a single connection that would be all that
//! is measured. So a program of the lowest class of the scheduler, which gives way to any other at once, turns in circles on
//! each core meanwhile. It costs the others a little, as it keeps the core warm and busy, so that it is there only then.

use std::os::unix::process::parent_id;
use std::process::{Child, Command, Stdio};

use super::measure::Cores;
use crate::{Result, process};

/// The argument by which this program is told to turn in circles.
pub const ARGUMENT: &str = "stay-awake";

/// The cores are awake until this is dropped.
#[derive(Debug)]
pub struct Awake(Vec<Child>);

impl Awake {
    /// Keeps both cores awake; says so if that is not possible here.
    ///
    /// # Errors
    ///
    /// If there are no such cores.
    pub fn start(cores: Cores) -> Result<Self> {
        let mut awake = Self(Vec::new());
        for core in [cores.server, cores.client] {
            match spawn(core)? {
                Ok(child) => awake.0.push(child),
                Err(error) => eprintln!("the cores may fall asleep: chrt: {error}"),
            }
        }
        Ok(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // There is nobody left to be told.
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

/// Turns in circles as long as the runner lives.
pub fn turn() {
    const TURNS: usize = 1_000_000;
    let parent = parent_id();
    while parent_id() == parent {
        (0..TURNS).for_each(|_| std::hint::spin_loop());
    }
}
