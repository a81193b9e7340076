//! Clients that use rustls.

use std::sync::{Arc, OnceLock};

use ::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use ::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use ::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use ::rustls::server::ParsedCertificate;
use ::rustls::sign::SingleCertAndKey;
use ::rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{Rustls, add_roots, certified_key, failed, provider, versions};
use crate::error::{Error, ErrorKind, Result};
use crate::tls::TlsEngine;
use crate::tls::engine::{ClientEngine, Engine};
#[cfg(not(feature = "ssl"))]
use crate::tls::options::shared_default;
use crate::tls::options::{ClientOptions, Verification};

/// The configuration of clients.
#[derive(Clone)]
pub(in crate::tls) struct Client(pub(super) Arc<ClientConfig>);

impl Client {
    /// Returns the configuration of programs that have none.
    #[cfg(not(feature = "ssl"))]
    pub(in crate::tls) fn shared_default() -> Result<Self> {
        static DEFAULT: OnceLock<Client> = OnceLock::new();
        shared_default(&DEFAULT, Self::new)
    }

    pub(in crate::tls) fn new(options: &ClientOptions) -> Result<Self> {
        let provider = provider();
        let mut roots = match options.trusts_system {
            true => system_roots().clone(),
            false => RootCertStore::empty(),
        };
        for pem in &options.roots {
            add_roots(&mut roots, pem)?;
        }
        let versions = versions(&options.protocols);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(&versions).map_err(failed)?;
        let builder = match options.verification {
            Verification::Full => builder.with_root_certificates(roots),
            verification => {
                let verifier = LenientVerifier { roots, verification, provider: Arc::clone(&provider) };
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let mut config = match &options.identity {
            Some(identity) => {
                let key = certified_key(identity, &provider)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&options.protocols.alpn);
        config.enable_sni = options.sends_server_name;
        Ok(Self(Arc::new(config)))
    }
}

impl ClientEngine for Client {
    fn engine(&self) -> TlsEngine {
        TlsEngine::Rustls
    }

    fn connect(&self, host: &str) -> Result<Box<dyn Engine>> {
        Ok(Box::new(Rustls::client(self, host)?))
    }
}

impl From<Arc<ClientConfig>> for Client {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self(config)
    }
}

/// Returns the name that rustls verifies.
pub(super) fn name(host: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).map_err(|err| {
        Error::new(ErrorKind::Protocol, format!("{host} cannot be the name of a TLS server: {err}"))
    })
}

/// Reads the trust roots of the system once, because this takes long.
fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let loaded = rustls_native_certs::load_native_certs();
        for err in &loaded.errors {
            log::warn!("trust roots of the system cannot be read: {err}");
        }
        let mut roots = RootCertStore::empty();
        let (added, ignored) = roots.add_parsable_certificates(loaded.certs);
        log::debug!("{added} trust roots of the system, {ignored} ignored");
        roots
    })
}

/// A verifier that skips a part of the verification.
#[derive(Debug)]
struct LenientVerifier {
    roots: RootCertStore,
    verification: Verification,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for LenientVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, ::rustls::Error> {
        if self.verification != Verification::AnyCertificate {
            ::rustls::client::verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(certificate)?,
                &self.roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, ::rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, ::rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
