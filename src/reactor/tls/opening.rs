//! The beginning of a TLS handshake, and its errors.

use std::io;
use std::net::Shutdown;

use log::debug;
use openssl::ssl::{ErrorCode, HandshakeError, MidHandshakeSslStream, SslConnector};
use url::Url;

use super::{RECORDS, Tls};
use crate::error::{Error, ErrorKind, Result};
use crate::reactor::api::handler::Handler;
use crate::reactor::api::settings::Settings;
use crate::tcp_stream::TcpStream;
use crate::tls::{ServerTls, connect};

/// The TLS configuration of a loop. Handlers can provide others.
#[derive(Debug, Clone, Default)]
pub(in crate::reactor) struct Keys {
    pub(in crate::reactor) server: Option<ServerTls>,
    pub(in crate::reactor) client: Option<SslConnector>,
}

impl Keys {
    /// Whether accepted TCP connections are encrypted.
    pub(in crate::reactor) fn encrypt_servers(&self, settings: &Settings) -> bool {
        settings.encrypt_server || self.server.is_some()
    }

    /// Begins the handshake of a server. A connection that will be rejected has no handler.
    pub(in crate::reactor) fn accept<H: Handler>(
        &self,
        stream: mio::net::TcpStream,
        handler: Option<&mut H>,
    ) -> Result<Tls> {
        let stream = TcpStream::from(stream);
        Tls::begin(match (&self.server, handler) {
            (Some(server), _) => server.acceptor().accept(stream).map_err(Error::from),
            (None, Some(handler)) => handler.upgrade_ssl_server(stream),
            (None, None) => {
                Err(Error::new(ErrorKind::Capacity, "a rejected connection has no handler for TLS"))
            }
        })
    }

    /// Begins the handshake of a client.
    pub(in crate::reactor) fn connect<H: Handler>(
        &self,
        stream: mio::net::TcpStream,
        handler: &mut H,
        url: &Url,
    ) -> Result<Tls> {
        let stream = TcpStream::from(stream);
        Tls::begin(match &self.client {
            Some(connector) => connect(connector, stream, url),
            None => handler.upgrade_ssl_client(stream, url),
        })
    }
}

/// Returns the error of a failed handshake. For a server, a client that has disconnected is only a socket error.
pub(super) fn handshake_failed(mut midway: MidHandshakeSslStream<TcpStream>) -> Error {
    let is_gone = midway.error().code() == ErrorCode::SYSCALL || midway.get_ref().has_ended();
    if is_gone && midway.ssl().is_server() {
        return match midway.into_error().into_io_error() {
            Ok(err) => err.into(),
            Err(_) => io::Error::from(io::ErrorKind::UnexpectedEof).into(),
        };
    }
    close_after_alert(midway.get_mut());
    HandshakeError::Failure(midway).into()
}

/// Closes TCP so that the alert arrives: pending input is read first, because the system would otherwise reset the connection.
fn close_after_alert(stream: &mut TcpStream) {
    if let Err(err) = stream.send_unsent() {
        debug!("the alert could not be sent: {err}");
    }
    stream.allow_reads(RECORDS);
    let mut rest = [0; 1024];
    while matches!(io::Read::read(stream, &mut rest), Ok(1..)) {}
    if let Err(err) = stream.shutdown(Shutdown::Both) {
        log::trace!("TCP was already closed: {err}");
    }
}
