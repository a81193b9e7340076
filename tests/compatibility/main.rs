//! Source compatibility: programs in the style of `ws` 0.9's users, under the name `ws`.
//!
//! Every module but `differences` holds what `ws` 0.9.2 and Sockeye do alike; each of those tests was seen to pass
//! with the real `ws` before it was asked of Sockeye. `differences` holds what Sockeye does otherwise on purpose.

#![cfg(feature = "reactor")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

extern crate sockeye as ws;

mod close_codes;
mod closures;
#[cfg(feature = "permessage-deflate")]
mod deflate;
mod differences;
mod errors;
mod factories;
mod failures;
mod frames;
mod handlers;
mod handshake;
mod heads;
mod loops;
mod messages;
mod order;
mod pages;
mod router;
mod senders;
mod settings;
mod support;
mod timers;
mod trace;
mod traits;
