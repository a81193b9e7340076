//! The flag `--insecure` of the clients without a `Handler` that the Autobahn test suite examines: talk to a server whoever
//! it is, such as the suite, which has made its certificate itself.

use sockeye::Result;

// That of the front end that the example shows.
use crate::Builder;

#[cfg(feature = "ssl")]
pub(crate) fn trust_anyone(builder: Builder) -> Result<Builder> {
    Ok(builder.client_tls(sockeye::ClientTls::new()?.danger_accept_any_certificate()))
}

#[cfg(not(feature = "ssl"))]
pub(crate) fn trust_anyone(_builder: Builder) -> Result<Builder> {
    let details = "--insecure needs a build with `--features ssl`";
    Err(sockeye::Error::new(sockeye::ErrorKind::Internal, details))
}
