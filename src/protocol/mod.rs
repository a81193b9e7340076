//! The protocol core, without any I/O.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::panic)]

mod assembler;
mod config;
mod connection;
mod error;
mod frame;
pub mod handshake;
mod header;
mod incoming;
pub mod mask;
mod output;
mod role;
mod utf8;

pub use config::{Answers, Config};
#[cfg(feature = "reactor")]
pub(crate) use connection::check_close;
pub use connection::{Connection, Event, State};
pub use error::ProtocolError;
pub use frame::Frame;
pub use header::{OpCode, Reserved};
pub use output::Output;
pub use role::Role;
