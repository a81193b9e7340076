//! A connected socket of any kind, non-blocking.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::event::Source;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};

/// A connected socket of any kind.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Socket {
    /// Takes over a TCP stream of the standard library.
    pub(super) fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self::Tcp(TcpStream::from_std(stream)))
    }

    /// Reads once, again if a signal came in between.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Self::Tcp(stream) => stream.read(buffer),
                #[cfg(unix)]
                Self::Unix(stream) => stream.read(buffer),
            };
            match read {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// Writes once, again if a signal came in between.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let written = match (&mut *self, slices) {
                // A single piece takes the simpler call, which also keeps SIGPIPE away by itself.
                (Self::Tcp(stream), [one]) => stream.write(one),
                (Self::Tcp(stream), many) => stream.write_vectored(many),
                #[cfg(unix)]
                (Self::Unix(stream), [one]) => stream.write(one),
                #[cfg(unix)]
                (Self::Unix(stream), many) => stream.write_vectored(many),
            };
            match written {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                written => return written,
            }
        }
    }

    /// Ends our side; the peer reads what was sent, and then the end.
    pub(super) fn shut_down_writing(&self) {
        let ended = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
        if let Err(err) = ended {
            log::trace!("the peer was faster than the end of our side: {err}");
        }
    }

    /// Whether the connection has been made: `None` while that is open.
    pub(super) fn connected(&self) -> Option<io::Result<()>> {
        let (error, peer) = match self {
            Self::Tcp(stream) => (stream.take_error(), stream.peer_addr().map(drop)),
            #[cfg(unix)]
            Self::Unix(stream) => (stream.take_error(), stream.peer_addr().map(drop)),
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
        }
    }

    /// The addresses of the other end and of this one, where they exist.
    pub(super) fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        match self {
            Self::Tcp(stream) => (stream.peer_addr().ok(), stream.local_addr().ok()),
            #[cfg(unix)]
            Self::Unix(_) => (None, None),
        }
    }

    pub(super) fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.source().register(registry, token, interest)
    }

    pub(super) fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.source().reregister(registry, token, interest)
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
        }
    }
}

fn is_in_progress(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::NotConnected | io::ErrorKind::WouldBlock)
}
