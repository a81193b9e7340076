//! Servers that use rustls.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use ::rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use ::rustls::sign::CertifiedKey;
use ::rustls::{RootCertStore, ServerConfig};

use super::{Rustls, add_roots, certified_key, failed, provider, versions};
use crate::error::{Error, ErrorKind, Result};
use crate::tls::TlsEngine;
use crate::tls::engine::{Engine, ServerEngine};
use crate::tls::options::{Identity, ServerOptions};

/// The configuration of servers.
#[derive(Clone)]
pub(in crate::tls) struct Server {
    pub(super) config: Arc<ServerConfig>,
    /// `None` for a configuration of the program, which selects certificates itself.
    names: Option<Arc<Names>>,
}

/// The certificates for server names.
#[derive(Debug)]
struct Names {
    first: Arc<CertifiedKey>,
    /// The other certificates by name, in lower case.
    others: RwLock<HashMap<String, Arc<CertifiedKey>>>,
}

impl Server {
    pub(in crate::tls) fn new(options: &ServerOptions) -> Result<Self> {
        let provider = provider();
        let first = Arc::new(certified_key(&options.identity, &provider)?);
        let names = Arc::new(Names { first, others: RwLock::default() });
        let versions = versions(&options.protocols);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(&versions).map_err(failed)?;
        let builder = match &options.client_roots {
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                add_roots(&mut roots, pem)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier =
                    verifier.build().map_err(|err| pem.error(super::invalid(err), "trust roots"))?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::<Names>::clone(&names));
        config.alpn_protocols.clone_from(&options.protocols.alpn);
        let server = Self { config: Arc::new(config), names: Some(names) };
        for (name, identity) in &options.names {
            server.add_name(name, identity)?;
        }
        Ok(server)
    }
}

impl ServerEngine for Server {
    fn engine(&self) -> TlsEngine {
        TlsEngine::Rustls
    }

    fn accept(&self) -> Result<Box<dyn Engine>> {
        Ok(Box::new(Rustls::server(self)?))
    }

    fn add_name(&self, name: &str, identity: &Identity) -> Result<()> {
        let Some(names) = &self.names else {
            let details = "a name cannot be added to a ServerConfig, which selects certificates itself";
            return Err(Error::new(ErrorKind::Internal, details));
        };
        let key = certified_key(identity, self.config.crypto_provider())?;
        let mut others = names.others.write().unwrap_or_else(PoisonError::into_inner);
        others.insert(name.to_ascii_lowercase(), Arc::new(key));
        Ok(())
    }
}

impl From<Arc<ServerConfig>> for Server {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self { config, names: None }
    }
}

impl ResolvesServerCert for Names {
    /// A client that requests an unknown name receives the first certificate, and decides.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        let chosen = hello.server_name().and_then(|name| others.get(&name.to_ascii_lowercase()));
        Some(Arc::clone(chosen.unwrap_or(&self.first)))
    }
}
