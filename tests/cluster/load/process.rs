//! A process that is a part of the cluster: it receives orders as lines, and answers with lines.

use std::env;
use std::io::{BufRead, BufReader, Write, stdin};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than every answer takes, also on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// Another process of this program. It is killed if it is dropped before it has ended.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    orders: ChildStdin,
    answers: Receiver<String>,
}

impl Process {
    pub(crate) fn start(role: &str, arguments: &[String]) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .arg(role)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, answers) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, orders, answers }
    }

    pub(crate) fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    /// Waits for the next line.
    pub(crate) fn answer(&self) -> String {
        self.answers.recv_timeout(LIMIT).expect("a process does not answer, or has failed")
    }

    /// Sends an order, and waits for the answer.
    pub(crate) fn ask(&mut self, order: &str) -> String {
        self.order(order);
        self.answer()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits until the process has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "a process does not end");
            thread::park_timeout(Duration::from_millis(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, or is not needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the orders for this process, which end with the process that gives them.
pub(crate) fn orders() -> impl Iterator<Item = String> {
    stdin().lines().map_while(Result::ok)
}
