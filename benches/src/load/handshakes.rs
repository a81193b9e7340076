//! Opening handshakes: several at a time, until a batch of connections is open. Closing them is not measured.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::latency::Times;
use super::link::wait;
use super::requests;
use crate::Result;
use crate::process::{Meter, memory, open_files};
use crate::spec::{Outcome, Spec, Usage};

/// The time limit for a server to close its side of a batch of connections.
const FAREWELL: Duration = Duration::from_secs(5);

pub(super) fn run(spec: &Spec) -> Result<Outcome> {
    let mut opener = Opener {
        address: spec.address.parse()?,
        request: requests::request(spec),
        poll: Poll::new()?,
        events: Events::with_capacity(1024),
        times: Times::new()?,
    };
    let open_before = open_files(spec.pid)?;
    if spec.rounds > 0 {
        for _ in 0..spec.rounds {
            drop(opener.batch(spec)?);
            await_farewell(spec.pid, open_before)?;
        }
        return Ok(Outcome { operations: (spec.rounds * spec.connections) as u64, ..Outcome::default() });
    }
    let memory_before = memory(spec.pid, "VmRSS")?;
    let end = Instant::now() + Duration::from_secs_f64(spec.warm_up);
    while Instant::now() < end {
        drop(opener.batch(spec)?);
        await_farewell(spec.pid, open_before)?;
    }
    opener.times.clear();
    let (mut usage, mut operations) = (Usage::default(), 0);
    while Duration::from_nanos(usage.elapsed_ns).as_secs_f64() < spec.seconds {
        let meter = Meter::start(spec.pid)?;
        let batch = opener.batch(spec)?;
        usage += meter.stop()?;
        operations += batch.len() as u64;
        drop(batch);
        await_farewell(spec.pid, open_before)?;
    }
    let memory_after = memory(spec.pid, "VmRSS")?;
    let latency = opener.times.summary();
    Ok(Outcome { operations, usage, latency, memory_before, memory_after, ..Outcome::default() })
}

/// Waits until the server has closed its side of the connections.
fn await_farewell(pid: i32, before: usize) -> Result<()> {
    let start = Instant::now();
    while open_files(pid)? > before + 4 {
        if start.elapsed() > FAREWELL {
            return Err("the server does not close connections that the clients have closed".into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

struct Opener {
    address: SocketAddr,
    request: Vec<u8>,
    poll: Poll,
    events: Events,
    times: Times,
}

/// A connection that is opening or open.
struct Opening {
    socket: TcpStream,
    started: Instant,
    /// The number of bytes of the request that have been written.
    sent: usize,
    answer: Vec<u8>,
    open: bool,
}

impl Opener {
    /// Opens `connections`, `in_flight` of them at a time.
    fn batch(&mut self, spec: &Spec) -> Result<Vec<Opening>> {
        let mut batch = Vec::with_capacity(spec.connections);
        let mut open = 0;
        for _ in 0..spec.in_flight.min(spec.connections) {
            self.start(&mut batch)?;
        }
        while open < spec.connections {
            wait(&mut self.poll, &mut self.events)?;
            let mut opened = 0;
            for event in &self.events {
                let opening: &mut Opening = &mut batch[event.token().0];
                if opening.advance(&self.request)? {
                    self.times.note(opening.started, Instant::now());
                    opened += 1;
                }
            }
            open += opened;
            for _ in 0..opened.min(spec.connections - batch.len()) {
                self.start(&mut batch)?;
            }
        }
        Ok(batch)
    }

    fn start(&self, batch: &mut Vec<Opening>) -> Result<()> {
        let mut socket = TcpStream::connect(self.address)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(batch.len()), interest)?;
        batch.push(Opening { socket, started: Instant::now(), sent: 0, answer: Vec::new(), open: false });
        Ok(())
    }
}

impl Opening {
    /// Continues until it would block. Returns whether the connection has just opened.
    fn advance(&mut self, request: &[u8]) -> Result<bool> {
        if self.open {
            return Ok(false);
        }
        if self.sent < request.len() {
            match self.socket.write(&request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::NotConnected => {}
                Err(error) => return Err(error.into()),
            }
            return Ok(false);
        }
        self.read()?;
        self.open = requests::response(&self.answer)?.is_some();
        Ok(self.open)
    }

    fn read(&mut self) -> Result<()> {
        let mut buffer = [0; 2048];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err("the server closed the connection during the opening handshake".into()),
                Ok(count) => self.answer.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
