//! Trust roots of a build with a vendored OpenSSL, which does not know where this system stores them.

use std::env;
use std::path::Path;

use ::openssl::ssl::SslContextBuilder;
use log::{debug, warn};

/// Where common systems store all roots in one file.
const BUNDLES: [&str; 7] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/etc/ssl/cert.pem",
    "/opt/homebrew/etc/openssl@3/cert.pem",
];

/// Adds the roots of the system, unless environment variables name the roots, which OpenSSL reads itself.
pub(super) fn add(context: &mut SslContextBuilder) {
    if env::var_os("SSL_CERT_FILE").is_some() || env::var_os("SSL_CERT_DIR").is_some() {
        return;
    }
    match BUNDLES.iter().map(Path::new).find(|path| path.exists()) {
        Some(path) => match context.set_ca_file(path) {
            Ok(()) => debug!("trust roots are those of {}", path.display()),
            Err(err) => warn!("the trust roots of {} cannot be read: {err}", path.display()),
        },
        None => warn!("this system has no trust roots in any of the usual places: set SSL_CERT_FILE"),
    }
}
