//! One attempt of a client to connect: the name is resolved, its addresses are tried, and a proxy connects to the server.

mod commands;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use super::destination::{Destination, destination};
use super::sockets::{Sockets, registered};
use super::tunnel::Tunnel;
use crate::connecting::proxy::{Handshake, ProxyServer};
use crate::connecting::redirect::Redirect;
use crate::error::{Error, ErrorKind, Result, redacted};
use crate::protocol::handshake::Request;
use crate::reactor::api::handler::Handler;
use crate::reactor::entries::ConnectionId;
use crate::reactor::loop_state::LoopState;
use crate::reactor::queue::{Command, Phase};
use crate::reactor::system::{Name, System, Transport as _};
use crate::reactor::timers::{Key, TimerEvent, TimerKind, TimerList};

/// A client whose socket is not connected yet.
#[derive(Debug)]
pub(in crate::reactor) struct ConnectAttempt<H, S: System> {
    pub(in crate::reactor) id: ConnectionId,
    /// `None` after the handler has panicked.
    pub(in crate::reactor) handler: Option<H>,
    pub(in crate::reactor) redirect: Redirect,
    /// Commands that wait for the connection to open.
    pub(in crate::reactor) commands: Vec<Command>,
    /// Whether the handler has paused reading.
    pub(in crate::reactor) is_paused: bool,
    pub(in crate::reactor) timers: TimerList,
    request: Option<Request>,
    /// The proxy that connects to the server.
    proxy: Option<Arc<ProxyServer>>,
    /// The name that is being resolved. The result for an earlier one can still come.
    name: Option<Name>,
    stage: Stage<S::Socket>,
    /// The timer of the stage.
    deadline: Option<Key>,
}

/// How far an attempt is.
#[derive(Debug)]
enum Stage<T> {
    /// The client has lost its connection, and waits before it connects again.
    Waiting,
    /// Nothing has begun, or the name is being resolved.
    Resolving,
    /// The addresses of the host, or of the proxy, are tried.
    Connecting(Sockets<T>),
    /// A Unix domain socket connects, which has only one address.
    #[cfg(unix)]
    ConnectingUnix(T),
    /// The proxy connects to the server.
    Tunneling(Box<Tunnel<T>>),
    /// The attempt has failed, or its socket is connected.
    Over,
}

/// What a connection attempt needs next.
#[derive(Debug)]
pub(in crate::reactor) enum Next<T> {
    /// An event, a timer, or the result of the name resolution.
    Wait,
    /// The addresses of this host.
    Resolve(Name),
    /// The opening handshake, because the socket is connected.
    Connected(T, Request),
    Failed(Error),
}

impl<H: Handler, S: System> ConnectAttempt<H, S> {
    pub(in crate::reactor) fn new(id: ConnectionId, handler: H, redirect: Redirect) -> Self {
        Self {
            id,
            handler: Some(handler),
            redirect,
            commands: Vec::new(),
            is_paused: false,
            timers: TimerList::default(),
            request: None,
            proxy: None,
            name: None,
            stage: Stage::Resolving,
            deadline: None,
        }
    }

    /// Builds the request, and begins to connect. A stream is connected already.
    pub(in crate::reactor) fn start(
        &mut self,
        stream: Option<TcpStream>,
        state: &mut LoopState<S>,
    ) -> Next<S::Socket> {
        self.prepare(stream, state).unwrap_or_else(|err| {
            // The URL, an option or the request cannot be used, unless the system has reported the error.
            if !matches!(err.kind, ErrorKind::Io(_)) {
                state.reconnecting.on_permanent_failure(self.id.slot);
            }
            Next::Failed(err)
        })
    }

    /// Waits before it connects to a URL again.
    pub(in crate::reactor) fn wait(&mut self, wait: Duration, url: Url, state: &mut LoopState<S>) {
        self.stage = Stage::Waiting;
        self.redirect = Redirect::new(url, state.settings.max_redirects);
        (self.request, self.proxy) = (None, None);
        self.rearm_deadline(state.system.now().checked_add(wait), state);
    }

