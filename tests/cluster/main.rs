//! The broker of a cluster on a real Redis server, with a node that records what the broker reports.
//!
//! Each test starts a server of its own. Without the program `redis-server`, the tests are skipped with a message.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without may end it")]

mod conversation;
mod failures;
mod limits;
mod login;
mod node;
mod nodes;
mod server;
#[cfg(feature = "ssl")]
mod tls;
