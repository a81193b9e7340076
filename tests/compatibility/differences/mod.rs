//! Where Sockeye differs from `ws` 0.9 on purpose, and what it adds. With `ws` these tests fail.

mod additions;
mod closing;
mod connecting;
#[cfg(feature = "permessage-deflate")]
mod deflate;
mod encryption;
mod errors;
mod senders;
mod shutdown;
mod strictness;
mod timers;
