//! Accepting connections.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;

use log::error;
#[cfg(unix)]
use log::warn;
use mio::event::Source as _;
use mio::net::TcpListener;
#[cfg(unix)]
use mio::net::UnixListener;
use mio::{Interest, Registry, Token};

use crate::reactor::transport::Socket;

/// The most connections that are accepted in one turn; the others wait in the system's queue.
pub(crate) const ACCEPT_BUDGET: usize = 64;

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    kind: Kind,
    /// Whether connections may be waiting.
    pub(crate) is_ready: bool,
    /// Whether it has been said that no more can be accepted, since everyone was who waited.
    has_logged_exhaustion: bool,
}

#[derive(Debug)]
enum Kind {
    /// With its address, if every connection has the same one.
    Tcp(TcpListener, Option<SocketAddr>),
    /// With the path that is removed in the end, if the loop has made it.
    #[cfg(unix)]
    Unix(UnixListener, PathBuf),
}

/// The address of the other end, and that of this one.
pub(crate) type Addresses = (SocketAddr, SocketAddr);

/// What an attempt to accept has brought.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// Somebody, with the addresses of the other end and of this one, if they are known already.
    Socket(Socket, Option<Addresses>),
    /// Nobody is waiting.
    WouldBlock,
    /// One has gone before it was accepted.
    Gone,
    /// The system has no room; it may have some in a moment.
    Exhausted,
}

impl Listener {
    pub(crate) fn tcp(listener: TcpListener) -> Self {
        let address = listener.local_addr().ok().filter(|address| !address.ip().is_unspecified());
        Self { kind: Kind::Tcp(listener, address), is_ready: false, has_logged_exhaustion: false }
    }

    #[cfg(unix)]
    pub(crate) fn unix(listener: UnixListener, path: PathBuf) -> Self {
        Self { kind: Kind::Unix(listener, path), is_ready: false, has_logged_exhaustion: false }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.kind {
            Kind::Tcp(listener, _) => listener.register(registry, token, Interest::READABLE),
            #[cfg(unix)]
            Kind::Unix(listener, _) => listener.register(registry, token, Interest::READABLE),
        }
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(listener, _) => listener.local_addr().ok(),
            #[cfg(unix)]
            Kind::Unix(..) => None,
        }
    }

    /// Accepts one connection.
    pub(crate) fn accept(&mut self) -> Accepted {
        let accepted = match &self.kind {
            Kind::Tcp(listener, local) => listener
                .accept()
                .map(|(stream, peer)| (Socket::Tcp(stream), local.map(|local| (peer, local)))),
            #[cfg(unix)]
            Kind::Unix(listener, _) => listener.accept().map(|(stream, _)| (Socket::Unix(stream), None)),
        };
        match accepted {
            Ok((socket, addresses)) => Accepted::Socket(socket, addresses),
            Err(err) => self.on_accept_error(&err),
        }
    }

    fn on_accept_error(&mut self, err: &io::Error) -> Accepted {
        match err.kind() {
            io::ErrorKind::WouldBlock => {
                // Not before: every descriptor that is freed lets one in, and the next one not.
                self.has_logged_exhaustion = false;
                Accepted::WouldBlock
            }
            io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset => Accepted::Gone,
            _ => {
                if !self.has_logged_exhaustion {
                    self.has_logged_exhaustion = true;
                    error!("no connection can be accepted for the moment: {err}");
                }
                Accepted::Exhausted
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Kind::Unix(_, path) = &self.kind
            && let Err(err) = std::fs::remove_file(path)
        {
            warn!("the socket {} could not be removed: {err}", path.display());
        }
    }
}
