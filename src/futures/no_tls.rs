//! A build without TLS: streams stay as they are.

use tokio::net::TcpStream;
use url::Url;

use super::stream::Socket;
use super::{Builder, Compat};
use crate::socket::Result;
use crate::socket::no_tls::check_scheme;

pub use crate::socket::no_tls::Tls;

#[expect(clippy::unused_async, reason = "a build with TLS awaits a handshake here")]
impl Builder {
    /// Refuses a URL that asks for TLS.
    pub(super) async fn encrypt(&self, stream: Socket, url: &Url) -> Result<Socket> {
        check_scheme(url).map(|()| stream)
    }

    pub(super) async fn encrypt_server(&self, stream: Compat<TcpStream>) -> Result<Socket> {
        Ok(Socket::Tcp(stream))
    }
}
