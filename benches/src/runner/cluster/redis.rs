//! A private Redis server, and a client of it.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Result, process};

/// The time limit for everything that Redis is expected to do.
const LIMIT: Duration = Duration::from_secs(10);

/// A server on a free port, without persistence. It ends with this value.
#[derive(Debug)]
pub(super) struct Redis {
    child: Child,
    pub(super) port: u16,
    control: BufReader<TcpStream>,
}

impl Redis {
    /// Starts a server on a core, and waits until it accepts connections.
    pub(super) fn start(folder: &Path, core: usize) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        process::pin(Some(core))?;
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"])
            .arg(port.to_string())
            .arg("--dir")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        process::pin(None)?;
        let mut child = child.map_err(|error| match error.kind() {
            ErrorKind::NotFound => "redis-server is missing: install the package redis-server".to_owned(),
            _ => format!("redis-server: {error}"),
        })?;
        match connect(port) {
            Ok(control) => Ok(Self { child, port, control: BufReader::new(control) }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    pub(super) fn pid(&self) -> Result<i32> {
        Ok(i32::try_from(self.child.id())?)
    }

    /// Opens another connection.
    pub(super) fn client(&self) -> Result<TcpStream> {
        connect(self.port)
    }

    /// Returns a number that `INFO` contains.
    pub(super) fn info(&mut self, name: &str) -> Result<u64> {
        self.control.get_mut().write_all(b"INFO everything\r\n")?;
        let length: usize = self.line()?.trim_start_matches('$').parse()?;
        let mut text = vec![0; length + 2];
        self.control.read_exact(&mut text)?;
        let text = String::from_utf8(text)?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(value.ok_or_else(|| format!("INFO does not contain {name}"))?.parse()?)
    }

    /// Waits until `count` nodes have subscribed to a topic.
    pub(super) fn await_subscribers(&mut self, topic: &str, count: usize) -> Result<()> {
        let request = format!("PUBSUB NUMSUB sockeye:t:{topic}\r\n");
        let expected = format!(":{count}");
        self.wait("the nodes have not subscribed", |redis| {
            redis.control.get_mut().write_all(request.as_bytes())?;
            // An array with the length of the name, the name, and the number.
            let lines = [redis.line()?, redis.line()?, redis.line()?, redis.line()?];
            Ok(lines[3] == expected)
        })
    }

    /// Waits until there are at least `count` channels.
    pub(super) fn await_channels(&mut self, count: u64) -> Result<()> {
        self.wait("the topics are not subscribed", |redis| Ok(redis.info("pubsub_channels")? >= count))
    }

    fn wait(&mut self, what: &str, mut is_done: impl FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        let started = Instant::now();
        while !is_done(self)? {
            if started.elapsed() > LIMIT {
                return Err(format!("{what} within ten seconds").into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.control.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // An error has no consequence here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(port: u16) -> Result<TcpStream> {
    let started = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(LIMIT))?;
                return Ok(stream);
            }
            Err(error) if started.elapsed() > LIMIT => return Err(format!("redis-server: {error}").into()),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
