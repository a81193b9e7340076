//! New connections in the role of a client: connecting, and following redirects.

pub(super) mod attempt;
pub(super) mod continuing;
mod destination;
pub(super) mod reconnecting;
mod sockets;
mod tunnel;

use std::sync::Arc;

use log::error;
use mio::{Interest, Token};
use url::Url;

use self::attempt::{ConnectAttempt, Next};
use super::api::factory::Factory;
use super::api::handler::Handler as _;
use super::api::sender::Sender;
use super::connection::{Attempted, Connection};
use super::draining::connect_while_draining;
use super::entries::{ConnectionId, Entry, index};
use super::loop_state::LoopState;
use super::queue::ConnectMode;
use super::queue::peers::LoopPlace;
use super::system::{System, Transport as _};
use super::{Reactor, RunState};
use crate::connecting::proxy::ProxyError;
use crate::connecting::redirect::Redirect;
use crate::error::{Error, ErrorKind, Result, redacted};
use crate::protocol;
use crate::protocol::handshake::Request;

impl<F: Factory, S: System> Reactor<F, S> {
    /// Begins to connect. `from` is the connection that requested it.
    pub(super) fn connect(
        &mut self,
        url: Url,
        mode: ConnectMode,
        place: Option<LoopPlace>,
        from: Option<ConnectionId>,
    ) {
        if self.run_state.is_stopping() {
            return;
        }
        if self.run_state == RunState::Draining {
            return reject_connect(self, connect_while_draining(&url), from);
        }
        if !self.state.has_room(&self.entries, place.is_some()) {
            let details = format!("cannot connect to {}: the loop has no room", redacted(url.as_str()));
            return reject_connect(self, Error::new(ErrorKind::Capacity, details), from);
        }
        let id = self.next_id(place);
        let sender = Sender::connection(Arc::clone(&self.state.queue), id.slot, id.serial);
        let handler = self.factory.client_connected(sender);
        let stream = match mode {
            ConnectMode::Once => None,
            ConnectMode::Over(stream) => Some(stream),
            ConnectMode::Again(settings) => {
                self.state.reconnecting.insert(id.slot, url.clone(), settings);
                None
            }
        };
        let redirect = Redirect::new(url, self.state.settings.max_redirects);
        self.entries.insert(Entry::Connecting(Box::new(ConnectAttempt::new(id, handler, redirect))));
        self.advance(id, |attempt, state| attempt.start(stream, state));
    }

    /// Continues a connection attempt by one step.
    pub(super) fn advance(
        &mut self,
        id: ConnectionId,
        step: impl FnOnce(&mut ConnectAttempt<F::Handler, S>, &mut LoopState<S>) -> Next<S::Socket>,
    ) {
        let Some(attempt) = self.entries.connecting(id) else { return };
        match step(attempt, &mut self.state) {
            Next::Wait => {}
            Next::Resolve(name) => self.state.system.resolve(id, name),
            Next::Connected(socket, request) => self.connected(id, socket, request),
            Next::Failed(err) => self.fail_attempt(id, err),
        }
    }

    /// Continues the attempts whose sockets have events or whose names have been resolved.
    pub(super) fn continue_connecting(&mut self) {
        for id in std::mem::take(&mut self.connecting) {
            self.advance(id, ConnectAttempt::on_event);
        }
        while let Some((id, name, resolved)) = self.state.system.next_resolved() {
            self.advance(id, |attempt, state| attempt.on_resolved(&name, resolved, state));
        }
    }

    /// The socket is connected: the opening handshake begins, after that of TLS for `wss://`.
    fn connected(&mut self, id: ConnectionId, socket: S::Socket, request: Request) {
        let socket = match self.encrypt_client(id, socket) {
            Some(Ok(socket)) => socket,
            Some(Err(err)) => return self.fail_attempt(id, err),
            None => return,
        };
        let mut queue = self.state.pool.take();
        let out = protocol::Output::buffer(&mut *queue);
        let config = Arc::clone(&self.state.config);
        let protocol = match protocol::Connection::client(config, request, self.state.now, out) {
            Ok(protocol) => protocol,
            Err(err) => return self.fail_attempt(id, err.into()),
        };
        let Some(entry) = self.entries.get(id) else { return };
        let Entry::Connecting(attempt) = std::mem::replace(entry, Entry::Vacating) else { return };
        let ConnectAttempt { handler, commands, is_paused, redirect, timers, .. } = *attempt;
        let mut connection = Connection::new(id, socket, protocol, handler);
        let attempted = Attempted { commands, is_paused, redirect, timers, queue };
        connection.begin_as_client(attempted, &mut self.state);
        *entry = Entry::Connected(connection);
    }

    /// Begins TLS if the URL demands it. `None` means that the handler has panicked.
    ///
    /// The system does not watch the stream while the handler has it, because the handler may return another one.
    fn encrypt_client(&mut self, id: ConnectionId, mut socket: S::Socket) -> Option<Result<S::Socket>> {
        let attempt = self.entries.connecting(id)?;
        if attempt.redirect.url.scheme() != "wss" {
            return Some(Ok(socket));
        }
        if let Err(err) = self.state.system.deregister(&mut socket) {
            return Some(Err(err.into()));
        }
        let (url, keys) = (attempt.redirect.url.clone(), self.state.keys.clone());
        let encrypted =
            attempt.call(&mut self.state, |handler| socket.encrypt_client(&keys, handler, &url))?;
        Some(encrypted.and_then(|mut socket| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.state.system.register(&mut socket, Token(index(id.slot)), interest)?;
            Ok(socket)
        }))
    }

    /// The attempt has failed. The handler receives the reason, and returns to the factory.
    fn fail_attempt(&mut self, id: ConnectionId, err: Error) {
        self.state.record_connect_failure(id, &err);
        assert!(!self.state.settings.panic_on_new_connection, "cannot establish a connection: {err}");
        if ProxyError::of(&err).is_some_and(ProxyError::is_permanent) {
            self.state.reconnecting.on_permanent_failure(id.slot);
        }
        let is_running = self.run_state == RunState::Running;
        let Some(attempt) = self.entries.connecting(id) else { return };
        if is_running && self.state.reconnecting.continues(id.slot) {
            attempt.call(&mut self.state, |handler| handler.on_error(err));
            if attempt.try_again(&mut self.state) {
                return;
            }
            attempt.abandon(&mut self.state);
        } else {
            attempt.abandon(&mut self.state);
            attempt.call(&mut self.state, |handler| handler.on_error(err));
        }
        self.state.work.close_attempt_later(id.slot);
    }
}

/// Reports why the loop does not connect to the connection that requested another one. That connection stays open.
fn reject_connect<F: Factory, S: System>(
    reactor: &mut Reactor<F, S>,
    err: Error,
    from: Option<ConnectionId>,
) {
    assert!(!reactor.state.settings.panic_on_new_connection, "{err}");
    match from.and_then(|id| reactor.entries.get(id)) {
        Some(Entry::Connected(connection)) => connection.on_error(err, &mut reactor.state),
        Some(Entry::Connecting(attempt)) => {
            attempt.call(&mut reactor.state, |handler| handler.on_error(err));
        }
        Some(Entry::Arriving(_) | Entry::Vacating) | None => {
            error!("{err}");
            // A loop that has nothing else to do ends.
            reactor.has_lost_connection = true;
        }
    }
}
