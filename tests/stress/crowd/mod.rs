//! The peers of a row, in a process of their own. A crowd prints numbers, one on each line, which the row reads.

mod audience;
mod hoarders;
mod leavers;
mod occupiers;
mod readers;

use std::env;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::parent_id;
use std::process::Command;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use sockeye_test_support::child::{self, Child};

pub(crate) use hoarders::{Hoard, compressed_message, open_compressed};

/// How often a crowd that only holds its connections looks for its parent.
const PAUSE: Duration = Duration::from_millis(200);

/// A process with the peers of a row. It ends when this value is dropped, or when the row ends.
pub(crate) struct Crowd(Child);

impl Crowd {
    /// Starts peers that open connections until the server rejects one, and then keep silent. Their number is
    /// [`Crowd::number`].
    pub(crate) fn silent(server: SocketAddr, host: IpAddr, most: usize) -> Self {
        Self::start("silent", &[&server, &host, &most])
    }

    /// Starts peers that try to open this many connections, even if the server rejects some. The number of open ones is
    /// [`Crowd::number`].
    pub(crate) fn persistent(server: SocketAddr, host: IpAddr, attempts: usize) -> Self {
        Self::start("persistent", &[&server, &host, &attempts])
    }

    /// Starts peers that make the server store something, in each of several rounds.
    pub(crate) fn hoarders(server: SocketAddr, hoard: Hoard, count: usize, rounds: usize) -> Self {
        Self::start("hoarders", &[&server, &hoard, &count, &rounds])
    }

    /// Starts peers that read slowly until the end of the connection. The bytes of the payload that they have received,
    /// and the number of connections that were closed cleanly, are two calls of [`Crowd::number`].
    pub(crate) fn readers(server: SocketAddr, resource: &str, count: usize) -> Self {
        Self::start("readers", &[&server, &resource, &count])
    }

    /// Starts clients that receive everything and ignore it. [`Crowd::number`] returns when they are open.
    pub(crate) fn audience(server: SocketAddr, count: usize) -> Self {
        Self::start("audience", &[&server, &count])
    }

    /// Starts clients that read until the server closes them. Once they are open, [`Crowd::number`] returns how many there are. After
    /// the closes, it returns the number of messages, of connections that were closed with 1012, and the most closes in a tenth of a
    /// time, in tenths of the average.
    pub(crate) fn leavers(server: SocketAddr, count: usize, over: Duration) -> Self {
        Self::start("leavers", &[&server, &count, &over.as_millis()])
    }

    /// Starts this program as a crowd.
    pub(crate) fn start(kind: &str, arguments: &[&dyn Display]) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.arg("--crowd").arg(kind).args(arguments.iter().map(ToString::to_string));
        Self(child::spawn(&mut command))
    }

    /// Waits for the next number that the crowd prints.
    pub(crate) fn number(&self) -> usize {
        self.parse(&self.0.line())
    }

    /// Returns the number that the crowd has printed, if there is one.
    pub(crate) fn printed(&self) -> Option<usize> {
        self.0.lines().first().map(|line| self.parse(line))
    }

    /// A line that is no number belongs to a panic.
    fn parse(&self, line: &str) -> usize {
        line.parse().unwrap_or_else(|_| panic!("the crowd has failed: {line}{}", self.0.lines().join("\n")))
    }

    /// Waits until the crowd has ended without an error.
    pub(crate) fn finish(self) {
        self.0.finish();
    }
}

/// Acts as a crowd.
pub(crate) fn main(kind: &str, arguments: &[String]) {
    let arguments = Arguments(arguments);
    match kind {
        "silent" => occupiers::silent(arguments.get(0), arguments.get(1), arguments.get(2)),
        "persistent" => occupiers::persistent(arguments.get(0), arguments.get(1), arguments.get(2)),
        "hoarders" => {
            hoarders::run(arguments.get(0), arguments.get(1), arguments.get(2), arguments.get(3));
        }
        "readers" => readers::run(arguments.get(0), &arguments.get::<String>(1), arguments.get(2)),
        "audience" => audience::run(arguments.get(0), arguments.get(1)),
        "leavers" => leavers::run(arguments.get(0), arguments.get(1), arguments.get(2)),
        "visitors" => {
            crate::soak::visit(arguments.get(0), arguments.get(1), arguments.get(2), arguments.get(3));
        }
        "members" => {
            let plan = std::array::from_fn(|at| arguments.get(2 + at));
            crate::topics::join_topics(arguments.get(0), arguments.get(1), plan);
        }
        other => panic!("no crowd is called {other}"),
    }
}

struct Arguments<'a>(&'a [String]);

impl Arguments<'_> {
    fn get<T: FromStr>(&self, at: usize) -> T {
        self.0.get(at).and_then(|text| text.parse().ok()).expect("the row passes valid arguments")
    }
}

/// Prints a number for the row.
pub(crate) fn print_number(number: usize) {
    child::print_line(&number.to_string());
}

/// Waits until the row has ended.
fn wait_for_parent() {
    let parent = parent_id();
    while parent_id() == parent {
        thread::sleep(PAUSE);
    }
}
