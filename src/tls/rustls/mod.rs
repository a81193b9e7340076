//! The engine that uses rustls, with its interface for callers that own the buffers.

pub(in crate::tls) mod client;
pub(in crate::tls) mod server;
mod step;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use ::rustls::client::UnbufferedClientConnection;
use ::rustls::crypto::CryptoProvider;
#[cfg(feature = "rustls-aws-lc-rs")]
use ::rustls::crypto::aws_lc_rs::default_provider;
#[cfg(not(feature = "rustls-aws-lc-rs"))]
use ::rustls::crypto::ring::default_provider;
use ::rustls::pki_types::pem::PemObject;
use ::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use ::rustls::server::{ClientHello, ResolvesServerCert, UnbufferedServerConnection};
use ::rustls::sign::CertifiedKey;
use ::rustls::version::{TLS12, TLS13};
use ::rustls::{CommonState, ProtocolVersion, RootCertStore, SupportedProtocolVersion};

use self::client::Client;
use self::server::Server;
use self::step::{Buffers, Plain, Step};
use super::buffer::{self, LONGEST_RECORD};
use super::engine::Engine;
use super::options::{Identity, Pem, Protocols};
use super::{Negotiated, Received, TlsVersion, ended};
use crate::byte_queue::ByteQueue;
use crate::error::{Error, ErrorKind, Result};

/// One end of a TLS connection.
pub(super) struct Rustls {
    connection: Connection,
    incoming: ByteQueue,
    /// How many bytes of `incoming` rustls has seen and not discarded. They may contain a part of a handshake message, whose
    /// place rustls remembers, so they are part of the input of each call.
    seen: usize,
    outgoing: ByteQueue,
    /// Plaintext of a record that did not fit into the caller's buffer.
    plain: ByteQueue,
    has_input_ended: bool,
    /// close_notify was found. rustls reports it once.
    has_peer_closed: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The handshake, and then data.
    Open,
    /// close_notify has been sent. The session can still receive.
    Ended,
    Failed,
}

enum Connection {
    Client { connection: UnbufferedClientConnection, server_name: Option<String> },
    Server { connection: UnbufferedServerConnection, recorded: Arc<Recorded> },
}

/// A resolver of certificates that records the name of the server. Each connection has its own.
#[derive(Debug)]
struct Recorded {
    resolver: Arc<dyn ResolvesServerCert>,
    server_name: Mutex<Option<String>>,
}

impl Rustls {
    /// Begins the handshake with a server whose certificate must be valid for `host`.
    fn client(client: &Client, host: &str) -> Result<Self> {
        let config = Arc::clone(&client.0);
        let name = client::name(host)?;
        let sends_name = config.enable_sni && matches!(name, ServerName::DnsName(_));
        let server_name = sends_name.then(|| name.to_str().into_owned());
        let connection = UnbufferedClientConnection::new(config, name).map_err(failed)?;
        Ok(Self::new(Connection::Client { connection, server_name }))
    }

    /// Begins the handshake with a client.
    fn server(server: &Server) -> Result<Self> {
        let mut config = (*server.config).clone();
        let resolver = Arc::clone(&config.cert_resolver);
        let recorded = Arc::new(Recorded { resolver, server_name: Mutex::default() });
        config.cert_resolver = Arc::<Recorded>::clone(&recorded);
        // Early data can be replayed (RFC 8446 §8).
        config.max_early_data_size = 0;
        let connection = UnbufferedServerConnection::new(Arc::new(config)).map_err(failed)?;
        Ok(Self::new(Connection::Server { connection, recorded }))
    }

    fn new(connection: Connection) -> Self {
        Self {
            connection,
            incoming: ByteQueue::default(),
            seen: 0,
            outgoing: ByteQueue::default(),
            plain: ByteQueue::default(),
            has_input_ended: false,
            has_peer_closed: false,
            state: State::Open,
        }
    }

    /// Processes input until something happens. rustls continues with the next record until it has found data or has read everything, so
    /// it receives a part of the input.
    fn step(&mut self, plain: &mut [u8]) -> Result<Step> {
        if self.state == State::Failed {
            return Err(ended());
        }
        let len = self.seen + self.unseen().min(LONGEST_RECORD);
        match self.process(len, plain, None)? {
            Step::NeedsInput if self.unseen() > 0 => Ok(Step::Progress),
            step => Ok(step),
        }
    }

