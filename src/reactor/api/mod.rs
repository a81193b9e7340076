//! What programs use: the handler, its sender, the settings, and their small types.

pub(crate) mod deferred;
#[cfg(feature = "permessage-deflate")]
pub mod deflate_handler;
pub(crate) mod drain;
pub(crate) mod factory;
mod families;
pub(crate) mod handler;
pub(crate) mod handler_fn;
pub(crate) mod handshake;
pub(crate) mod health;
mod prometheus;
pub(crate) mod publication;
#[cfg(feature = "metrics")]
mod recording;
pub(crate) mod reply;
pub(crate) mod sender;
pub(crate) mod settings;
#[cfg(all(feature = "signals", unix))]
pub mod signals;
pub(crate) mod stats;
pub mod util;
