//! The TLS configuration of clients.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::engine::{ClientEngine, Engine};
#[cfg(feature = "ssl")]
use super::openssl;
use super::options::{ClientOptions, Identity, Password, Pem, Verification};
#[cfg(feature = "rustls")]
use super::rustls;
use super::{TlsEngine, TlsVersion, libraries};
use crate::error::Result;

/// The TLS configuration of clients: trust roots, a client certificate, versions.
///
/// `wss://` URLs work without it. The certificate of the server is then verified with the trust roots of the system, for the
/// host of the URL, which can be a name or an IP address.
///
/// A clone is cheap, and can be used from any thread. The event loop, the blocking and the async socket accept a `ClientTls`,
/// and everything that converts into one: with the feature `ssl` an `SslConnector` of `openssl`, with `rustls` a `ClientConfig`
/// of `rustls`.
///
/// # Examples
///
/// ```no_run
/// use sockeye::{ClientTls, WebSocket};
///
/// let tls = ClientTls::builder().trust_only("our-roots.pem").certificate("me.pem", "me.key").build()?;
/// let mut socket = WebSocket::new(|_| |_| Ok(()))?.with_client_tls(tls);
/// # sockeye::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct ClientTls {
    engine: Arc<dyn ClientEngine>,
}

/// Creates a [`ClientTls`].
///
/// # Examples
///
/// ```no_run
/// use sockeye::{ClientTls, TlsEngine, TlsVersion};
///
/// // In addition to the roots of the system.
/// let company = ClientTls::builder()
///     .engine(TlsEngine::default())
///     .trust("company-root.pem")
///     .certificate("me.pem", "me.key")
///     .min_version(TlsVersion::V1_3)
///     .build()?;
/// // For tests with a server whose certificate is not verifiable.
/// let any = ClientTls::builder().danger_accept_any_certificate().alpn([]).build()?;
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ClientTlsBuilder {
    engine: TlsEngine,
    options: ClientOptions,
}

impl ClientTls {
    /// Creates the default configuration: the trust roots of the system (or those that the environment variables
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name), TLS 1.2 or newer, no client certificate.
    ///
    /// # Errors
    ///
    /// `Ssl` if OpenSSL cannot be initialized.
    ///
    /// See the [example](Self#examples).
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Returns a builder with the default configuration.
    ///
    /// See the [example](ClientTlsBuilder#examples).
    pub fn builder() -> ClientTlsBuilder {
        ClientTlsBuilder::default()
    }

    /// Returns the library that encrypts.
    ///
    /// See the [example](TlsEngine#examples).
    pub fn engine(&self) -> TlsEngine {
        self.engine.engine()
    }

    /// Returns the configuration of programs that have none.
    pub(crate) fn shared_default() -> Result<Self> {
        Ok(Self { engine: libraries::default_client()? })
    }

    /// Begins the handshake with a server whose certificate must be valid for `host`.
    pub(super) fn connect(&self, host: &str) -> Result<Box<dyn Engine>> {
        self.engine.connect(host)
    }
}

impl ClientTlsBuilder {
    /// Sets the library that encrypts. Default: OpenSSL if the feature `ssl` is enabled, otherwise rustls.
    ///
    /// See the [example](Self#examples).
    pub fn engine(mut self, engine: TlsEngine) -> Self {
        self.engine = engine;
        self
    }

    /// Adds the roots in a PEM file.
    ///
    /// See the [example](Self#examples).
    pub fn trust(mut self, roots: impl AsRef<Path>) -> Self {
        self.options.roots.push(Pem::file(roots));
        self
    }

    /// Adds the roots in a PEM text.
    ///
    /// See the [example](Self#examples).
    pub fn trust_pem(mut self, roots: impl Into<Vec<u8>>) -> Self {
        self.options.roots.push(Pem::Text(roots.into()));
        self
    }

    /// Replaces all roots, including those of the system, with the roots in a PEM file.
    ///
    /// See the [example](Self#examples).
    pub fn trust_only(self, roots: impl AsRef<Path>) -> Self {
        self.trust_none().trust(roots)
    }

