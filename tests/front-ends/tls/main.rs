//! Encrypted connections, in both roles. Rows of what must be withstood carry their number in the name of the test.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without may end it")]

#[cfg(feature = "blocking")]
mod blocking;
#[cfg(feature = "blocking")]
mod c3_options;
mod certificates;
mod conversation;
mod hooks;
mod keys;
mod loops;
mod proxy_protocol;
mod reconnecting;
mod s1_verification;
mod s2_truncation;
mod s3_readiness;
mod s5_floods;
mod s6_handshake;
