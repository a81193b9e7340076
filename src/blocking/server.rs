//! The opening handshake of a server (§4.2).

use std::fmt;
use std::time::Instant;

use super::link::Link;
use super::state::IfBusy;
use super::{Builder, Stream, WebSocket};
use crate::protocol::handshake::{Rejected, Request, Response};
use crate::protocol::{Event, Output as _, ProtocolError};
use crate::socket::opening_heads::OpeningHeads;
use crate::socket::{Error, Result};

/// A server that performs the opening handshake on a stream of the program, made by [`Builder::server`].
///
/// # Examples
///
/// ```no_run
/// use std::net::TcpListener;
/// use sockeye::Response;
/// use sockeye::blocking::Builder;
///
/// let listener = TcpListener::bind("127.0.0.1:3012")?;
/// let (stream, _) = listener.accept()?;
/// let mut server = Builder::new().server(stream);
/// if server.receive_request()?.resource() == "/chat" {
///     let mut socket = server.accept()?;
///     socket.send("hello")?;
/// } else {
///     server.respond(Response::new(404, "Not Found", b"there is only /chat".to_vec()))?;
/// }
/// # sockeye::blocking::Result::Ok(())
/// ```
pub struct Server<S: Stream> {
    builder: Builder,
    stream: S,
    link: Link,
    request: Option<Request>,
    response: Option<Response>,
}

impl Builder {
    /// Creates a server on a stream of the program, which the program has encrypted if it wants TLS.
    ///
    /// See the example of [`Server`].
    pub fn server<S: Stream>(&self, stream: S) -> Server<S> {
        self.server_since(Instant::now(), stream)
    }

    /// Creates a server whose handshake timeout started earlier, before TLS.
    pub(super) fn server_since<S: Stream>(&self, start: Instant, stream: S) -> Server<S> {
        let link = Link::new(&stream, self.options.server(start), Vec::new(), Vec::new());
        Server { builder: self.clone(), stream, link, request: None, response: None }
    }
}

impl<S: Stream> Server<S> {
    /// Waits for the request.
    ///
    /// [`Request::is_upgrade`] returns whether it asks for a WebSocket. If so, it follows the rules of RFC 6455 §4.2.1.
    ///
    /// # Errors
    ///
    /// `Protocol` if the request breaks a rule, and the client has received an HTTP error; `Timeout` with `Handshake`;
    /// `ConnectionLost`; `Io` with `WouldBlock` if the stream is in nonblocking mode and the request has not arrived.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn receive_request(&mut self) -> Result<&Request> {
        let Self { stream, link, request, .. } = self;
        if request.is_none()
            && let Some(Event::Request(received)) = link.reading(|reading| link.event(stream, reading))?
        {
            *request = Some(*received);
        }
        Ok(request.as_ref().ok_or(ProtocolError::HandshakeCut)?)
    }

    /// Answers the request.
    ///
    /// A response with status 101, such as that of [`Response::from_request`], opens the connection;
    /// [`into_socket`](Self::into_socket) then returns the socket. Any other response is sent with its body, and ends the
    /// connection. Only the first response is sent.
    ///
    /// # Errors
    ///
    /// `Closed` if there is no request yet. `Protocol` if the response does not fit the request, for instance because the
    /// client did not offer the subprotocol (RFC 6455 §4.2.2); the client has received an HTTP error. `ConnectionLost`.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn respond(&mut self, mut response: Response) -> Result<()> {
        let request = self.request.as_ref().ok_or(Error::Closed)?;
        if self.response.is_some() {
            return Ok(());
        }
        let (link, stream) = (&self.link, &mut self.stream);
        let mut state = link.lock();
        let answered =
            state.enqueue(|session, now, out| session.respond(request, &mut response, now, out.buffer()));
        let flushed = link.flush(state, stream, IfBusy::Wait);
        if answered.is_err() || response.status() != 101 {
            link.reading(|reading| link.drain(stream, reading));
        }
        answered?;
        let is_open = response.status() == 101;
        self.response = Some(response);
        // After a rejection it does not matter whether the client has read all of it.
        if is_open { flushed } else { Ok(()) }
    }

    /// Performs the handshake, and returns the socket. The first supported subprotocol that the client offers is chosen.
    ///
    /// # Errors
    ///
    /// As [`receive_request`](Self::receive_request) and [`respond`](Self::respond). A request that does not ask for a
    /// WebSocket is answered with 426, and is a `Protocol` error.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn accept(mut self) -> Result<WebSocket<S>> {
        if self.response.is_none() {
            let request = self.receive_request()?.clone();
            let response = self.builder.options.acceptance(&request);
            self.respond(response)?;
        }
        self.into_socket()
    }

    /// Returns the socket of a connection that was accepted with [`respond`](Self::respond).
    ///
    /// # Errors
    ///
    /// `Rejected` if the response was another one than 101; `Closed` if there is no response yet.
    pub fn into_socket(self) -> Result<WebSocket<S>> {
        match (self.request, self.response) {
            (Some(request), Some(response)) if response.status() == 101 => {
                let opening = OpeningHeads::new(request, response);
                Ok(WebSocket::open(&self.builder, self.stream, self.link, opening))
            }
            (_, Some(response)) => Err(Rejected::new(response).into()),
            _ => Err(Error::Closed),
        }
    }

    /// Returns the stream, with its original timeouts, and the bytes that were read after the request.
    ///
    /// # Errors
    ///
    /// `Io` if the timeouts of the stream cannot be restored.
    pub fn into_inner(mut self) -> Result<(S, Vec<u8>)> {
        self.link.restore_timeouts(&mut self.stream)?;
        let unread = self.link.reading(|reading| reading.take_unread());
        Ok((self.stream, unread))
    }
}

impl<S: Stream> fmt::Debug for Server<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("request", &self.request)
            .field("response", &self.response)
            .finish_non_exhaustive()
    }
}
