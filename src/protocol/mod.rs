//! The protocol core, without any I/O.
mod config;
mod error;
pub mod handshake;

pub use config::{Answers, Config};
pub use error::ProtocolError;
