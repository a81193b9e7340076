//! The opening handshake, including redirects of a client (RFC 9110 §15.4).

use std::net::SocketAddr;
use std::sync::Arc;

use super::endpoint::{Endpoint, Stage};
use crate::connecting::redirect::{Redirect, RedirectScope};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{ProtocolError, Role, State};
use crate::reactor::api::deferred::{self, Deferral};
use crate::reactor::api::handler::Handler;
use crate::reactor::api::handshake::{Handshake, forwarded_addr, proxy_addr};
use crate::reactor::loop_state::LoopState;
use crate::reactor::queue::{Command, Phase, QueuedCommand};
use crate::reactor::system::{Addresses, System, Transport as _};

/// What a connection needs until it is open.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// Commands that wait until the connection is open.
    pub(super) commands: Vec<Command>,
    /// Where a server may redirect this client.
    pub(super) redirect: Option<Redirect>,
    /// The addresses that were returned with an accepted connection.
    pub(super) addresses: Option<Addresses>,
    /// The request, while the handler has deferred its response.
    pub(super) deferred: Option<(Box<Request>, Deferral)>,
}

impl Opening {
    /// How much memory the request occupies whose response is deferred, in bytes.
    pub(super) fn held(&self) -> usize {
        self.deferred.as_ref().map_or(0, |(request, _)| request.held())
    }

    pub(super) fn is_redirecting(&self) -> bool {
        self.redirect.as_ref().is_some_and(|redirect| redirect.is_due)
    }
}

impl<H: Handler, S: System> Endpoint<H, S> {
    pub(super) fn on_request(&mut self, request: Box<Request>, state: &mut LoopState<S>) {
        // During a drain, the handler still answers requests for pages, such as those of a health check.
        let is_turned_away = state.draining.is_active() && request.is_upgrade();
        if is_turned_away || !self.count_address(&request, state) {
            return reject_with_503(self, state);
        }
        let (queue, target) = (Arc::as_ptr(&state.queue), self.id.target());
        // The answer is stored where it stays, and not moved into every function that the call passes through.
        let mut answer = None;
        let deferral = deferred::asking(queue, target, || {
            self.call(state, |handler| answer = Some(handler.on_request(&request)));
        });
        let Some(answer) = answer else { return self.protocol.abandon() };
        match (&answer, deferral) {
            (Ok(response), Some(deferral)) if response.is_deferred() => {
                self.opening.get_or_insert_default().deferred = Some((request, deferral));
            }
            _ => respond(self, request, answer, state),
        }
    }

    /// Counts the connection of a client behind a trusted proxy. Returns whether its address has room for another one.
    fn count_address(&self, request: &Request, state: &mut LoopState<S>) -> bool {
        if !state.addresses.is_limited() {
            return true;
        }
        let proxy = proxy_addr(self.peer_addr(), self.socket.is_unix());
        let Some(proxy) = proxy.filter(|proxy| state.trusted_proxies.trusts(*proxy)) else { return true };
        // Without a valid address, the clients of the proxy count as one.
        let client = forwarded_addr(request, &state.trusted_proxies).ok().flatten();
        let client = client.and_then(|client| client.parse().ok()).unwrap_or(proxy);
        let place = state.addresses.take_place(client);
        let has_room = place.is_some();
        place.into_iter().for_each(|place| state.addresses.set(self.id.slot, place));
        has_room
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        let known = self.opening.as_ref().and_then(|opening| opening.addresses);
        known.map_or_else(|| self.socket.addresses().0, |(peer, _)| Some(peer))
    }

    /// Refuses a request because the handler returned an error. The client receives only a status (H13).
    fn refuse(&mut self, request: &Request, err: Error, state: &mut LoopState<S>) {
        let reason = match err.kind {
            ErrorKind::Io(_) => None,
            ErrorKind::Protocol if !request.is_upgrade() => Some(ProtocolError::NotAnUpgrade),
            ErrorKind::Protocol => Some(ProtocolError::MalformedHead),
            _ => Some(ProtocolError::UnsendableHead),
        };
        self.report(err, state);
        let out = self.write.buffer(&mut state.pool);
        match reason {
            Some(reason) => {
                self.protocol.refuse(reason, state.now, out);
                count_refusal(self, reason.http_status(), state);
            }
            None => self.protocol.abandon(),
        }
    }

    pub(super) fn on_response(
        &mut self,
        request: Box<Request>,
        response: Response,
        state: &mut LoopState<S>,
    ) {
        match self.call(state, |handler| handler.on_response(&response)) {
            Some(Ok(())) => self.on_open(request, response, state),
            Some(Err(err)) => {
                self.report(err, state);
                self.protocol.abandon();
            }
            None => {}
        }
    }

