//! A build without TLS: streams stay as they are.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use url::Url;

use super::{Builder, Socket, Stream};
use crate::socket::Result;
use crate::socket::no_tls::check_scheme;

pub use crate::socket::no_tls::Tls;

/// How the servers of a builder encrypt: not at all.
pub(super) type Encryption = ();

impl Builder {
    /// Refuses a URL that asks for TLS.
    pub(super) fn encrypt(&self, stream: Socket, url: &Url) -> Result<Socket> {
        check_scheme(url).map(|()| stream)
    }

    pub(super) fn encrypt_server(&self, stream: TcpStream) -> Result<Socket> {
        Ok(Socket::Tcp(stream))
    }
}

impl<S> Stream for Tls<S> {
    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        match self.0 {}
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        match self.0 {}
    }

    fn shutdown(&mut self, _: Shutdown) -> io::Result<()> {
        match self.0 {}
    }

    fn try_clone(&self) -> io::Result<Self> {
        match self.0 {}
    }
}