    /// Removes all roots, including those of the system. Call [`trust`](Self::trust) or [`trust_pem`](Self::trust_pem)
    /// afterwards.
    ///
    /// See the [example](Self#examples).
    pub fn trust_none(mut self) -> Self {
        self.options.roots.clear();
        self.options.trusts_system = false;
        self
    }

    /// Sets the client certificate: PEM files with the chain, with the client's certificate first, and with the private key.
    /// It is sent to servers that request one.
    ///
    /// See the [example](Self#examples).
    pub fn certificate(mut self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        self.options.identity = Some(Identity::Pem { chain: Pem::file(chain), key: Pem::file(key) });
        self
    }

    /// Sets the client certificate from PEM texts.
    ///
    /// See the [example](Self#examples).
    pub fn certificate_pem(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.options.identity =
            Some(Identity::Pem { chain: Pem::Text(chain.into()), key: Pem::Text(key.into()) });
        self
    }

    /// Sets the client certificate from a PKCS #12 archive with a certificate, its chain and its private key. rustls does not
    /// support such archives.
    ///
    /// See the [example](Self#examples).
    pub fn certificate_pkcs12(mut self, archive: impl Into<Vec<u8>>, password: &str) -> Self {
        let (archive, password) = (archive.into(), Password(password.to_owned()));
        self.options.identity = Some(Identity::Pkcs12 { archive, password });
        self
    }

    /// Sets the oldest TLS version. Default: 1.2.
    ///
    /// See the [example](Self#examples).
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.options.protocols.min = version;
        self
    }

    /// Sets the newest TLS version. Default: the newest that the library supports.
    ///
    /// See the [example](Self#examples).
    pub fn max_version(mut self, version: TlsVersion) -> Self {
        self.options.protocols.max = Some(version);
        self
    }

    /// Sets the protocols that are offered (ALPN, RFC 7301). Default: `http/1.1`. An empty list offers none.
    ///
    /// See the [example](Self#examples).
    pub fn alpn<'a>(mut self, protocols: impl IntoIterator<Item = &'a str>) -> Self {
        self.options.protocols.alpn = protocols.into_iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Does not send the name of the server (SNI, RFC 6066 §3), which is readable on the network. A server with several
    /// certificates then uses its first one.
    ///
    /// See the [example](Self#examples).
    pub fn hide_server_name(mut self) -> Self {
        self.options.sends_server_name = false;
        self
    }

    /// Accepts any certificate. Anyone on the network can then impersonate the server, so this is for tests.
    ///
    /// See the [example](Self#examples).
    pub fn danger_accept_any_certificate(mut self) -> Self {
        self.options.verification = Verification::AnyCertificate;
        self
    }

    /// Accepts a certificate of a trusted root that was issued for any host. This is for tests.
    ///
    /// See the [example](Self#examples).
    pub fn danger_accept_any_host(mut self) -> Self {
        if self.options.verification == Verification::Full {
            self.options.verification = Verification::AnyHost;
        }
        self
    }

    /// Reads the files and creates the configuration.
    ///
    /// # Errors
    ///
    /// `Io` if a file cannot be read. If a file or text contains no certificate or key, if the key does not belong to the
    /// certificate, or if the library does not support the versions: `Ssl` with OpenSSL, `Io` with rustls.
    ///
    /// See the [example](Self#examples).
    pub fn build(self) -> Result<ClientTls> {
        Ok(ClientTls { engine: libraries::new_client(self.engine, &self.options)? })
    }
}

#[cfg(feature = "ssl")]
impl From<::openssl::ssl::SslConnector> for ClientTls {
    fn from(connector: ::openssl::ssl::SslConnector) -> Self {
        Self { engine: Arc::new(openssl::client::Client::from(connector)) }
    }
}

#[cfg(feature = "rustls")]
impl From<::rustls::ClientConfig> for ClientTls {
    fn from(config: ::rustls::ClientConfig) -> Self {
        Arc::new(config).into()
    }
}

#[cfg(feature = "rustls")]
impl From<Arc<::rustls::ClientConfig>> for ClientTls {
    fn from(config: Arc<::rustls::ClientConfig>) -> Self {
        Self { engine: Arc::new(rustls::client::Client::from(config)) }
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("engine", &self.engine()).finish_non_exhaustive()
    }
}