    pub(super) fn on_rejected(&mut self, response: &Response, state: &mut LoopState<S>) {
        let scope = RedirectScope::crossing(state.settings.cross_origin_redirects);
        let redirect = self.opening.as_mut().and_then(|opening| opening.redirect.as_mut());
        if redirect.is_some_and(|redirect| redirect.follow(response, scope)) {
            return;
        }
        state.reconnecting.on_rejected(self.id.slot, response);
        self.call(state, |handler| handler.on_rejected(response));
        self.report(ProtocolError::UnexpectedStatus(response.status()).into(), state);
    }

    #[expect(
        clippy::boxed_local,
        reason = "a request that is not in its box would be moved once more for each function"
    )]
    pub(super) fn on_open(&mut self, request: Box<Request>, response: Response, state: &mut LoopState<S>) {
        self.stage = Stage::Open;
        self.set_phase(Phase::Open, state);
        state.queue.monitor.connections().open(self.protocol.role());
        state.reconnecting.on_open(self.id.slot, state.now);
        let opening = self.opening.take();
        let (peer_addr, local_addr) = match opening.as_ref().and_then(|opening| opening.addresses) {
            Some((peer, local)) => (Some(peer), Some(local)),
            None => self.socket.addresses(),
        };
        let trusted_proxies = state.trusted_proxies.clone();
        let (is_unix, encryption) = (self.socket.is_unix(), self.socket.encryption());
        let request = *request;
        // In an option, it is not moved into every function that the call passes through.
        let mut shake = Some(Handshake {
            request,
            response,
            peer_addr,
            local_addr,
            is_unix,
            trusted_proxies,
            encryption,
        });
        self.call_fallible(state, |handler| shake.take().map_or(Ok(()), |shake| handler.on_open(shake)));
        let commands = opening.map(|opening| opening.commands).unwrap_or_default();
        if commands.is_empty() {
            return;
        }
        // These were queued before `on_open`. What `on_open` sends is in the queue of the loop, and follows. A client that connects
        // again subscribes or logs in first.
        let is_behind = state.reconnecting.continues(self.id.slot);
        for command in commands {
            if is_behind {
                send_behind(self, command, state);
            } else {
                self.send_command(command, state);
            }
        }
    }
}

/// Sends the response to a request.
pub(super) fn respond<H: Handler, S: System>(
    endpoint: &mut Endpoint<H, S>,
    request: Box<Request>,
    answer: Result<Response>,
    state: &mut LoopState<S>,
) {
    let mut response = match answer {
        Ok(response) => response,
        Err(err) => return endpoint.refuse(&request, err, state),
    };
    let out = endpoint.write.buffer(&mut state.pool);
    match endpoint.protocol.respond(&request, &mut response, state.now, out) {
        Ok(()) if endpoint.protocol.state() == State::Open => endpoint.on_open(request, response, state),
        Ok(()) => count_refusal(endpoint, response.status(), state),
        Err(err) => {
            count_refusal(endpoint, err.http_status(), state);
            endpoint.report(err.into(), state);
        }
    }
}

/// Rejects a client because there is no room for it (RFC 9110 §15.6.4).
pub(super) fn reject_with_503<H: Handler, S: System>(
    endpoint: &mut Endpoint<H, S>,
    state: &mut LoopState<S>,
) {
    let retry_after = state.draining.retry_after(state.now);
    let out = endpoint.write.buffer(&mut state.pool);
    endpoint.protocol.reject_unavailable(retry_after, state.now, out);
    count_refusal(endpoint, 503, state);
}

/// Counts a response that refuses a request, if the opening handshake has just failed with one. A connection that was closed without a
/// response is not counted.
pub(super) fn count_refusal<H: Handler, S: System>(
    endpoint: &Endpoint<H, S>,
    status: u16,
    state: &LoopState<S>,
) {
    let is_refused = endpoint.stage == Stage::Opening && endpoint.protocol.state() == State::Closing;
    if is_refused && endpoint.protocol.role() == Role::Server {
        state.queue.monitor.connections().refuse(status);
    }
}

/// Queues a command that has waited, behind what the handler has queued.
fn send_behind<H, S: System>(endpoint: &Endpoint<H, S>, command: Command, state: &LoopState<S>) {
    if let Some(status) = state.queue.status(endpoint.id.slot) {
        // The queue counts it again.
        status.sub_local(command.buffered_len());
    }
    // The queue of the loop's own thread has no limit.
    let _ = state.queue.push(QueuedCommand { target: endpoint.id.target(), command });
}
