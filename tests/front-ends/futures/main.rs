//! The front end `futures`. The codes in the names are the rows of `tests/front-ends.md`: C is the opening handshake of a
//! client, S of a server, M messages, A the interface, L limits, X extensions, P conformance, and T a defect of another
//! library.
//!
//! Nearly everything runs in memory, without a runtime: `support` has a stream whose other end the test holds, and polls
//! futures by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cancel;
#[cfg(feature = "permessage-deflate")]
mod compression;
mod defects;
mod extension;
mod fairness;
mod limits;
mod messages;
mod no_runtime;
mod opening_client;
mod opening_server;
#[cfg(all(feature = "tokio", any(feature = "rustls", feature = "ssl")))]
#[path = "../../wasm/src/portable.rs"]
mod portable;
mod reconnecting;
#[cfg(feature = "tokio")]
mod reconnecting_with_tokio;
mod shapes;
mod shared;
mod support;
#[cfg(feature = "tokio")]
mod with_tokio;
