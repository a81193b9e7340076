//! The time from a publication to its delivery.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::clients;
use super::nodes::{Kind, Nodes, Setup, on_client_core};
use super::priority::RealTime;
use super::samples::Samples;
use crate::Result;
use crate::runner::awake::Awake;

/// Messages per second.
const RATES: [u32; 2] = [100, 2000];

/// The length of a message, which begins with the time at which it was sent.
const SIZE: usize = 64;

/// How a message gets to the subscriber.
#[derive(Clone, Copy, Debug)]
enum Route {
    Single,
    SameNode,
    OtherNode,
    RedisAlone,
}

const ROUTES: [(Route, &str); 4] = [
    (Route::Single, "single process"),
    (Route::SameNode, "two nodes, subscriber on the publisher's node"),
    (Route::OtherNode, "two nodes, subscriber on the other node"),
    (Route::RedisAlone, "Redis alone: PUBLISH and SUBSCRIBE"),
];

/// The messages of one connection, and where they arrive.
struct Path {
    publisher: TcpStream,
    subscriber: TcpStream,
    /// Encodes a payload for the publisher.
    encode: fn(&[u8]) -> Vec<u8>,
    /// The number of bytes that precede a payload at the subscriber, and that follow it.
    around: (usize, usize),
}

/// Measures all routes, and returns a table.
pub(super) fn run(setup: Setup<'_>, repetitions: usize) -> Result<String> {
    let mut text = format!(
        "\n### Latency\n\nMicroseconds from the moment at which the publisher's client writes a message of {SIZE} bytes to the moment at which the \
        subscriber's client has read it. The sender does not wait for deliveries. The cores are kept awake, and all \
        processes have real-time priority, so that other programs do not delay them.\n\n\
        | route | messages per second | p50 | p99 | p50 ÷ single process | p99 ÷ single process |\n|---|--:|--:|--:|--:|--:|\n"
    );
    let _awake = Awake::start(setup.cores)?;
    let _priority = RealTime::start();
    for rate in RATES {
        let mut samples: Vec<_> = ROUTES.iter().map(|_| (Samples::default(), Samples::default())).collect();
        for turn in 0..repetitions {
            for place in 0..ROUTES.len() {
                let index = (place + turn) % ROUTES.len();
                let times = once(setup, ROUTES[index].0, rate)?;
                samples[index].0.push(percentile(&times, 50));
                samples[index].1.push(percentile(&times, 99));
            }
        }
        eprintln!("cluster: latency at {rate} per second");
        let single = (samples[0].0.median(), samples[0].1.median());
        for ((_, name), (p50, p99)) in ROUTES.iter().zip(&samples) {
            text += &format!(
                "| {name} | {rate} | {} | {} | {:.2} | {:.2} |\n",
                p50.text(),
                p99.text(),
                p50.median() / single.0,
                p99.median() / single.1
            );
        }
    }
    Ok(text)
}

/// Returns the times of all messages in microseconds, in ascending order.
fn once(setup: Setup<'_>, route: Route, rate: u32) -> Result<Vec<f64>> {
    let kind = if matches!(route, Route::Single) { Kind::Single } else { Kind::Cluster(2) };
    let mut nodes = Nodes::start(setup, kind)?;
    let path = open(&mut nodes, route)?;
    // At the lower rate, the 99th percentile needs a longer run.
    let duration = Duration::from_secs_f64(setup.seconds * 3.0);
    let mut times = on_client_core(setup.cores, || path.measure(rate, duration))?;
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn open(nodes: &mut Nodes, route: Route) -> Result<Path> {
    let subscriber = match route {
        Route::Single | Route::SameNode => 0,
        Route::OtherNode => 1,
        Route::RedisAlone => return open_redis(nodes),
    };
    let path = Path {
        publisher: clients::publisher(nodes.address(0), 0, 1)?,
        subscriber: clients::subscribe(nodes.address(subscriber), 0, 1)?,
        encode: clients::frame,
        around: (clients::reply(&[0; SIZE]).len() - SIZE, 0),
    };
    nodes.await_subscribers(1)?;
    Ok(path)
}

/// Connects to Redis itself, which has the nodes as its other clients.
fn open_redis(nodes: &Nodes) -> Result<Path> {
    let redis = nodes.redis.as_ref().ok_or("there is no Redis")?;
    let (mut publisher, mut subscriber) = (redis.client()?, redis.client()?);
    publisher.write_all(b"CLIENT REPLY OFF\r\n")?;
    subscriber.write_all(b"SUBSCRIBE latency\r\n")?;
    clients::expect(&mut subscriber, b"*3\r\n$9\r\nsubscribe\r\n$7\r\nlatency\r\n:1\r\n")?;
    let encode = |payload: &[u8]| {
        let mut bytes =
            format!("*3\r\n$7\r\nPUBLISH\r\n$7\r\nlatency\r\n${}\r\n", payload.len()).into_bytes();
        bytes.extend(payload);
        bytes.extend(b"\r\n");
        bytes
    };
    let before = format!("*3\r\n$7\r\nmessage\r\n$7\r\nlatency\r\n${SIZE}\r\n").len();
    Ok(Path { publisher, subscriber, encode, around: (before, 2) })
}

impl Path {
    fn measure(self, rate: u32, duration: Duration) -> Result<Vec<f64>> {
        let Self { mut publisher, mut subscriber, encode, around } = self;
        let count = u32::try_from(u128::from(rate) * duration.as_millis() / 1000)?;
        let started = Instant::now();
        let sender = thread::spawn(move || -> std::io::Result<()> {
            for index in 0..count {
                let due = started + Duration::from_secs(1) * index / rate;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let mut payload = [0; SIZE];
                payload[..8].copy_from_slice(&nanoseconds(started).to_be_bytes());
                publisher.write_all(&encode(&payload))?;
            }
            Ok(())
        });
        let mut times = Vec::new();
        let mut bytes = vec![0; around.0 + SIZE + around.1];
        for _ in 0..count {
            subscriber.read_exact(&mut bytes).map_err(|error| format!("a message is missing: {error}"))?;
            let now = nanoseconds(started);
            let sent = bytes[around.0..].first_chunk().map_or(0, |eight| u64::from_be_bytes(*eight));
            times.push(now.checked_sub(sent).ok_or("a message has arrived before it was sent")? as f64 / 1e3);
        }
        sender.join().map_err(|_| "the sender panicked")??;
        Ok(times)
    }
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Returns a percentile of values in ascending order.
fn percentile(values: &[f64], percent: usize) -> f64 {
    let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or(f64::NAN)
}
