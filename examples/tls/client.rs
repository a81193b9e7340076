//! The option `--insecure` of the clients with a handler.

use sockeye::{Factory, WebSocket};

use crate::support::Result;

#[cfg(any(feature = "rustls", feature = "ssl"))]
#[path = "engine.rs"]
mod engine;

/// Accepts every certificate, such as a self-signed one.
#[cfg(any(feature = "rustls", feature = "ssl"))]
pub(crate) fn trust_any_certificate<F: Factory>(socket: WebSocket<F>) -> Result<WebSocket<F>> {
    let tls =
        sockeye::ClientTls::builder().engine(engine::engine()).danger_accept_any_certificate().build()?;
    Ok(socket.with_client_tls(tls))
}

#[cfg(not(any(feature = "rustls", feature = "ssl")))]
pub(crate) fn trust_any_certificate<F: Factory>(_socket: WebSocket<F>) -> Result<WebSocket<F>> {
    Err(crate::support::Failure::new(
        "--insecure requires a build with `--features rustls` or `--features ssl`",
    ))
}
