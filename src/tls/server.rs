//! The TLS configuration of servers. It can be replaced at run time.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use super::engine::{Engine, ServerEngine};
#[cfg(feature = "ssl")]
use super::openssl;
use super::options::{Identity, Pem, Protocols, ServerOptions};
#[cfg(feature = "rustls")]
use super::rustls;
use super::{TlsEngine, TlsVersion, libraries};
use crate::error::Result;

/// The TLS configuration of a server: its certificate, certificates for other names, and whether clients need one.
///
/// Clones share the configuration: [`replace`](Self::replace) affects all of them, and the event loops that have one. A
/// clone can be used from any thread.
///
/// The event loop, the blocking and the async socket accept a `ServerTls`, and everything that converts into one: with the
/// feature `ssl` an `SslAcceptor` of `openssl`, with `rustls` a `ServerConfig` of `rustls`.
///
/// # Examples
///
/// ```no_run
/// use sockeye::{ServerTls, WebSocket};
///
/// let tls = ServerTls::from_pem_files("chain.pem", "key.pem")?;
/// let renewal = tls.clone();
/// // Elsewhere, when the certificate has been renewed:
/// renewal.replace(ServerTls::from_pem_files("chain.pem", "key.pem")?);
/// tls.add_name("chat.example.org", "chat-chain.pem", "chat-key.pem")?;
///
/// WebSocket::new(|out: sockeye::Sender| move |msg| out.send(msg))?.with_server_tls(tls).listen("0.0.0.0:443")?;
/// # sockeye::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct ServerTls {
    current: Arc<RwLock<Arc<dyn ServerEngine>>>,
}

/// Creates a [`ServerTls`].
///
/// # Examples
///
/// ```no_run
/// use sockeye::{ServerTls, TlsEngine, TlsVersion};
///
/// let tls = ServerTls::builder_from_files("chain.pem", "key.pem")
///     .engine(TlsEngine::default())
///     .name("chat.example.org", "chat-chain.pem", "chat-key.pem")
///     .require_certificates("client-roots.pem")
///     .min_version(TlsVersion::V1_3)
///     .build()?;
/// // The same without names, with texts instead of files.
/// let (chain, key) = (std::fs::read("chain.pem")?, std::fs::read("key.pem")?);
/// let tls = ServerTls::builder_from_pem(chain, key).build()?;
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ServerTlsBuilder {
    engine: TlsEngine,
    options: ServerOptions,
}

impl ServerTls {
    /// Reads a certificate chain, with the server's certificate first, and its private key from PEM files.
    ///
    /// TLS 1.2 and 1.3 are enabled, with the ciphers of Mozilla's intermediate configuration.
    ///
    /// # Errors
    ///
    /// As [`ServerTlsBuilder::build`].
    ///
    /// See the [example](Self#examples).
    pub fn from_pem_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self> {
        Self::builder_from_files(chain, key).build()
    }

    /// Like [`from_pem_files`](Self::from_pem_files), and requires from every client a certificate that is issued by one of
    /// the roots in a third PEM file. [`Handshake::peer_certificate`] returns it.
    ///
    /// [`Handshake::peer_certificate`]: crate::Handshake::peer_certificate
    ///
    /// # Errors
    ///
    /// As [`ServerTlsBuilder::build`].
    ///
    /// See the [example](ServerTlsBuilder#examples).
    pub fn mutual_from_pem_files(
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
        client_roots: impl AsRef<Path>,
    ) -> Result<Self> {
        Self::builder_from_files(chain, key).require_certificates(client_roots).build()
    }

    /// Returns a builder with a certificate chain and its key in PEM files.
    ///
    /// See the [example](ServerTlsBuilder#examples).
    pub fn builder_from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> ServerTlsBuilder {
        ServerTlsBuilder::new(Identity::Pem { chain: Pem::file(chain), key: Pem::file(key) })
    }

