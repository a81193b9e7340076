//! Broadcast: the first connection sends messages in one write. When all connections have received all of these
//! messages, it sends the next ones.

use std::time::{Duration, Instant};

use mio::{Events, Poll};

use super::latency::Times;
use super::link::{BUFFER, Link, wait};
use super::ring::Ring;
use super::{connect, stream::Stream};
use crate::Result;
use crate::process::{Meter, memory};
use crate::spec::{Outcome, Spec};

/// The time for which slow readers do not read.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn run<S: Stream>(spec: &Spec) -> Result<Outcome> {
    let mut hall = Hall::<S>::new(spec)?;
    if spec.rounds > 0 {
        (0..spec.rounds).try_for_each(|_| hall.tick(spec))?;
        return Ok(Outcome { operations: hall.delivered, ..Outcome::default() });
    }
    let end = Instant::now() + Duration::from_secs_f64(spec.warm_up);
    while Instant::now() < end {
        hall.tick(spec)?;
    }
    hall.times.clear();
    hall.delivered = 0;
    let memory_before = memory(spec.pid, "VmRSS")?;
    let meter = Meter::start(spec.pid)?;
    while meter.elapsed().as_secs_f64() < spec.seconds {
        hall.tick(spec)?;
    }
    let usage = meter.stop()?;
    let memory_after = memory(spec.pid, "VmRSS")?;
    let (operations, latency) = (hall.delivered, hall.times.summary());
    Ok(Outcome { operations, usage, latency, memory_before, memory_after, ..Outcome::default() })
}

/// Sends one broadcast to connections that do not read until the server's memory has been measured. Afterwards all of
/// them must receive it.
pub(super) fn run_slow<S: Stream>(spec: &Spec) -> Result<Outcome> {
    let mut hall = Hall::<S>::new(spec)?;
    let memory_before = memory(spec.pid, "VmRSS")?;
    let meter = Meter::start(spec.pid)?;
    hall.speak(spec)?;
    let mut memory_after = memory_before;
    while meter.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
        hall.links[0].send(&hall.ring)?;
        memory_after = memory_after.max(memory(spec.pid, "VmRSS")?);
    }
    hall.hear(spec)?;
    let (operations, latency, usage) = (hall.delivered, hall.times.summary(), meter.stop()?);
    Ok(Outcome { operations, usage, latency, memory_before, memory_after, ..Outcome::default() })
}

struct Hall<S> {
    links: Vec<Link<S>>,
    ring: Ring,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    times: Times,
    started: Instant,
    delivered: u64,
}

impl<S: Stream> Hall<S> {
    fn new(spec: &Spec) -> Result<Self> {
        let poll = Poll::new()?;
        let links = Link::all(connect::open::<S>(spec, spec.connections)?, spec, &poll)?;
        Ok(Self {
            links,
            ring: Ring::new(spec, "")?,
            poll,
            events: Events::with_capacity(1024),
            buffer: vec![0; BUFFER],
            times: Times::new()?,
            started: Instant::now(),
            delivered: 0,
        })
    }

    fn tick(&mut self, spec: &Spec) -> Result<()> {
        self.speak(spec)?;
        self.hear(spec)
    }

    fn speak(&mut self, spec: &Spec) -> Result<()> {
        self.started = Instant::now();
        self.links[0].owe(spec.in_flight, self.started);
        self.links[0].send(&self.ring)
    }

    fn hear(&mut self, spec: &Spec) -> Result<()> {
        let mut missing = spec.in_flight * spec.connections;
        while missing > 0 {
            wait(&mut self.poll, &mut self.events)?;
            for event in &self.events {
                let token = event.token().0;
                if event.is_readable() {
                    let count = self.links[token].receive(&mut self.buffer, &self.ring)?;
                    missing = missing.checked_sub(count).ok_or("more messages arrived than were sent")?;
                    note(&mut self.times, self.started, count);
                    self.delivered += count as u64;
                }
                self.links[token].send(&self.ring)?;
            }
        }
        Ok(())
    }
}

fn note(times: &mut Times, started: Instant, count: usize) {
    let now = Instant::now();
    for _ in 0..count {
        times.note(started, now);
    }
}
