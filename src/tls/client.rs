//! TLS configuration of clients: trust roots, client certificates, versions.

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

use super::{HTTP_1_1, harden, roots, set_identity, with_path};
use crate::error::{Error, ErrorKind, Result, redacted};
use crate::tcp_stream::TcpStream;

/// The TLS configuration of clients: trust roots, a client certificate, versions.
///
/// `wss://` URLs work without it. The certificate of the server is then verified with the trust roots of the system, for the
/// host of the URL, which can be a name or an IP address.
///
/// For other options, create an [`SslConnector`], which [`WebSocket::with_client_tls`] accepts as well.
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
    options: Options,
}

/// A version of TLS.
///
/// # Examples
///
/// ```
/// use sockeye::{ClientTls, TlsVersion};
///
/// let tls = ClientTls::new()?.min_version(TlsVersion::V1_3)?;
/// # drop(tls);
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// Options of a connection that are not part of an OpenSSL context. They are stored in the context as extra data.
#[derive(Debug, Clone, Copy)]
struct Options {
    names_server: bool,
    verifies_host: bool,
}

impl ClientTls {
    /// Creates the default configuration: the trust roots of the system (or those that the environment variables
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name), TLS 1.2 or newer, no client certificate.
    ///
    /// # Errors
    ///
    /// `Ssl` if OpenSSL cannot be initialized.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn new() -> Result<Self> {
        let mut connector = SslConnector::builder(SslMethod::tls_client())?;
        harden(&mut connector)?;
        connector.set_alpn_protos(HTTP_1_1)?;
        roots::add_well_known(&mut connector);
        Ok(Self { connector, options: Options::default() })
    }

    /// Adds the roots in a PEM file.
    ///
    /// # Errors
    ///
    /// `Ssl` if the file contains none, or cannot be read.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::ClientTls;
    ///
    /// // The roots of the system, and those of the company.
    /// let tls = ClientTls::new()?.trust("company-roots.pem")?;
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn trust(mut self, roots: impl AsRef<Path>) -> Result<Self> {
        let roots = roots.as_ref();
        with_path(self.connector.set_ca_file(roots), "trust roots", roots)?;
        Ok(self)
    }

    /// Replaces all roots, including those of the system, with the roots in a PEM file.
    ///
    /// # Errors
    ///
    /// `Ssl` if the file contains none, or cannot be read.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn trust_only(mut self, roots: impl AsRef<Path>) -> Result<Self> {
        self = self.trust_none()?;
        self.trust(roots)
    }

    /// Adds the roots in a PEM text.
    ///
    /// # Errors
    ///
    /// `Ssl` if the text cannot be parsed, or contains none.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::ClientTls;
    ///
    /// /// Trusts only a root that is a part of the program or of its configuration.
    /// fn with_root(pem: &str) -> sockeye::Result<ClientTls> {
    ///     ClientTls::new()?.trust_none()?.trust_pem(pem.as_bytes())
    /// }
    ///
    /// assert!(with_root("not a certificate").is_err());
    /// ```
    pub fn trust_pem(mut self, roots: &[u8]) -> Result<Self> {
        let roots = X509::stack_from_pem(roots)?;
        if roots.is_empty() {
            return Err(Error::new(
                ErrorKind::Ssl(ErrorStack::get().into()),
                "the PEM text contains no certificates",
            ));
        }
        for root in roots {
            self.connector.cert_store_mut().add_cert(root)?;
        }
        Ok(self)
    }

    /// Removes all roots, including those of the system. Call `trust` or `trust_pem` afterwards.
    ///
    /// # Errors
    ///
    /// `Ssl` if OpenSSL cannot create an empty store.
    ///
    /// See the example of [`trust_pem`](Self::trust_pem).
    pub fn trust_none(mut self) -> Result<Self> {
        self.connector.set_cert_store(X509StoreBuilder::new()?.build());
        Ok(self)
    }

    /// Sets the client certificate: PEM files with the chain, with the client's certificate first, and with the private key.
    /// It is sent to servers that request one.
    ///
    /// # Errors
    ///
    /// `Ssl` if a file cannot be used, or the key does not belong to the certificate.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn show(mut self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self> {
        set_identity(&mut self.connector, chain.as_ref(), key.as_ref())?;
        Ok(self)
    }

    /// Sets the client certificate from a PKCS #12 archive with a certificate, its chain and its private key.
    ///
    /// # Errors
    ///
    /// `Ssl` if the archive cannot be read, the password is wrong, or the key does not belong to the certificate.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::ClientTls;
    ///
    /// let archive = std::fs::read("me.p12")?;
    /// let tls = ClientTls::new()?.show_pkcs12(&archive, "password")?;
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn show_pkcs12(mut self, archive: &[u8], password: &str) -> Result<Self> {
        let identity = Pkcs12::from_der(archive)?.parse2(password)?;
        let (Some(certificate), Some(key)) = (identity.cert, identity.pkey) else {
            let none = "the PKCS #12 archive contains no certificate with a private key";
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

    /// Sets the oldest TLS version. Default: 1.2.
    ///
    /// # Errors
    ///
    /// `Ssl` if OpenSSL does not support it.
    ///
    /// See the example of [`TlsVersion`].
    pub fn min_version(mut self, version: TlsVersion) -> Result<Self> {
        self.connector.set_min_proto_version(Some(version.into()))?;
        Ok(self)
    }

    /// Sets the newest TLS version. Default: the newest that OpenSSL supports.
    ///
    /// # Errors
    ///
    /// `Ssl` if OpenSSL does not support it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{ClientTls, TlsVersion};
    ///
    /// // For a middlebox that does not understand TLS 1.3.
    /// let tls = ClientTls::new()?.max_version(TlsVersion::V1_2)?;
    /// # drop(tls);
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn max_version(mut self, version: TlsVersion) -> Result<Self> {
        self.connector.set_max_proto_version(Some(version.into()))?;
        Ok(self)
    }

    /// Does not send the name of the server (SNI, RFC 6066 §3), which is readable on the network. A server with several
    /// certificates then uses its first one.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::ClientTls;
    ///
    /// let tls = ClientTls::new()?.hide_server_name();
    /// # drop(tls);
    /// # sockeye::Result::Ok(())
    /// ```
    #[must_use]
    pub fn hide_server_name(mut self) -> Self {
        self.options.names_server = false;
        self
    }

    /// Accepts any certificate. Anyone on the network can then impersonate the server, so this is for tests.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{ClientTls, Error};
    ///
    /// fn test_client() -> Result<ClientTls, Error> {
    ///     Ok(ClientTls::new()?.danger_accept_any_certificate())
    /// }
    /// # drop(test_client()?);
    /// # sockeye::Result::Ok(())
    /// ```
    #[must_use]
    pub fn danger_accept_any_certificate(mut self) -> Self {
        self.connector.set_verify(SslVerifyMode::NONE);
        self
    }

    /// Accepts a certificate of a trusted root that was issued for any host. This is for tests.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::ClientTls;
    ///
    /// // A test server whose certificate was issued for another name.
    /// let tls = ClientTls::new()?.trust_only("test-root.pem")?.danger_accept_any_host();
    /// # sockeye::Result::Ok(())
    /// ```
    #[must_use]
    pub fn danger_accept_any_host(mut self) -> Self {
        self.options.verifies_host = false;
        self
    }
}

impl From<ClientTls> for SslConnector {
    fn from(mut tls: ClientTls) -> Self {
        if let Some(index) = Options::index() {
            tls.connector.set_ex_data(index, tls.options);
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

impl Default for Options {
    fn default() -> Self {
        Self { names_server: true, verifies_host: true }
    }
}

impl Options {
    /// The index of the options in the extra data of a context. `None` if OpenSSL cannot allocate one; the default, which is
    /// strict, then applies.
    fn index() -> Option<Index<SslContext, Self>> {
        static INDEX: OnceLock<Option<Index<SslContext, Options>>> = OnceLock::new();
        *INDEX.get_or_init(|| SslContext::new_ex_index().ok())
    }

    fn of(connector: &SslConnector) -> Self {
        let index = Self::index();
        index.and_then(|index| connector.context().ex_data(index)).copied().unwrap_or_default()
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

/// The connector of programs without a `ClientTls`. The roots are read once, because this takes long.
pub(crate) fn default_connector() -> Result<SslConnector> {
    static DEFAULT: OnceLock<SslConnector> = OnceLock::new();
    if let Some(connector) = DEFAULT.get() {
        return Ok(connector.clone());
    }
    let connector = ClientTls::new()?.into();
    Ok(DEFAULT.get_or_init(|| connector).clone())
}

/// Begins the handshake of a client. The certificate of the server must be valid for the host of the URL.
pub(crate) fn connect(
    connector: &SslConnector,
    stream: TcpStream,
    url: &Url,
) -> Result<SslStream<TcpStream>> {
    Ok(session(connector, &server_name(url)?)?.connect(stream)?)
}

/// Prepares a connection to a server whose certificate must be valid for `host`.
pub(crate) fn session(connector: &SslConnector, host: &str) -> std::result::Result<Ssl, ErrorStack> {
    let options = Options::of(connector);
    let session = connector.configure()?.use_server_name_indication(options.names_server);
    session.verify_hostname(options.verifies_host).into_ssl(host)
}

/// The name that the certificate of the server must be valid for.
pub(crate) fn server_name(url: &Url) -> Result<String> {
    match url.host() {
        // An absolute name is the same name, and certificates do not contain the final dot (RFC 6066 §3).
        Some(Host::Domain(name)) => Ok(name.strip_suffix('.').unwrap_or(name).to_owned()),
        Some(Host::Ipv4(address)) => Ok(address.to_string()),
        Some(Host::Ipv6(address)) => Ok(address.to_string()),
        None => {
            Err(Error::new(ErrorKind::Protocol, format!("the URL has no host: {}", redacted(url.as_str()))))
        }
    }
}
