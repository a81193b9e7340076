//! New connections of the client's role: dialing, and moving on when the server says so.

pub(super) mod attempt;
pub(super) mod resolver;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use log::error;
use mio::Token;
use url::Url;

use self::attempt::{ConnectAttempt, Next};
use super::api::factory::Factory;
use super::api::handler::Handler;
use super::api::sender::Sender;
use super::connection::{Connection, Redirect, Redirected};
use super::loop_state::ConnectionId;
use super::timers::TimerList;
use super::transport::Socket;
use super::{Entry, Reactor, RunState, index};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol;
use crate::protocol::handshake::{Request, without_credentials};

impl<F: Factory> Reactor<F> {
    /// Makes a new connection, on a stream if there is one already.
    pub(super) fn connect(&mut self, url: Url, stream: Option<TcpStream>, from: Option<ConnectionId>) {
        if self.run_state != RunState::Running {
            return;
        }
        if !self.has_room() {
            return self.reject_connect(&url, from);
        }
        let slot = self.entries.vacant_entry().key();
        let id = self.assign_id(slot);
        let sender = Sender::connection(Arc::clone(&self.state.queue), id.slot, id.serial);
        let handler = self.factory.client_connected(sender);
        let redirect = Redirect { url, left: self.state.settings.max_redirects, is_due: false };
        let attempt = ConnectAttempt::new(id, handler, redirect, Vec::new(), TimerList::default());
        self.entries.insert(Entry::Connecting(Box::new(attempt)));
        self.start_attempt(id, stream);
    }

    /// The connection that has asked for another one hears that there is no room; it goes on.
    fn reject_connect(&mut self, url: &Url, from: Option<ConnectionId>) {
        let err = Error::new(
            ErrorKind::Capacity,
            format!("cannot connect to {}: the loop has no room", without_credentials(url)),
        );
        assert!(!self.state.settings.panic_on_new_connection, "{err}");
        let asker =
            from.and_then(|id| self.entries.get_mut(index(id.slot)).filter(|entry| entry.id() == Some(id)));
        match asker {
            Some(Entry::Connected(connection)) => {
                connection.call(&mut self.state, |handler| handler.on_error(err));
            }
            Some(Entry::Connecting(attempt)) => {
                attempt.call(&mut self.state, |handler| handler.on_error(err));
            }
            Some(Entry::Vacating) | None => {
                error!("{err}");
                // A loop that was asked for nothing else has nothing left to do.
                self.has_lost_connection = true;
            }
        }
    }

    fn start_attempt(&mut self, id: ConnectionId, stream: Option<TcpStream>) {
        if let Some(Entry::Connecting(attempt)) = self.entries.get_mut(index(id.slot)) {
            let next = attempt.start(stream, &mut self.state);
            self.advance(id, next);
        }
    }

    /// The sockets of some dials have something to tell.
    pub(super) fn continue_connecting(&mut self) {
        for slot in std::mem::take(&mut self.connecting) {
            if let Some(Entry::Connecting(attempt)) = self.entries.get_mut(index(slot)) {
                let (id, next) = (attempt.id, attempt.on_event(&mut self.state));
                self.advance(id, next);
            }
        }
    }

    pub(super) fn on_attempt_deadline(&mut self, id: ConnectionId) {
        if let Some(Entry::Connecting(attempt)) = self.entries.get_mut(index(id.slot)) {
            let next = attempt.on_deadline(&mut self.state);
            self.advance(id, next);
        }
    }

    /// A name has been looked up.
    pub(super) fn on_resolved(&mut self, id: ConnectionId, found: io::Result<Vec<SocketAddr>>) {
        let entry = self.entries.get_mut(index(id.slot)).filter(|entry| entry.id() == Some(id));
        if let Some(Entry::Connecting(attempt)) = entry {
            let next = attempt.on_resolved(found, &mut self.state);
            self.advance(id, next);
        }
    }

    fn advance(&mut self, id: ConnectionId, next: Next) {
        match next {
            Next::Wait => {}
            Next::LookUp(host, port) => self.resolver.look_up(id, host, port),
            Next::Connected(socket, request) => self.connected(id, socket, request),
            Next::Failed(err) => self.fail_attempt(id, err),
        }
    }

