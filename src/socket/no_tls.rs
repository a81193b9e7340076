//! The TLS stream of a build without TLS. It cannot be created, and URLs that ask for TLS are refused.

use std::io::{self, Read, Write};
use std::marker::PhantomData;
#[cfg(feature = "tokio")]
use std::pin::Pin;
#[cfg(feature = "tokio")]
use std::task::{Context, Poll};

#[cfg(feature = "tokio")]
use futures_io::{AsyncRead, AsyncWrite};
use url::Url;

use super::options::is_secure;
use super::{Error, Result};

/// A TLS stream over another stream. This build of `sockeye` does not have the feature `ssl`, so there is no such stream.
#[derive(Debug)]
pub struct Tls<S>(pub(crate) Never, PhantomData<S>);

/// A type without values.
#[derive(Debug)]
pub(crate) enum Never {}

/// Refuses a URL that asks for TLS.
pub(crate) fn check_scheme(url: &Url) -> Result<()> {
    match is_secure(url) {
        true => Err(Error::TlsDisabled(url.host_str().unwrap_or_default().to_owned())),
        false => Ok(()),
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

#[cfg(feature = "tokio")]
impl<S> AsyncRead for Tls<S> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }
}

#[cfg(feature = "tokio")]
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
