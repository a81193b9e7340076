//! The option `--insecure` of the Autobahn clients without a handler.

// The `Builder` of the front end that the client uses.
use crate::Builder;
use crate::support::Result;

/// Accepts every certificate, such as that of the test suite, which is self-signed.
#[cfg(any(feature = "rustls", feature = "ssl"))]
pub(crate) fn trust_any_certificate(builder: Builder) -> Result<Builder> {
    Ok(builder.client_tls(sockeye::ClientTls::builder().danger_accept_any_certificate().build()?))
}

#[cfg(not(any(feature = "rustls", feature = "ssl")))]
pub(crate) fn trust_any_certificate(_builder: Builder) -> Result<Builder> {
    Err(crate::support::Failure::new(
        "--insecure requires a build with `--features rustls` or `--features ssl`",
    ))
}
