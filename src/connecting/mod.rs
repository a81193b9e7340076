//! How a client reaches its server, without I/O and without a clock: when it connects again.

#[cfg(feature = "reactor")]
pub(crate) mod backoff;
#[cfg(feature = "reactor")]
pub(crate) mod reconnect;
