//! The processes of a run: nodes, and Redis if there is a cluster.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::clients;
use super::redis::Redis;
use crate::process::Meter;
use crate::runner::measure::{Cores, Running};
use crate::runner::programs::Program;
use crate::{Result, process};

/// How many nodes there are, and whether there is a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One process without a broker.
    Single,
    /// Nodes that are connected to Redis.
    Cluster(usize),
}

impl Kind {
    pub(super) fn nodes(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Cluster(count) => count,
        }
    }

    pub(super) fn name(self) -> String {
        match self {
            Self::Single => "single process".into(),
            Self::Cluster(1) => "1 node".into(),
            Self::Cluster(count) => format!("{count} nodes"),
        }
    }
}

/// What all runs have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup<'a> {
    pub(super) program: &'a Program,
    pub(super) cores: Cores,
    /// The time of a measurement, in seconds.
    pub(super) seconds: f64,
}

/// Running processes. They end with this value.
#[derive(Debug)]
pub(super) struct Nodes {
    nodes: Vec<Running>,
    pub(super) redis: Option<Redis>,
}

impl Nodes {
    /// Starts the nodes on the core of servers, and Redis on the other one, beside the clients.
    pub(super) fn start(setup: Setup<'_>, kind: Kind) -> Result<Self> {
        let folder = setup.program.path.parent().ok_or("the program has no folder")?;
        let redis = match kind {
            Kind::Single => None,
            Kind::Cluster(_) => Some(Redis::start(folder, setup.cores.client)?),
        };
        let port = redis.as_ref().map_or(0, |redis| redis.port);
        let start = |_| Running::start(setup.program, "cluster", port.into(), setup.cores);
        Ok(Self { nodes: (0..kind.nodes()).map(start).collect::<Result<_>>()?, redis })
    }

    pub(super) fn address(&self, node: usize) -> &str {
        &self.nodes[node].address
    }

    pub(super) fn pid(&self, node: usize) -> Result<i32> {
        self.nodes[node].pid()
    }

    /// Waits until Redis passes publications to topic 0 to as many nodes.
    pub(super) fn await_subscribers(&mut self, count: usize) -> Result<()> {
        self.redis.as_mut().map_or(Ok(()), |redis| redis.await_subscribers("topic/0000000000", count))
    }

    /// Begins to measure the processor time.
    fn meters(&self) -> Result<Meters> {
        let meter = |node: &Running| Meter::start(node.pid()?);
        Ok(Meters {
            nodes: self.nodes.iter().map(meter).collect::<Result<_>>()?,
            redis: self.redis.as_ref().map(|redis| Meter::start(redis.pid()?)).transpose()?,
            started: Instant::now(),
        })
    }

    /// Repeats a step, and returns what was used. The first tenth of a second is not measured.
    pub(super) fn measure(&self, setup: Setup<'_>, mut step: impl FnMut() -> Result<()>) -> Result<Used> {
        let warm = Instant::now() + Duration::from_millis(100);
        while Instant::now() < warm {
            step()?;
        }
        let (meters, mut steps) = (self.meters()?, 0);
        while meters.started.elapsed().as_secs_f64() < setup.seconds {
            step()?;
            steps += 1;
        }
        meters.stop(steps)
    }

    /// Returns what is used while nothing is done.
    pub(super) fn rest(&self, seconds: f64) -> Result<Used> {
        let meters = self.meters()?;
        std::thread::sleep(Duration::from_secs_f64(seconds));
        meters.stop(0)
    }
}

#[derive(Debug)]
struct Meters {
    nodes: Vec<Meter>,
    redis: Option<Meter>,
    started: Instant,
}

impl Meters {
    fn stop(self, steps: u32) -> Result<Used> {
        let seconds = self.started.elapsed().as_secs_f64();
        let microseconds = |meter: &Meter| Ok(meter.stop()?.server_ns as f64 / 1e3);
        Ok(Used {
            steps: f64::from(steps),
            seconds,
            nodes: self.nodes.iter().map(microseconds).collect::<Result<_>>()?,
            redis: self.redis.as_ref().map_or(Ok(0.0), microseconds)?,
        })
    }
}

/// The processor time of a measurement, in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Used {
    pub(super) steps: f64,
    pub(super) seconds: f64,
    pub(super) nodes: Vec<f64>,
    pub(super) redis: f64,
}

/// A publisher, and the subscribers that receive all of its messages.
#[derive(Debug)]
pub(super) struct Room {
    publisher: TcpStream,
    subscribers: Vec<TcpStream>,
    batch: Vec<u8>,
    replies: Vec<u8>,
}

impl Room {
    /// Opens the publisher at the first node, and a subscriber at each of the listed nodes.
    pub(super) fn open(nodes: &Nodes, subscribers: &[usize], size: usize, in_flight: usize) -> Result<Self> {
        let payload: Vec<u8> = (0..=u8::MAX).cycle().take(size).collect();
        Ok(Self {
            publisher: clients::publisher(nodes.address(0), 0, 1)?,
            subscribers: subscribers
                .iter()
                .map(|node| clients::subscribe(nodes.address(*node), 0, 1))
                .collect::<Result<_>>()?,
            batch: clients::frame(&payload).repeat(in_flight),
            replies: clients::reply(&payload).repeat(in_flight),
        })
    }

    /// Publishes the messages with one write, and waits until all subscribers have received them.
    pub(super) fn publish(&mut self) -> Result<()> {
        std::io::Write::write_all(&mut self.publisher, &self.batch)?;
        self.subscribers.iter_mut().try_for_each(|stream| clients::expect(stream, &self.replies))
    }
}

/// Runs `run` with this thread on the core of the clients.
pub(super) fn on_client_core<T>(cores: Cores, run: impl FnOnce() -> Result<T>) -> Result<T> {
    process::pin(Some(cores.client))?;
    let result = run();
    process::pin(None)?;
    result
}
