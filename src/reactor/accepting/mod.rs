//! New connections in the role of a server, and connections that are already open.

#[cfg(all(feature = "systemd", unix))]
pub(super) mod activation;
pub(super) mod addresses;
pub(super) mod arrivals;
pub(super) mod listener;
mod proxy_header;

use std::io::{self, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use log::{debug, error};
use mio::{Interest, Token};

use self::addresses::AddressPlace;
use self::arrivals::{Accepted, Admitted};
use super::api::factory::Factory;
use super::api::handler::Handler;
use super::api::handshake::Handshake;
use super::api::sender::Sender;
use super::api::settings::Settings;
use super::connection::Connection;
use super::entries::{ConnectionId, Entries, Entry, index};
use super::loop_state::LoopState;
use super::queue::peers::LoopPlace;
use super::queue::{Assigned, Established, routing};
use super::system::{Addresses, System, Transport as _};
use super::{Reactor, RunState};
use crate::close::CloseCode;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::handshake::{Extension, Request, Response};
use crate::protocol::{self, Frame, Role, Upgrade};

/// The most connections that are accepted from one listener in one turn.
const ACCEPT_BUDGET: usize = 64;

/// The most clients that are rejected at the same time when the loop is full. Others are dropped without a response.
const MAX_REJECTED: usize = 64;

impl<F: Factory, S: System> Reactor<F, S> {
    /// Accepts from every listener that may have connections waiting, and continues with those whose PROXY header has arrived.
    pub(super) fn accept_all(&mut self) {
        // A loop that shuts down serves no more connections. One that drains still reads their requests.
        while !self.run_state.is_stopping()
            && let Some(accepted) =
                self.arrivals.next_complete(&mut self.entries, &mut self.state, &mut self.buffer)
        {
            self.register_accepted(accepted);
        }
        for at in 0..self.listeners.len() {
            for _ in 0..ACCEPT_BUDGET {
                let Some((socket, addresses)) = self.listeners.accept(at, &mut self.state) else { break };
                self.register_accepted(Accepted::new(socket, addresses, self.state.now));
            }
        }
    }

    /// Serves a stream that was accepted elsewhere.
    pub(super) fn accept_stream(&mut self, stream: TcpStream, place: Option<LoopPlace>) {
        if self.run_state.is_stopping() {
            return;
        }
        match self.state.system.take_over(stream) {
            Ok(socket) => {
                self.register_accepted(Accepted { place, ..Accepted::new(socket, None, self.state.now) });
            }
            Err(err) => report_accept_failure(&self.state.settings, &err),
        }
    }

    /// Continues a server's connection whose request was accepted elsewhere. It is not encrypted here.
    pub(super) fn accept_upgraded(&mut self, stream: TcpStream, upgrade: Upgrade, place: Option<LoopPlace>) {
        let (request, mut response, read_ahead) = upgrade.into_parts();
        let config = Arc::clone(&self.state.config);
        match protocol::Connection::upgraded(config, &request, &mut response, self.state.now) {
            Ok(protocol) => self.register_open(stream, protocol, (request, response), read_ahead, place),
            Err(err) => error!("cannot take over an upgraded connection: {err}"),
        }
    }

    /// Continues a connection whose opening handshake was performed elsewhere. It is not encrypted here.
    pub(super) fn after_handshake(
        &mut self,
        stream: TcpStream,
        established: Established,
        place: Option<LoopPlace>,
    ) {
        let Established { role, shake: Handshake { request, response, .. }, read_ahead } = established;
        let config = Arc::clone(&self.state.config);
        let protocol = Extension::parse_all(response.fields()).and_then(|extensions| {
            protocol::Connection::after_handshake(role, config, &extensions, self.state.now)
        });
        match protocol {
            Ok(protocol) => self.register_open(stream, protocol, (request, response), read_ahead, place),
            Err(err) => error!("cannot take over a connection: {err}"),
        }
    }

    /// Adds a connection that is open.
    fn register_open(
        &mut self,
        stream: TcpStream,
        protocol: protocol::Connection,
        (request, response): (Request, Response),
        read_ahead: Vec<u8>,
        place: Option<LoopPlace>,
    ) {
        if self.run_state.is_stopping() {
            return;
        }
        if self.run_state == RunState::Draining {
            return send_last_frame(&stream, protocol.role(), self.state.draining.close_frame());
        }
        if !self.state.has_room(&self.entries, place.is_some()) {
            // The peer considers the connection open. A Close contains the reason.
            self.state.log_rejection();
            return send_rejecting_close(&stream, protocol.role());
        }
        let role = protocol.role();
        let slot = self.entries.next_slot();
        let system = &self.state.system;
        let socket = system.take_over(stream).and_then(|mut socket| {
            if self.state.settings.tcp_nodelay {
                socket.set_nodelay()?;
            }
            system.register(&mut socket, Token(index(slot)), Interest::READABLE)?;
            Ok(socket)
        });
        let socket = match socket {
            Ok(socket) => socket,
            Err(err) => return report_accept_failure(&self.state.settings, &err),
        };
        let id = self.next_id(place);
        let sender = Sender::connection(Arc::clone(&self.state.queue), id.slot, id.serial);
        let handler = match role {
            Role::Client => self.factory.client_connected(sender),
            Role::Server => self.factory.server_connected(sender),
        };
        let mut connection = Connection::new(id, socket, protocol, Some(handler));
        connection.begin_upgraded(request, response, read_ahead, &mut self.state);
        self.entries.insert(Entry::Connected(connection));
    }

    /// Adds a new connection, when its PROXY header has arrived if it needs one. It receives a slot and a handler, or a rejection.
    fn register_accepted(&mut self, accepted: Accepted<S::Socket>) {
        let (entries, state) = (&mut self.entries, &mut self.state);
        let Some(accepted) = self.arrivals.admit(accepted, entries, state, &mut self.buffer) else { return };
        let address = limited_address(&accepted, &self.state);
        let Accepted { mut socket, addresses, since, place, assigned, .. } = accepted;
        let admitted = match assigned {
            Some(assigned) => Some(assigned),
            None => self.state.admit(&self.entries, address, place.is_some()),
        };
        let admitted = match admitted {
            Some(Admitted { address }) if self.state.assigns => {
                return assign(socket, addresses, since, address, &self.state);
            }
            admitted => admitted,
        };
        let has_room = admitted.is_some();
        if !has_room && must_drop(&self.entries, &self.state) {
            return;
        }
        if self.state.settings.tcp_nodelay
            && let Err(err) = socket.set_nodelay()
        {
            debug!("cannot set TCP_NODELAY: {err}");
        }
        let is_encrypted = socket.can_encrypt() && self.state.keys.encrypt_servers(&self.state.settings);
        let (token, interest) = (Token(index(self.entries.next_slot())), Interest::READABLE);
        if !is_encrypted && let Err(err) = self.state.system.register(&mut socket, token, interest) {
            return report_accept_failure(&self.state.settings, &err);
        }
        let id = self.next_id(place);
        let address = admitted.and_then(|admitted| admitted.address);
        address.into_iter().for_each(|address| self.state.addresses.set(id.slot, address));
        let mut handler = has_room.then(|| {
            let sender = Sender::connection(Arc::clone(&self.state.queue), id.slot, id.serial);
            self.factory.server_connected(sender)
        });
        if is_encrypted {
            socket = match encrypt_server(&self.state, id, socket, &mut handler) {
                Ok(socket) => socket,
                Err(err) => return self.report_encryption_failure(id, handler, err),
            };
        }
        let protocol = protocol::Connection::server(Arc::clone(&self.state.config), since);
        let mut connection = Connection::new(id, socket, protocol, handler);
        connection.begin_as_server(addresses, &mut self.state);
        if !has_room {
            self.state.log_rejection();
            connection.reject_with_503(&mut self.state);
            self.entries.rejected += 1;
        }
        self.entries.insert(Entry::Connected(connection));
    }

    /// TLS could not begin. The handler receives the reason, and returns to the factory.
    fn report_encryption_failure(&mut self, id: ConnectionId, handler: Option<F::Handler>, err: Error) {
        self.state.queue.remove_connection(id.slot);
        self.state.addresses.remove(id.slot);
        let Some(mut handler) = handler else { return debug!("cannot begin TLS: {err}") };
        if matches!(err.kind, ErrorKind::Io(_)) {
            debug!("a client disconnected during the TLS handshake: {err}");
        } else {
            assert!(!self.state.settings.panic_on_new_connection, "cannot establish a connection: {err}");
            if self.state.guard(|| handler.on_error(err)).is_none() {
                return self.on_connection_lost(None);
            }
        }
        self.on_connection_lost(Some(handler));
    }
}

/// Serves a connection that the acceptor of the pool has assigned to this loop.
pub(super) fn accept_assigned<F: Factory, S: System>(
    reactor: &mut Reactor<F, S>,
    assigned: Assigned,
    place: Option<LoopPlace>,
) {
    if reactor.run_state.is_stopping() {
        return;
    }
    let Assigned { stream, addresses, since, address } = assigned;
    let assigned = Some(Admitted { address });
    match reactor.state.system.take_assigned(stream) {
        Ok(socket) => {
            let accepted = Accepted::new(socket, addresses, since);
            reactor.register_accepted(Accepted { place, assigned, has_header: true, ..accepted });
        }
        Err(err) => report_accept_failure(&reactor.state.settings, &err),
    }
}

/// Passes a socket to a worker of the pool.
fn assign<S: System>(
    socket: S::Socket,
    addresses: Option<Addresses>,
    since: Instant,
    address: Option<AddressPlace>,
    state: &LoopState<S>,
) {
    let Some(stream) = state.system.release(socket) else { return };
    routing::assign(&state.queue, Assigned { stream, addresses, since, address });
}

/// Returns whether a client for which there is no room is dropped without a response, because many are being rejected. Counts it.
fn must_drop<H, S: System>(entries: &Entries<H, S>, state: &LoopState<S>) -> bool {
    let is_crowded = entries.rejected >= MAX_REJECTED;
    if is_crowded {
        state.queue.monitor.connections().dropped += 1;
        debug!("dropped a connection: the loop has reached max_connections");
    }
    is_crowded
}

/// Returns the address of a client whose connections are counted. The clients of a trusted proxy are counted when their requests
/// arrive.
fn limited_address<S: System>(accepted: &Accepted<S::Socket>, state: &LoopState<S>) -> Option<IpAddr> {
    if !state.addresses.is_limited() {
        return None;
    }
    accepted.peer().map(|peer| peer.ip()).filter(|address| !state.trusted_proxies.trusts(*address))
}

/// Begins TLS. The system watches the stream only afterwards, because the handler may return another one.
fn encrypt_server<H: Handler, S: System>(
    state: &LoopState<S>,
    id: ConnectionId,
    socket: S::Socket,
    handler: &mut Option<H>,
) -> Result<S::Socket> {
    let encrypted = state.guard(|| socket.encrypt_server(&state.keys, handler.as_mut()));
    let Some(encrypted) = encrypted else {
        *handler = None;
        return Err(Error::new(ErrorKind::Internal, "the handler has panicked"));
    };
    let mut socket = encrypted?;
    state.system.register(&mut socket, Token(index(id.slot)), Interest::READABLE)?;
    Ok(socket)
}

fn report_accept_failure(settings: &Settings, err: &io::Error) {
    error!("cannot take over a connection: {err}");
    assert!(!settings.panic_on_new_connection, "cannot take over a connection: {err}");
}

/// Closes a connection that is open already because the loop is full (§7.4.1).
fn send_rejecting_close(stream: &TcpStream, role: Role) {
    let code = match role {
        Role::Client => CloseCode::Away,
        Role::Server => CloseCode::Again,
    };
    send_last_frame(stream, role, Frame::close(code, ""));
}

/// Sends a Close frame, if the socket accepts it at once.
fn send_last_frame(mut stream: &TcpStream, role: Role, mut close: Frame) {
    if role == Role::Client {
        close.set_mask();
    }
    let mut bytes = Vec::new();
    close.encode(&mut bytes);
    let _ = stream.set_nonblocking(true).and_then(|()| stream.write_all(&bytes));
}