    fn prepare(&mut self, stream: Option<TcpStream>, state: &mut LoopState<S>) -> Result<Next<S::Socket>> {
        let url = state.visible(&self.redirect.url);
        let Some(request) = self.call(state, |handler| handler.build_request(&url)) else {
            return Ok(Next::Wait);
        };
        let mut request = request?;
        self.redirect.remove_secrets(&mut request);
        self.request = Some(request);
        if let Some(stream) = stream {
            let socket = registered(state.system.take_over(stream), self.id, state);
            let socket = socket.map_err(|err| self.cannot_connect(err))?;
            return Ok(self.finish(socket, state));
        }
        let destination = destination(&self.redirect.url)?;
        self.proxy = state.proxy.as_ref().and_then(|proxy| proxy.server_for(&self.redirect.url)).cloned();
        match self.proxy.as_ref().map_or(destination, |proxy| Destination::of_proxy(proxy)) {
            Destination::Address(address) => Ok(self.connect(vec![address], state)),
            Destination::Host(host, port) => {
                self.begin_limit(state);
                let name = (host, port);
                self.name = Some(name.clone());
                Ok(Next::Resolve(name))
            }
            #[cfg(unix)]
            Destination::Path(path) => {
                let socket = registered(state.system.connect_unix(&path), self.id, state);
                self.stage = Stage::ConnectingUnix(socket.map_err(|err| self.cannot_connect(err))?);
                self.begin_limit(state);
                Ok(Next::Wait)
            }
        }
    }

    /// Calls a method of the handler. A panic that is caught ends the attempt, and the handler is not called again.
    pub(in crate::reactor) fn call<R>(
        &mut self,
        state: &mut LoopState<S>,
        method: impl FnOnce(&mut H) -> R,
    ) -> Option<R> {
        let handler = self.handler.as_mut()?;
        let called = state.guard(|| method(handler));
        if called.is_none() {
            self.handler = None;
            self.abandon(state);
            state.work.close_attempt_later(self.id.slot);
        }
        called
    }

    /// Ends the attempt.
    pub(in crate::reactor) fn abandon(&mut self, state: &mut LoopState<S>) {
        self.stage = Stage::Over;
        if let Some(status) = state.queue.status(self.id.slot) {
            status.advance(Phase::Closed);
        }
        self.cancel_deadline(state);
    }

    /// The attempt of a client that connects again has failed. Returns whether another one follows.
    pub(in crate::reactor) fn try_again(&mut self, state: &mut LoopState<S>) -> bool {
        let Some(mut lost) = state.reconnecting.on_lost(self.id.slot, 0, state.now, rand::random()) else {
            return false;
        };
        if self.call(state, |handler| handler.on_lost(&mut lost)).is_none() {
            return false;
        }
        let next = state.begin_attempt(self.id, &lost);
        let is_next = next.is_some();
        if let Some((wait, url)) = next {
            self.wait(wait, url, state);
        }
        is_next
    }

    /// A name has been resolved.
    pub(in crate::reactor) fn on_resolved(
        &mut self,
        name: &Name,
        resolved: io::Result<Vec<SocketAddr>>,
        state: &mut LoopState<S>,
    ) -> Next<S::Socket> {
        if self.name.as_ref() != Some(name) {
            return Next::Wait;
        }
        match (&self.stage, resolved) {
            (Stage::Resolving, Ok(addresses)) => self.connect(addresses, state),
            (Stage::Resolving, Err(err)) => {
                let details = match &self.proxy {
                    Some(proxy) => format!("cannot resolve the host of the proxy {}", proxy.address()),
                    None => {
                        let host = self.redirect.url.host_str().unwrap_or_default();
                        format!("cannot resolve the host {host}")
                    }
                };
                Next::Failed(Error::io(details, err))
            }
            _ => Next::Wait,
        }
    }

    /// There is an event of a socket.
    pub(in crate::reactor) fn on_event(&mut self, state: &mut LoopState<S>) -> Next<S::Socket> {
        match &mut self.stage {
            Stage::Connecting(sockets) => match sockets.take_connected() {
                Some((socket, end)) => self.open_tunnel(socket, end, state).unwrap_or_else(Next::Failed),
                None => self.advance_sockets(state),
            },
            #[cfg(unix)]
            Stage::ConnectingUnix(socket) => match socket.connected() {
                None => Next::Wait,
                Some(Err(err)) => Next::Failed(self.cannot_connect(err)),
                Some(Ok(())) => match std::mem::replace(&mut self.stage, Stage::Over) {
                    Stage::ConnectingUnix(socket) => self.finish(socket, state),
                    _ => Next::Wait,
                },
            },
            Stage::Tunneling(_) => self.advance_tunnel(state).unwrap_or_else(Next::Failed),
            Stage::Waiting | Stage::Resolving | Stage::Over => Next::Wait,
        }
    }

