//! The TLS stream of a build without TLS: it cannot be created.

use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use url::Url;

use super::{Builder, Socket, Stream};
use crate::socket::options::is_secure;
use crate::socket::{Error, Result};

/// How the servers of a builder encrypt: not at all.
pub(super) type Encryption = ();

/// A TLS stream over another stream. This build has none: it lacks the feature `ssl`.
#[derive(Debug)]
pub struct Tls<S>(Never, PhantomData<S>);

#[derive(Debug)]
enum Never {}

impl Builder {
    /// Refuses a URL that asks for TLS.
    pub(super) fn encrypt(&self, stream: Socket, url: &Url) -> Result<Socket> {
        if is_secure(url) {
            return Err(Error::TlsDisabled(url.host_str().unwrap_or_default().to_owned()));
        }
        Ok(stream)
    }

    pub(super) fn encrypt_server(&self, stream: TcpStream) -> Result<Socket> {
        Ok(Socket::Tcp(stream))
    }
}

impl<S> Read for Tls<S> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }
}

impl<S> Write for Tls<S> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        match self.0 {}
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0 {}
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
