//! Servers that use OpenSSL.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use ::openssl::ssl::{
    AlpnError, NameType, Ssl, SslAcceptor, SslAcceptorBuilder, SslContext, SslMethod, SslRef, SslVerifyMode,
};

use super::{OpenSsl, certificates, set_identity, set_versions};
use crate::error::{Error, ErrorKind, Result};
use crate::tcp_stream::TcpStream;
use crate::tls::TlsEngine;
use crate::tls::engine::{Engine, ServerEngine};
use crate::tls::options::{Identity, ServerOptions};

/// The acceptor of the first certificate, and the contexts of the others.
#[derive(Clone)]
pub(in crate::tls) struct Server {
    acceptor: SslAcceptor,
    /// `None` for an acceptor of the program, which selects certificates itself.
    names: Option<Arc<Names>>,
}

/// The certificates for server names.
struct Names {
    /// The contexts by name, in lower case.
    contexts: RwLock<HashMap<String, SslContext>>,
    /// What each context needs besides its certificate.
    options: ServerOptions,
}

impl Server {
    pub(in crate::tls) fn new(options: &ServerOptions) -> Result<Self> {
        let mut acceptor = acceptor(&options.identity, options)?;
        let names = Arc::new(Names { contexts: RwLock::default(), options: options.clone() });
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
        let server = Self { acceptor: acceptor.build(), names: Some(names) };
        for (name, identity) in &options.names {
            server.add_name(name, identity)?;
        }
        Ok(server)
    }
}

impl ServerEngine for Server {
    fn engine(&self) -> TlsEngine {
        TlsEngine::OpenSsl
    }

    fn accept(&self) -> Result<Box<dyn Engine>> {
        let begun = Ssl::new(self.acceptor.context())?.accept(TcpStream::in_memory());
        Ok(Box::new(OpenSsl::new(begun.map_err(Error::from))?))
    }

    fn add_name(&self, name: &str, identity: &Identity) -> Result<()> {
        let Some(names) = &self.names else {
            let details = "a name cannot be added to an SslAcceptor, which selects certificates itself";
            return Err(Error::new(ErrorKind::Internal, details));
        };
        let context = acceptor(identity, &names.options)?.build().into_context();
        let mut contexts = names.contexts.write().unwrap_or_else(PoisonError::into_inner);
        contexts.insert(name.to_ascii_lowercase(), context);
        Ok(())
    }
}

impl From<SslAcceptor> for Server {
    fn from(acceptor: SslAcceptor) -> Self {
        Self { acceptor, names: None }
    }
}

fn context_for(ssl: &SslRef, names: &Names) -> Option<SslContext> {
    let name = ssl.servername(NameType::HOST_NAME)?.to_ascii_lowercase();
    names.contexts.read().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()
}

fn acceptor(identity: &Identity, options: &ServerOptions) -> Result<SslAcceptorBuilder> {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    set_versions(&mut acceptor, &options.protocols)?;
    set_identity(&mut acceptor, identity)?;
    if !options.protocols.alpn.is_empty() {
        let supported = options.protocols.alpn.clone();
        acceptor.set_alpn_select_callback(move |_, offered| {
            let chosen = supported.iter().find_map(|protocol| find_protocol(offered, protocol));
            // RFC 7301 §3.2: a client that only offers other protocols SHALL be rejected.
            chosen.ok_or(AlpnError::ALERT_FATAL)
        });
    }
    let Some(roots) = &options.client_roots else { return Ok(acceptor) };
    for root in certificates(roots, "trust roots")? {
        // Clients with several certificates select one by these names.
        acceptor.add_client_ca(&root)?;
        acceptor.cert_store_mut().add_cert(root)?;
    }
    acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    // Without it, clients with certificates cannot resume a session.
    acceptor.set_session_id_context(b"sockeye")?;
    Ok(acceptor)
}

/// Finds a protocol in a list in wire format (RFC 7301 §3.1).
fn find_protocol<'a>(mut list: &'a [u8], protocol: &[u8]) -> Option<&'a [u8]> {
    while let Some((len, rest)) = list.split_first() {
        let (name, others) = rest.split_at_checked(usize::from(*len))?;
        if name == protocol {
            return Some(name);
        }
        list = others;
    }
    None
}
