//! The flag `--insecure` of the examples that are clients: talk to a server whoever it is, such as one that has made
//! its certificate itself.

use sockeye::{Factory, Result, WebSocket};

#[cfg(feature = "ssl")]
pub(crate) fn trust_anyone<F: Factory>(socket: WebSocket<F>) -> Result<WebSocket<F>> {
    use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};

    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_verify(SslVerifyMode::NONE);
    Ok(socket.with_client_tls(connector.build()))
}

#[cfg(not(feature = "ssl"))]
pub(crate) fn trust_anyone<F: Factory>(_socket: WebSocket<F>) -> Result<WebSocket<F>> {
    let details = "--insecure needs a build with `--features ssl`";
    Err(sockeye::Error::new(sockeye::ErrorKind::Internal, details))
}
