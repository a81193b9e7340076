//! The configuration of a node.

use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The beginning of the names of all channels. Nodes with different prefixes do not know of each other. Default: `sockeye`.
    pub(crate) prefix: String,
    /// The time between two heartbeats. It must be the same for all nodes. Default: 2 s.
    pub(crate) heartbeat: Duration,
    /// The number of messages that the broker has not acknowledged, at most. Default: 65,536.
    pub(crate) max_unacknowledged: usize,
    /// The bytes of these messages, at most. Default: 16 MiB.
    pub(crate) max_unacknowledged_bytes: usize,
    /// The number of topics that a heartbeat lists, at most. If more topics have new messages, a gap is reported to the subscribers of all
    /// topics on other nodes. Default: 1,000,000.
    pub(crate) max_announced: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefix: "sockeye".to_owned(),
            heartbeat: Duration::from_secs(2),
            max_unacknowledged: 65_536,
            max_unacknowledged_bytes: 16 * 1024 * 1024,
            max_announced: 1_000_000,
        }
    }
}
