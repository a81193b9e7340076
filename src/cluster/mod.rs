//! Publications between machines.
//!
//! A *node* is a process with an event loop or a pool. The nodes of a cluster are connected to the same *broker*, for example a Redis
//! server, which passes their publications on. [`Broker`] is the interface to it.
//!
//! ```text
//!   Sender::publish --> loops with subscribers (at once)
//!                  '--> node --> Broker --> server --> Broker --> node --> loops with subscribers
//!                       counts, numbers, resends                  detects gaps and duplicates
//! ```

mod broker;
#[cfg_attr(not(test), expect(dead_code, reason = "the event loop does not use nodes yet"))]
mod bytes;
#[cfg_attr(not(test), expect(dead_code, reason = "the event loop does not use nodes yet"))]
mod envelope;
#[cfg(test)]
mod tests;

pub use self::broker::{Broker, Inbox, NodeId, Queued};
