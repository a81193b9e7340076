//! A build without TLS: URLs that ask for it are refused.

use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use url::Url;

use super::stream::Socket;
use super::{Builder, Compat};
use crate::socket::options::is_secure;
use crate::socket::{Error, Result};

/// A TLS stream over another stream. This build has none: it lacks the feature `ssl`.
#[derive(Debug)]
pub struct Tls<S>(Never, PhantomData<S>);

#[derive(Debug)]
enum Never {}

#[expect(clippy::unused_async, reason = "a build with TLS awaits a handshake here")]
impl Builder {
    pub(super) async fn encrypt(&self, stream: Socket, url: &Url) -> Result<Socket> {
        if is_secure(url) {
            return Err(Error::TlsDisabled(url.host_str().unwrap_or_default().to_owned()));
        }
        Ok(stream)
    }

    pub(super) async fn encrypt_server(&self, stream: Compat<TcpStream>) -> Result<Socket> {
        Ok(Socket::Tcp(stream))
    }
}

impl<S> AsyncRead for Tls<S> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }
}

impl<S> AsyncWrite for Tls<S> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }
}