    /// Returns a builder with a certificate chain and its key in PEM texts.
    ///
    /// See the [example](ServerTlsBuilder#examples).
    pub fn builder_from_pem(chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> ServerTlsBuilder {
        ServerTlsBuilder::new(Identity::Pem { chain: Pem::Text(chain.into()), key: Pem::Text(key.into()) })
    }

    /// Adds a certificate for clients that request this server name (SNI, RFC 6066 §3), or replaces the one for this name.
    ///
    /// # Errors
    ///
    /// As [`ServerTlsBuilder::build`]. `Internal` if this was created from an acceptor or a configuration of the library, which
    /// selects certificates itself.
    ///
    /// See the [example](Self#examples).
    pub fn add_name(&self, name: &str, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<()> {
        let identity = Identity::Pem { chain: Pem::file(chain), key: Pem::file(key) };
        self.current().add_name(name, &identity)
    }

    /// Replaces the whole configuration, for connections that are accepted from now on. Open connections are not affected.
    ///
    /// See the [example](Self#examples).
    pub fn replace(&self, new: impl Into<Self>) {
        let new = new.into().current();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// Returns the library that encrypts.
    ///
    /// See the [example](TlsEngine#examples).
    pub fn engine(&self) -> TlsEngine {
        self.current().engine()
    }

    fn new(engine: Arc<dyn ServerEngine>) -> Self {
        Self { current: Arc::new(RwLock::new(engine)) }
    }

    /// Begins the handshake with a client.
    pub(super) fn accept(&self) -> Result<Box<dyn Engine>> {
        self.current().accept()
    }

    /// Returns the configuration of the next connection.
    fn current(&self) -> Arc<dyn ServerEngine> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ServerTlsBuilder {
    fn new(identity: Identity) -> Self {
        let (names, client_roots, protocols) = (Vec::new(), None, Protocols::default());
        Self {
            engine: TlsEngine::default(),
            options: ServerOptions { identity, names, client_roots, protocols },
        }
    }

    /// Sets the library that encrypts. Default: OpenSSL if the feature `ssl` is enabled, otherwise rustls.
    ///
    /// See the [example](Self#examples).
    pub fn engine(mut self, engine: TlsEngine) -> Self {
        self.engine = engine;
        self
    }

    /// Adds a certificate for clients that request this server name (SNI, RFC 6066 §3). Clients that request another name, or
    /// none, receive the first certificate.
    ///
    /// See the [example](Self#examples).
    pub fn name(mut self, name: &str, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        let identity = Identity::Pem { chain: Pem::file(chain), key: Pem::file(key) };
        self.options.names.push((name.to_owned(), identity));
        self
    }

    /// Requires from every client a certificate that is issued by one of the roots in a PEM file.
    ///
    /// See the [example](Self#examples).
    pub fn require_certificates(mut self, roots: impl AsRef<Path>) -> Self {
        self.options.client_roots = Some(Pem::file(roots));
        self
    }

    /// Requires from every client a certificate that is issued by one of the roots in a PEM text.
    ///
    /// See the [example](Self#examples).
    pub fn require_certificates_pem(mut self, roots: impl Into<Vec<u8>>) -> Self {
        self.options.client_roots = Some(Pem::Text(roots.into()));
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

    /// Sets the protocols that clients can choose (ALPN, RFC 7301), the preferred one first. Default: `http/1.1`. A client that
    /// offers only others is rejected. With an empty list the offer of the client is ignored.
    ///
    /// See the [example](Self#examples).
    pub fn alpn<'a>(mut self, protocols: impl IntoIterator<Item = &'a str>) -> Self {
        self.options.protocols.alpn = protocols.into_iter().map(|name| name.as_bytes().to_vec()).collect();
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
    pub fn build(self) -> Result<ServerTls> {
        Ok(ServerTls::new(libraries::new_server(self.engine, &self.options)?))
    }
}

#[cfg(feature = "ssl")]
impl From<::openssl::ssl::SslAcceptor> for ServerTls {
    fn from(acceptor: ::openssl::ssl::SslAcceptor) -> Self {
        Self::new(Arc::new(openssl::server::Server::from(acceptor)))
    }
}

#[cfg(feature = "rustls")]
impl From<::rustls::ServerConfig> for ServerTls {
    fn from(config: ::rustls::ServerConfig) -> Self {
        Arc::new(config).into()
    }
}

#[cfg(feature = "rustls")]
impl From<Arc<::rustls::ServerConfig>> for ServerTls {
    fn from(config: Arc<::rustls::ServerConfig>) -> Self {
        Self::new(Arc::new(rustls::server::Server::from(config)))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("engine", &self.engine()).finish_non_exhaustive()
    }
}
