//! The option `--insecure` of the clients with a handler.

use sockeye::{Factory, WebSocket};

use crate::support::Result;

/// Accepts every certificate, such as one that a server has created itself.
#[cfg(feature = "ssl")]
pub(crate) fn trust_any_certificate<F: Factory>(socket: WebSocket<F>) -> Result<WebSocket<F>> {
    use sockeye::openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};

    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_verify(SslVerifyMode::NONE);
    Ok(socket.with_client_tls(connector.build()))
}

#[cfg(not(feature = "ssl"))]
pub(crate) fn trust_any_certificate<F: Factory>(_socket: WebSocket<F>) -> Result<WebSocket<F>> {
    Err(crate::support::Failure::new("--insecure requires a build with `--features ssl`"))
}
