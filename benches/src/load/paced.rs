//! Messages at a fixed rate, whatever the server does. The latency of a message begins when the message was due. The time for which it could not
//! be sent, because the server did not read or this program was late, is therefore included (no coordinated omission).

use std::time::{Duration, Instant};

use mio::{Events, Poll};

use super::latency::Times;
use super::link::{BUFFER, Link, frames_each};
use super::ring::Ring;
use super::schedule::Schedule;
use super::{connect, stream::Stream};
use crate::Result;
use crate::process::{Meter, memory};
use crate::spec::{Outcome, Spec};

/// The time limit for the replies after the last message.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run<S: Stream>(spec: &Spec) -> Result<Outcome> {
    if spec.rate <= 0.0 || spec.connections == 0 {
        return Err("a rate and a connection are needed".into());
    }
    let memory_before = memory(spec.pid, "VmRSS")?;
    let mut paced = Paced::<S>::new(spec)?;
    let start = Instant::now();
    let counted = start + Duration::from_secs_f64(spec.warm_up);
    let end = counted + Duration::from_secs_f64(spec.seconds);
    let mut schedule = Schedule::new(start, spec.rate);
    paced.counted = counted;
    while Instant::now() < counted {
        paced.turn(&mut schedule, end)?;
    }
    let meter = Meter::start(spec.pid)?;
    while schedule.next() < end {
        paced.turn(&mut schedule, end)?;
    }
    let usage = meter.stop()?;
    let last = Instant::now();
    while paced.in_flight() > 0 {
        paced.turn(&mut schedule, end)?;
        if last.elapsed() > PATIENCE {
            return Err(format!("{} messages were not answered in time", paced.in_flight()).into());
        }
    }
    Ok(Outcome {
        operations: paced.operations,
        usage,
        latency: paced.times.summary(),
        memory_before,
        memory_after: memory(spec.pid, "VmRSS")?,
        frames: frames_each(&paced.links),
        sent_late: paced.late.summary().p999,
        ..Outcome::default()
    })
}

struct Paced<S> {
    links: Vec<Link<S>>,
    /// The connection that sends the next message.
    turn: usize,
    ring: Ring,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    /// Messages that were due earlier are not counted.
    counted: Instant,
    times: Times,
    late: Times,
    operations: u64,
}

impl<S: Stream> Paced<S> {
    fn new(spec: &Spec) -> Result<Self> {
        let poll = Poll::new()?;
        let links = Link::all(connect::open::<S>(spec, spec.connections)?, spec, &poll)?;
        Ok(Self {
            links,
            turn: 0,
            ring: Ring::new(spec, "")?,
            poll,
            events: Events::with_capacity(1024),
            buffer: vec![0; BUFFER],
            counted: Instant::now(),
            times: Times::new()?,
            late: Times::new()?,
            operations: 0,
        })
    }

    /// Sends what is due before `end`, and receives what has arrived. It does not block, because the system would wake this program too late.
    fn turn(&mut self, schedule: &mut Schedule, end: Instant) -> Result<()> {
        while schedule.next() < end {
            let now = Instant::now();
            let Some(due) = schedule.take(now) else { break };
            if due >= self.counted {
                self.late.note(due, now);
            }
            let link = &mut self.links[self.turn];
            link.owe(1, due);
            link.send(&self.ring)?;
            self.turn = (self.turn + 1) % self.links.len();
        }
        self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
        for event in &self.events {
            let link = &mut self.links[event.token().0];
            if event.is_readable() {
                let count = link.receive(&mut self.buffer, &self.ring)?;
                let now = Instant::now();
                for _ in 0..count {
                    let due = link.answered()?;
                    if due >= self.counted {
                        self.times.note(due, now);
                        self.operations += 1;
                    }
                }
            }
            link.send(&self.ring)?;
        }
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.links.iter().map(Link::in_flight).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    use super::super::{Plain, requests};
    use super::run;
    use crate::Result;
    use crate::runner::workloads;
    use crate::spec::{Mode, Spec};

    /// The length of a message and of its frames in both directions.
    const SIZE: usize = 20;
    const SENT: usize = 2 + 4 + SIZE;
    const REPLY: usize = 2 + SIZE;

    const STALL: Duration = Duration::from_millis(300);

    /// Opens one connection and answers each message with as many bytes as a frame has. After `before` messages, it does nothing for `STALL`.
    fn serve(listener: &TcpListener, before: usize) -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.extend(byte);
        }
        write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {}\r\n\r\n",
            requests::ACCEPT
        )?;
        let (mut frame, mut served) = ([0; SENT], 0);
        while stream.read_exact(&mut frame).is_ok() {
            if served == before {
                thread::sleep(STALL);
            }
            served += 1;
            stream.write_all(&[0; REPLY])?;
        }
        Ok(())
    }

    #[test]
    fn a_stalled_server_has_high_percentiles() -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let server = thread::spawn(move || serve(&listener, 200));
        let spec = Spec {
            address,
            pid: i32::try_from(std::process::id())?,
            raw: true,
            rate: 1000.0,
            warm_up: 0.1,
            seconds: 0.9,
            ..workloads::spec(Mode::Paced, 1, SIZE, 1)
        };
        let outcome = run::<Plain>(&spec)?;
        server.join().map_err(|_| "the server panicked")??;
        assert_eq!(outcome.operations, 900);
        // A third of the messages was due in the stall. These are lower limits, which hold on a busy machine as well.
        let limit = |part: f64| STALL.as_secs_f64() * 1e6 * part;
        assert!(outcome.latency.p99 >= limit(0.9), "{:?}", outcome.latency);
        assert!(outcome.latency.p90 >= limit(0.6), "{:?}", outcome.latency);
        Ok(())
    }
}
