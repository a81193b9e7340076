//! What an event loop needs to know to encrypt: the certificate of a server, the trust of a client.
//!
//! The encrypted socket itself is the reactor's.

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

/// What ALPN calls the protocol that a WebSocket begins with, as it is sent (RFC 7301 §3.1).
const HTTP_1_1: &[u8] = b"\x08http/1.1";

/// Both roles: TLS 1.2 at least (RFC 8996), and no new handshake within a connection, which only costs.
fn harden(context: &mut SslContextBuilder) -> std::result::Result<(), ErrorStack> {
    context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    context.set_options(SslOptions::NO_RENEGOTIATION);
    // Otherwise each record takes two reads, one of them for its five bytes of header.
    context.set_read_ahead(true);
    Ok(())
}

/// Takes over a certificate with its chain, and the key that belongs to it.
fn take_identity(context: &mut SslContextBuilder, chain: &Path, key: &Path) -> Result<()> {
    named(context.set_certificate_chain_file(chain), "certificate chain", chain)?;
    named(context.set_private_key_file(key, SslFiletype::PEM), "key", key)?;
    named(context.check_private_key(), "key for this certificate", key)
}

/// Says which file an error of OpenSSL is about.
fn named(result: std::result::Result<(), ErrorStack>, what: &str, path: &Path) -> Result<()> {
    result.map_err(|err| {
        Error::new(ErrorKind::Ssl(err.into()), format!("{} has no usable {what}", path.display()))
    })
}