    /// Returns how many bytes of the input rustls has not received yet.
    fn unseen(&self) -> usize {
        self.incoming.len() - self.seen
    }

    fn encrypt(&mut self, bytes: Plain<'_>) -> Result<()> {
        loop {
            // Of the input, only what rustls has seen before: reading has to stay where the caller can stop it.
            match self.process(self.seen, &mut [], Some(bytes))? {
                Step::Written => return Ok(()),
                Step::NeedsInput => return Err(self.fail(failed(unexpected()))),
                Step::Data(_) | Step::Progress | Step::PeerClosed => {}
            }
        }
    }

    /// Passes the first bytes of the input to rustls.
    fn process(&mut self, len: usize, plain: &mut [u8], to_write: Option<Plain<'_>>) -> Result<Step> {
        let input = self.incoming.bytes_mut().get_mut(..len).unwrap_or_default();
        let buffers = Buffers { plain, rest: &mut self.plain, outgoing: &mut self.outgoing };
        let (used, step) = match &mut self.connection {
            Connection::Client { connection: client, .. } => {
                buffers.advance(client.process_tls_records(input), to_write)
            }
            Connection::Server { connection: server, .. } => {
                buffers.advance(server.process_tls_records(input), to_write)
            }
        };
        self.incoming.consume(used);
        self.seen = match step {
            // A handshake message is not interrupted by data (RFC 8446 §5.1).
            Ok(Step::Data(_)) => 0,
            _ => len.saturating_sub(used),
        };
        self.has_peer_closed |= matches!(step, Ok(Step::PeerClosed));
        step.map_err(|err| {
            self.write_alert();
            self.fail(failed(err))
        })
    }

    /// Appends the alert of a failure to the output. rustls does not look at the input while it has something to write.
    fn write_alert(&mut self) {
        while self.common().wants_write() {
            let buffers =
                Buffers { plain: &mut [], rest: &mut ByteQueue::default(), outgoing: &mut self.outgoing };
            let (_, step) = match &mut self.connection {
                Connection::Client { connection: client, .. } => {
                    buffers.advance(client.process_tls_records(&mut []), None)
                }
                Connection::Server { connection: server, .. } => {
                    buffers.advance(server.process_tls_records(&mut []), None)
                }
            };
            if step.is_err() {
                return;
            }
        }
    }

    fn fail(&mut self, err: Error) -> Error {
        self.state = State::Failed;
        err
    }

    fn common(&self) -> &CommonState {
        match &self.connection {
            Connection::Client { connection, .. } => connection,
            Connection::Server { connection, .. } => connection,
        }
    }
}

impl Engine for Rustls {
    fn incoming(&mut self) -> &mut ByteQueue {
        &mut self.incoming
    }

    fn end_input(&mut self) {
        self.has_input_ended = true;
    }

    fn outgoing(&mut self) -> &mut ByteQueue {
        &mut self.outgoing
    }

    fn output(&self) -> &[u8] {
        self.outgoing.bytes()
    }

    fn is_handshaking(&self) -> bool {
        self.state != State::Failed && self.common().is_handshaking()
    }

