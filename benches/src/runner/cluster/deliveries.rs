//! The processor time of publications, in one process and in clusters.

use super::nodes::{Kind, Nodes, Room, Setup, Used, on_client_core};
use super::samples::Samples;
use crate::Result;
use crate::runner::awake::Awake;
use crate::runner::tables::number;

/// The number of subscribers of the large topic.
const SUBSCRIBERS: usize = 1000;

/// The kinds that deliver to many subscribers.
const KINDS: [Kind; 4] = [Kind::Single, Kind::Cluster(1), Kind::Cluster(2), Kind::Cluster(4)];

/// The kinds with one subscriber on each node, except on the one that publishes.
const FEW: [Kind; 3] = [Kind::Single, Kind::Cluster(2), Kind::Cluster(4)];

/// The size of the messages, and the number of messages in one write.
const MANY_CELLS: [(usize, usize); 4] = [(64, 1), (64, 16), (1024, 1), (1024, 16)];
const FEW_CELLS: [(usize, usize); 6] = [(64, 1), (64, 16), (64, 256), (1024, 1), (1024, 16), (1024, 256)];

/// The figures of one kind in one cell, in microseconds.
#[derive(Debug, Default)]
struct Figures {
    /// Of all nodes, for each delivery to a subscriber.
    delivery: Samples,
    /// Of the node that publishes, for each publication.
    publisher: Samples,
    /// Of each other node, for each publication.
    receiver: Samples,
    /// Of Redis, for each publication.
    redis: Samples,
    /// Deliveries per second.
    rate: Samples,
    /// Bytes that Redis receives for each publication.
    input: Samples,
    /// Bytes that Redis sends to each node for each publication.
    output: Samples,
}

/// Measures deliveries to the many subscribers of a topic, and returns tables.
pub(super) fn many(setup: Setup<'_>, repetitions: usize) -> Result<String> {
    let mut text = format!(
        "\n### Deliveries to {SUBSCRIBERS} subscribers\n\nProcessor time of all node processes together, in microseconds per delivery. The \
        subscribers of the topic are distributed evenly over the nodes, and the publisher is a client of the first node.\n\n{}",
        head(&[
            "message",
            "in one write",
            "single process",
            "1 node",
            "2 nodes",
            "4 nodes",
            "1, 2, 4 nodes ÷ single process"
        ]),
    );
    let mut others = format!(
        "\nProcessor time of Redis in microseconds per publication, and deliveries per second. All nodes share one core, so this rate does not \
        grow with them.\n\n{}",
        head(&[
            "message",
            "in one write",
            "Redis, 1 node",
            "2 nodes",
            "4 nodes",
            "thousand per second: single process",
            "1 node",
            "2 nodes",
            "4 nodes"
        ]),
    );
    for (size, in_flight) in MANY_CELLS {
        let subscribers = |kind: Kind| (0..SUBSCRIBERS).map(|one| one % kind.nodes()).collect();
        let all = cell(setup, repetitions, &KINDS, subscribers, (size, in_flight))?;
        let name = format!("| {size} bytes | {in_flight} |");
        let single = all[0].delivery.median();
        let ratios: Vec<_> =
            all[1..].iter().map(|one| format!("{:.2}", one.delivery.median() / single)).collect();
        text += &format!("{name} {} | {} |\n", list(&all, |one| one.delivery.text()), ratios.join(", "));
        let rate = |one: &Figures| number(one.rate.median() / 1e3);
        others += &format!("{name} {} | {} |\n", list(&all[1..], |one| one.redis.text()), list(&all, rate));
    }
    Ok(text + &others)
}

