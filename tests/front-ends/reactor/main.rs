//! Loops over real loopback sockets: what handlers, senders and peers may do to them, row by row of what a WebSocket
//! library must stand up to (the ids in the names).
#![cfg(all(feature = "reactor", unix))]
#![expect(clippy::unwrap_used, reason = "a panic names the line of the failure")]

mod backpressure;
mod broadcast;
mod callbacks;
mod cluster;
mod draining;
mod error_texts;
mod errors;
mod frames;
mod identity;
mod limits;
mod lists;
mod memory;
mod monitoring;
mod nested;
mod panics;
mod pausing;
mod proxy_protocol;
mod queue;
mod readiness;
mod reconnecting;
#[cfg(feature = "metrics")]
mod recording;
mod sender_states;
#[cfg(feature = "signals")]
mod signals;
mod silence;
mod system;
#[cfg(feature = "systemd")]
mod systemd;
mod transports;
mod upgraded;
mod workers;
