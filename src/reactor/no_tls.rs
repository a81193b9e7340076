//! The replacement of encrypted sockets in a build without TLS: a type without values.

use std::io::{self, IoSlice};
use std::net::SocketAddr;

use mio::event::Source;
use url::Url;

use super::api::handler::Handler;
use super::api::handshake::Encryption;
use super::api::settings::Settings;
use super::transport::Stop;
use crate::error::{Error, ErrorKind, Result, TLS_DISABLED};

/// Whether this build supports `wss` URLs.
pub(super) const IS_SUPPORTED: bool = false;

/// The TLS configuration of a loop, which is empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {}

impl Keys {
    /// Whether accepted TCP connections are encrypted.
    pub(super) fn encrypt_servers(&self, _settings: &Settings) -> bool {
        false
    }

    pub(super) fn accept<H: Handler>(
        &self,
        _stream: mio::net::TcpStream,
        _handler: Option<&mut H>,
    ) -> Result<Tls> {
        Err(unsupported())
    }

    pub(super) fn connect<H: Handler>(
        &self,
        _stream: mio::net::TcpStream,
        _handler: &mut H,
        _url: &Url,
    ) -> Result<Tls> {
        Err(unsupported())
    }
}

fn unsupported() -> Error {
    Error::new(ErrorKind::Internal, TLS_DISABLED)
}

/// A socket that is encrypted: there is none.
#[derive(Debug)]
pub(super) enum Tls {}

impl Tls {
    pub(super) fn read(&mut self, _buffer: &mut [u8]) -> std::result::Result<usize, Stop> {
        match *self {}
    }

    pub(super) fn write(&mut self, _slices: &[IoSlice<'_>]) -> std::result::Result<usize, Stop> {
        match *self {}
    }

    pub(super) fn flush(&mut self) -> std::result::Result<(), Stop> {
        match *self {}
    }

    pub(super) fn unsent(&self) -> usize {
        match *self {}
    }

    pub(super) fn shut_down_writing(&mut self) -> std::result::Result<(), Stop> {
        match *self {}
    }

    pub(super) fn send_close_notify(&mut self) {
        match *self {}
    }

    pub(super) fn has_more(&self) -> bool {
        match *self {}
    }

    pub(super) fn reads_on_writable(&self) -> bool {
        match *self {}
    }

    pub(super) fn writes_on_readable(&self) -> bool {
        match *self {}
    }

    pub(super) fn is_handshaking(&self) -> bool {
        match *self {}
    }

    pub(super) fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        match *self {}
    }

    pub(super) fn encryption(&self) -> Encryption {
        match *self {}
    }

    pub(super) fn source(&mut self) -> io::Result<&mut dyn Source> {
        match *self {}
    }
}
