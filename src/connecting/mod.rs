//! What clients of all front ends need before a connection exists, without I/O and without a clock: proxies, the order of addresses,
//! redirects, and when to connect again.
//!
//! A front end owns the sockets and the clock. It passes bytes and the current time, and executes the result.

pub(crate) mod addresses;
pub(crate) mod backoff;
pub(crate) mod proxy;
pub(crate) mod reconnect;
pub(crate) mod redirect;
