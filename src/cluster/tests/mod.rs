//! Tests of a node without a thread, a clock or a server.

mod checker;
mod envelope;
mod hostile;
mod node;
mod peers;
mod random;
mod subscriptions;
mod world;
