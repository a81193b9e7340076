//! The priority of the processes whose latency is measured.

use std::process::{Command, Stdio, id};

/// Gives this thread real-time priority, which the processes that it starts inherit, until it is dropped. Otherwise other programs on the same
/// cores delay a few messages by milliseconds, and the 99th percentile only shows these. It needs the rights of an administrator.
#[derive(Debug)]
pub(super) struct RealTime(bool);

impl RealTime {
    pub(super) fn start() -> Self {
        let is_set = set(&["--fifo", "--pid", "1"]);
        if !is_set {
            eprintln!("cluster: chrt cannot set a real-time priority, so other programs can delay messages");
        }
        Self(is_set)
    }
}

impl Drop for RealTime {
    fn drop(&mut self) {
        if self.0 && !set(&["--other", "--pid", "0"]) {
            eprintln!("cluster: chrt cannot reset the priority");
        }
    }
}

/// Sets the priority of the first thread of this process, which runs all measurements.
fn set(arguments: &[&str]) -> bool {
    let mut command = Command::new("chrt");
    command.args(arguments).arg(id().to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
