//! The hooks of `ws`, in which handlers begin the TLS handshake with OpenSSL.

use mio::net;
use openssl::ssl::{HandshakeError, SslStream};
use url::Url;

use super::tls::{Tls, close_after_alert};
use crate::error::{Error, ErrorKind, Result};
use crate::reactor::api::handler::Handler;
use crate::tcp_stream::TcpStream;
use crate::tls::Session;

/// Begins the handshake of a server.
pub(super) fn accept<H: Handler>(socket: net::TcpStream, handler: Option<&mut H>) -> Result<Tls> {
    match handler {
        Some(handler) => continue_handshake(handler.upgrade_ssl_server(TcpStream::from(socket))),
        None => Err(Error::new(ErrorKind::Capacity, "a rejected connection has no handler for TLS")),
    }
}

/// Begins the handshake of a client.
pub(super) fn connect<H: Handler>(socket: net::TcpStream, handler: &mut H, url: &Url) -> Result<Tls> {
    continue_handshake(handler.upgrade_ssl_client(TcpStream::from(socket), url))
}

/// Gives a socket to the error of a failed handshake, whose stream programs can examine. Otherwise the socket is closed.
pub(super) fn return_socket(err: &mut Error, socket: net::TcpStream) {
    if let ErrorKind::SslHandshake(HandshakeError::Failure(midway)) = &mut err.kind {
        midway.get_mut().return_socket(socket);
    }
}

/// Continues the handshake that a hook has begun, or uses its session if the handshake is complete. The loop takes the socket
/// back.
fn continue_handshake(mut begun: Result<SslStream<TcpStream>>) -> Result<Tls> {
    let socket = match &mut begun {
        Ok(stream) => stream.get_mut().take_socket(),
        Err(Error { kind: ErrorKind::SslHandshake(HandshakeError::WouldBlock(midway)), .. }) => {
            midway.get_mut().take_socket()
        }
        Err(Error { kind: ErrorKind::SslHandshake(HandshakeError::Failure(midway)), .. }) => {
            close_after_alert(midway.get_mut());
            None
        }
        Err(_) => None,
    };
    let session = Session::from_hook(begun)?;
    let socket = socket.ok_or_else(|| Error::new(ErrorKind::Internal, "the TLS stream has no socket"))?;
    Ok(Tls::new(socket, session))
}
