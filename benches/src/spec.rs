//! The specification that the runner passes to a load generator, and the outcome that it returns. Both are JSON.

use serde::{Deserialize, Serialize};

/// The task of the load generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Every connection keeps a number of messages in flight, and receives the echo of each message.
    Echo,
    /// Messages are sent at a fixed rate, whatever the server does, and their echoes are received.
    Paced,
    /// The first connection sends. Every connection receives each message.
    Broadcast,
    /// One broadcast to connections that do not read until the server's memory has been measured.
    SlowReaders,
    /// Connections are opened, and no messages are sent.
    Handshakes,
    /// Connections are opened and stay idle.
    Idle,
}

/// The content of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Binary messages.
    Binary,
    /// Text with one byte per character.
    Ascii,
    /// Text in Latin with accents, Greek, Cyrillic, Hebrew, Devanagari, Chinese, Japanese and emoji.
    Mixed,
    /// Text with JSON objects like those in the responses of a web API.
    Json,
}

/// The head of the request in the opening handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// The headers that RFC 6455 requires, and no others.
    Small,
    /// The headers that a browser sends, including cookies: about 1.1 KiB.
    Browser,
}

/// The use of permessage-deflate (RFC 7692).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// The client does not offer the extension.
    Off,
    /// Both ends reset the context after each message.
    NotKept,
    /// Both ends may keep the context.
    Kept,
}

/// The load from one additional connection, which is not measured. It sends as fast as the server accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nuisance {
    /// There is no such connection.
    None,
    /// The connection sends binary messages of this length, and reads the replies.
    Messages(usize),
    /// The connection sends empty Pings, and reads the Pongs.
    Pings,
    /// The connection sends short texts. A server of this workload is busy for a millisecond with each of them.
    Texts,
}

/// One run of the load generator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The task.
    pub mode: Mode,
    /// The address on which the server listens.
    pub address: String,
    /// The process ID of the server.
    pub pid: i32,
    /// The number of active connections.
    pub connections: usize,
    /// The number of additional connections that are open and idle.
    pub idle: usize,
    /// The load from one additional connection.
    pub nuisance: Nuisance,
    /// The length of a message, in bytes.
    pub size: usize,
    /// The number of messages in flight on each connection. In a broadcast, the number of messages in one write.
    pub in_flight: usize,
    /// The content of the messages.
    pub content: Content,
    /// The head of the request that opens a connection.
    pub head: Head,
    /// The use of permessage-deflate.
    pub compression: Compression,
    /// Whether the content of each reply is compared. The length is always checked.
    pub verify: bool,
    /// Whether the server is the floor, which sends as many bytes as the frames of a server, but no frames.
    pub raw: bool,
    /// The time before the measurement, in seconds.
    pub warm_up: f64,
    /// The length of the measurement, in seconds.
    pub seconds: f64,
    /// The number of messages per second on all connections together, for `Paced`.
    #[serde(default)]
    pub rate: f64,
    /// If this is not zero, the run does not end after a time, but after this many rounds. In a round, each connection sends its
    /// messages, or is opened, and all replies are received. The number of operations is then the same in every run.
    #[serde(default)]
    pub rounds: usize,
}

/// The resources that two processes used between two moments, as the system reports them.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// The time between the two moments, in nanoseconds.
    pub elapsed_ns: u64,
    /// The processor time of all threads of the server, in nanoseconds.
    pub server_ns: u64,
    /// The time for which the server's first thread was ready to run and had no core, in nanoseconds.
    pub server_wait_ns: u64,
    /// The processor time of the load generator, in nanoseconds.
    pub client_ns: u64,
    /// The time for which the load generator was ready to run and had no core, in nanoseconds.
    pub client_wait_ns: u64,
    /// The processor time that the host of a virtual machine took away from all cores together, in nanoseconds.
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

/// The times between sending a message and receiving its reply, in microseconds. For `Paced`, they begin when the message was due.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p999: f64,
    /// The maximum.
    pub max: f64,
}

/// The result of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// The number of operations. The mode defines an operation: an echoed message, a delivered message, or an opened
    /// connection.
    pub operations: u64,
    /// The resources that the operations used.
    pub usage: Usage,
    /// The latency of the operations.
    pub latency: Latency,
    /// The resident memory of the server before the run, in bytes. It is measured without connections, or, for
    /// `SlowReaders`, before the broadcast.
    pub memory_before: u64,
    /// The resident memory of the server at the end of the run, in bytes. For `SlowReaders`, this is the maximum during
    /// the run.
    pub memory_after: u64,
    /// The number of message bytes for each byte of compressed payload that the server sent, or 0 without compression.
    pub ratio: f64,
    /// The extensions in the server's response.
    pub extensions: String,
    /// The number of frames in each reply, or 0 if they were not counted.
    #[serde(default)]
    pub frames: f64,
    /// For `Paced`: the 99.9th percentile of the time by which the load generator sent a message late, in microseconds. This time is
    /// part of the latency.
    #[serde(default)]
    pub sent_late: f64,
}
