//! Redis alone, with the commands that nodes send, and with more subscribers than this machine can run nodes.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::clients::expect;
use super::nodes::{Setup, on_client_core};
use super::redis::Redis;
use super::samples::Samples;
use crate::Result;
use crate::process::Meter;
use crate::runner::awake::Awake;

/// The number of connections that receive every publication.
const SUBSCRIBERS: [usize; 4] = [1, 4, 16, 64];

/// The number of connections that publish, and the numbers of publications in one write.
const PUBLISHERS: usize = 10;
const IN_FLIGHT: [usize; 2] = [1, 16];

/// The channel of a topic, and the length of a message of 64 bytes with its envelope.
const CHANNEL: &str = "sockeye:t:topic/0000000000";
const LENGTH: usize = 92;

/// Measures Redis, and returns a table.
pub(super) fn run(setup: Setup<'_>, repetitions: usize) -> Result<String> {
    let mut text = format!(
        "\n### Redis alone\n\nProcessor time of Redis in microseconds per publication of {LENGTH} bytes, which is a message of 64 bytes in its \
        envelope. {PUBLISHERS} connections publish, each one or 16 publications with one write. As many other connections as nodes receive all of them.\n\n\
        | receiving nodes | 1 in one write | 16 in one write |\n|--:|--:|--:|\n"
    );
    let _awake = Awake::start(setup.cores)?;
    for subscribers in SUBSCRIBERS {
        let mut samples = IN_FLIGHT.map(|_| Samples::default());
        for _ in 0..repetitions {
            for (samples, in_flight) in samples.iter_mut().zip(IN_FLIGHT) {
                samples.push(once(setup, subscribers, in_flight)?);
            }
        }
        eprintln!("cluster: Redis with {subscribers} subscribers");
        let [one, many] = samples.each_ref().map(Samples::text);
        text += &format!("| {subscribers} | {one} | {many} |\n");
    }
    Ok(text)
}

/// Returns the microseconds per publication.
fn once(setup: Setup<'_>, subscribers: usize, in_flight: usize) -> Result<f64> {
    let folder = setup.program.path.parent().ok_or("the program has no folder")?;
    // There are no nodes, so that Redis has their core for itself.
    let redis = Redis::start(folder, setup.cores.server)?;
    let mut traffic = Traffic::open(&redis, subscribers, in_flight)?;
    on_client_core(setup.cores, || {
        let warm = Instant::now() + Duration::from_millis(100);
        while Instant::now() < warm {
            traffic.publish()?;
        }
        let (meter, mut rounds) = (Meter::start(redis.pid()?)?, 0);
        while meter.elapsed().as_secs_f64() < setup.seconds {
            traffic.publish()?;
            rounds += 1;
        }
        Ok(meter.stop()?.server_ns as f64 / 1e3 / f64::from(rounds) / (PUBLISHERS * in_flight) as f64)
    })
}

/// The connections, and what each of them sends and receives in a round.
struct Traffic {
    publishers: Vec<TcpStream>,
    subscribers: Vec<TcpStream>,
    commands: Vec<u8>,
    replies: Vec<u8>,
    messages: Vec<u8>,
}

impl Traffic {
    fn open(redis: &Redis, subscribers: usize, in_flight: usize) -> Result<Self> {
        let open = |_| redis.client();
        let publishers = (0..PUBLISHERS).map(open).collect::<Result<_>>()?;
        let mut subscribers = (0..subscribers).map(open).collect::<Result<Vec<_>>>()?;
        let name = format!("${}\r\n{CHANNEL}\r\n", CHANNEL.len());
        let confirmation = format!("*3\r\n$9\r\nsubscribe\r\n{name}:1\r\n");
        for subscriber in &mut subscribers {
            write!(subscriber, "SUBSCRIBE {CHANNEL}\r\n")?;
            expect(subscriber, confirmation.as_bytes())?;
        }
        let payload = format!("${LENGTH}\r\n{}\r\n", "x".repeat(LENGTH));
        let command = format!("*3\r\n$7\r\nPUBLISH\r\n{name}{payload}");
        let message = format!("*3\r\n$7\r\nmessage\r\n{name}{payload}");
        let reply = format!(":{}\r\n", subscribers.len());
        Ok(Self {
            publishers,
            subscribers,
            commands: command.repeat(in_flight).into_bytes(),
            replies: reply.repeat(in_flight).into_bytes(),
            messages: message.repeat(PUBLISHERS * in_flight).into_bytes(),
        })
    }

    /// All connections publish, and all replies and messages arrive.
    fn publish(&mut self) -> Result<()> {
        for publisher in &mut self.publishers {
            publisher.write_all(&self.commands)?;
        }
        for subscriber in &mut self.subscribers {
            expect(subscriber, &self.messages)?;
        }
        self.publishers.iter_mut().try_for_each(|publisher| expect(publisher, &self.replies))
    }
}
