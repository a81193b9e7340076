//! The engine that uses OpenSSL, which reads from memory and writes to memory.

pub(in crate::tls) mod client;
pub(in crate::tls) mod server;
#[cfg(not(feature = "ssl-vendored"))]
mod system_roots;
#[cfg(feature = "ssl-vendored")]
#[path = "vendored_roots.rs"]
mod system_roots;

use std::io;

use ::openssl::error::ErrorStack;
use ::openssl::pkcs12::Pkcs12;
use ::openssl::pkey::PKey;
use ::openssl::ssl::{
    self, ErrorCode, HandshakeError, MidHandshakeSslStream, NameType, SslContextBuilder, SslOptions,
    SslStream, SslVersion,
};
use ::openssl::x509::X509;

#[cfg(feature = "reactor")]
pub(crate) use self::client::connect_by_default;
use super::buffer::LONGEST_RECORD;
use super::engine::Engine;
use super::options::{Identity, Pem, Protocols};
#[cfg(feature = "reactor")]
use super::session::Session;
use super::{Negotiated, Received, TlsVersion, ended};
use crate::byte_queue::ByteQueue;
use crate::error::{Error, ErrorKind, Result};
use crate::tcp_stream::{Memory, TcpStream};

/// One end of a TLS connection.
#[derive(Debug)]
pub(super) struct OpenSsl {
    stage: Stage,
    has_sent_close_notify: bool,
}

#[derive(Debug)]
enum Stage {
    Handshake(MidHandshakeSslStream<TcpStream>),
    Open(SslStream<TcpStream>),
    /// OpenSSL must not be called again. Its last output remains.
    Failed(Memory),
}

impl OpenSsl {
    /// Continues a handshake that has begun on a stream.
    fn new(begun: Result<SslStream<TcpStream>>) -> Result<Self> {
        let stage = match begun {
            Ok(session) => Stage::Open(session),
            Err(Error { kind: ErrorKind::SslHandshake(HandshakeError::WouldBlock(midway)), .. }) => {
                Stage::Handshake(midway)
            }
            Err(err) => return Err(err),
        };
        Ok(Self { stage, has_sent_close_notify: false })
    }

    fn fail(&mut self, err: ssl::Error) -> Error {
        let memory = std::mem::take(self.memory());
        self.stage = Stage::Failed(memory);
        match err.into_io_error() {
            Ok(err) => err.into(),
            Err(err) => err.into(),
        }
    }

    fn memory(&mut self) -> &mut Memory {
        match &mut self.stage {
            Stage::Handshake(midway) => &mut midway.get_mut().memory,
            Stage::Open(session) => &mut session.get_mut().memory,
            Stage::Failed(memory) => memory,
        }
    }
}

#[cfg(feature = "reactor")]
impl Session {
    /// Continues a handshake that a hook has begun.
    pub(crate) fn from_hook(begun: Result<SslStream<TcpStream>>) -> Result<Self> {
        Ok(Self::new(Box::new(OpenSsl::new(begun)?)))
    }
}

impl Engine for OpenSsl {
    fn incoming(&mut self) -> &mut ByteQueue {
        &mut self.memory().incoming
    }

    fn end_input(&mut self) {
        self.memory().has_ended = true;
    }

    fn outgoing(&mut self) -> &mut ByteQueue {
        &mut self.memory().outgoing
    }

    fn is_handshaking(&self) -> bool {
        matches!(self.stage, Stage::Handshake(_))
    }

    fn negotiated(&self) -> Negotiated {
        let Stage::Open(session) = &self.stage else { return Negotiated::default() };
        let ssl = session.ssl();
        Negotiated {
            version: Some(ssl.version_str()),
            server_name: ssl.servername(NameType::HOST_NAME).map(str::to_owned),
            peer_certificate: ssl.peer_certificate().and_then(|certificate| certificate.to_der().ok()),
        }
    }

    fn handshake(&mut self) -> Result<bool> {
        clear_errors();
        self.stage = match std::mem::replace(&mut self.stage, Stage::Failed(Memory::default())) {
            Stage::Handshake(midway) => match midway.handshake() {
                Ok(session) => Stage::Open(session),
                Err(HandshakeError::WouldBlock(midway)) => Stage::Handshake(midway),
                Err(HandshakeError::Failure(mut midway)) => {
                    // An alert for the peer.
                    self.stage = Stage::Failed(std::mem::take(&mut midway.get_mut().memory));
                    return Err(handshake_failed(midway));
                }
                Err(err @ HandshakeError::SetupFailure(_)) => return Err(err.into()),
            },
            stage => stage,
        };
        match self.stage {
            Stage::Handshake(_) => Ok(false),
            Stage::Open(_) => Ok(true),
            Stage::Failed(_) => Err(ended()),
        }
    }

    fn read(&mut self, plain: &mut [u8]) -> Result<Received> {
        if self.is_handshaking() && !self.handshake()? {
            return Ok(Received::NeedsInput);
        }
        let Stage::Open(session) = &mut self.stage else { return Err(ended()) };
        clear_errors();
        let memory = &mut session.get_mut().memory;
        memory.hidden = memory.incoming.len().saturating_sub(LONGEST_RECORD);
        let read = session.ssl_read(plain);
        let memory = &mut session.get_mut().memory;
        memory.hidden = 0;
        match read {
            Ok(len) => Ok(Received::Data(len)),
            Err(err) => match err.code() {
                // OpenSSL continues with the next record until it has found data or has read everything.
                ErrorCode::WANT_READ if memory.incoming.is_empty() => Ok(Received::NeedsInput),
                ErrorCode::WANT_READ => Ok(Received::Unfinished),
                ErrorCode::ZERO_RETURN => Ok(Received::Closed),
                _ if session.get_ref().memory.is_at_end() => Ok(Received::Truncated),
                _ => Err(self.fail(err)),
            },
        }
    }

