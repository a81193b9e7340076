//! Where Sockeye differs from `ws` 0.9 on purpose, and what it adds. None of this is true of `ws`.

mod additions;
mod closing;
mod connecting;
mod senders;
mod shutdown;
mod strictness;
mod timers;
