//! The command line and Ctrl-C, shared with the other examples.

#![allow(dead_code, unused_imports, reason = "no program uses everything")]

#[path = "../../support/arguments.rs"]
mod arguments;
#[path = "../../support/failure.rs"]
mod failure;
#[path = "../../support/interrupt.rs"]
mod interrupt;

pub(crate) use failure::{Failure, Result};
pub(crate) use interrupt::on_interrupt;

/// Reads the command line, which has only an address.
pub(crate) fn address(usage: &str) -> Result<String> {
    let mut arguments = arguments::Arguments::parse(usage)?;
    let address = arguments.address()?;
    arguments.end()?;
    Ok(address)
}

/// Binds a listener, and names the address if that fails.
pub(crate) fn listen(address: &str) -> Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address);
    listener.map_err(|error| Failure::new(format!("cannot listen on {address}: {error}")))
}

/// The same for tokio.
pub(crate) fn listen_async(address: &str) -> Result<tokio::net::TcpListener> {
    let listener = listen(address)?;
    listener.set_nonblocking(true)?;
    Ok(tokio::net::TcpListener::from_std(listener)?)
}
