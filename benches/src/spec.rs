//! What the runner asks of a load generator, and what it gets back; both travel as JSON.

use serde::{Deserialize, Serialize};

/// The task of the load generator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Every connection keeps a number of messages in flight, and gets each of them back.
    Echo,
    /// The first connection sends; every connection receives each message.
    Broadcast,
    /// As `Broadcast`, once, to receivers that do not read until the server's memory has been looked at.
    SlowReaders,
    /// Connections are opened; nothing is sent.
    Handshakes,
    /// Connections are opened and left alone.
    Idle,
}

/// What messages consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Binary messages.
    Binary,
    /// Text, one byte a character.
    Ascii,
    /// Text in Latin with accents, Greek, Cyrillic, Hebrew, Devanagari, Chinese, Japanese and emoji.
    Mixed,
    /// Text, objects such as an application programming interface returns.
    Json,
}

/// How the request of the opening handshake looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// What RFC 6455 asks for, and nothing else.
    Small,
    /// What a browser sends, cookies included: about 1.1 KiB.
    Browser,
}

/// What is asked of permessage-deflate (RFC 7692).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// It is not offered.
    Off,
    /// Both ends forget the context after each message.
    NotKept,
    /// Both ends may keep the context.
    Kept,
}

/// What one more connection does beside those that are measured, as fast as the server lets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nuisance {
    /// There is no such connection.
    None,
    /// It sends binary messages of this length, and reads what comes back.
    Messages(usize),
    /// It sends empty Pings, and reads the Pongs.
    Pings,
    /// It sends short texts, with each of which a server of this workload is busy for a millisecond.
    Texts,
}

/// One run of the load generator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// What to do.
    pub mode: Mode,
    /// Where the server listens.
    pub address: String,
    /// The server's process.
    pub pid: i32,
    /// Connections that take part.
    pub connections: usize,
    /// Connections that are open beside them, and silent.
    pub idle: usize,
    /// What one more connection does.
    pub nuisance: Nuisance,
    /// Length of a message, in bytes.
    pub size: usize,
    /// Messages of a connection that are under way at once; of a broadcast, those sent in one write.
    pub in_flight: usize,
    /// What the messages consist of.
    pub content: Content,
    /// The request that opens a connection.
    pub head: Head,
    /// What is asked of permessage-deflate.
    pub compression: Compression,
    /// Whether the content of each reply is compared; its length always is.
    pub verify: bool,
    /// Whether the server is the floor, which sends as many bytes as a server's frames have, but not frames.
    pub raw: bool,
    /// How long to run before anything is measured.
    pub warm_up: f64,
    /// How long to measure.
    pub seconds: f64,
}

/// What two processes used between two moments, as the system reports it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Nanoseconds between them.
    pub elapsed_ns: u64,
    /// Processor time of the server, of all its threads, in nanoseconds.
    pub server_ns: u64,
    /// How long the server's first thread was ready to run and had no core.
    pub server_wait_ns: u64,
    /// Processor time of the load generator.
    pub client_ns: u64,
    /// How long the load generator was ready to run and had no core.
    pub client_wait_ns: u64,
    /// Processor time that the machine's host kept for others, all cores together.
    pub stolen_ns: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.elapsed_ns += other.elapsed_ns;
        self.server_ns += other.server_ns;
        self.server_wait_ns += other.server_wait_ns;
        self.client_ns += other.client_ns;
        self.client_wait_ns += other.client_wait_ns;
        self.stolen_ns += other.stolen_ns;
    }
}

/// Times from sending to receiving, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// Nine of ten are faster.
    pub p90: f64,
    /// 99 of 100 are faster.
    pub p99: f64,
    /// 999 of 1000 are faster.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

/// What came of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Messages echoed, messages delivered, connections opened: whatever the mode counts.
    pub operations: u64,
    /// What they cost.
    pub usage: Usage,
    /// How long each took.
    pub latency: Latency,
    /// Resident memory of the server before: with no connection, or of `SlowReaders` before the broadcast. In bytes.
    pub memory_before: u64,
    /// Resident memory of the server at the end of the run; of `SlowReaders` the most that it ever was.
    pub memory_after: u64,
    /// Bytes of the messages for each byte of compressed payload that the server sent; 0 without compression.
    pub ratio: f64,
    /// What the server answered to the offer of extensions.
    pub extensions: String,
}
