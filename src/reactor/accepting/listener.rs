//! Sockets that listen.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;

use log::error;
#[cfg(unix)]
use log::warn;
use mio::event::Source as _;
use mio::net::TcpListener;
#[cfg(unix)]
use mio::net::UnixListener;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket as SystemSocket, Type};

use crate::reactor::WAKER;
use crate::reactor::entries::{ConnectionId, index};
use crate::reactor::loop_state::LoopState;
use crate::reactor::system::{Addresses, System};
use crate::reactor::timers::{TimerEvent, TimerKind, TimerList};
use crate::reactor::transport::Socket;

/// How long a listener pauses when the system cannot accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many clients in a row may have disconnected before they were accepted, until the loop continues with other work.
const MAX_ABORTED: usize = 64;

/// The listeners of a loop. Their tokens count down from that of the waker.
#[derive(Debug)]
pub(in crate::reactor) struct Listeners<S: System> {
    listeners: Vec<Listener<S::Listener>>,
    /// The timers of listeners that pause.
    timers: TimerList,
}

#[derive(Debug)]
struct Listener<L> {
    socket: L,
    /// Whether connections may be waiting.
    is_ready: bool,
    /// Whether an error has been logged since the accept queue was last empty.
    has_logged: bool,
}

impl<S: System> Listeners<S> {
    pub(in crate::reactor) fn new() -> Self {
        Self { listeners: Vec::new(), timers: TimerList::default() }
    }

    /// Adds a listener.
    pub(in crate::reactor) fn add(&mut self, mut socket: S::Listener, system: &S) -> io::Result<()> {
        system.listen(&mut socket, Token(WAKER.0 - 1 - self.listeners.len()))?;
        self.listeners.push(Listener { socket, is_ready: false, has_logged: false });
        Ok(())
    }

    /// There is an event of a listener.
    pub(in crate::reactor) fn on_event(&mut self, token: Token) {
        self.set_ready(WAKER.0 - 1 - token.0);
    }

    /// The pause of a listener has ended.
    pub(in crate::reactor) fn resume(&mut self, listener: u32) {
        self.set_ready(index(listener));
    }

    fn set_ready(&mut self, at: usize) {
        if let Some(listener) = self.listeners.get_mut(at) {
            listener.is_ready = true;
        }
    }

    /// Accepts a connection from a listener, by its index.
    ///
    /// When the system has no file descriptors left, the listener pauses, because no event follows when there are some
    /// again.
    pub(in crate::reactor) fn accept(
        &mut self,
        at: usize,
        state: &mut LoopState<S>,
    ) -> Option<(S::Socket, Option<Addresses>)> {
        let listener = self.listeners.get_mut(at).filter(|listener| listener.is_ready)?;
        for _ in 0..MAX_ABORTED {
            let err = match state.system.accept(&listener.socket) {
                Ok(accepted) => return Some(accepted),
                Err(err) => err,
            };
            match err.kind() {
                io::ErrorKind::WouldBlock => {
                    listener.is_ready = false;
                    // Not earlier: while there are few descriptors, accepting succeeds and fails in turn.
                    listener.has_logged = false;
                    return None;
                }
                // A client disconnected before it was accepted.
                io::ErrorKind::Interrupted
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset => {}
                _ => {
                    listener.is_ready = false;
                    if !std::mem::replace(&mut listener.has_logged, true) {
                        error!("cannot accept connections for the moment: {err}");
                    }
                    let id = ConnectionId { slot: u32::try_from(at).unwrap_or(u32::MAX), serial: 0 };
                    let event = TimerEvent { id, kind: TimerKind::Accept };
                    let _ = state.schedule_in(ACCEPT_PAUSE, &mut self.timers, event);
                    return None;
                }
            }
        }
        None
    }

    /// Whether connections may be waiting.
    pub(in crate::reactor) fn is_any_ready(&self) -> bool {
        self.listeners.iter().any(|listener| listener.is_ready)
    }

    /// Closes all listeners.
    pub(in crate::reactor) fn clear(&mut self) {
        self.listeners.clear();
    }

    pub(in crate::reactor) fn len(&self) -> usize {
        self.listeners.len()
    }

    pub(in crate::reactor) fn is_empty(&self) -> bool {
        self.listeners.is_empty()
    }

    pub(in crate::reactor) fn sockets(&self) -> impl Iterator<Item = &S::Listener> {
        self.listeners.iter().map(|listener| &listener.socket)
    }
}

/// A listener of the operating system.
#[derive(Debug)]
pub(in crate::reactor) enum NativeListener {
    /// With the local address of its connections, if they all have the same one.
    Tcp(TcpListener, Option<SocketAddr>),
    /// With the path of the socket if the loop has created it. It is removed at the end.
    #[cfg(unix)]
    Unix(UnixListener, Option<PathBuf>),
}

impl NativeListener {
    /// Listens on an address. The system keeps up to `backlog` connections that have not been accepted.
    pub(in crate::reactor) fn bind(address: SocketAddr, backlog: u32) -> io::Result<Self> {
        let socket = SystemSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // On Windows, the option would let another program take over the address.
        #[cfg(not(windows))]
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        socket.set_nonblocking(true)?;
        Ok(Self::tcp(TcpListener::from_std(socket.into())))
    }

    pub(in crate::reactor) fn tcp(listener: TcpListener) -> Self {
        let address = listener.local_addr().ok().filter(|address| !address.ip().is_unspecified());
        Self::Tcp(listener, address)
    }

    pub(in crate::reactor) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener, _) => listener.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(..) => None,
        }
    }

    pub(in crate::reactor) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(listener, _) => listener.register(registry, token, Interest::READABLE),
            #[cfg(unix)]
            Self::Unix(listener, _) => listener.register(registry, token, Interest::READABLE),
        }
    }

    pub(in crate::reactor) fn accept(&self) -> io::Result<(Socket, Option<Addresses>)> {
        match self {
            Self::Tcp(listener, local) => {
                let (stream, peer) = listener.accept()?;
                Ok((Socket::Tcp(stream), local.map(|local| (peer, local))))
            }
            #[cfg(unix)]
            Self::Unix(listener, _) => Ok((Socket::Unix(listener.accept()?.0), None)),
        }
    }
}

impl Drop for NativeListener {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Self::Unix(_, Some(path)) = self
            && let Err(err) = std::fs::remove_file(&*path)
        {
            warn!("cannot remove the socket {}: {err}", path.display());
        }
    }
}
