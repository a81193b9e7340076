//! TLS configuration of servers. The certificate can be replaced at run time.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use openssl::ssl::{
    AlpnError, NameType, SslAcceptor, SslAcceptorBuilder, SslContext, SslMethod, SslRef, SslVerifyMode,
    select_next_proto,
};
use openssl::x509::X509;

use super::{HTTP_1_1, harden, set_identity, with_path};
use crate::error::{Error, ErrorKind, Result};

/// The TLS configuration of a server: its certificate, certificates for other names, and whether clients need one.
///
/// Clones share the configuration: [`replace`](Self::replace) affects all of them, and the event loops that have one. A
/// clone can be used from any thread.
///
/// For other options, create an [`SslAcceptor`], which [`WebSocket::with_server_tls`] accepts as well.
///
/// [`WebSocket::with_server_tls`]: crate::WebSocket::with_server_tls
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
///
/// WebSocket::new(|out: sockeye::Sender| move |msg| out.send(msg))?.with_server_tls(tls).listen("0.0.0.0:443")?;
/// # sockeye::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct ServerTls {
    current: Arc<RwLock<Current>>,
}

#[derive(Clone)]
struct Current {
    acceptor: SslAcceptor,
    /// `None` for an acceptor of the program, which selects certificates itself.
    names: Option<Arc<Names>>,
}

/// The certificates for server names.
struct Names {
    /// The contexts by name, in lower case.
    contexts: RwLock<HashMap<String, SslContext>>,
    /// The roots for client certificates. Each context needs them.
    client_roots: Option<PathBuf>,
}

impl ServerTls {
    /// Reads a certificate chain, with the server's certificate first, and its private key from PEM files.
    ///
    /// TLS 1.2 and 1.3 are enabled, with the ciphers of Mozilla's intermediate configuration.
    ///
    /// # Errors
    ///
    /// `Ssl` if a file cannot be used, or the key does not belong to the certificate.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn from_pem_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self> {
        Self::with_names(chain.as_ref(), key.as_ref(), None)
    }

    /// Like [`from_pem_files`](Self::from_pem_files), and requires from every client a certificate that is issued by one of
    /// the roots in a third PEM file. [`Handshake::peer_certificate`] returns it.
    ///
    /// [`Handshake::peer_certificate`]: crate::Handshake::peer_certificate
    ///
    /// # Errors
    ///
    /// `Ssl` if a file cannot be used, or the key does not belong to the certificate.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::ServerTls;
    ///
    /// let tls = ServerTls::mutual_from_pem_files("chain.pem", "key.pem", "client-roots.pem")?;
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn mutual_from_pem_files(
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
        client_roots: impl AsRef<Path>,
    ) -> Result<Self> {
        Self::with_names(chain.as_ref(), key.as_ref(), Some(client_roots.as_ref()))
    }

    /// Adds a certificate for clients that request this server name (SNI, RFC 6066 §3), or replaces the one for this name.
    ///
    /// # Errors
    ///
    /// `Ssl` if a file cannot be used, or the key does not belong to the certificate. `Internal` if this was created from an
    /// acceptor, which selects certificates itself.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sockeye::ServerTls;
    ///
    /// let tls = ServerTls::from_pem_files("example.com.pem", "example.com.key")?;
    /// tls.add_name("example.org", "example.org.pem", "example.org.key")?;
    /// # sockeye::Result::Ok(())
    /// ```
    pub fn add_name(&self, name: &str, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<()> {
        let Some(names) = self.current().names else {
            return Err(Error::new(
                ErrorKind::Internal,
                "a name cannot be added to an SslAcceptor, which selects certificates itself",
            ));
        };
        let acceptor = acceptor(chain.as_ref(), key.as_ref(), names.client_roots.as_deref())?;
        let context = acceptor.build().into_context();
        names
            .contexts
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_ascii_lowercase(), context);
        Ok(())
    }

    /// Replaces the whole configuration, for connections that are accepted from now on. Open connections are not affected.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn replace(&self, new: impl Into<Self>) {
        let new = new.into().current();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// The acceptor for the next connection.
    pub(crate) fn acceptor(&self) -> SslAcceptor {
        self.current().acceptor
    }

    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn with_names(chain: &Path, key: &Path, client_roots: Option<&Path>) -> Result<Self> {
        let mut acceptor = acceptor(chain, key, client_roots)?;
        let client_roots = client_roots.map(Path::to_owned);
        let names = Arc::new(Names { contexts: RwLock::default(), client_roots });
        let chosen = Arc::clone(&names);
        acceptor.set_servername_callback(move |ssl, _| {
            // A client that requests an unknown name receives the first certificate, and decides.
            if let Some(context) = context_for(ssl, &chosen)
                && let Err(err) = ssl.set_ssl_context(&context)
            {
                log::warn!("the certificate for a name cannot be used: {err}");
            }
            Ok(())
        });
        let current = Current { acceptor: acceptor.build(), names: Some(names) };
        Ok(Self { current: Arc::new(RwLock::new(current)) })
    }
}

impl From<SslAcceptor> for ServerTls {
    fn from(acceptor: SslAcceptor) -> Self {
        Self { current: Arc::new(RwLock::new(Current { acceptor, names: None })) }
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

fn context_for(ssl: &SslRef, names: &Names) -> Option<SslContext> {
    let name = ssl.servername(NameType::HOST_NAME)?.to_ascii_lowercase();
    names.contexts.read().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()
}

fn acceptor(chain: &Path, key: &Path, client_roots: Option<&Path>) -> Result<SslAcceptorBuilder> {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    harden(&mut acceptor)?;
    set_identity(&mut acceptor, chain, key)?;
    acceptor.set_alpn_select_callback(|_, offered| {
        // RFC 7301 §3.2: a client that only offers other protocols SHALL be rejected.
        select_next_proto(HTTP_1_1, offered).ok_or(AlpnError::ALERT_FATAL)
    });
    if let Some(roots) = client_roots {
        require_certificates(&mut acceptor, roots)?;
    }
    Ok(acceptor)
}

fn require_certificates(acceptor: &mut SslAcceptorBuilder, roots: &Path) -> Result<()> {
    with_path(acceptor.set_ca_file(roots), "trust roots", roots)?;
    // Clients with several certificates select one by these names.
    for root in X509::stack_from_pem(&std::fs::read(roots)?)? {
        acceptor.add_client_ca(&root)?;
    }
    acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    // Without it, clients with certificates cannot resume a session.
    acceptor.set_session_id_context(b"sockeye")?;
    Ok(())
}
