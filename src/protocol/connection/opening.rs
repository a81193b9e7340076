//! The opening handshake in the state machine (§4). Its rules are in [`handshake`](crate::protocol::handshake).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::timeouts::note_input;
use super::{Core, Event, Phase, State};
use crate::protocol::deflate::{self, Codec};
use crate::protocol::framing::header::Reserved;
use crate::protocol::handshake::extended_connect::is_accepting;
use crate::protocol::handshake::http::head_buffer::HeadBuffer;
use crate::protocol::handshake::{Extension, Request, Response, client, server};
use crate::protocol::{Config, ProtocolError, Role};

/// The status that opens a connection (§4.2.2).
const SWITCHING_PROTOCOLS: u16 = 101;

/// The state of an opening handshake that waits for the head of the peer.
#[derive(Debug)]
pub(super) struct Opening {
    head: HeadBuffer,
    /// The request of a client.
    request: Option<Box<Request>>,
}

impl Core {
    /// Creates the end of a server, which waits for a request.
    pub(super) fn server(config: Arc<Config>, now: Instant) -> Self {
        Self::new(config, Role::Server, Opening::phase(None), now)
    }

    /// Creates the end of a server whose opening handshake was performed by another HTTP server. The connection is open.
    pub(super) fn upgraded(
        config: Arc<Config>,
        request: &Request,
        response: &mut Response,
        now: Instant,
    ) -> Result<Self, ProtocolError> {
        let mut connection = Self::new(config, Role::Server, Opening::phase(None), now);
        if !is_accepting(request, response) {
            return Err(ProtocolError::UnexpectedStatus(response.status()));
        }
        let codec = connection.check_upgrade(request, response)?;
        connection.open(&Extension::parse_all(response.fields())?, codec, now);
        Ok(connection)
    }

    /// Creates either end of a connection whose opening handshake was performed elsewhere. The connection is open.
    pub(super) fn after_handshake(
        role: Role,
        config: Arc<Config>,
        extensions: &[Extension],
        now: Instant,
    ) -> Result<Self, ProtocolError> {
        let codec = deflate::resume(role, extensions, &config)?;
        let mut connection = Self::new(config, role, Opening::phase(None), now);
        connection.open(extensions, codec, now);
        Ok(connection)
    }

