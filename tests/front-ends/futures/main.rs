//! The async socket (`sockeye::futures`), row by row of what async sockets offer: C opening by a client, S by a server, M
//! messages, A shapes, L limits, X extensions, P conformance. What starts with `not_` is a defect of another library that
//! Sockeye must not have.
//!
//! Nearly everything runs in memory, without a runtime: `support` has a stream whose other end the test holds, and polls
//! futures by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cancel;
#[cfg(feature = "permessage-deflate")]
mod compression;
mod defects;
mod extension;
mod limits;
mod messages;
mod no_runtime;
mod opening_client;
mod opening_server;
mod shapes;
mod support;
#[cfg(feature = "tokio")]
mod with_tokio;
