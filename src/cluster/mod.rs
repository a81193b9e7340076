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

mod announcements;
mod announcing;
mod broker;
mod bytes;
mod channels;
mod config;
mod envelope;
mod events;
mod hub;
mod incoming;
mod liveness;
mod memory;
mod node;
mod options;
mod outbox;
mod outgoing;
mod peers;
mod queries;
mod receiving;
#[cfg(feature = "redis")]
mod redis;
mod returning;
#[cfg(any(test, fuzzing))]
mod script;
mod stats;
mod subscriptions;
#[cfg(test)]
mod tests;

pub use self::broker::{Broker, BrokerEvents, Inbox, NodeId, Queued};
pub use self::config::{Cluster, Order};
pub use self::events::{BrokerState, Missed};
pub use self::hub::SubscriberCount;
pub(crate) use self::hub::{Delivery, EventLoops, Hub, RunningNode};
pub use self::memory::MemoryBroker;
#[cfg(feature = "redis")]
pub use self::redis::Redis;
#[cfg(all(fuzzing, feature = "redis"))]
pub(crate) use self::redis::run_script as run_redis_script;
#[cfg(fuzzing)]
pub(crate) use self::script::run_script as run_node_script;
pub use self::stats::ClusterStats;
