//! The option `--insecure` of the Autobahn clients without a handler.

// The `Builder` of the front end that the client uses.
use crate::Builder;
use crate::support::Result;

#[cfg(any(feature = "rustls", feature = "ssl"))]
#[path = "../tls/engine.rs"]
mod engine;

/// Accepts every certificate, such as that of the test suite, which is self-signed.
#[cfg(any(feature = "rustls", feature = "ssl"))]
pub(crate) fn trust_any_certificate(builder: Builder) -> Result<Builder> {
    let tls =
        sockeye::ClientTls::builder().engine(engine::engine()).danger_accept_any_certificate().build()?;
    Ok(builder.client_tls(tls))
}

#[cfg(not(any(feature = "rustls", feature = "ssl")))]
pub(crate) fn trust_any_certificate(_builder: Builder) -> Result<Builder> {
    Err(crate::support::Failure::new(
        "--insecure requires a build with `--features rustls` or `--features ssl`",
    ))
}
