//! New connections of the server's role.

pub(super) mod listener;

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use log::{debug, error, warn};
use mio::Token;

use self::listener::{ACCEPT_BUDGET, Accepted, Addresses};
use super::api::factory::Factory;
use super::api::handler::Handler as _;
use super::api::sender::Sender;
use super::connection::Connection;
use super::loop_state::{ConnectionId, TimerEvent, TimerKind};
use super::timers::TimerList;
use super::transport::Socket;
use super::{Entry, Reactor, RunState, index};
use crate::close::CloseCode;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{self, Frame, Upgrade};

/// How long a listener waits when the system has no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many clients beyond the most connections are told so at the same time; more are dropped without a word.
const MAX_REJECTED: usize = 64;

impl<F: Factory> Reactor<F> {
    /// Accepts from every listener that may have someone waiting.
    pub(super) fn accept_all(&mut self) {
        for at in 0..self.listeners.len() {
            if self.listeners.get(at).is_some_and(|listener| listener.is_ready) {
                self.accept_from(at);
            }
        }
    }

    fn accept_from(&mut self, at: usize) {
        for _ in 0..ACCEPT_BUDGET {
            let Some(listener) = self.listeners.get_mut(at) else { return };
            match listener.accept() {
                Accepted::Socket(socket, addresses) => self.register_accepted(socket, addresses),
                Accepted::Gone => {}
                Accepted::WouldBlock => {
                    listener.is_ready = false;
                    return;
                }
                Accepted::Exhausted => {
                    listener.is_ready = false;
                    return self.pause_accepting(at);
                }
            }
        }
    }

    /// Tries again in a moment: the system does not tell when it has room again.
    fn pause_accepting(&mut self, at: usize) {
        let id = ConnectionId { slot: u32::try_from(at).unwrap_or(u32::MAX), serial: 0 };
        let event = TimerEvent { id, kind: TimerKind::Accept };
        let _ = self.state.schedule_in(ACCEPT_PAUSE, &mut self.listener_timers, event);
    }

    pub(super) fn resume_accepting(&mut self, at: u32) {
        if let Some(listener) = self.listeners.get_mut(index(at)) {
            listener.is_ready = true;
        }
    }

    /// Serves a stream that was accepted elsewhere.
    pub(super) fn accept_stream(&mut self, stream: TcpStream) {
        if self.run_state != RunState::Running {
            return;
        }
        match Socket::from_std(stream) {
            Ok(socket) => self.register_accepted(socket, None),
            Err(err) => self.report_accept_failure(&err),
        }
    }

    /// Goes on with a stream whose opening handshake was made elsewhere, encrypted or not: TLS would have ended there.
    pub(super) fn accept_upgraded(&mut self, stream: TcpStream, upgrade: Upgrade) {
        if self.run_state != RunState::Running {
            return;
        }
        if !self.has_room() {
            // It was told that it is welcome: what can still be said is that it may come back later.
            warn!("an upgraded connection is closed: there is no room");
            return send_try_again(&stream);
        }
        let (request, mut response, read_ahead) = upgrade.into_parts();
        let config = Arc::clone(&self.state.config);
        let protocol = match protocol::Connection::upgraded(config, &request, &mut response, self.state.now) {
            Ok(protocol) => protocol,
            Err(err) => return error!("an upgraded connection could not be taken over: {err}"),
        };
        let slot = self.entries.vacant_entry().key();
        let socket = Socket::from_std(stream).and_then(|mut socket| {
            if self.state.settings.tcp_nodelay {
                socket.set_nodelay()?;
            }
            socket.register(&self.state.registry, Token(slot), socket.interest())?;
            Ok(socket)
        });
        let socket = match socket {
            Ok(socket) => socket,
            Err(err) => return self.report_accept_failure(&err),
        };
        let id = self.assign_id(slot);
        let sender = Sender::connection(Arc::clone(&self.state.queue), id.slot, id.serial);
        let handler = self.factory.server_connected(sender);
        let mut connection = Connection::new(id, socket, protocol, Some(handler), None, TimerList::default());
        connection.begin_upgraded(request, response, read_ahead, &mut self.state);
        self.entries.insert(Entry::Connected(connection));
    }