/// Measures deliveries to one subscriber on each other node, and returns a table.
pub(super) fn few(setup: Setup<'_>, repetitions: usize) -> Result<String> {
    let mut text = format!(
        "\n### The share of the cluster\n\nThe topic has one subscriber on each node except on that of the publisher, so nearly all of \
        the time is the cluster's share. A single process has one subscriber. Microseconds of processor time per publication.\n\n{}",
        head(&[
            "message",
            "in one write",
            "single process",
            "publishing node (of 2)",
            "receiving node (of 2)",
            "Redis (2 nodes)",
            "publishing node (of 4)",
            "each receiving node (of 4)",
            "Redis (4 nodes)",
            "bytes to Redis",
            "bytes to each node",
        ]),
    );
    let _awake = Awake::start(setup.cores)?;
    for (size, in_flight) in FEW_CELLS {
        let subscribers = |kind: Kind| match kind {
            Kind::Single => vec![0],
            Kind::Cluster(count) => (1..count).collect(),
        };
        let all = cell(setup, repetitions, &FEW, subscribers, (size, in_flight))?;
        let cluster =
            |one: &Figures| [&one.publisher, &one.receiver, &one.redis].map(Samples::text).join(" | ");
        text += &format!(
            "| {size} bytes | {in_flight} | {} | {} | {:.0} | {:.0} |\n",
            all[0].publisher.text(),
            list(&all[1..], cluster),
            all[1].input.median(),
            all[1].output.median(),
        );
    }
    Ok(text)
}

/// Measures one cell. The kinds take turns.
fn cell(
    setup: Setup<'_>,
    repetitions: usize,
    kinds: &[Kind],
    subscribers: impl Fn(Kind) -> Vec<usize>,
    (size, in_flight): (usize, usize),
) -> Result<Vec<Figures>> {
    let mut all: Vec<_> = kinds.iter().map(|_| Figures::default()).collect();
    for turn in 0..repetitions {
        for place in 0..kinds.len() {
            // The order rotates.
            let index = (place + turn) % kinds.len();
            let list = subscribers(kinds[index]);
            once(setup, kinds[index], &list, (size, in_flight), &mut all[index])
                .map_err(|error| format!("{}: {error}", kinds[index].name()))?;
        }
    }
    eprintln!("cluster: {size} bytes, {in_flight} in one write, {} kinds", kinds.len());
    Ok(all)
}

fn once(
    setup: Setup<'_>,
    kind: Kind,
    subscribers: &[usize],
    (size, in_flight): (usize, usize),
    figures: &mut Figures,
) -> Result<()> {
    let mut nodes = Nodes::start(setup, kind)?;
    let mut room = Room::open(&nodes, subscribers, size, in_flight)?;
    let listeners = (0..kind.nodes()).filter(|node| subscribers.contains(node)).count();
    nodes.await_subscribers(listeners)?;
    let before = traffic(&mut nodes)?;
    let mut steps = 0.0;
    let used = on_client_core(setup.cores, || {
        nodes.measure(setup, || {
            steps += 1.0;
            room.publish()
        })
    })?;
    let after = traffic(&mut nodes)?;
    figures.add(&used, in_flight as f64, subscribers.len() as f64);
    let publications = steps * in_flight as f64;
    figures.input.push((after.0 - before.0) as f64 / publications);
    figures.output.push((after.1 - before.1) as f64 / publications / listeners as f64);
    Ok(())
}

/// Returns how many bytes Redis has received and sent.
fn traffic(nodes: &mut Nodes) -> Result<(u64, u64)> {
    let Some(redis) = &mut nodes.redis else { return Ok((0, 0)) };
    Ok((redis.info("total_net_input_bytes")?, redis.info("total_net_output_bytes")?))
}

impl Figures {
    fn add(&mut self, used: &Used, in_flight: f64, subscribers: f64) {
        let publications = used.steps * in_flight;
        let deliveries = publications * subscribers;
        let [first, others @ ..] = used.nodes.as_slice() else { return };
        self.delivery.push(used.nodes.iter().sum::<f64>() / deliveries);
        self.publisher.push(first / publications);
        if !others.is_empty() {
            self.receiver.push(others.iter().sum::<f64>() / others.len() as f64 / publications);
        }
        self.redis.push(used.redis / publications);
        self.rate.push(deliveries / used.seconds);
    }
}

/// Returns the head of a table whose first column is text.
fn head(columns: &[&str]) -> String {
    let lines = "--:|".repeat(columns.len() - 1);
    format!("| {} |\n|---|{lines}\n", columns.join(" | "))
}

fn list(all: &[Figures], text: impl Fn(&Figures) -> String) -> String {
    all.iter().map(text).collect::<Vec<_>>().join(" | ")
}