    fn write(&mut self, plain: &[u8]) -> Result<usize> {
        let Stage::Open(session) = &mut self.stage else { return Err(ended()) };
        let mut sent = 0;
        while let Some(rest) = plain.get(sent..).filter(|rest| !rest.is_empty()) {
            clear_errors();
            match session.ssl_write(rest) {
                Ok(len) => sent += len,
                // A renegotiation, in a context of the program that allows it.
                Err(err) if err.code() == ErrorCode::WANT_READ => break,
                Err(err) => return Err(self.fail(err)),
            }
        }
        Ok(sent)
    }

    fn close_notify(&mut self) {
        let Stage::Open(session) = &mut self.stage else { return };
        if !std::mem::replace(&mut self.has_sent_close_notify, true) {
            clear_errors();
            // The result only shows whether the peer has ended its side.
            let _ = session.shutdown();
        }
    }

    fn output(&self) -> &[u8] {
        match &self.stage {
            Stage::Handshake(midway) => midway.get_ref().memory.outgoing.bytes(),
            Stage::Open(session) => session.get_ref().memory.outgoing.bytes(),
            Stage::Failed(memory) => memory.outgoing.bytes(),
        }
    }
}

/// Returns the error of a failed handshake. For a server, a client that has disconnected is only a socket error.
fn handshake_failed(midway: MidHandshakeSslStream<TcpStream>) -> Error {
    let is_gone = midway.error().code() == ErrorCode::SYSCALL || midway.get_ref().memory.is_at_end();
    if is_gone && midway.ssl().is_server() {
        return io::Error::from(io::ErrorKind::UnexpectedEof).into();
    }
    HandshakeError::Failure(midway).into()
}

/// Clears the error queue of this thread. OpenSSL would attribute an older error, for example of a handler, to the next call,
/// and fail an unrelated connection.
fn clear_errors() {
    drop(ErrorStack::get());
}

/// Sets the versions, and disables renegotiation, which lets a peer cause work.
fn set_versions(context: &mut SslContextBuilder, protocols: &Protocols) -> Result<()> {
    context.set_min_proto_version(Some(protocols.min.into()))?;
    context.set_max_proto_version(protocols.max.map(SslVersion::from))?;
    context.set_options(SslOptions::NO_RENEGOTIATION);
    Ok(())
}

/// Sets a certificate chain and the private key that belongs to it.
fn set_identity(context: &mut SslContextBuilder, identity: &Identity) -> Result<()> {
    match identity {
        Identity::Pem { chain, key } => {
            let mut certificates = certificates(chain, "certificate chain")?.into_iter();
            if let Some(first) = certificates.next() {
                context.set_certificate(&first)?;
            }
            certificates.try_for_each(|issuer| context.add_extra_chain_cert(issuer))?;
            // The callback is called for an encrypted key. Without it, OpenSSL asks for the password on the terminal.
            let private_key = PKey::private_key_from_pem_callback(&key.read()?, |_| Ok(0))
                .map_err(|err| key.error(ErrorKind::Ssl(err.into()), "private key"))?;
            let foreign = |err: ErrorStack| key.error(ErrorKind::Ssl(err.into()), "key for this certificate");
            context.set_private_key(&private_key).map_err(foreign)?;
            context.check_private_key().map_err(foreign)
        }
        Identity::Pkcs12 { archive, password } => {
            let identity = Pkcs12::from_der(archive)?.parse2(&password.0)?;
            let (Some(certificate), Some(key)) = (identity.cert, identity.pkey) else {
                let none = "the PKCS #12 archive contains no certificate with a private key";
                return Err(Error::new(ErrorKind::Ssl(ErrorStack::get().into()), none));
            };
            context.set_certificate(&certificate)?;
            context.set_private_key(&key)?;
            context.check_private_key()?;
            let issuers = identity.ca.into_iter().flatten();
            Ok(issuers.into_iter().try_for_each(|issuer| context.add_extra_chain_cert(issuer))?)
        }
    }
}

/// Reads the certificates of a PEM text, of which there must be one.
fn certificates(pem: &Pem, what: &str) -> Result<Vec<X509>> {
    let certificates =
        X509::stack_from_pem(&pem.read()?).map_err(|err| pem.error(ErrorKind::Ssl(err.into()), what))?;
    if certificates.is_empty() {
        return Err(pem.error(ErrorKind::Ssl(ErrorStack::get().into()), what));
    }
    Ok(certificates)
}

/// Returns protocols in wire format (RFC 7301 §3.1).
fn alpn_list(protocols: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut list = Vec::new();
    for protocol in protocols {
        let Some(len) = u8::try_from(protocol.len()).ok().filter(|len| *len > 0) else {
            return Err(Error::new(ErrorKind::Internal, "the name of an ALPN protocol has 1 to 255 bytes"));
        };
        list.push(len);
        list.extend_from_slice(protocol);
    }
    Ok(list)
}

impl From<TlsVersion> for SslVersion {
    fn from(version: TlsVersion) -> Self {
        match version {
            TlsVersion::V1_2 => Self::TLS1_2,
            TlsVersion::V1_3 => Self::TLS1_3,
        }
    }
}
