//! Accepted sockets, until the PROXY header has arrived that some peers must send.
//!
//! The header is read exactly, so what follows it is still in the socket when TLS or the opening handshake begins.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use log::debug;
use mio::{Interest, Token};

use super::addresses::AddressPlace;
use super::proxy_header::{self, MAX_V2};
use super::{must_drop, report_accept_failure};
use crate::error::{Error, Result};
use crate::reactor::api::settings::ProxyPolicy;
use crate::reactor::entries::{ConnectionId, Entries, Entry, index};
use crate::reactor::loop_state::LoopState;
use crate::reactor::queue::peers::LoopPlace;
use crate::reactor::system::{Addresses, System, Transport};
use crate::reactor::timers::{TimerEvent, TimerKind, TimerList};

/// A socket that was accepted.
#[derive(Debug)]
pub(in crate::reactor) struct Accepted<T> {
    pub(super) socket: T,
    /// The addresses, if they are already known.
    pub(super) addresses: Option<Addresses>,
    /// When the opening handshake has begun.
    pub(super) since: Instant,
    /// Whether the PROXY header has been read.
    pub(super) has_header: bool,
    /// The place of the connection in its loop, if it counts already.
    pub(super) place: Option<LoopPlace>,
    /// What the acceptor of the pool has found, if it has assigned the connection.
    pub(super) assigned: Option<Admitted>,
}

/// There is room for a connection.
#[derive(Debug)]
pub(in crate::reactor) struct Admitted {
    /// Its place among the connections of its address, if these are limited.
    pub(in crate::reactor) address: Option<AddressPlace>,
}

impl<T: Transport> Accepted<T> {
    pub(super) fn new(socket: T, addresses: Option<Addresses>, since: Instant) -> Self {
        Self { socket, addresses, since, has_header: false, place: None, assigned: None }
    }

    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.addresses.map(|(peer, _)| peer).or_else(|| self.socket.addresses().0)
    }

    /// Replaces the address of the peer.
    fn set_peer(&mut self, peer: SocketAddr) -> Result<()> {
        let local = self.addresses.map(|(_, local)| local).or_else(|| self.socket.addresses().1);
        let local = local.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        self.addresses = Some((peer, local));
        Ok(())
    }
}

/// Which peers must send a PROXY header, and whose header can be read.
#[derive(Debug)]
pub(in crate::reactor) struct Arrivals {
    pub(in crate::reactor) senders: ProxyPolicy,
    /// The arrivals whose sockets have events.
    ready: VecDeque<ConnectionId>,
}

impl Arrivals {
    pub(in crate::reactor) fn new(senders: ProxyPolicy) -> Self {
        Self { senders, ready: VecDeque::new() }
    }

    /// There is an event of an arrival.
    pub(in crate::reactor) fn on_event(&mut self, id: ConnectionId) {
        self.ready.push_back(id);
    }

    /// Returns the socket if the loop can serve it. If its peer must send a header, that is the case when the header has arrived,
    /// usually with the connection. Otherwise the socket becomes an arrival.
    pub(super) fn admit<H, S: System>(
        &self,
        accepted: Accepted<S::Socket>,
        entries: &mut Entries<H, S>,
        state: &mut LoopState<S>,
        buffer: &mut [u8],
    ) -> Option<Accepted<S::Socket>> {
        if accepted.has_header || !self.expect_header(&accepted) {
            return Some(accepted);
        }
        let is_excess = !state.has_room(entries, accepted.place.is_some());
        if is_excess && must_drop(entries, state) {
            return None;
        }
        let (id, timers) = (entries.arrival_id(&state.queue.common), TimerList::default());
        let mut arrival = Arrival { id, accepted, received: Vec::new(), timers, is_excess };
        let read = arrival.read(buffer);
        if matches!(read, Ok(true)) {
            return Some(arrival.accepted);
        }
        if let Err(err) = read.and_then(|_| arrival.watch(state)) {
            arrival.refuse(&err, state);
        }
        entries.rejected += usize::from(is_excess);
        entries.insert(Entry::Arriving(Box::new(arrival)));
        None
    }

    fn expect_header(&self, accepted: &Accepted<impl Transport>) -> bool {
        !self.senders.is_empty() && accepted.peer().is_some_and(|peer| self.senders.trusts(peer.ip()))
    }

