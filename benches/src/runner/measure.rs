//! Runs the cells of a workload. The servers take turns. Each server runs in a new process on one core, and the load
//! generator runs on another core.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::awake::Awake;
use super::certificate::{self, CERTIFICATE, KEY};
use super::options::{Options, Pace};
use super::programs::{Program, Programs};
use super::results::{self, Entry, Row};
use super::servers::{Kind, SERVERS, Server, Task};
use super::workloads::{Cell, Workload};
use crate::spec::{Mode, Outcome, Spec};
use crate::{Result, process};

/// The time limit for a server to start listening, which takes long with callgrind on a busy machine.
const START: Duration = Duration::from_secs(60);

/// The fixed rate, as a part of what the slowest server reaches.
const PART: f64 = 0.5;

/// The core of the server, and that of the load generator.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// The core of the server, which is the first core.
    pub server: usize,
    /// The core of the load generator, which is the last core.
    pub client: usize,
}

impl Cores {
    /// Chooses among the cores of this machine.
    ///
    /// # Errors
    ///
    /// Returns an error if there is only one core.
    pub fn choose() -> Result<Self> {
        match process::cores()?.as_slice() {
            &[server, .., client] => Ok(Self { server, client }),
            _ => Err("two cores are needed".into()),
        }
    }
}

/// A running server. Dropping this value kills the process.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// The address on which the server listens.
    pub address: String,
}

