//! The sockets of a connection attempt: several addresses of a host are tried at the same time (RFC 8305).

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Interest, Token};

use crate::connecting::addresses::Addresses;
use crate::reactor::entries::{ConnectionId, index};
use crate::reactor::loop_state::LoopState;
use crate::reactor::system::{System, Transport};

/// The sockets that are not connected yet. The system reports all of them with the token of the connection, so that an event
/// can be for any of them.
#[derive(Debug)]
pub(super) struct Sockets<T> {
    addresses: Addresses,
    connecting: Vec<(SocketAddr, T)>,
    /// Why the last attempt failed.
    failure: Option<io::Error>,
}

impl<T: Transport> Sockets<T> {
    pub(super) fn new(resolved: Vec<SocketAddr>, limit: Duration) -> Self {
        Self { addresses: Addresses::new(resolved, limit), connecting: Vec::new(), failure: None }
    }

    /// Returns the first socket that is connected, and when the time for its address is over. Sockets that have failed are
    /// removed.
    pub(super) fn take_connected(&mut self) -> Option<(T, Option<Instant>)> {
        let mut at = 0;
        while let Some((address, socket)) = self.connecting.get(at) {
            match socket.connected() {
                None => at += 1,
                Some(Ok(())) => {
                    let end = self.addresses.end_of(*address);
                    return Some((self.connecting.swap_remove(at).1, end));
                }
                Some(Err(err)) => {
                    self.addresses.failed(*address);
                    self.failure = Some(err);
                    self.connecting.remove(at);
                }
            }
        }
        None
    }

    /// Ends the attempts that have taken too long, and begins those that are due. Returns the last failure if nothing is left.
    pub(super) fn advance<S: System<Socket = T>>(
        &mut self,
        id: ConnectionId,
        state: &LoopState<S>,
    ) -> Option<io::Error> {
        let now = state.system.now();
        while let Some(late) = self.addresses.expire(now) {
            self.connecting.retain(|(address, _)| *address != late);
            self.failure = Some(io::ErrorKind::TimedOut.into());
        }
        while let Some(address) = self.addresses.next(now) {
            match registered(state.system.connect(address), id, state) {
                Ok(socket) => self.connecting.push((address, socket)),
                Err(err) => {
                    self.addresses.failed(address);
                    self.failure = Some(err);
                }
            }
        }
        let is_over = self.addresses.is_over();
        is_over.then(|| self.failure.take().unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    /// Returns when [`advance`](Self::advance) must be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.addresses.deadline()
    }
}

/// Begins to report the events of a new socket for a connection.
pub(super) fn registered<S: System>(
    created: io::Result<S::Socket>,
    id: ConnectionId,
    state: &LoopState<S>,
) -> io::Result<S::Socket> {
    let mut socket = created?;
    if state.settings.tcp_nodelay {
        // Some systems refuse this before the socket is connected. It is set again afterwards.
        let _ = socket.set_nodelay();
    }
    let interest = Interest::READABLE | Interest::WRITABLE;
    state.system.register(&mut socket, Token(index(id.slot)), interest)?;
    Ok(socket)
}
