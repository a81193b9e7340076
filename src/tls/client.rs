//! The client's side: whom to trust, and who one is.

use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use openssl::ssl::{SslConnector, SslConnectorBuilder, SslMethod, SslStream};
use openssl::x509::store::X509StoreBuilder;
use url::{Host, Url};

use super::{HTTP_1_1, harden, named, roots, take_identity};
use crate::error::{Error, ErrorKind, Result};
use crate::tcp::TcpStream;

/// How the clients of an event loop encrypt: which roots they trust, and the certificate that they show.
///
/// Only needed for other things than the default: without it, a `wss://` URL is connected to by the trust roots of the
/// system, and the server's certificate must be valid for the host of the URL, be that a name or an IP address.
///
/// For everything else there is [`SslConnector`], which [`WebSocket::with_client_tls`] takes as well.
///
/// [`WebSocket::with_client_tls`]: crate::WebSocket::with_client_tls
///
/// # Examples
///
/// ```no_run
/// use sockeye::{ClientTls, WebSocket};
///
/// let tls = ClientTls::new()?.trust_only("our-roots.pem")?.show("me.pem", "me.key")?;
/// let mut socket = WebSocket::new(|_| |_| Ok(()))?.with_client_tls(tls);
/// # sockeye::Result::Ok(())
/// ```
pub struct ClientTls {
    connector: SslConnectorBuilder,
}

impl ClientTls {
    /// Begins with the default: the trust roots of the system (OpenSSL's, or those that the environment variables
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name), TLS 1.2 or newer, no certificate.
    ///
    /// # Errors
    ///
    /// `Ssl` if OpenSSL cannot be set up.
    pub fn new() -> Result<Self> {
        let mut connector = SslConnector::builder(SslMethod::tls_client())?;
        harden(&mut connector)?;
        connector.set_alpn_protos(HTTP_1_1)?;
        roots::add_well_known(&mut connector);
        Ok(Self { connector })
    }

    /// Trusts the roots in a PEM file as well.
    ///
    /// # Errors
    ///
    /// `Ssl` if the file holds none, or cannot be read.
    pub fn trust(mut self, roots: impl AsRef<Path>) -> Result<Self> {
        let roots = roots.as_ref();
        named(self.connector.set_ca_file(roots), "trust roots", roots)?;
        Ok(self)
    }

    /// Trusts the roots in a PEM file, and no others from before.
    ///
    /// # Errors
    ///
    /// `Ssl` if the file holds none, or cannot be read.
    pub fn trust_only(mut self, roots: impl AsRef<Path>) -> Result<Self> {
        self.connector.set_cert_store(X509StoreBuilder::new()?.build());
        self.trust(roots)
    }

    /// Shows a certificate to servers that ask for one: the chain, the own certificate first, and the key, both PEM.
    ///
    /// # Errors
    ///
    /// `Ssl` if a file cannot be used, or the key belongs to another certificate.
    pub fn show(mut self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self> {
        take_identity(&mut self.connector, chain.as_ref(), key.as_ref())?;
        Ok(self)
    }
}

impl From<ClientTls> for SslConnector {
    fn from(tls: ClientTls) -> Self {
        tls.connector.build()
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

/// The connector of who has set no other. The roots are read once, since that takes long.
pub(crate) fn default_connector() -> Result<SslConnector> {
    static DEFAULT: OnceLock<SslConnector> = OnceLock::new();
    if let Some(connector) = DEFAULT.get() {
        return Ok(connector.clone());
    }
    let connector = ClientTls::new()?.into();
    Ok(DEFAULT.get_or_init(|| connector).clone())
}

/// Begins the handshake of a client; the host of the URL is who the server must be.
pub(crate) fn connect(
    connector: &SslConnector,
    stream: TcpStream,
    url: &Url,
) -> Result<SslStream<TcpStream>> {
    Ok(connector.connect(&server_name(url)?, stream)?)
}

/// Who the server of a URL must be.
pub(crate) fn server_name(url: &Url) -> Result<String> {
    match url.host() {
        // A name that is written as absolute is the same one, and certificates do not have the dot (RFC 6066 §3).
        Some(Host::Domain(name)) => Ok(name.strip_suffix('.').unwrap_or(name).to_owned()),
        Some(Host::Ipv4(address)) => Ok(address.to_string()),
        Some(Host::Ipv6(address)) => Ok(address.to_string()),
        None => Err(Error::new(ErrorKind::Protocol, format!("the URL has no host: {url}"))),
    }
}
