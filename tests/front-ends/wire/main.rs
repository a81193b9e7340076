//! What a peer can send to a loop, over real sockets. Each test carries the name of the bug class that it excludes.
//!
//! Most of the rules have their own tests where they are written, as pure functions. Here the whole is on trial: the
//! right status or close code arrives, the hooks are called in order, the slot and the descriptor are free again, the
//! loop rests, and others are served meanwhile.
#![cfg(feature = "reactor")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client_connecting;
mod client_opening;
mod closing;
mod frame_close;
mod frame_headers;
mod frame_masks;
mod frame_messages;
mod on_request;
mod opening_checks;
mod opening_limits;
mod opening_noise;
mod opening_responses;
mod shutdown;
mod timers;
