//! One peer of the loop: its end of the connection, with the protocol core.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::close::Closed;
use crate::message::Message;
use crate::protocol::handshake::{Body, Request, Response};
use crate::protocol::{Config, Connection, Event, ProtocolError, State};
use crate::reactor::system::fake::Wire;

/// The function with which a server answers.
pub(super) type Answer<'f> = Box<dyn Fn(&Request) -> Response + 'f>;

/// The room of a socket whose peer reads everything.
const UNLIMITED: usize = usize::MAX / 2;

pub(super) struct RemoteEnd<'f> {
    pub(super) wire: Wire,
    pub(super) core: Connection,
    /// How a server answers. Others accept.
    answer: Option<Answer<'f>>,
    is_silent: bool,
    request: Option<Request>,
    response: Option<Response>,
    /// The body of a rejection, while it arrives.
    body: Option<Body>,
    /// What was received and not returned to the test.
    received: VecDeque<Event>,
    closed: Option<Closed>,
    /// How the loop has broken the protocol.
    violation: Option<ProtocolError>,
    has_seen_end: bool,
}

impl<'f> RemoteEnd<'f> {
    /// Creates a client, which sends its request.
    pub(super) fn client(
        wire: Wire,
        config: Config,
        request: Request,
        now: Instant,
    ) -> Result<Self, ProtocolError> {
        let mut out = Vec::new();
        let core = Connection::client(Arc::new(config), request.clone(), now, &mut out)?;
        wire.send(&out);
        Ok(Self { request: Some(request), ..Self::new(wire, core, None) })
    }

    /// Creates a server, which answers the request of the loop.
    pub(super) fn server(wire: Wire, answer: Option<Answer<'f>>, now: Instant) -> Self {
        Self::new(wire, Connection::server(Arc::new(Config::without_timeouts()), now), answer)
    }

    fn new(wire: Wire, core: Connection, answer: Option<Answer<'f>>) -> Self {
        Self {
            wire,
            core,
            answer,
            is_silent: false,
            request: None,
            response: None,
            body: None,
            received: VecDeque::new(),
            closed: None,
            violation: None,
            has_seen_end: false,
        }
    }

    /// Reads what has arrived, and replies. Returns whether anything has happened.
    pub(super) fn step(&mut self, now: Instant) -> bool {
        if self.is_silent {
            return false;
        }
        let bytes = self.wire.take_received();
        let has_ended = self.wire.has_loop_ended() && !self.has_seen_end;
        if bytes.is_empty() && !has_ended {
            return false;
        }
        self.receive(bytes, now);
        if has_ended {
            self.on_end(now);
        }
        true
    }

    fn receive(&mut self, mut bytes: Vec<u8>, now: Instant) {
        let (mut input, mut out) = (bytes.as_mut_slice(), Vec::new());
        loop {
            if let Some(body) = &mut self.body {
                body.push(input);
                break;
            }
            match self.core.receive(&mut input, now, &mut out) {
                Ok(Some(event)) => self.on_event(event, now, &mut out),
                Ok(None) => break,
                Err(err) => {
                    self.violation = Some(err);
                    break;
                }
            }
        }
        self.send(out, now);
    }

    fn on_event(&mut self, event: Event, now: Instant, out: &mut Vec<u8>) {
        match event {
            Event::Request(request) => self.respond(*request, now, out),
            Event::Response { response, .. } => self.response = Some(*response),
            Event::Rejected(response) => {
                self.body = Some(Body::of(&response, usize::MAX));
                self.response = Some(*response);
            }
            Event::Close(code, reason) => self.closed = Some(Closed { code, reason, was_clean: true }),
            event @ (Event::Message(_) | Event::Ping(_) | Event::Pong(_)) => self.received.push_back(event),
        }
    }

    /// Answers the request of the loop.
    fn respond(&mut self, request: Request, now: Instant, out: &mut Vec<u8>) {
        let answered = match &self.answer {
            Some(answer) => Ok(answer(&request)),
            None => Response::from_request(&request),
        };
        match answered {
            Ok(mut response) => {
                self.violation = self.core.respond(&request, &mut response, now, out).err();
                self.response = Some(response);
            }
            Err(_) => self.core.refuse(ProtocolError::InvalidKey, now, out),
        }
        self.request = Some(request);
    }

    /// The loop has ended its side.
    fn on_end(&mut self, now: Instant) {
        self.has_seen_end = true;
        // The error is that there was no Close.
        let _ = self.core.receive_eof();
        self.send(Vec::new(), now);
    }

    /// Sends output, and ends the connection when that is due (§7.1.1).
    pub(super) fn send(&mut self, mut out: Vec<u8>, now: Instant) {
        if !out.is_empty() {
            self.wire.send(&out);
        }
        out.clear();
        let must_end = self.core.flushed(now, &mut out);
        if !out.is_empty() {
            self.wire.send(&out);
        }
        if must_end || self.core.state() == State::Closed {
            self.wire.end();
        }
    }

    /// The peer reads everything, or accepts so many more bytes.
    pub(super) fn set_room(&mut self, room: Option<usize>) {
        self.wire.set_room(room.unwrap_or(UNLIMITED));
    }

    /// The peer neither reads nor replies from now on, although its system accepts bytes for it; or it does again.
    pub(super) fn set_silent(&mut self, is_silent: bool) {
        self.is_silent = is_silent;
    }

    /// The connection is reset.
    pub(super) fn abort(&mut self) {
        self.wire.reset();
        self.core.abandon();
    }

    pub(super) fn request(&self) -> Option<&Request> {
        self.request.as_ref()
    }

    /// Returns the response, with as much of its body as has arrived.
    pub(super) fn response(&mut self) -> Option<Response> {
        let response = self.response.as_mut()?;
        if let Some(body) = self.body.take() {
            response.set_body(body.finish());
        }
        Some(response.clone())
    }

    /// Returns the next message. Pings and Pongs before it are dropped.
    pub(super) fn next_message(&mut self) -> Option<Message> {
        while let Some(event) = self.received.pop_front() {
            if let Event::Message(message) = event {
                return Some(message);
            }
        }
        None
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.received.pop_front()
    }

    /// Whether messages can be sent and received, and the loop has not ended its side.
    pub(super) fn is_open(&self) -> bool {
        self.core.state() == State::Open && !self.wire.has_loop_ended()
    }

    /// Returns how the connection has ended.
    pub(super) fn closed(&self) -> Option<Closed> {
        let has_ended = self.wire.has_loop_ended() || self.core.state() == State::Closed;
        self.closed.clone().or_else(|| has_ended.then(Closed::abnormal))
    }

    /// Describes the connection, for an error.
    pub(super) fn status(&self) -> String {
        if let Some(err) = self.violation {
            return format!("the loop has broken the protocol: {err}");
        }
        let rejected = self.response.as_ref().filter(|response| response.status() != 101);
        match (rejected, self.closed()) {
            (Some(response), _) => {
                format!("its request was answered with {} {}", response.status(), response.reason())
            }
            (None, Some(Closed { code, was_clean: true, reason })) => {
                format!("its connection was closed with {code} {reason:?}")
            }
            (None, Some(_)) => "its connection has ended without a Close".to_owned(),
            (None, None) if self.is_silent => "it is silent".to_owned(),
            (None, None) if self.is_open() => "its connection is open".to_owned(),
            (None, None) => "its opening handshake is not complete".to_owned(),
        }
    }
}
