//! A build without OpenSSL has no hooks. Clients use the default configuration.

use mio::net::TcpStream;
use url::Url;

use super::tls::Tls;
use crate::error::{Error, ErrorKind, Result};
use crate::reactor::api::handler::Handler;
use crate::tls::{ClientTls, Session, server_name};

/// Rejects a connection, because the loop has no certificate.
pub(super) fn accept<H: Handler>(_socket: TcpStream, _handler: Option<&mut H>) -> Result<Tls> {
    Err(Error::new(ErrorKind::Internal, "cannot encrypt: the event loop has no certificate"))
}

/// Begins the handshake of a client.
pub(super) fn connect<H: Handler>(socket: TcpStream, _handler: &mut H, url: &Url) -> Result<Tls> {
    Ok(Tls::new(socket, Session::client(&ClientTls::shared_default()?, &server_name(url)?)?))
}

/// Closes the socket of a failed handshake.
pub(super) fn return_socket(_err: &mut Error, _socket: TcpStream) {}