    /// TCP is made: the opening handshake begins, that of TLS first if the URL asks for it.
    fn connected(&mut self, id: ConnectionId, socket: Socket, request: Request) {
        let socket = match self.encrypt_client(id, socket) {
            Some(Ok(socket)) => socket,
            Some(Err(err)) => return self.fail_attempt(id, err),
            None => return,
        };
        let mut output = self.state.take_output();
        let out = protocol::Output::buffer(&mut *output);
        let config = Arc::clone(&self.state.config);
        let protocol = match protocol::Connection::client(config, request, self.state.now, out) {
            Ok(protocol) => protocol,
            Err(err) => return self.fail_attempt(id, err.into()),
        };
        let Some(entry) = self.entries.get_mut(index(id.slot)) else { return };
        let Entry::Connecting(attempt) = std::mem::replace(entry, Entry::Vacating) else { return };
        let attempt = *attempt;
        let mut connection =
            Connection::new(id, socket, protocol, attempt.handler, Some(output), attempt.timers);
        connection.watches_writable();
        connection.begin_as_client(attempt.early, attempt.redirect, &mut self.state);
        *entry = Entry::Connected(connection);
    }

    /// Encrypts a socket if the URL asks for that; `None` if the handler has panicked meanwhile.
    ///
    /// While the handler has the stream the loop does not watch it: it may give back another one.
    fn encrypt_client(&mut self, id: ConnectionId, mut socket: Socket) -> Option<Result<Socket>> {
        let Some(Entry::Connecting(attempt)) = self.entries.get_mut(index(id.slot)) else { return None };
        if attempt.redirect.url.scheme() != "wss" {
            return Some(Ok(socket));
        }
        if let Err(err) = socket.deregister(&self.state.registry) {
            return Some(Err(err.into()));
        }
        let Socket::Tcp(stream) = socket else { return Some(Ok(socket)) };
        let (url, keys) = (attempt.redirect.url.clone(), self.state.keys.clone());
        let begun = attempt.call(&mut self.state, |handler| keys.connect(stream, handler, &url))?;
        Some(begun.and_then(|tls| {
            let mut socket = Socket::Tls(Box::new(tls));
            socket.register(&self.state.registry, Token(index(id.slot)), socket.interest())?;
            Ok(socket)
        }))
    }

    /// The attempt has come to nothing: the handler hears why, and goes back to the factory.
    pub(super) fn fail_attempt(&mut self, id: ConnectionId, err: Error) {
        self.state.record_connect_failure(id, &err);
        assert!(!self.state.settings.panic_on_new_connection, "a connection could not be made: {err}");
        if let Some(Entry::Connecting(attempt)) = self.entries.get_mut(index(id.slot)) {
            attempt.abandon(&mut self.state);
            attempt.call(&mut self.state, |handler| handler.on_error(err));
            self.state.to_close.push(id.slot);
        }
    }

    /// A callback of a handler that is still dialing has returned.
    pub(super) fn after_attempt_callback(&mut self, id: ConnectionId, result: Result<()>) {
        match result {
            Ok(()) => {}
            Err(err) if matches!(err.kind, ErrorKind::Queue(_) | ErrorKind::Custom(_)) => {
                if let Some(Entry::Connecting(attempt)) = self.entries.get_mut(index(id.slot)) {
                    attempt.call(&mut self.state, |handler| handler.on_error(err));
                }
            }
            Err(err) => self.fail_attempt(id, err),
        }
    }

    pub(super) fn release_attempt(&mut self, mut attempt: ConnectAttempt<F::Handler>) {
        self.state.timers.cancel_all(&mut attempt.timers);
        self.state.queue.remove_connection(attempt.id.slot);
        self.on_connection_lost(attempt.handler);
    }

    /// The server has sent the client elsewhere: it dials again, with the same handler, in the same slot. Returns whether
    /// that is so.
    pub(super) fn follow_redirect(&mut self, slot: u32) -> bool {
        let Some(entry) = self.entries.get_mut(index(slot)) else { return false };
        if self.run_state != RunState::Running
            || !matches!(entry, Entry::Connected(it) if it.is_redirecting())
        {
            return false;
        }
        let Entry::Connected(connection) = std::mem::replace(entry, Entry::Vacating) else { return false };
        let id = connection.id();
        let Some(Redirected { handler, redirect, early, timers }) =
            connection.into_redirected(&mut self.state)
        else {
            return false;
        };
        let redirect = Redirect { is_due: false, ..redirect };
        *entry = Entry::Connecting(Box::new(ConnectAttempt::new(id, handler, redirect, early, timers)));
        self.start_attempt(id, None);
        true
    }
}