    /// Creates the end of a client, and appends its request to `out`.
    pub(super) fn client(
        config: Arc<Config>,
        mut request: Request,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Self, ProtocolError> {
        let config = config.with(request.overrides());
        client::complete(&mut request, &config);
        deflate::offer(&mut request, &config);
        client::check_request(&request)?;
        let start = out.len();
        request.encode(out).inspect_err(|_| out.truncate(start))?;
        Ok(Self::new(config, Role::Client, Opening::phase(Some(request)), now))
    }

    /// Responds to the request that was received as [`Event::Request`].
    pub(super) fn respond(
        &mut self,
        request: &Request,
        response: &mut Response,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        let Phase::Answering { head_only } = self.phase else { return Err(ProtocolError::NotOpen) };
        let is_upgrade = response.status() == SWITCHING_PROTOCOLS;
        let checked = if is_upgrade { self.check_upgrade(request, response) } else { Ok(None) };
        let written = checked.and_then(|codec| response.encode_for(head_only, out).map(|()| codec));
        let codec = written.inspect_err(|err| self.refuse(*err, now, out))?;
        if is_upgrade {
            self.open(&Extension::parse_all(response.fields()).unwrap_or_default(), codec, now);
        } else {
            self.drain(true, now);
        }
        Ok(())
    }

    /// Refuses the request that was received as [`Event::Request`], with the [status](ProtocolError::http_status) of the reason. If
    /// no response is owed, nothing happens.
    pub(super) fn refuse(&mut self, reason: ProtocolError, now: Instant, out: &mut Vec<u8>) {
        if self.role == Role::Client || self.phase.state() != State::Connecting {
            return;
        }
        // RFC 9110 §9.3.2: the response to HEAD has no body. Encoding cannot fail: the response is ours.
        let head_only = matches!(self.phase, Phase::Answering { head_only: true });
        let _ = server::refusal(reason).encode_for(head_only, out);
        self.drain(true, now);
    }

    /// Responds with 503 before a request has arrived, because there is no room for another connection (RFC 9110 §15.6.4). A
    /// client abandons the connection. `retry_after` becomes a header, in whole seconds (§10.2.3).
    pub(super) fn reject_unavailable(
        &mut self,
        retry_after: Option<Duration>,
        now: Instant,
        out: &mut Vec<u8>,
    ) {
        if self.role == Role::Client {
            self.phase = Phase::Closed;
            return;
        }
        let mut response = Response::unavailable();
        // Neither can fail: the response is ours.
        if let Some(after) = retry_after {
            let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
            let _ = response.set_header("Retry-After", seconds.to_string());
        }
        let _ = response.encode_for(false, out);
        self.drain(true, now);
    }

    pub(super) fn receive_head(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
    ) -> Result<Option<Event>, ProtocolError> {
        let Phase::Opening(opening) = &mut self.phase else { return Ok(None) };
        while opening.head.push(input, &self.config)? {
            let Some(request) = opening.request.take() else {
                let request = server::take_request(&mut opening.head)?;
                self.phase = Phase::Answering { head_only: request.method() == "HEAD" };
                // An invalid upgrade is refused before the program receives it.
                match server::check_upgrade(&request, &self.config) {
                    Err(err) if request.is_upgrade() => return Err(err),
                    _ => return Ok(Some(Event::Request(request))),
                }
            };
            let response = client::take_response(&mut opening.head)?;
            if client::is_interim(&response) {
                opening.request = Some(request);
                continue;
            }
            let checked = client::check_response(&request, &response, &self.config)
                .and_then(|()| deflate::agree(Role::Client, &request, &response, &self.config));
            return match checked {
                Ok(codec) => {
                    self.open(&Extension::parse_all(response.fields()).unwrap_or_default(), codec, now);
                    Ok(Some(Event::Response { request, response: Box::new(response) }))
                }
                Err(ProtocolError::UnexpectedStatus(_)) => {
                    self.phase = Phase::Closed;
                    Ok(Some(Event::Rejected(Box::new(response))))
                }
                Err(err) => Err(err),
            };
        }
        Ok(None)
    }

    pub(super) fn fail_opening(&mut self, err: ProtocolError, now: Instant, out: &mut Vec<u8>) {
        let is_silent = matches!(&self.phase, Phase::Opening(opening) if opening.head.is_empty());
        // A silent client gets no response: it may be waiting for a protocol other than HTTP.
        if self.role == Role::Client || (is_silent && err == ProtocolError::HandshakeTimeout) {
            self.phase = Phase::Closed;
        } else {
            self.refuse(err, now, out);
        }
    }

    fn check_upgrade(
        &mut self,
        request: &Request,
        response: &mut Response,
    ) -> Result<Option<Box<Codec>>, ProtocolError> {
        self.config = Arc::clone(&self.config).with(response.overrides());
        server::complete(response, request, &self.config);
        deflate::answer(response, request, &self.config);
        server::check_response(request, response)?;
        deflate::agree(Role::Server, request, response, &self.config)
    }

    fn open(&mut self, extensions: &[Extension], codec: Option<Box<Codec>>, now: Instant) {
        // The core implements compression. Any other extension belongs to the program, which sees every frame.
        self.receiver.reserved = match (extensions.len(), &codec) {
            (0, _) => Reserved::None,
            (1, Some(_)) => Reserved::Deflate,
            _ => Reserved::Any,
        };
        self.codec = codec;
        self.phase = Phase::Open;
        note_input(self, now);
    }
}

impl Opening {
    /// Returns the phase that waits for the response to this request, or for a request if there is none.
    fn phase(request: Option<Request>) -> Phase {
        let head = if request.is_some() { HeadBuffer::response() } else { HeadBuffer::request() };
        Phase::Opening(Box::new(Self { head, request: request.map(Box::new) }))
    }
}
