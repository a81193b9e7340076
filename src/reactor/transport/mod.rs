//! The sockets of the operating system: TCP, Unix domain sockets, and TLS over TCP.

mod calls;
#[cfg(feature = "ssl")]
mod hooks;
#[cfg(not(feature = "ssl"))]
#[path = "no_hooks.rs"]
mod hooks;
mod keys;
mod tls;
#[cfg(test)]
#[cfg(any(feature = "rustls", feature = "ssl"))]
mod tls_tests;

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::event::Source;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use url::Url;

pub(super) use self::keys::Keys;
use self::tls::Tls;
use super::api::handler::Handler;
use super::system::{Input, Next, Stop, Transport};
use crate::error::Result;
use crate::tls::Negotiated;

/// A connected, non-blocking socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Tls(Box<Tls>),
}

impl Socket {
    /// The part of the socket that the event queue of the system watches.
    pub(super) fn source(&mut self) -> io::Result<&mut dyn Source> {
        match self {
            Self::Tcp(stream) => Ok(stream),
            #[cfg(unix)]
            Self::Unix(stream) => Ok(stream),
            Self::Tls(tls) => tls.source(),
        }
    }

    /// Writes what [`write`](Transport::write) does not. As a part of it, this would take 30 instructions more for each call (callgrind).
    #[inline(never)]
    fn write_slices(
        &mut self,
        slices: &[IoSlice<'_>],
        expects_more: bool,
    ) -> std::result::Result<usize, Stop> {
        loop {
            let written = match self {
                Self::Tcp(stream) => stream.write_vectored(slices),
                #[cfg(unix)]
                Self::Unix(stream) => stream.write_vectored(slices),
                Self::Tls(tls) => return tls.write(slices, expects_more),
            };
            match written {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                written => return Ok(written?),
            }
        }
    }
}

impl Transport for Socket {
    fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self::Tcp(stream) = self else { return Err(io::ErrorKind::Unsupported.into()) };
        loop {
            match stream.peek(buffer) {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                peeked => return peeked,
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<Input> {
        loop {
            let read = match self {
                Self::Tcp(stream) => calls::receive(stream, buffer),
                #[cfg(unix)]
                Self::Unix(stream) => stream.read(buffer),
                Self::Tls(tls) => return tls.read(&mut [IoSliceMut::new(buffer)]),
            };
            match read {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                read => return Input::new(read, buffer.len()),
            }
        }
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> Result<Input> {
        loop {
            let read = match self {
                Self::Tcp(stream) => stream.read_vectored(buffers),
                #[cfg(unix)]
                Self::Unix(stream) => stream.read_vectored(buffers),
                Self::Tls(tls) => return tls.read(buffers),
            };
            match read {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                read => return Input::new(read, buffers.iter().map(|buffer| buffer.len()).sum()),
            }
        }
    }

    #[inline]
    fn write(&mut self, slices: &[IoSlice<'_>], expects_more: bool) -> std::result::Result<usize, Stop> {
        match (&mut *self, slices) {
            // Most writes. A single slice needs only the simpler call.
            (Self::Tcp(stream), [one]) => Ok(calls::send(stream, one)?),
            _ => self.write_slices(slices, expects_more),
        }
    }

    fn shut_down_writing(&mut self) -> std::result::Result<(), Stop> {
        let ended = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(tls) => return tls.shut_down_writing(),
        };
        if let Err(err) = ended {
            log::trace!("the local side was not ended, because the peer was faster: {err}");
        }
        Ok(())
    }

    #[inline]
    fn flush(&mut self) -> std::result::Result<(), Stop> {
        match self {
            Self::Tls(tls) => tls.flush(),
            _ => Ok(()),
        }
    }

    #[inline]
    fn unsent(&self) -> usize {
        match self {
            Self::Tls(tls) => tls.unsent(),
            _ => 0,
        }
    }

    fn send_close_notify(&mut self) {
        if let Self::Tls(tls) = self {
            tls.send_close_notify();
        }
    }

    fn is_handshaking(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.is_handshaking())
    }

    #[inline]
    fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    fn encryption(&self) -> Negotiated {
        match self {
            Self::Tls(tls) => tls.encryption(),
            _ => Negotiated::default(),
        }
    }

    fn connected(&self) -> Option<io::Result<()>> {
        let (error, peer) = match self {
            Self::Tcp(stream) => (stream.take_error(), stream.peer_addr().map(drop)),
            #[cfg(unix)]
            Self::Unix(stream) => (stream.take_error(), stream.peer_addr().map(drop)),
            // TLS begins on a connected socket.
            Self::Tls(_) => return Some(Ok(())),
        };
        match (error, peer) {
            (Ok(Some(err)) | Err(err), _) => Some(Err(err)),
            (Ok(None), Ok(())) => Some(Ok(())),
            (Ok(None), Err(err)) if is_in_progress(&err) => None,
            (Ok(None), Err(err)) => Some(Err(err)),
        }
    }

    fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            #[cfg(unix)]
            Self::Unix(_) => Ok(()),
            Self::Tls(_) => Ok(()),
        }
    }

    fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        match self {
            Self::Tcp(stream) => (stream.peer_addr().ok(), stream.local_addr().ok()),
            #[cfg(unix)]
            Self::Unix(_) => (None, None),
            Self::Tls(tls) => tls.addresses(),
        }
    }

    #[cfg(unix)]
    fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    #[cfg(not(unix))]
    fn is_unix(&self) -> bool {
        false
    }

    fn can_encrypt(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    fn encrypt_server<H: Handler>(self, keys: &Keys, handler: Option<&mut H>) -> Result<Self> {
        match self {
            Self::Tcp(stream) => Ok(Self::Tls(Box::new(keys.accept(stream, handler)?))),
            socket => Ok(socket),
        }
    }

    fn encrypt_client<H: Handler>(self, keys: &Keys, handler: &mut H, url: &Url) -> Result<Self> {
        match self {
            Self::Tcp(stream) => Ok(Self::Tls(Box::new(keys.connect(stream, handler, url)?))),
            socket => Ok(socket),
        }
    }
}

fn is_in_progress(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::NotConnected | io::ErrorKind::WouldBlock)
}
