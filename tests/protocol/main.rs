//! The protocol core, one end or two ends joined in memory, in the order of RFC 6455.
//!
//! Nothing but the public API of `sockeye::protocol` is used, and frames are written and read by `wire`, which knows
//! the RFC and not the code. There is no network, no thread and no sleep: the test moves the clock.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod after_handshake;
mod limits;
mod manual;
#[cfg(feature = "permessage-deflate")]
mod rfc7692;
mod s4_1_client;
mod s4_2_server;
mod s5_1_masking;
mod s5_2_framing;
mod s5_4_fragmentation;
mod s5_5_control;
mod s7_1_7_failing;
mod s7_1_closing;
mod s7_4_close_codes;
mod s8_1_utf8;
mod time;