impl Running {
    /// Starts a server on its core, and waits until it listens.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot be started or does not listen in time.
    pub fn start(program: &Program, argument: &str, size: usize, cores: Cores) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        process::pin(Some(cores.server))?;
        let mut command = Command::new(&program.path);
        command.args(&program.first).args([&address, argument, &size.to_string()]);
        command.env("BENCH_CERTIFICATE", program.path.with_file_name(CERTIFICATE));
        command.env("BENCH_KEY", program.path.with_file_name(KEY));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        process::pin(None)?;
        let mut running = Self { child: child?, address };
        running.await_listening()?;
        Ok(running)
    }

    fn await_listening(&mut self) -> Result<()> {
        let started = Instant::now();
        while TcpStream::connect(&self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server exited immediately: {status}").into());
            }
            if started.elapsed() > START {
                return Err("the server does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Returns the ID of the process.
    ///
    /// # Errors
    ///
    /// Returns an error if the ID does not fit into an `i32`.
    pub fn pid(&self) -> Result<i32> {
        Ok(i32::try_from(self.child.id())?)
    }

    /// Ends the server with a signal that it can react to, and waits until it has ended.
    ///
    /// # Errors
    ///
    /// Returns an error if the server has already been waited for.
    pub fn end(&mut self) -> Result<()> {
        kill(Pid::from_raw(self.pid()?), Signal::SIGTERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error has no consequence here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the load generator once, on its core.
///
/// # Errors
///
/// Returns the last line of the error output if the load generator fails.
pub fn load(program: &Program, spec: &Spec, cores: Cores) -> Result<Outcome> {
    process::pin(Some(cores.client))?;
    let output = Command::new(&program.path).arg(serde_json::to_string(spec)?).output();
    process::pin(None)?;
    let output = output?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.lines().last().unwrap_or("it failed without a message").to_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A server that takes part, and its program, or the reason why the program does not exist.
struct Participant {
    server: &'static Server,
    argument: &'static str,
    program: std::result::Result<Program, String>,
}

fn participants(workload: &Workload, programs: &mut Programs, options: &Options) -> Vec<Participant> {
    let able = SERVERS.iter().filter_map(|server| Some((server, server.argument(workload.task)?)));
    let wanted = able.filter(|(server, _)| options.wants(server));
    let mut build = |server| programs.server(server, workload.task);
    wanted.map(|(server, argument)| Participant { server, argument, program: build(server) }).collect()
}

/// Runs a whole workload.
///
/// # Errors
///
/// Returns an error if the load generator cannot be built. The errors of servers are part of the result.
pub fn run(
    workload: &Workload,
    programs: &mut Programs,
    options: &Options,
    cores: Cores,
) -> Result<Vec<Row>> {
    let generator = generator(programs, workload.task)?;
    let session =
        Session { participants: participants(workload, programs, options), generator, options, cores };
    let cells = workload.cells.iter().filter(|cell| cell.pace <= options.pace);
    let cells = cells.filter(|cell| options.cell.as_ref().is_none_or(|part| cell.name.contains(part)));
    cells.map(|cell| session.row(workload, cell)).collect()
}

/// Builds the load generator for a task, and creates the certificate that servers with TLS need.
///
/// # Errors
///
/// Returns an error if one of them cannot be made.
pub fn generator(programs: &mut Programs, task: Task) -> Result<Program> {
    if task == Task::Tls {
        certificate::make(programs.folder())?;
    }
    let (name, feature) = match task {
        Task::Tls => ("load-tls", Some("tls")),
        _ => ("load", None),
    };
    Ok(programs.cargo("sockeye-benches", name, feature)?)
}

/// The values that are the same for all cells.
struct Session<'a> {
    participants: Vec<Participant>,
    generator: Program,
    options: &'a Options,
    cores: Cores,
}

impl Session<'_> {
    /// Runs one cell, in which the servers take turns.
    fn row(&self, workload: &Workload, cell: &Cell) -> Result<Row> {
        let started = Instant::now();
        // With more connections, the cores are rarely idle.
        let _awake = (cell.spec.connections == 1).then(|| Awake::start(self.cores)).transpose()?;
        let all = &self.participants;
        let servers = all.iter().map(|one| (one.server.name.into(), Entry::default())).collect();
        let rate = if cell.spec.mode == Mode::Paced { Some(self.rate(cell)?) } else { None };
        let mut row = Row { name: cell.name.clone(), servers, rate };
        for turn in 0..self.options.repetitions {
            for place in 0..all.len() {
                // The order rotates.
                let one = &all[(place + turn) % all.len()];
                // A late percentile varies too much to leave out a server because of one run.
                if self.options.pace != Pace::Fast
                    || rate.is_some()
                    || !row.leaves_out(one.server, workload.measure)
                {
                    row.note(one.server, self.once(one, cell, rate));
                }
            }
        }
        eprintln!("{}: {}, {:.0} s", workload.name, cell.name, started.elapsed().as_secs_f64());
        Ok(row)
    }

    /// Returns the rate for a cell with a fixed rate: half of what the slowest server reaches if each message waits for the
    /// reply to the previous one on its connection. It has two significant digits.
    fn rate(&self, cell: &Cell) -> Result<f64> {
        let closed = Cell { spec: Spec { mode: Mode::Echo, ..cell.spec.clone() }, ..cell.clone() };
        let mut slowest = f64::INFINITY;
        for one in &self.participants {
            match self.once(one, &closed, None) {
                Ok(outcome) => slowest = slowest.min(results::rate(&outcome)),
                Err(error) => eprintln!("{}: {error}", one.server.name),
            }
        }
        if slowest.is_infinite() {
            return Err("no server can be run".into());
        }
        Ok(two_digits(slowest * PART))
    }

    fn once(&self, one: &Participant, cell: &Cell, rate: Option<f64>) -> Result<Outcome> {
        let program = one.program.as_ref().map_err(|reason| format!("not built: {reason}"))?;
        let running = Running::start(program, one.argument, cell.spec.size, self.cores)?;
        let raw = one.server.kind == Kind::Floor && !matches!(cell.spec.mode, Mode::Handshakes | Mode::Idle);
        let mut spec = Spec {
            raw,
            verify: self.options.verify,
            address: running.address.clone(),
            pid: running.pid()?,
            rate: rate.unwrap_or(0.0),
            ..cell.spec.clone()
        };
        self.options.pace.shorten(&mut spec);
        load(&self.generator, &spec, self.cores)
    }
}

/// Rounds a number down to two significant digits.
fn two_digits(value: f64) -> f64 {
    let unit = 10f64.powf(value.log10().floor() - 1.0);
    (value / unit).floor() * unit
}

#[cfg(test)]
mod tests {
    use super::two_digits;

    #[test]
    fn rates_have_two_digits() {
        assert_eq!([36_172.0, 9_999.0, 100.0].map(two_digits), [36_000.0, 9_900.0, 100.0]);
    }
}
