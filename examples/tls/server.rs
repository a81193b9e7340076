//! The flag `--tls` of the examples that are servers.

use sockeye::{Factory, Result, WebSocket};

#[cfg(feature = "ssl")]
#[path = "certificate.rs"]
mod certificate;

/// Takes the flag out of the arguments, and encrypts the server if it was there.
pub(crate) fn encrypt_if_asked<F: Factory>(
    socket: WebSocket<F>,
    arguments: &mut Vec<String>,
) -> Result<WebSocket<F>> {
    let count = arguments.len();
    arguments.retain(|argument| argument != "--tls");
    if arguments.len() == count { Ok(socket) } else { encrypt(socket) }
}

#[cfg(feature = "ssl")]
fn encrypt<F: Factory>(socket: WebSocket<F>) -> Result<WebSocket<F>> {
    Ok(socket.with_server_tls(certificate::acceptor()?))
}

#[cfg(not(feature = "ssl"))]
fn encrypt<F: Factory>(_socket: WebSocket<F>) -> Result<WebSocket<F>> {
    let details = "--tls needs a build with `--features ssl`";
    Err(sockeye::Error::new(sockeye::ErrorKind::Internal, details))
}