    /// A new connection: it gets a slot and a handler, or is told that there is no room.
    fn register_accepted(&mut self, mut socket: Socket, addresses: Option<Addresses>) {
        let has_room = self.has_room();
        if !has_room && self.rejected >= MAX_REJECTED {
            return debug!("a connection is dropped: there is no room, not even to say so");
        }
        if self.state.settings.tcp_nodelay
            && let Err(err) = socket.set_nodelay()
        {
            debug!("TCP_NODELAY could not be set: {err}");
        }
        let is_encrypted =
            matches!(socket, Socket::Tcp(_)) && self.state.keys.encrypt_servers(&self.state.settings);
        let slot = self.entries.vacant_entry().key();
        if !is_encrypted
            && let Err(err) = socket.register(&self.state.registry, Token(slot), socket.interest())
        {
            return self.report_accept_failure(&err);
        }
        let id = self.assign_id(slot);
        let mut handler = has_room.then(|| {
            let sender = Sender::connection(Arc::clone(&self.state.queue), id.slot, id.serial);
            self.factory.server_connected(sender)
        });
        if is_encrypted {
            socket = match self.encrypt_server(id, socket, &mut handler) {
                Ok(socket) => socket,
                Err(err) => return self.report_encryption_failure(id, handler, err),
            };
        }
        let protocol = protocol::Connection::server(Arc::clone(&self.state.config), self.state.now);
        let mut connection = Connection::new(id, socket, protocol, handler, None, TimerList::default());
        connection.begin_as_server(addresses, &mut self.state);
        if !has_room {
            warn!("a connection is turned away: there are {} already", self.state.settings.max_connections);
            connection.reject_with_503(&mut self.state);
            self.rejected += 1;
        }
        self.entries.insert(Entry::Connected(connection));
    }

    /// Begins TLS. The loop watches the stream only from then on: the handler may give back another one.
    fn encrypt_server(
        &self,
        id: ConnectionId,
        socket: Socket,
        handler: &mut Option<F::Handler>,
    ) -> Result<Socket> {
        let Socket::Tcp(stream) = socket else { return Ok(socket) };
        let begun = self.state.guard(|| self.state.keys.accept(stream, handler.as_mut()));
        let Some(begun) = begun else {
            *handler = None;
            return Err(Error::new(ErrorKind::Internal, "the handler has panicked"));
        };
        let mut socket = Socket::Tls(Box::new(begun?));
        socket.register(&self.state.registry, Token(index(id.slot)), socket.interest())?;
        Ok(socket)
    }

    /// TLS could not even begin: the handler hears why, and goes back to the factory.
    fn report_encryption_failure(&mut self, id: ConnectionId, handler: Option<F::Handler>, err: Error) {
        self.state.queue.remove_connection(id.slot);
        let Some(mut handler) = handler else { return debug!("a connection was not encrypted: {err}") };
        if matches!(err.kind, ErrorKind::Io(_)) {
            debug!("a client has gone within the handshake of TLS: {err}");
        } else {
            assert!(!self.state.settings.panic_on_new_connection, "a connection could not be made: {err}");
            if self.state.guard(|| handler.on_error(err)).is_none() {
                return self.on_connection_lost(None);
            }
        }
        self.on_connection_lost(Some(handler));
    }

    /// Names the connection that moves into a slot.
    pub(super) fn assign_id(&mut self, slot: usize) -> ConnectionId {
        let id = ConnectionId { slot: u32::try_from(slot).unwrap_or(u32::MAX), serial: self.next_id };
        self.next_id = self.next_id.wrapping_add(1);
        self.state.queue.insert_connection(id.slot, id.serial);
        id
    }

    fn report_accept_failure(&self, err: &std::io::Error) {
        error!("a connection could not be taken over: {err}");
        assert!(!self.state.settings.panic_on_new_connection, "a connection could not be taken over: {err}");
    }
}

/// Closes what is open already, and has no place (§7.4.1), as far as the system takes that at once.
fn send_try_again(mut stream: &TcpStream) {
    let mut close = Vec::new();
    Frame::close(CloseCode::Again, "").encode(&mut close);
    let _ = stream.set_nonblocking(true).and_then(|()| stream.write_all(&close));
}
