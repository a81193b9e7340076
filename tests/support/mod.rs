//! What tests over real sockets share: peers that speak bytes, loops that keep a journal, and what the system knows of
//! both.
//!
//! Nothing here sleeps. Whoever waits does so for something, and [`LIMIT`] at most: a hang is a failure.
#![allow(dead_code, reason = "each test crate uses a part of it")]

pub(crate) mod bytes;
pub(crate) mod child;
pub(crate) mod host;
pub(crate) mod journal;
pub(crate) mod loops;
pub(crate) mod peer;
pub(crate) mod raw;
pub(crate) mod running;
pub(crate) mod script;
pub(crate) mod system;

use std::time::Duration;

/// How long anything may take that is to happen at all.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
