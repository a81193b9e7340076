//! One attempt of a client to connect: the name is resolved, and its addresses are tried one after the other.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mio::{Interest, Token};
use url::Url;

use super::destination::{Destination, destination};
use crate::error::{Error, ErrorKind, Result, redacted};
use crate::protocol::Frame;
use crate::protocol::handshake::Request;
use crate::reactor::api::handler::Handler;
use crate::reactor::api::settings::Overflow;
use crate::reactor::api::util::Token as UserToken;
use crate::reactor::connection::Redirect;
use crate::reactor::entries::{ConnectionId, index};
use crate::reactor::loop_state::LoopState;
use crate::reactor::monitoring::Monitor;
use crate::reactor::queue::{Command, Phase, SharedCommand};
use crate::reactor::system::{System, Transport as _};
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
    addresses: VecDeque<SocketAddr>,
    /// The socket of the current address.
    socket: Option<S::Socket>,
    /// The timer of the current address, or of the name resolution.
    deadline: Option<Key>,
    /// Why the last address failed.
    failure: Option<io::Error>,
    stage: Stage,
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The client has lost its connection, and waits before it connects again.
    Waiting,
    Connecting,
    /// The attempt has failed and waits to be removed.
    Over,
}

/// What a connection attempt needs next.
#[derive(Debug)]
pub(in crate::reactor) enum Next<T> {
    /// An event, a timer, or the result of the name resolution.
    Wait,
    /// The addresses of this host.
    Resolve(String, u16),
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
            addresses: VecDeque::new(),
            socket: None,
            deadline: None,
            failure: None,
            stage: Stage::Connecting,
        }
    }

    /// Builds the request, and begins to connect. A stream is connected already.
    pub(in crate::reactor) fn start(
        &mut self,
        stream: Option<TcpStream>,
        state: &mut LoopState<S>,
    ) -> Next<S::Socket> {
        self.prepare(stream, state).unwrap_or_else(|err| {
            state.reconnecting.on_error_before_connecting(self.id.slot, &err);
            Next::Failed(err)
        })
    }

    /// Waits before it connects to a URL again.
    pub(in crate::reactor) fn wait(&mut self, wait: Duration, url: Url, state: &mut LoopState<S>) {
        self.cancel_deadline(state);
        self.stage = Stage::Waiting;
        self.redirect = Redirect { url, left: state.settings.max_redirects, is_due: false };
        (self.request, self.socket, self.failure) = (None, None, None);
        self.addresses.clear();
        let event = TimerEvent { id: self.id, kind: TimerKind::Connection };
        self.deadline = state.schedule_in(wait, &mut self.timers, event);
    }

    fn prepare(&mut self, stream: Option<TcpStream>, state: &mut LoopState<S>) -> Result<Next<S::Socket>> {
        let url = self.redirect.url.clone();
        let Some(request) = self.call(state, |handler| handler.build_request(&url)) else {
            return Ok(Next::Wait);
        };
        self.request = Some(request?);
        if let Some(stream) = stream {
            let socket = state.system.take_over(stream).and_then(|mut socket| {
                self.register(&mut socket, state)?;
                Ok(socket)
            });
            return Ok(self.connected(socket.map_err(|err| cannot_connect(&url, err))?));
        }
        match destination(&self.redirect.url)? {
            Destination::Address(address) => {
                self.addresses.push_back(address);
                Ok(self.try_next(state))
            }
            Destination::Host(host, port) => {
                self.rearm_deadline(state);
                Ok(Next::Resolve(host, port))
            }
            #[cfg(unix)]
            Destination::Path(path) => {
                let connecting = state.system.connect_unix(&path);
                let watched = connecting.and_then(|socket| self.watch(socket, state));
                watched.map_err(|err| cannot_connect(&url, err))?;
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
        self.socket = None;
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

    /// Executes a command, or keeps it until the connection is open.
    pub(in crate::reactor) fn on_command(
        &mut self,
        command: Command,
        state: &mut LoopState<S>,
    ) -> Next<S::Socket> {
        match command {
            Command::Timeout(at, token) => {
                let event = TimerEvent { id: self.id, kind: TimerKind::User(token) };
                let result = match state.deadlines.schedule_timeout(at, &mut self.timers, event) {
                    Some(timeout) => self.call(state, |handler| handler.on_new_timeout(token, timeout)),
                    None => Some(Err(Error::new(ErrorKind::Capacity, "too many timeouts are pending"))),
                };
                return self.after_callback(result, state);
            }
            Command::Overflow if state.reconnecting.continues(self.id.slot) => {
                return self.discard_commands(state);
            }
            Command::Overflow => {
                let details = "too much output is queued for this connection";
                return Next::Failed(Error::new(ErrorKind::Capacity, details));
            }
            Command::Shared(command) if !command.waits_for_open() => {
                self.change_subscription(&command, state);
            }
            Command::Pause => self.is_paused = true,
            Command::Resume => self.is_paused = false,
            Command::Close(..) if state.reconnecting.continues(self.id.slot) => {
                state.reconnecting.stop(self.id.slot);
                if self.stage == Stage::Waiting {
                    self.abandon(state);
                    state.work.close_attempt_later(self.id.slot);
                } else {
                    self.commands.push(command);
                }
            }
            command => self.commands.push(command),
        }
        Next::Wait
    }

    /// Discards what waits for the next connection, because it exceeds the limit. The client still connects again.
    fn discard_commands(&mut self, state: &mut LoopState<S>) -> Next<S::Socket> {
        let discarded = self.commands.drain(..).map(|command| command.buffered_len()).sum();
        if let Some(status) = state.queue.status(self.id.slot) {
            status.sub_local(discarded);
            status.reopen(self.id.serial);
        }
        let details =
            format!("too much output waits for the next connection: {discarded} bytes are discarded");
        self.call(state, |handler| handler.on_error(Error::new(ErrorKind::Capacity, details)));
        Next::Wait
    }

    /// Subscribes to a topic, or ends the subscription.
    pub(in crate::reactor) fn change_subscription(
        &mut self,
        command: &SharedCommand,
        state: &mut LoopState<S>,
    ) {
        if let Err(err) = state.change_subscription(self.id.slot, command) {
            self.call(state, |handler| handler.on_error(err));
        }
    }

    /// Keeps a frame of a broadcast until the connection is open, if there is room for it.
    pub(in crate::reactor) fn on_broadcast(&mut self, frame: &Frame, state: &LoopState<S>) {
        let len = frame.as_slice().len();
        if state.queue.has_room(self.id.slot, len) {
            if let Some(status) = state.queue.status(self.id.slot) {
                status.add_local(len);
            }
            self.commands.push(Command::Frame(Box::new(frame.clone())));
        } else if state.queue.overflow() == Overflow::Fail {
            // The queue of the loop's own thread has no limit.
            let _ = state.queue.push_overflow(self.id.target());
        } else {
            Monitor::add(&state.queue.monitor.dropped, 1);
        }
    }

    /// A timeout of the handler has expired.
    pub(in crate::reactor) fn on_timeout(
        &mut self,
        token: UserToken,
        state: &mut LoopState<S>,
    ) -> Next<S::Socket> {
        let result = self.call(state, |handler| handler.on_timeout(token));
        self.after_callback(result, state)
    }

    /// Handles the result of a method of the handler. `None` means that it has panicked.
    fn after_callback(&mut self, result: Option<Result<()>>, state: &mut LoopState<S>) -> Next<S::Socket> {
        match result {
            None | Some(Ok(())) => Next::Wait,
            Some(Err(err)) if matches!(err.kind, ErrorKind::Queue(_) | ErrorKind::Custom(_)) => {
                self.call(state, |handler| handler.on_error(err));
                Next::Wait
            }
            Some(Err(err)) => Next::Failed(err),
        }
    }

    /// The name has been resolved.
    pub(in crate::reactor) fn on_resolved(
        &mut self,
        resolved: io::Result<Vec<SocketAddr>>,
        state: &mut LoopState<S>,
    ) -> Next<S::Socket> {
        match resolved {
            _ if self.stage == Stage::Over => Next::Wait,
            Ok(addresses) => {
                self.addresses = addresses.into();
                self.try_next(state)
            }
            Err(err) => {
                let host = self.redirect.url.host_str().unwrap_or_default();
                Next::Failed(Error::io(format!("cannot resolve the host {host}"), err))
            }
        }
    }

    /// There is an event of the socket.
    pub(in crate::reactor) fn on_event(&mut self, state: &mut LoopState<S>) -> Next<S::Socket> {
        match self.socket.as_ref().and_then(S::Socket::connected) {
            None => Next::Wait,
            Some(Ok(())) => match self.socket.take() {
                Some(socket) => {
                    self.cancel_deadline(state);
                    self.connected(socket)
                }
                None => Next::Wait,
            },
            Some(Err(err)) => {
                self.failure = Some(err);
                self.try_next(state)
            }
        }
    }

    /// The current address, or the name resolution, has taken too long.
    pub(in crate::reactor) fn on_deadline(&mut self, state: &mut LoopState<S>) -> Next<S::Socket> {
        self.deadline = None;
        match self.stage {
            Stage::Over => return Next::Wait,
            Stage::Waiting => {
                self.stage = Stage::Connecting;
                return self.start(None, state);
            }
            Stage::Connecting => {}
        }
        self.failure = Some(io::ErrorKind::TimedOut.into());
        self.try_next(state)
    }

    /// Tries the next address, in the order of the resolver.
    fn try_next(&mut self, state: &mut LoopState<S>) -> Next<S::Socket> {
        self.socket = None;
        self.cancel_deadline(state);
        while let Some(address) = self.addresses.pop_front() {
            let connecting = state.system.connect(address);
            match connecting.and_then(|socket| self.watch(socket, state)) {
                Ok(()) => return Next::Wait,
                Err(err) => self.failure = Some(err),
            }
        }
        let failure = self.failure.take().unwrap_or_else(|| io::ErrorKind::NotFound.into());
        Next::Failed(cannot_connect(&self.redirect.url, failure))
    }

    fn watch(&mut self, mut socket: S::Socket, state: &mut LoopState<S>) -> io::Result<()> {
        self.register(&mut socket, state)?;
        self.socket = Some(socket);
        self.rearm_deadline(state);
        Ok(())
    }

    fn register(&self, socket: &mut S::Socket, state: &LoopState<S>) -> io::Result<()> {
        if state.settings.tcp_nodelay {
            // Some systems refuse this before the socket is connected. It is set again afterwards.
            let _ = socket.set_nodelay();
        }
        let token = Token(index(self.id.slot));
        state.system.register(socket, token, Interest::READABLE | Interest::WRITABLE)
    }

    fn connected(&mut self, socket: S::Socket) -> Next<S::Socket> {
        match self.request.take() {
            Some(request) => Next::Connected(socket, request),
            None => Next::Wait,
        }
    }

    fn rearm_deadline(&mut self, state: &mut LoopState<S>) {
        let event = TimerEvent { id: self.id, kind: TimerKind::Connection };
        self.deadline = state.schedule_in(state.settings.connect_timeout, &mut self.timers, event);
    }

    fn cancel_deadline(&mut self, state: &mut LoopState<S>) {
        if let Some(key) = self.deadline.take() {
            state.deadlines.cancel(key);
        }
    }
}

fn cannot_connect(url: &Url, err: io::Error) -> Error {
    Error::io(format!("cannot connect to {}", redacted(url.as_str())), err)
}

#[cfg(test)]
mod tests;
