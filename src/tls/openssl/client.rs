//! Clients that use OpenSSL.

use std::sync::OnceLock;

use ::openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode};
use ::openssl::x509::store::X509StoreBuilder;
#[cfg(feature = "reactor")]
use url::Url;

use super::{OpenSsl, alpn_list, certificates, set_identity, set_versions, system_roots};
use crate::error::Result;
use crate::tcp_stream::TcpStream;
use crate::tls::TlsEngine;
use crate::tls::engine::{ClientEngine, Engine};
use crate::tls::options::{ClientOptions, Verification, shared_default};
#[cfg(feature = "reactor")]
use crate::tls::server_name;

/// A connector, and the options that belong to a connection.
#[derive(Clone)]
pub(in crate::tls) struct Client {
    connector: SslConnector,
    sends_server_name: bool,
    verifies_host: bool,
}

impl Client {
    /// Returns the configuration of programs that have none.
    pub(in crate::tls) fn shared_default() -> Result<Self> {
        static DEFAULT: OnceLock<Client> = OnceLock::new();
        shared_default(&DEFAULT, Self::new)
    }

    pub(in crate::tls) fn new(options: &ClientOptions) -> Result<Self> {
        let mut connector = SslConnector::builder(SslMethod::tls_client())?;
        set_versions(&mut connector, &options.protocols)?;
        if !options.protocols.alpn.is_empty() {
            connector.set_alpn_protos(&alpn_list(&options.protocols.alpn)?)?;
        }
        if options.trusts_system {
            system_roots::add(&mut connector);
        } else {
            connector.set_cert_store(X509StoreBuilder::new()?.build());
        }
        for roots in &options.roots {
            for root in certificates(roots, "trust roots")? {
                connector.cert_store_mut().add_cert(root)?;
            }
        }
        if let Some(identity) = &options.identity {
            set_identity(&mut connector, identity)?;
        }
        if options.verification == Verification::AnyCertificate {
            connector.set_verify(SslVerifyMode::NONE);
        }
        Ok(Self {
            connector: connector.build(),
            sends_server_name: options.sends_server_name,
            verifies_host: options.verification == Verification::Full,
        })
    }

    fn begin(&self, host: &str, stream: TcpStream) -> Result<SslStream<TcpStream>> {
        let configuration = self.connector.configure()?.use_server_name_indication(self.sends_server_name);
        Ok(configuration.verify_hostname(self.verifies_host).into_ssl(host)?.connect(stream)?)
    }
}

impl ClientEngine for Client {
    fn engine(&self) -> TlsEngine {
        TlsEngine::OpenSsl
    }

    fn connect(&self, host: &str) -> Result<Box<dyn Engine>> {
        Ok(Box::new(OpenSsl::new(self.begin(host, TcpStream::in_memory()))?))
    }
}

impl From<SslConnector> for Client {
    fn from(connector: SslConnector) -> Self {
        Self { connector, sends_server_name: true, verifies_host: true }
    }
}

/// Begins the handshake of a client with the default configuration, for the hook of a handler.
#[cfg(feature = "reactor")]
pub(crate) fn connect_by_default(stream: TcpStream, url: &Url) -> Result<SslStream<TcpStream>> {
    Client::shared_default()?.begin(&server_name(url)?, stream)
}
