//! The front end `browser`, in headless Chromium and in Node, against Sockeye's event loop and against a peer that speaks
//! bytes. `tests/wasm/run` builds it, runs it, and starts what it talks to (`peer.rs`).
#![cfg(all(test, target_family = "wasm"))]

mod cancel;
mod closings;
mod defects;
mod limits;
mod messages;
mod opening;
mod peer;
mod shapes;
mod support;
