//! The option `--tls` of the servers.

use sockeye::{Factory, WebSocket};

use crate::support::{Arguments, Result};

#[cfg(any(feature = "rustls", feature = "ssl"))]
#[path = "certificate.rs"]
mod certificate;

/// Encrypts the server if the option is given. Returns the scheme of its URL as well.
pub(crate) fn encrypt_if_requested<F: Factory>(
    socket: WebSocket<F>,
    arguments: &Arguments,
) -> Result<(WebSocket<F>, &'static str)> {
    if arguments.has("--tls") { Ok((encrypt(socket)?, "wss")) } else { Ok((socket, "ws")) }
}

#[cfg(any(feature = "rustls", feature = "ssl"))]
fn encrypt<F: Factory>(socket: WebSocket<F>) -> Result<WebSocket<F>> {
    Ok(socket.with_server_tls(certificate::localhost()?))
}

#[cfg(not(any(feature = "rustls", feature = "ssl")))]
fn encrypt<F: Factory>(_socket: WebSocket<F>) -> Result<WebSocket<F>> {
    Err(crate::support::Failure::new("--tls requires a build with `--features rustls` or `--features ssl`"))
}
