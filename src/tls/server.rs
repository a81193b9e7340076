//! The server's side: its certificate, which can be replaced while it runs.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use openssl::ssl::{
    AlpnError, NameType, SslAcceptor, SslAcceptorBuilder, SslContext, SslMethod, SslRef, SslVerifyMode,
    select_next_proto,
};
use openssl::x509::X509;

use super::{HTTP_1_1, harden, named, take_identity};
use crate::error::{Error, ErrorKind, Result};

/// How a server encrypts: its certificate, the names it has others for, and whether it asks clients for theirs.
///
/// A clone is a handle to the same: what is [replaced](Self::replace) in one holds for all, and for the event loop that
/// was given one. It can be used from any thread.
///
/// For everything that these constructors do not offer, make an [`SslAcceptor`], which
/// [`WebSocket::with_server_tls`] takes as well.
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
    /// `None` for an acceptor that was made elsewhere, and chooses by itself.
    names: Option<Arc<Names>>,
}

/// What is shown to clients that ask for a name.
struct Names {
    /// By name, in lower case.
    contexts: RwLock<HashMap<String, SslContext>>,
    /// What a client's certificate must lead to; a context for a name needs them as well.
    client_roots: Option<PathBuf>,
}

impl ServerTls {
    /// Takes a certificate chain, the server's own certificate first, and its key, both PEM.
    ///
    /// TLS 1.2 and 1.3 with the ciphers of Mozilla's intermediate configuration.
    ///
    /// # Errors
    ///
    /// `Ssl` if a file cannot be used, or the key belongs to another certificate.
    pub fn from_pem_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self> {
        Self::choosing_by_name(chain.as_ref(), key.as_ref(), None)
    }

    /// As [`from_pem_files`](Self::from_pem_files), and every client must show a certificate that leads to one of the
    /// roots in a third PEM file. [`Handshake::peer_certificate`] has it.
    ///
    /// [`Handshake::peer_certificate`]: crate::Handshake::peer_certificate
    ///
    /// # Errors
    ///
    /// `Ssl` if a file cannot be used, or the key belongs to another certificate.
    pub fn mutual_from_pem_files(
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
        client_roots: impl AsRef<Path>,
    ) -> Result<Self> {
        Self::choosing_by_name(chain.as_ref(), key.as_ref(), Some(client_roots.as_ref()))
    }

    /// Has another certificate for clients that ask for this name (SNI, RFC 6066 §3). Replaces the one it had for it.
    ///
    /// # Errors
    ///
    /// `Ssl` if a file cannot be used, or the key belongs to another certificate; `Internal` if this was made of an
    /// acceptor, which chooses by itself.
    pub fn add_name(&self, name: &str, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<()> {
        let Some(names) = self.current().names else {
            return Err(Error::new(ErrorKind::Internal, "a ready acceptor chooses certificates by itself"));
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

    /// Uses another certificate, with all that belongs to it, from the next connection on. Connections that are made go
    /// on with the one they have seen.
    pub fn replace(&self, new: impl Into<Self>) {
        let new = new.into().current();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// What the next connection is accepted with.
    pub(crate) fn acceptor(&self) -> SslAcceptor {
        self.current().acceptor
    }

    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn choosing_by_name(chain: &Path, key: &Path, client_roots: Option<&Path>) -> Result<Self> {
        let mut acceptor = acceptor(chain, key, client_roots)?;
        let client_roots = client_roots.map(Path::to_owned);
        let names = Arc::new(Names { contexts: RwLock::default(), client_roots });
        let chosen = Arc::clone(&names);
        acceptor.set_servername_callback(move |ssl, _| {
            // Who asks for a name that is not known gets the first certificate, and decides.
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
    take_identity(&mut acceptor, chain, key)?;
    acceptor.set_alpn_select_callback(|_, offered| {
        // RFC 7301 §3.2: who offers protocols, and not this one, SHALL be refused.
        select_next_proto(HTTP_1_1, offered).ok_or(AlpnError::ALERT_FATAL)
    });
    if let Some(roots) = client_roots {
        demand_certificates(&mut acceptor, roots)?;
    }
    Ok(acceptor)
}

fn demand_certificates(acceptor: &mut SslAcceptorBuilder, roots: &Path) -> Result<()> {
    named(acceptor.set_ca_file(roots), "trust roots", roots)?;
    // Clients that have several certificates choose by these names.
    for root in X509::stack_from_pem(&std::fs::read(roots)?)? {
        acceptor.add_client_ca(&root)?;
    }
    acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    // Without it, clients with certificates cannot resume a session.
    acceptor.set_session_id_context(b"sockeye")?;
    Ok(())
}
