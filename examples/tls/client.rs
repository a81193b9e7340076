//! The option `--insecure` of the clients with a handler.

use sockeye::{Factory, WebSocket};

use crate::support::Result;

/// Accepts every certificate, such as a self-signed one.
#[cfg(any(feature = "rustls", feature = "ssl"))]
pub(crate) fn trust_any_certificate<F: Factory>(socket: WebSocket<F>) -> Result<WebSocket<F>> {
    Ok(socket.with_client_tls(sockeye::ClientTls::builder().danger_accept_any_certificate().build()?))
}

#[cfg(not(any(feature = "rustls", feature = "ssl")))]
pub(crate) fn trust_any_certificate<F: Factory>(_socket: WebSocket<F>) -> Result<WebSocket<F>> {
    Err(crate::support::Failure::new(
        "--insecure requires a build with `--features rustls` or `--features ssl`",
    ))
}