    /// Whether the header of a socket may be complete.
    pub(in crate::reactor) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Returns the next socket whose header is complete. It is registered anew, like any other socket.
    pub(super) fn next_complete<H, S: System>(
        &mut self,
        entries: &mut Entries<H, S>,
        state: &mut LoopState<S>,
        buffer: &mut [u8],
    ) -> Option<Accepted<S::Socket>> {
        while let Some(id) = self.ready.pop_front() {
            let Some(Entry::Arriving(arrival)) = entries.get(id) else { continue };
            match arrival.read(buffer).and_then(|is_complete| arrival.unwatch_if(is_complete, state)) {
                Ok(false) => {}
                Ok(true) => {
                    let Some(Entry::Arriving(arrival)) = entries.remove(id.slot) else { continue };
                    return Some(arrival.release(entries, state));
                }
                Err(err) => arrival.refuse(&err, state),
            }
        }
        None
    }
}

/// An accepted socket whose PROXY header is incomplete.
#[derive(Debug)]
pub(in crate::reactor) struct Arrival<T> {
    pub(in crate::reactor) id: ConnectionId,
    accepted: Accepted<T>,
    /// The part of the header that was read.
    received: Vec<u8>,
    timers: TimerList,
    /// Whether the loop had no room, so that the arrival counts as a client that is rejected.
    is_excess: bool,
}

impl<T: Transport> Arrival<T> {
    /// Reads as much of the header as has arrived. Returns whether it is complete. Otherwise an event follows.
    fn read(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let buffer = buffer.get_mut(..MAX_V2).unwrap_or_default();
        loop {
            let peeked = match self.accepted.socket.peek(buffer) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(len) => buffer.get_mut(..len).unwrap_or_default(),
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(err) => return Err(err.into()),
            };
            let before = self.received.len();
            self.received.extend_from_slice(peeked);
            let header = proxy_header::parse(&self.received)?;
            let len = header.map_or(peeked.len(), |header| header.len - before);
            discard(&mut self.accepted.socket, peeked.get_mut(..len).unwrap_or_default())?;
            if let Some(header) = header {
                self.accepted.has_header = true;
                return header.client.map_or(Ok(()), |client| self.accepted.set_peer(client)).map(|()| true);
            }
        }
    }

    /// Waits for the rest of the header until the handshake timeout expires.
    fn watch<S: System<Socket = T>>(&mut self, state: &mut LoopState<S>) -> Result<()> {
        let (token, socket) = (Token(index(self.id.slot)), &mut self.accepted.socket);
        let registered = state.system.register(socket, token, Interest::READABLE);
        registered.inspect_err(|err| report_accept_failure(&state.settings, err))?;
        if let Some(end) = self.accepted.since.checked_add(state.settings.handshake_timeout) {
            let event = TimerEvent { id: self.id, kind: TimerKind::Attempt };
            let _ = state.deadlines.schedule_at(end, &mut self.timers, event);
        }
        Ok(())
    }

    fn unwatch_if<S: System<Socket = T>>(
        &mut self,
        is_complete: bool,
        state: &mut LoopState<S>,
    ) -> Result<bool> {
        if is_complete {
            state.system.deregister(&mut self.accepted.socket)?;
        }
        Ok(is_complete)
    }

    /// The header has not arrived in time.
    pub(in crate::reactor) fn on_deadline<S: System<Socket = T>>(&mut self, state: &mut LoopState<S>) {
        self.refuse(&io::Error::from(io::ErrorKind::TimedOut).into(), state);
    }

    /// Ends the arrival. Peers can cause this often.
    fn refuse<S: System<Socket = T>>(&mut self, err: &Error, state: &mut LoopState<S>) {
        debug!("refused a connection from {:?}: {err}", self.accepted.peer());
        state.deadlines.cancel_all(&mut self.timers);
        state.work.close_attempt_later(self.id.slot);
    }

    /// Releases what the arrival occupies, and returns the socket. It is no longer an entry.
    pub(in crate::reactor) fn release<H, S: System<Socket = T>>(
        mut self,
        entries: &mut Entries<H, S>,
        state: &mut LoopState<S>,
    ) -> Accepted<T> {
        state.deadlines.cancel_all(&mut self.timers);
        entries.rejected -= usize::from(self.is_excess);
        self.accepted
    }
}

/// Reads bytes that have arrived, and that are known already.
fn discard(socket: &mut impl Transport, mut known: &mut [u8]) -> Result<()> {
    while !known.is_empty() {
        match socket.read(known)?.len {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            len => known = known.get_mut(len..).unwrap_or_default(),
        }
    }
    Ok(())
}
