//! The encrypted stream of a build without TLS: there is none.

use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use url::Url;

use super::{Builder, Socket, Stream};
use crate::error::{Error, ErrorKind, Result};

/// A stream over another one, encrypted. It is not in this build: the feature `ssl` brings it.
#[derive(Debug)]
pub struct Tls<S>(Never, PhantomData<S>);

#[derive(Debug)]
enum Never {}

impl Builder {
    pub(super) fn encrypt(&self, _: TcpStream, _: &Url) -> Result<Socket> {
        Err(Error::new(ErrorKind::Internal, "this build has no TLS: it lacks the feature `ssl`"))
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
