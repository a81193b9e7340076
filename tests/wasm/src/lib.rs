//! The front end `browser`, in headless Chromium and in Node, against Sockeye's event loop and against a peer that is
//! controlled byte by byte. `tests/wasm/run` builds and runs the tests, and starts the peer (`tests/wasm/peer.rs`).
#![cfg(all(test, target_family = "wasm"))]

mod cancel;
mod closings;
mod defects;
mod limits;
mod messages;
mod opening;
mod peer;
mod portable;
mod shapes;
mod support;
mod targets;
