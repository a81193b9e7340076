//! TLS configuration: certificates of servers, and trust roots of clients.
//!
//! The front ends contain the encrypted sockets.

mod client;
#[cfg(feature = "ssl-vendored")]
mod roots;
#[cfg(not(feature = "ssl-vendored"))]
#[path = "no_roots.rs"]
mod roots;
mod server;

use std::path::Path;

use openssl::error::ErrorStack;
use openssl::ssl::{SslContextBuilder, SslFiletype, SslOptions, SslVersion};

#[cfg(any(feature = "blocking", feature = "tokio"))]
pub(crate) use self::client::server_name;
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) use self::client::session;
pub use self::client::{ClientTls, TlsVersion};
pub(crate) use self::client::{connect, default_connector};
pub use self::server::ServerTls;
use crate::error::{Error, ErrorKind, Result};

/// The ALPN protocol list with `http/1.1`, in wire format (RFC 7301 §3.1).
const HTTP_1_1: &[u8] = b"\x08http/1.1";

/// Sets the options of both roles: TLS 1.2 or newer (RFC 8996), and no renegotiation, which lets a peer cause work.
fn harden(context: &mut SslContextBuilder) -> std::result::Result<(), ErrorStack> {
    context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    context.set_options(SslOptions::NO_RENEGOTIATION);
    // Without it, each record takes two reads, one of them for the header of five bytes.
    context.set_read_ahead(true);
    Ok(())
}

/// Loads a certificate chain and the private key that belongs to it.
fn set_identity(context: &mut SslContextBuilder, chain: &Path, key: &Path) -> Result<()> {
    with_path(context.set_certificate_chain_file(chain), "certificate chain", chain)?;
    with_path(context.set_private_key_file(key, SslFiletype::PEM), "key", key)?;
    with_path(context.check_private_key(), "key for this certificate", key)
}

/// Adds the path of the file to an error of OpenSSL.
fn with_path(result: std::result::Result<(), ErrorStack>, what: &str, path: &Path) -> Result<()> {
    result.map_err(|err| {
        Error::new(ErrorKind::Ssl(err.into()), format!("{} has no usable {what}", path.display()))
    })
}
