//! Runs the cells of a workload: the servers take turns, each in a fresh process on one core, the load generator on
//! another.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::certificate::{CERTIFICATE, KEY};
use super::options::Options;
use super::programs::{Program, Programs};
use super::results::{Entry, Row};
use super::servers::{Kind, SERVERS, Server, Task};
use super::workloads::{Cell, Workload};
use crate::spec::{Mode, Outcome, Spec};
use crate::{Result, process};

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(10);

/// The core of the server, and that of the load generator.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// The first core there is.
    pub server: usize,
    /// The last one.
    pub client: usize,
}

impl Cores {
    /// Chooses among the cores of this machine.
    ///
    /// # Errors
    ///
    /// If there is only one.
    pub fn choose() -> Result<Self> {
        match process::cores()?.as_slice() {
            &[server, .., client] => Ok(Self { server, client }),
            _ => Err("two cores are needed".into()),
        }
    }
}

/// A server that runs, until this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Where it listens.
    pub address: String,
}

impl Running {
    /// Starts a server on its core, and waits until it listens.
    ///
    /// # Errors
    ///
    /// If it does not.
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
                return Err(format!("the server ended at once: {status}").into());
            }
            if started.elapsed() > START {
                return Err("the server does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Returns the number of the process.
    ///
    /// # Errors
    ///
    /// If it is no process number.
    pub fn pid(&self) -> Result<i32> {
        Ok(i32::try_from(self.child.id())?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // There is nobody left to be told.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the load generator once, on its core.
///
/// # Errors
///
/// What the load generator says.
pub fn load(program: &Program, spec: &Spec, cores: Cores) -> Result<Outcome> {
    process::pin(Some(cores.client))?;
    let output = Command::new(&program.path).arg(serde_json::to_string(spec)?).output();
    process::pin(None)?;
    let output = output?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.lines().last().unwrap_or("it failed without a word").to_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The servers that take part in a workload, each with its program or the reason why there is none.
fn participants(
    workload: &Workload,
    programs: &mut Programs,
    options: &Options,
) -> Vec<(&'static Server, &'static str, std::result::Result<Program, String>)> {
    let able = SERVERS.iter().filter_map(|server| Some((server, server.argument(workload.task)?)));
    let wanted = able.filter(|(server, _)| options.wants(server));
    wanted.map(|(server, argument)| (server, argument, programs.server(server, workload.task))).collect()
}

/// Runs a whole workload.
///
/// # Errors
///
/// If there is no load generator. What goes wrong with a server is part of the result.
pub fn run(
    workload: &Workload,
    programs: &mut Programs,
    options: &Options,
    cores: Cores,
) -> Result<Vec<Row>> {
    let generator = match workload.task {
        Task::Tls => programs.cargo("sockeye-benches", "load-tls", Some("tls"))?,
        _ => programs.cargo("sockeye-benches", "load", None)?,
    };
    let servers = participants(workload, programs, options);
    let cells = workload.cells.iter().filter(|cell| cell.quick || !options.quick);
    let cells = cells.filter(|cell| options.cell.as_ref().is_none_or(|part| cell.name.contains(part)));
    let mut rows = Vec::new();
    for cell in cells {
        eprintln!("{}: {}", workload.name, cell.name);
        let mut row = Row {
            name: cell.name.clone(),
            servers: servers.iter().map(|one| (one.0.name.into(), Entry::default())).collect(),
        };
        for turn in 0..options.repetitions {
            for place in 0..servers.len() {
                // Nobody is always first.
                let (server, argument, program) = &servers[(place + turn) % servers.len()];
                let entry = row.servers.entry(server.name.into()).or_default();
                let outcome = program.as_ref().map_err(|reason| format!("not built: {reason}").into());
                match outcome
                    .and_then(|program| once(server, program, argument, cell, &generator, cores, options))
                {
                    Ok(outcome) => entry.runs.push(outcome),
                    Err(error) => entry.failure = Some(error.to_string()),
                }
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

fn once(
    server: &Server,
    program: &Program,
    argument: &str,
    cell: &Cell,
    generator: &Program,
    cores: Cores,
    options: &Options,
) -> Result<Outcome> {
    let running = Running::start(program, argument, cell.spec.size, cores)?;
    let raw = server.kind == Kind::Floor && !matches!(cell.spec.mode, Mode::Handshakes | Mode::Idle);
    let mut spec = Spec {
        raw,
        verify: options.verify,
        address: running.address.clone(),
        pid: running.pid()?,
        ..cell.spec.clone()
    };
    if options.quick {
        spec.seconds *= 0.4;
        spec.warm_up *= 0.5;
    }
    load(generator, &spec, cores)
}
