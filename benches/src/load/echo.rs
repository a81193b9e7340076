//! Echo: every connection keeps a number of messages in flight. Whenever it receives replies, it sends the same number
//! of messages.

use std::time::{Duration, Instant};

use mio::{Events, Poll};

use super::latency::Times;
use super::link::{BUFFER, Link, frames_each, wait};
use super::nuisance::Disturber;
use super::ring::Ring;
use super::{connect, stream::Stream};
use crate::Result;
use crate::process::{Meter, memory};
use crate::spec::{Compression, Nuisance, Outcome, Spec};

/// The time limit for the first round of messages. Some servers read all messages in flight before they reply.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run<S: Stream>(spec: &Spec) -> Result<Outcome> {
    let memory_before = memory(spec.pid, "VmRSS")?;
    let idle = connect::open::<S>(spec, spec.idle)?;
    let opened = connect::open::<S>(spec, spec.connections)?;
    let extensions = opened.first().map(|one| one.extensions.clone()).unwrap_or_default();
    let mut echo = Echo::new(spec, opened, &extensions)?;
    if spec.nuisance != Nuisance::None {
        echo.disturb(spec)?;
    }

    echo.warm_up(spec)?;
    echo.operations = 0;
    echo.times.clear();
    let (meter, payload) = (Meter::start(spec.pid)?, echo.payload());
    let end = Instant::now() + Duration::from_secs_f64(spec.seconds);
    echo.turn_while(|_| Instant::now() < end)?;
    let usage = meter.stop()?;
    drop(idle);
    if echo.operations == 0 {
        return Err("no reply was received during the measurement".into());
    }

    let plain = echo.operations as f64 * spec.size as f64;
    let packed = (echo.payload() - payload) as f64;
    let ratio = if spec.compression == Compression::Off { 0.0 } else { plain / packed };
    let (operations, latency) = (echo.operations, echo.times.summary());
    let memory_after = memory(spec.pid, "VmRSS")?;
    let frames = frames_each(&echo.links);
    let rest = Outcome::default();
    Ok(Outcome { operations, usage, latency, memory_before, memory_after, ratio, extensions, frames, ..rest })
}

struct Echo<S> {
    links: Vec<Link<S>>,
    /// The connection of the nuisance. Its token follows that of the last link.
    disturber: Option<Disturber<S>>,
    ring: Ring,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    times: Times,
    operations: u64,
}

impl<S: Stream> Echo<S> {
    fn new(spec: &Spec, opened: Vec<connect::Opened<S>>, extensions: &str) -> Result<Self> {
        let poll = Poll::new()?;
        let mut links = Link::all(opened, spec, &poll)?;
        links.iter_mut().for_each(|link| link.owe(spec.in_flight, Instant::now()));
        Ok(Self {
            links,
            disturber: None,
            ring: Ring::new(spec, extensions)?,
            poll,
            events: Events::with_capacity(1024),
            buffer: vec![0; BUFFER],
            times: Times::new()?,
            operations: 0,
        })
    }

    /// Opens the connection of the nuisance.
    fn disturb(&mut self, spec: &Spec) -> Result<()> {
        for one in connect::open::<S>(spec, 1)? {
            let disturber = self.disturber.insert(Disturber::new(spec.nuisance, one.stream));
            disturber.register(&self.poll, self.links.len())?;
        }
        Ok(())
    }

    /// Runs until the warm-up time has passed and as many replies have been received as messages are in flight. With
    /// many large messages, the server at first only receives, and this must not be measured as an echo.
    fn warm_up(&mut self, spec: &Spec) -> Result<()> {
        let started = Instant::now();
        let round = (spec.connections * spec.in_flight) as u64;
        self.turn_while(|echo| {
            let passed = started.elapsed();
            passed.as_secs_f64() < spec.warm_up || echo.operations < round && passed < PATIENCE
        })
    }

    fn turn_while(&mut self, condition: impl Fn(&Self) -> bool) -> Result<()> {
        while condition(self) {
            self.wait()?;
            for event in &self.events {
                let Some(link) = self.links.get_mut(event.token().0) else {
                    self.disturber.iter_mut().for_each(|disturber| disturber.hear(event));
                    continue;
                };
                if event.is_readable() {
                    let count = link.receive(&mut self.buffer, &self.ring)?;
                    let now = Instant::now();
                    link.arrived(count, now, &mut self.times)?;
                    link.owe(count, now);
                    self.operations += count as u64;
                }
                link.send(&self.ring)?;
            }
            if let Some(disturber) = &mut self.disturber {
                disturber.go_on(&mut self.buffer)?;
            }
        }
        Ok(())
    }

    /// Waits for events. Does not block while the connection of the nuisance has work.
    fn wait(&mut self) -> Result<()> {
        if self.disturber.as_ref().is_some_and(Disturber::has_work) {
            return Ok(self.poll.poll(&mut self.events, Some(Duration::ZERO))?);
        }
        wait(&mut self.poll, &mut self.events)
    }

    fn payload(&self) -> u64 {
        self.links.iter().map(Link::payload).sum()
    }
}
