//! Properties of the protocol core that hold for random inputs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod codec;
mod streams;