    fn negotiated(&self) -> Negotiated {
        let common = self.common();
        if common.is_handshaking() {
            return Negotiated::default();
        }
        Negotiated {
            version: match common.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => Some("TLSv1.3"),
                Some(ProtocolVersion::TLSv1_2) => Some("TLSv1.2"),
                _ => None,
            },
            server_name: match &self.connection {
                Connection::Client { server_name, .. } => server_name.clone(),
                Connection::Server { recorded, .. } => recorded.server_name(),
            },
            peer_certificate: common.peer_certificates().and_then(<[_]>::first).map(|first| first.to_vec()),
        }
    }

    fn handshake(&mut self) -> Result<bool> {
        while self.is_handshaking() || self.common().wants_write() {
            match self.step(&mut [])? {
                Step::Progress => {}
                Step::NeedsInput if self.has_input_ended => return Err(self.fail(cut_off())),
                Step::Data(_) | Step::Written | Step::NeedsInput | Step::PeerClosed => break,
            }
        }
        if self.state == State::Failed { Err(ended()) } else { Ok(!self.is_handshaking()) }
    }

    fn read(&mut self, plain: &mut [u8]) -> Result<Received> {
        let kept = io::Read::read(&mut self.plain.bytes(), plain)?;
        if kept > 0 {
            self.plain.consume(kept);
            buffer::release(&mut self.plain);
            return Ok(Received::Data(kept));
        }
        let later = self.unseen().saturating_sub(LONGEST_RECORD);
        loop {
            if self.has_peer_closed {
                return Ok(Received::Closed);
            }
            if (1..=later).contains(&self.unseen()) {
                return Ok(Received::Unfinished);
            }
            match self.step(plain)? {
                Step::Data(len) => return Ok(Received::Data(len)),
                Step::Progress | Step::Written | Step::PeerClosed => {}
                Step::NeedsInput if !self.has_input_ended => return Ok(Received::NeedsInput),
                Step::NeedsInput if self.is_handshaking() => return Err(self.fail(cut_off())),
                Step::NeedsInput => return Ok(Received::Truncated),
            }
        }
    }

    fn write(&mut self, plain: &[u8]) -> Result<usize> {
        if self.state != State::Open {
            return Err(ended());
        }
        self.encrypt(Plain::Data(plain))?;
        Ok(plain.len())
    }

    fn close_notify(&mut self) {
        if self.state == State::Open && !self.is_handshaking() {
            // It fails only if the keys are exhausted. The peer then receives no notice.
            let _ = self.encrypt(Plain::CloseNotify);
            self.state = State::Ended;
        }
    }
}

impl Recorded {
    fn server_name(&self) -> Option<String> {
        self.server_name.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Recorded {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_owned);
        *self.server_name.lock().unwrap_or_else(PoisonError::into_inner) = name;
        self.resolver.resolve(hello)
    }
}

impl fmt::Debug for Rustls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rustls").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Returns the provider of cryptography: that of the process if the program has installed one.
fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(default_provider()))
}

/// The versions that may be negotiated.
fn versions(protocols: &Protocols) -> Vec<&'static SupportedProtocolVersion> {
    let supported = [(TlsVersion::V1_2, &TLS12), (TlsVersion::V1_3, &TLS13)];
    let max = protocols.max.unwrap_or(TlsVersion::V1_3);
    let allowed = supported.into_iter().filter(|(version, _)| (protocols.min..=max).contains(version));
    allowed.map(|(_, supported)| supported).collect()
}

/// Adds the certificates of a PEM text, of which there must be one.
fn add_roots(roots: &mut RootCertStore, pem: &Pem) -> Result<()> {
    for root in certificates(pem, "trust roots")? {
        roots.add(root).map_err(|err| pem.error(invalid(err), "trust roots"))?;
    }
    Ok(())
}

/// Reads a certificate chain and the private key that belongs to it.
fn certified_key(identity: &Identity, provider: &CryptoProvider) -> Result<CertifiedKey> {
    let Identity::Pem { chain, key } = identity else {
        let details = "rustls does not support PKCS #12 archives: use PEM";
        return Err(Error::new(invalid(details), ""));
    };
    let certificates = certificates(chain, "certificate chain")?;
    let private_key = PrivateKeyDer::from_pem_slice(&key.read()?);
    let private_key = private_key.map_err(|err| key.error(invalid(err), "private key"))?;
    CertifiedKey::from_der(certificates, private_key, provider)
        .map_err(|err| key.error(invalid(err), "key for this certificate"))
}

/// Reads the certificates of a PEM text, of which there must be one.
fn certificates(pem: &Pem, what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let text = pem.read()?;
    let certificates: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|err| pem.error(invalid(err), what))?;
    if certificates.is_empty() {
        return Err(pem.error(invalid("no certificate was found"), what));
    }
    Ok(certificates)
}

/// Returns the kind of an error of rustls.
fn invalid(err: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ErrorKind {
    ErrorKind::Custom(err.into())
}

fn failed(err: ::rustls::Error) -> Error {
    Error::new(invalid(err), "TLS has failed")
}

fn cut_off() -> Error {
    let err = io::Error::from(io::ErrorKind::UnexpectedEof);
    Error::new(ErrorKind::Io(err), "the peer has disconnected during the TLS handshake")
}

fn unexpected() -> ::rustls::Error {
    ::rustls::Error::General("rustls has returned an unexpected state".to_owned())
}
