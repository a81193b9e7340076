//! A connected socket of any kind, non-blocking.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::event::Source;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};

use super::api::handshake::Encryption;
use super::tls::Tls;
use crate::error::Error;

/// A connected socket of any kind.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Tls(Box<Tls>),
}

/// Why a socket has not done what it was asked to do.
#[derive(Debug)]
pub(super) enum Stop {
    /// It cannot now; an event tells when it can.
    Blocked,
    Failed(Error),
}

impl Socket {
    /// Takes over a TCP stream of the standard library.
    pub(super) fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self::Tcp(TcpStream::from_std(stream)))
    }

    /// Reads once, again if a signal came in between.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Stop> {
        loop {
            let read = match self {
                Self::Tcp(stream) => stream.read(buffer),
                #[cfg(unix)]
                Self::Unix(stream) => stream.read(buffer),
                Self::Tls(tls) => return tls.read(buffer),
            };
            match read {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                read => return Ok(read?),
            }
        }
    }

    /// Writes once, again if a signal came in between.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, Stop> {
        loop {
            let written = match (&mut *self, slices) {
                // A single piece takes the simpler call, which also keeps SIGPIPE away by itself.
                (Self::Tcp(stream), [one]) => stream.write(one),
                (Self::Tcp(stream), many) => stream.write_vectored(many),
                #[cfg(unix)]
                (Self::Unix(stream), [one]) => stream.write(one),
                #[cfg(unix)]
                (Self::Unix(stream), many) => stream.write_vectored(many),
                (Self::Tls(tls), slices) => return tls.write(slices),
            };
            match written {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                written => return Ok(written?),
            }
        }
    }

    /// Ends our side; the peer reads what was sent, and then the end.
    pub(super) fn shut_down_writing(&mut self) -> Result<(), Stop> {
        let ended = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(tls) => return tls.shut_down_writing(),
        };
        if let Err(err) = ended {
            log::trace!("the peer was faster than the end of our side: {err}");
        }
        Ok(())
    }

    /// Sends what was written, and has not been taken by the system.
    pub(super) fn flush(&mut self) -> Result<(), Stop> {
        match self {
            Self::Tls(tls) => tls.flush(),
            _ => Ok(()),
        }
    }

    /// How many bytes were written, and have not been taken by the system.
    pub(super) fn unsent(&self) -> usize {
        match self {
            Self::Tls(tls) => tls.unsent(),
            _ => 0,
        }
    }

    /// Says that nothing more comes, where the kind of socket has a word for it, and it has not been said.
    pub(super) fn send_close_notify(&mut self) {
        if let Self::Tls(tls) = self {
            tls.send_close_notify();
        }
    }

    /// Whether the socket holds more to read, of which no event will tell.
    pub(super) fn has_more(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.has_more())
    }

    /// Whether a read that was blocked can go on when the socket is writable.
    pub(super) fn reads_on_writable(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.reads_on_writable())
    }

    /// Whether a write that was blocked can go on when the socket is readable.
    pub(super) fn writes_on_readable(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.writes_on_readable())
    }

    /// Whether the handshake of TLS is not over: nothing can be said to the peer.
    pub(super) fn is_handshaking(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.is_handshaking())
    }

    /// Whether what is sent and received is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// What of the socket the loop wants to hear of from the beginning.
    pub(super) fn interest(&self) -> Interest {
        match self {
            // Either side of TLS may wait for the other one.
            Self::Tls(_) => Interest::READABLE | Interest::WRITABLE,
            _ => Interest::READABLE,
        }
    }

    /// What TLS has agreed on.
    pub(super) fn encryption(&self) -> Encryption {
        match self {
            Self::Tls(tls) => tls.encryption(),
            _ => Encryption::default(),
        }
    }

    /// Whether the connection has been made: `None` while that is open.
    pub(super) fn connected(&self) -> Option<io::Result<()>> {
        let (error, peer) = match self {
            Self::Tcp(stream) => (stream.take_error(), stream.peer_addr().map(drop)),
            #[cfg(unix)]
            Self::Unix(stream) => (stream.take_error(), stream.peer_addr().map(drop)),
            // It was connected before it became one.
            Self::Tls(_) => return Some(Ok(())),
        };
        match (error, peer) {
            (Ok(Some(err)) | Err(err), _) => Some(Err(err)),
            (Ok(None), Ok(())) => Some(Ok(())),
            (Ok(None), Err(err)) if is_in_progress(&err) => None,
            (Ok(None), Err(err)) => Some(Err(err)),
        }
    }

    pub(super) fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            #[cfg(unix)]
            Self::Unix(_) => Ok(()),
            Self::Tls(_) => Ok(()),
        }
    }

    /// The addresses of the other end and of this one, where they exist.
    pub(super) fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        match self {
            Self::Tcp(stream) => (stream.peer_addr().ok(), stream.local_addr().ok()),
            #[cfg(unix)]
            Self::Unix(_) => (None, None),
            Self::Tls(tls) => tls.addresses(),
        }
    }

    pub(super) fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.source()?.register(registry, token, interest)
    }

    pub(super) fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.source()?.reregister(registry, token, interest)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source()?.deregister(registry)
    }

    fn source(&mut self) -> io::Result<&mut dyn Source> {
        match self {
            Self::Tcp(stream) => Ok(stream),
            #[cfg(unix)]
            Self::Unix(stream) => Ok(stream),
            Self::Tls(tls) => tls.source(),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(err: io::Error) -> Self {
        match err.kind() {
            io::ErrorKind::WouldBlock => Self::Blocked,
            _ => Self::Failed(err.into()),
        }
    }
}

fn is_in_progress(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::NotConnected | io::ErrorKind::WouldBlock)
}
