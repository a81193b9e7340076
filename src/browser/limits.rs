//! The limits and timeouts of one connection.

use std::time::Duration;

/// The limits and timeouts of one connection, which [`Builder`](super::Builder) sets.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// In bytes.
    pub(super) max_message_size: usize,
    /// Output, in bytes.
    pub(super) max_buffered: usize,
    /// Output, in bytes.
    pub(super) high_water: usize,
    /// Messages that wait for the program, in bytes.
    pub(super) max_received: usize,
    pub(super) max_received_messages: usize,
    pub(super) close_timeout: Duration,
    pub(super) idle_timeout: Option<Duration>,
}
