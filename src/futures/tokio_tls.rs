//! TLS for the sockets that tokio connects and accepts.

use openssl::ssl::SslConnector;
use tokio::net::TcpStream;
use url::Url;

use super::stream::Socket;
pub(super) use super::tls::Tls;
use super::{Builder, Compat};
use crate::socket::Result;
use crate::socket::options::is_secure;
use crate::tls::{ServerTls, server_name};

/// How the servers of a builder encrypt.
pub(super) type Encryption = Option<ServerTls>;

impl Builder {
    /// Sets the trust roots and the certificate of a client: a [`ClientTls`](crate::ClientTls) or an [`SslConnector`].
    /// Default: the trust roots of the system, no certificate.
    #[must_use]
    pub fn client_tls(mut self, tls: impl Into<SslConnector>) -> Self {
        self.options.set_connector(tls.into());
        self
    }

    /// Sets the certificate of a server, with which [`accept`](Self::accept) encrypts. Default: no TLS.
    #[must_use]
    pub fn server_tls(mut self, tls: impl Into<ServerTls>) -> Self {
        self.encryption = Some(tls.into());
        self
    }

    pub(super) async fn encrypt(&self, stream: Socket, url: &Url) -> Result<Socket> {
        let Socket::Tcp(stream) = stream else { return Ok(stream) };
        if !is_secure(url) {
            return Ok(Socket::Tcp(stream));
        }
        let tls = Tls::connect(&self.options.connector()?, &server_name(url)?, stream).await?;
        Ok(Socket::Tls(Box::new(tls)))
    }

    pub(super) async fn encrypt_server(&self, stream: Compat<TcpStream>) -> Result<Socket> {
        match &self.encryption {
            Some(tls) => Ok(Socket::Tls(Box::new(Tls::accept(tls, stream).await?))),
            None => Ok(Socket::Tcp(stream)),
        }
    }
}