    /// The timer of the stage has fired.
    pub(in crate::reactor) fn on_deadline(&mut self, state: &mut LoopState<S>) -> Next<S::Socket> {
        self.deadline = None;
        match self.stage {
            Stage::Over => Next::Wait,
            Stage::Waiting => {
                self.stage = Stage::Resolving;
                self.start(None, state)
            }
            Stage::Connecting(_) => self.advance_sockets(state),
            _ => Next::Failed(self.cannot_connect(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Begins to connect to the addresses of the host, or of the proxy.
    fn connect(&mut self, addresses: Vec<SocketAddr>, state: &mut LoopState<S>) -> Next<S::Socket> {
        self.stage = Stage::Connecting(Sockets::new(addresses, state.settings.connect_timeout));
        self.advance_sockets(state)
    }

    fn advance_sockets(&mut self, state: &mut LoopState<S>) -> Next<S::Socket> {
        let Stage::Connecting(sockets) = &mut self.stage else { return Next::Wait };
        let (failure, deadline) = (sockets.advance(self.id, state), sockets.deadline());
        self.rearm_deadline(deadline, state);
        failure.map_or(Next::Wait, |err| Next::Failed(self.cannot_connect(err)))
    }

    /// A socket is connected. The proxy, if there is one, then connects to the server. Its handshake belongs to the time for the
    /// address.
    fn open_tunnel(
        &mut self,
        socket: S::Socket,
        end: Option<Instant>,
        state: &mut LoopState<S>,
    ) -> Result<Next<S::Socket>> {
        let Some(proxy) = &self.proxy else { return Ok(self.finish(socket, state)) };
        let handshake = Handshake::new(proxy, &self.redirect.url, &state.config)?;
        self.stage = Stage::Tunneling(Box::new(Tunnel::new(socket, handshake)));
        self.rearm_deadline(end, state);
        self.advance_tunnel(state)
    }

    fn advance_tunnel(&mut self, state: &mut LoopState<S>) -> Result<Next<S::Socket>> {
        let Stage::Tunneling(tunnel) = &mut self.stage else { return Ok(Next::Wait) };
        if !tunnel.advance()? {
            return Ok(Next::Wait);
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Tunneling(tunnel) => Ok(self.finish(tunnel.into_socket(), state)),
            _ => Ok(Next::Wait),
        }
    }

    /// The server is connected. All other sockets are closed.
    fn finish(&mut self, socket: S::Socket, state: &mut LoopState<S>) -> Next<S::Socket> {
        self.stage = Stage::Over;
        self.cancel_deadline(state);
        match self.request.take() {
            Some(request) => Next::Connected(socket, request),
            None => Next::Wait,
        }
    }

    fn cannot_connect(&self, err: io::Error) -> Error {
        let details = match &self.proxy {
            Some(proxy) => format!("cannot connect to the proxy {}", proxy.address()),
            None => format!("cannot connect to {}", redacted(self.redirect.url.as_str())),
        };
        Error::io(details, err)
    }

    /// Limits the time of a stage that has no other deadline.
    fn begin_limit(&mut self, state: &mut LoopState<S>) {
        let end = state.system.now().checked_add(state.settings.connect_timeout);
        self.rearm_deadline(end, state);
    }

    fn rearm_deadline(&mut self, at: Option<Instant>, state: &mut LoopState<S>) {
        self.cancel_deadline(state);
        let event = TimerEvent { id: self.id, kind: TimerKind::Attempt };
        self.deadline = at.and_then(|at| state.deadlines.schedule_at(at, &mut self.timers, event));
    }

    fn cancel_deadline(&mut self, state: &mut LoopState<S>) {
        if let Some(key) = self.deadline.take() {
            state.deadlines.cancel(key);
        }
    }
}

#[cfg(test)]
mod tests;
