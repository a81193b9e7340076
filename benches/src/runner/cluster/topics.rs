//! The memory and the heartbeats of many topics.

use std::io::Write;
use std::net::TcpStream;

use super::clients;
use super::nodes::{Kind, Nodes, Setup, Used};
use super::samples::Samples;
use crate::Result;
use crate::process::memory;
use crate::runner::tables::number;

/// Each subscriber has its own topics.
const CONNECTIONS: usize = 100;
const EACH: usize = 1000;
const TOPICS: f64 = (CONNECTIONS * EACH) as f64;

/// The time in which heartbeats list the topics with new messages at least three times, and are acknowledged.
const HEARTBEATS: f64 = 10.0;

/// The figures of a subscribing node, of a publishing one, and of Redis.
#[derive(Debug, Default)]
struct Figures {
    single: Samples,
    subscribed: Samples,
    redis: Samples,
    received: Samples,
    published: Samples,
    /// Microseconds per second without topics, and with topics that have no messages: of a node, and of Redis.
    without: [Samples; 2],
    idle: [Samples; 2],
    /// Microseconds for each topic that has had a message: of the publishing node, of the subscribing one, and of Redis.
    beats: [Samples; 3],
}

/// Memory varies little, and a run takes most of a minute.
const MAX_RUNS: usize = 3;

/// Measures the topics, and returns two tables.
pub(super) fn run(setup: Setup<'_>, repetitions: usize) -> Result<String> {
    let mut figures = Figures::default();
    for _ in 0..repetitions.min(MAX_RUNS) {
        single(setup, &mut figures)?;
        cluster(setup, &mut figures)?;
        eprintln!("cluster: {TOPICS} topics");
    }
    Ok(figures.tables())
}

fn single(setup: Setup<'_>, figures: &mut Figures) -> Result<()> {
    let nodes = Nodes::start(setup, Kind::Single)?;
    let before = resident(&nodes, 0)?;
    let _subscribers = subscribe(&nodes, 0)?;
    figures.single.push((resident(&nodes, 0)? - before) / TOPICS);
    Ok(())
}

fn cluster(setup: Setup<'_>, figures: &mut Figures) -> Result<()> {
    let mut nodes = Nodes::start(setup, Kind::Cluster(2))?;
    // The channel of all nodes, and one of each node.
    await_channels(&mut nodes, 3)?;
    let [before, redis_before] = [resident(&nodes, 1)?, redis_memory(&mut nodes)?];
    note(&mut figures.without, &nodes.rest(HEARTBEATS)?);
    let mut subscribers = subscribe(&nodes, 1)?;
    await_channels(&mut nodes, 3 + CONNECTIONS * EACH)?;
    // The node receives this after the confirmations of all subscriptions.
    publish_to_each(&nodes, &mut subscribers[..1])?;
    let idle = nodes.rest(HEARTBEATS)?;
    note(&mut figures.idle, &idle);
    let subscribed = resident(&nodes, 1)?;
    figures.subscribed.push((subscribed - before) / TOPICS);
    figures.redis.push((redis_memory(&mut nodes)? - redis_before) / TOPICS);

    let publisher_before = resident(&nodes, 0)?;
    publish_to_each(&nodes, &mut subscribers)?;
    let beats = nodes.rest(HEARTBEATS)?;
    figures.received.push((resident(&nodes, 1)? - subscribed) / TOPICS);
    figures.published.push((resident(&nodes, 0)? - publisher_before) / TOPICS);
    let extra = [beats.nodes[0] - idle.nodes[0], beats.nodes[1] - idle.nodes[1], beats.redis - idle.redis];
    for (samples, extra) in figures.beats.iter_mut().zip(extra) {
        samples.push(extra / TOPICS);
    }
    Ok(())
}

/// Opens the subscribers on a node.
fn subscribe(nodes: &Nodes, node: usize) -> Result<Vec<TcpStream>> {
    (0..CONNECTIONS).map(|one| clients::subscribe(nodes.address(node), one * EACH, EACH)).collect()
}

/// Publishes one message to each topic at the first node, and waits until the subscribers have received all of them.
fn publish_to_each(nodes: &Nodes, subscribers: &mut [TcpStream]) -> Result<()> {
    let payload = [7; 64];
    let expected = clients::reply(&payload).repeat(EACH);
    for (index, subscriber) in subscribers.iter_mut().enumerate() {
        let mut publisher = clients::publisher(nodes.address(0), index * EACH, EACH)?;
        publisher.write_all(&clients::frame(&payload))?;
        clients::expect(subscriber, &expected)?;
    }
    Ok(())
}

fn await_channels(nodes: &mut Nodes, count: usize) -> Result<()> {
    nodes.redis.as_mut().map_or(Ok(()), |redis| redis.await_channels(count as u64))
}

fn redis_memory(nodes: &mut Nodes) -> Result<f64> {
    Ok(nodes.redis.as_mut().ok_or("there is no Redis")?.info("used_memory")? as f64)
}

fn resident(nodes: &Nodes, node: usize) -> Result<f64> {
    Ok(memory(nodes.pid(node)?, "VmRSS")? as f64)
}

/// Adds the microseconds per second of the second node, which has the topics, and of Redis.
fn note([node, redis]: &mut [Samples; 2], used: &Used) {
    node.push(used.nodes[1] / used.seconds);
    redis.push(used.redis / used.seconds);
}

impl Figures {
    fn tables(&self) -> String {
        let mut text = format!(
            "\n### Topics\n\n{} topics of one subscriber each, with names of 16 bytes, on one of two nodes. Bytes per topic.\n\n\
            | what | bytes |\n|---|--:|\n",
            number(TOPICS)
        );
        for (what, samples) in [
            ("node without a broker, subscribed", &self.single),
            ("node of a cluster, subscribed", &self.subscribed),
            ("the same, more after a message of another node to each topic", &self.received),
            ("publishing node, more after a message to each topic", &self.published),
            ("Redis, subscribed by one node", &self.redis),
        ] {
            text += &format!("| {what} | {} |\n", samples.text());
        }
        text += &format!(
            "\nThe processor time of heartbeats, which list topics with new messages. The last row is what the heartbeats of the next \
            {HEARTBEATS} seconds take for each topic that has had a message.\n\n\
            | what | publishing node | subscribing node | Redis |\n|---|--:|--:|--:|\n"
        );
        let [node, redis] = &self.without;
        text += &format!("| no topic, microseconds per second | – | {} | {} |\n", node.text(), redis.text());
        let [node, redis] = &self.idle;
        text += &format!(
            "| all topics idle, microseconds per second | – | {} | {} |\n",
            node.text(),
            redis.text()
        );
        let [publisher, node, redis] = self.beats.each_ref().map(Samples::text);
        text + &format!("| microseconds per topic after a message | {publisher} | {node} | {redis} |\n")
    }
}
