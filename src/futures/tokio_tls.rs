//! TLS for the sockets that tokio connects and accepts.

use tokio::net::TcpStream;
use url::Url;

use super::stream::Socket;
use super::tls::Tls;
use super::{Builder, Compat};
use crate::socket::Result;
use crate::socket::options::is_secure;
#[cfg(any(feature = "rustls", feature = "ssl"))]
use crate::tls::{ClientTls, ServerTls};
use crate::tls::{Session, server_name};

#[cfg(any(feature = "rustls", feature = "ssl"))]
impl Builder {
    /// Sets the TLS configuration of a client. Default: the trust roots of the system, no certificate.
    #[must_use]
    pub fn client_tls(mut self, tls: impl Into<ClientTls>) -> Self {
        self.options.set_client_tls(tls.into());
        self
    }

    /// Sets the certificate of a server, with which [`accept`](Self::accept) encrypts. Default: no TLS.
    #[must_use]
    pub fn server_tls(mut self, tls: impl Into<ServerTls>) -> Self {
        self.server_tls = Some(tls.into());
        self
    }
}

impl Builder {
    pub(super) async fn encrypt(&self, stream: Socket, url: &Url) -> Result<Socket> {
        let Socket::Tcp(stream) = stream else { return Ok(stream) };
        if !is_secure(url) {
            return Ok(Socket::Tcp(stream));
        }
        let session = Session::client(&self.options.client_tls(url)?, &server_name(url)?)?;
        Ok(Socket::Tls(Box::new(Tls::handshake(session, stream).await?)))
    }

    pub(super) async fn encrypt_server(&self, stream: Compat<TcpStream>) -> Result<Socket> {
        match &self.server_tls {
            Some(tls) => Ok(Socket::Tls(Box::new(Tls::handshake(Session::server(tls)?, stream).await?))),
            None => Ok(Socket::Tcp(stream)),
        }
    }
}
