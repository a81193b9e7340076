//! A Redis server for one test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use super::database::{Database, random};

/// A server on a Unix socket, which needs no free port.
pub(super) struct RedisServer {
    process: Child,
    /// Stays open, because the server writes to it.
    _output: BufReader<ChildStdout>,
    folder: PathBuf,
}

impl RedisServer {
    /// Returns `None` if the program is missing.
    pub(super) fn start() -> Option<Self> {
        let folder = env::temp_dir().join(format!("sockeye-chat-{}", random()));
        fs::create_dir(&folder).unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--unixsocket", "socket", "--dir"]).arg(&folder);
        let Ok(mut process) = command.stdout(Stdio::piped()).spawn() else {
            eprintln!("SKIPPED: the program redis-server is missing");
            fs::remove_dir(&folder).unwrap();
            return None;
        };
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("eady to accept connections") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "redis-server has ended");
        }
        Some(Self { process, _output: output, folder })
    }

    pub(super) fn url(&self) -> String {
        format!("unix://{}", self.folder.join("socket").display())
    }

    /// Connects as a node.
    pub(super) fn node(&self) -> Database {
        self.node_with_lease(Duration::from_secs(3_600))
    }

    fn node_with_lease(&self, lease: Duration) -> Database {
        Database::connect(&redis::Client::open(self.url()).unwrap(), lease).unwrap()
    }

    /// Connects as a node whose lease ends when another node renews its own in a later millisecond.
    pub(super) fn failing_node(&self) -> Database {
        self.node_with_lease(Duration::ZERO)
    }

    /// Ends the process.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Executes a command of another client.
    pub(super) fn execute(&self, words: &[&str]) {
        let client = redis::Client::open(self.url()).unwrap();
        redis::cmd(words[0]).arg(&words[1..]).exec(&mut client.get_connection().unwrap()).unwrap();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}
