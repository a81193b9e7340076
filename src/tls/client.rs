//! The client's side: whom to trust, and who one is.

use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::pkcs12::Pkcs12;
use openssl::ssl::{
    Ssl, SslConnector, SslConnectorBuilder, SslContext, SslMethod, SslStream, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use url::{Host, Url};

use super::{HTTP_1_1, harden, named, roots, take_identity};
use crate::error::{Error, ErrorKind, Result};
use crate::tcp_stream::TcpStream;

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
    manners: Manners,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// What a connection does beside its context. OpenSSL has no place for that in the context, but one for us.
#[derive(Debug, Clone, Copy)]
struct Manners {
    names_server: bool,
    verifies_host: bool,
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
        Ok(Self { connector, manners: Manners::default() })
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
        self = self.trust_none()?;
        self.trust(roots)
    }

    /// Trusts the roots in a PEM text as well.
    ///
    /// # Errors
    ///
    /// `Ssl` if it cannot be read, or holds none.
    pub fn trust_pem(mut self, roots: &[u8]) -> Result<Self> {
        let roots = X509::stack_from_pem(roots)?;
        if roots.is_empty() {
            return Err(Error::new(ErrorKind::Ssl(ErrorStack::get().into()), "there are no trust roots"));
        }
        for root in roots {
            self.connector.cert_store_mut().add_cert(root)?;
        }
        Ok(self)
    }

    /// Trusts none of the roots from before, those of the system included; what is to be trusted comes after this.
    ///
    /// # Errors
    ///
    /// `Ssl` if OpenSSL cannot make an empty store.
    pub fn trust_none(mut self) -> Result<Self> {
        self.connector.set_cert_store(X509StoreBuilder::new()?.build());
        Ok(self)
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

    /// Shows the certificate of a PKCS #12 archive, with its chain and its key.
    ///
    /// # Errors
    ///
    /// `Ssl` if the archive cannot be read, the password is another one, or the key belongs to another certificate.
    pub fn show_pkcs12(mut self, archive: &[u8], password: &str) -> Result<Self> {
        let identity = Pkcs12::from_der(archive)?.parse2(password)?;
        let (Some(certificate), Some(key)) = (identity.cert, identity.pkey) else {
            let none = "the archive has no certificate with a key";
            return Err(Error::new(ErrorKind::Ssl(ErrorStack::get().into()), none));
        };
        self.connector.set_certificate(&certificate)?;
        self.connector.set_private_key(&key)?;
        self.connector.check_private_key()?;
        for issuer in identity.ca.into_iter().flatten() {
            self.connector.add_extra_chain_cert(issuer)?;
        }
        Ok(self)
    }

    /// Sets the oldest version of TLS that is spoken. Default 1.2.
    ///
    /// # Errors
    ///
    /// `Ssl` if OpenSSL does not have it.
    pub fn min_version(mut self, version: TlsVersion) -> Result<Self> {
        self.connector.set_min_proto_version(Some(version.into()))?;
        Ok(self)
    }

    /// Sets the newest version of TLS that is spoken. Default: the newest that OpenSSL has.
    ///
    /// # Errors
    ///
    /// `Ssl` if OpenSSL does not have it.
    pub fn max_version(mut self, version: TlsVersion) -> Result<Self> {
        self.connector.set_max_proto_version(Some(version.into()))?;
        Ok(self)
    }

    /// Does not tell the server which of its names is meant (SNI, RFC 6066 §3), which everyone on the way can read. A server
    /// that has several certificates then shows its first one.
    #[must_use]
    pub fn hide_server_name(mut self) -> Self {
        self.manners.names_server = false;
        self
    }

    /// Believes whatever certificate the server shows, as anyone on the way could make one: for tests.
    #[must_use]
    pub fn danger_accept_any_certificate(mut self) -> Self {
        self.connector.set_verify(SslVerifyMode::NONE);
        self
    }

    /// Takes a certificate that a trusted root vouches for, whatever host it was issued for: for tests.
    #[must_use]
    pub fn danger_accept_any_host(mut self) -> Self {
        self.manners.verifies_host = false;
        self
    }
}

impl From<ClientTls> for SslConnector {
    fn from(mut tls: ClientTls) -> Self {
        if let Some(place) = Manners::place() {
            tls.connector.set_ex_data(place, tls.manners);
        }
        tls.connector.build()
    }
}

impl From<TlsVersion> for SslVersion {
    fn from(version: TlsVersion) -> Self {
        match version {
            TlsVersion::V1_2 => Self::TLS1_2,
            TlsVersion::V1_3 => Self::TLS1_3,
        }
    }
}

impl Default for Manners {
    fn default() -> Self {
        Self { names_server: true, verifies_host: true }
    }
}

impl Manners {
    /// Where they are in a context; only without memory there is no such place, and then the default holds, which is the
    /// strict one.
    fn place() -> Option<Index<SslContext, Self>> {
        static PLACE: OnceLock<Option<Index<SslContext, Manners>>> = OnceLock::new();
        *PLACE.get_or_init(|| SslContext::new_ex_index().ok())
    }

    fn of(connector: &SslConnector) -> Self {
        let place = Self::place();
        place.and_then(|place| connector.context().ex_data(place)).copied().unwrap_or_default()
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
    Ok(session(connector, &server_name(url)?)?.connect(stream)?)
}

/// Prepares a connection to a server that must be `host`.
pub(crate) fn session(connector: &SslConnector, host: &str) -> std::result::Result<Ssl, ErrorStack> {
    let manners = Manners::of(connector);
    let session = connector.configure()?.use_server_name_indication(manners.names_server);
    session.verify_hostname(manners.verifies_host).into_ssl(host)
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
