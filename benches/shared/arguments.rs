//! The arguments of every server: `ADDRESS MODE [SIZE]`.

use std::error::Error;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Returns the address to listen on, and the mode, which is the task of the server.
pub(crate) fn arguments() -> Result<(String, String)> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(address), Some(mode)) => Ok((address, mode)),
        _ => Err("usage: ADDRESS MODE".into()),
    }
}
