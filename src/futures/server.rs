//! The opening handshake of a server (§4.2).

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::engine::Engine;
use super::link::{ConnectionHandle, Waiter};
use super::{Builder, Transport, WebSocket};
use crate::protocol::handshake::{Rejected, Request, Response};
use crate::protocol::{Event, ProtocolError, State};
use crate::socket::opening_heads::OpeningHeads;
use crate::socket::options::Options;
use crate::socket::session::Item;
use crate::socket::{Error, Result};

/// A server that performs the opening handshake on a stream of the program, made by [`Builder::server`].
///
/// # Examples
///
/// ```
/// # use futures_io::{AsyncRead, AsyncWrite};
/// use sockeye::Response;
/// use sockeye::futures::Builder;
///
/// # async fn doc(stream: impl AsyncRead + AsyncWrite + Unpin) -> sockeye::futures::Result<()> {
/// let mut server = Builder::new().server(stream);
/// let request = server.receive_request().await?;
/// if request.resource() == "/chat" {
///     let mut socket = server.accept().await?;
///     socket.send("hello").await?;
/// } else {
///     server.respond(Response::new(404, "Not Found", b"there is only /chat".to_vec())).await?;
/// }
/// # Ok(()) }
/// ```
pub struct Server<S: Transport> {
    handle: Arc<ConnectionHandle<S>>,
    request: Option<Request>,
    response: Option<Response>,
    options: Options,
}

impl Builder {
    /// Creates a server on a stream of the program, which the program has encrypted if it wants TLS.
    ///
    /// See the example of [`Server`].
    pub fn server<S: Transport>(&self, stream: S) -> Server<S> {
        self.server_since(Instant::now(), stream)
    }

    /// Creates a server whose handshake timeout started earlier, before TLS.
    pub(super) fn server_since<S: Transport>(&self, start: Instant, stream: S) -> Server<S> {
        let session = self.options.server(start);
        let handle = ConnectionHandle::new(Engine::new(stream, session, Vec::new(), self.engine_options()));
        Server { handle, request: None, response: None, options: self.options.clone() }
    }
}

impl<S: Transport> Server<S> {
    /// Waits for the request.
    ///
    /// [`Request::is_upgrade`] returns whether it asks for a WebSocket. If so, it follows the rules of RFC 6455 §4.2.1.
    ///
    /// # Errors
    ///
    /// `Protocol` if the request breaks a rule, and the client has received an HTTP error; `Timeout` with `Handshake`;
    /// `ConnectionLost`.
    ///
    /// See the [example](Self#examples) of this type.
    pub async fn receive_request(&mut self) -> Result<&Request> {
        poll_fn(|cx| self.poll_request(cx)).await?;
        Ok(self.request.as_ref().ok_or(ProtocolError::HandshakeCut)?)
    }

    /// Answers the request.
    ///
    /// A response with status 101, such as that of [`Response::from_request`], opens the connection;
    /// [`into_socket`](Self::into_socket) then returns the socket. Any other response is sent with its body, and ends the
    /// connection. Only the first response is sent: a second call, for instance after the future was dropped, continues to
    /// send it.
    ///
    /// # Errors
    ///
    /// `Closed` if there is no request yet. `Protocol` if the response does not fit the request, for instance because the
    /// client did not offer the subprotocol (RFC 6455 §4.2.2); the client has received an HTTP error. `ConnectionLost`.
    ///
    /// See the [example](Self#examples) of this type.
    pub async fn respond(&mut self, mut response: Response) -> Result<()> {
        let request = self.request.as_ref().ok_or(Error::Closed)?;
        if self.response.is_none() {
            self.handle.shared().change(None, |engine| {
                let answered = engine.respond(request, &mut response);
                // The error is returned after the HTTP error for the client has been written.
                answered.unwrap_or_else(|err| engine.fail(err));
            });
            self.response = Some(response);
        }
        poll_fn(|cx| self.poll_sent(cx)).await
    }

    /// Performs the handshake, and returns the socket. The first supported subprotocol that the client offers is chosen.
    /// If the future is dropped, so is the connection.
    ///
    /// # Errors
    ///
    /// As [`receive_request`](Self::receive_request) and [`respond`](Self::respond). A request that does not ask for a
    /// WebSocket is answered with 426, and is a `Protocol` error.
    ///
    /// See the [example](Self#examples) of this type.
    pub async fn accept(mut self) -> Result<WebSocket<S>> {
        if self.response.is_none() {
            let request = self.receive_request().await?.clone();
            let response = self.options.acceptance(&request);
            self.respond(response).await?;
        } else {
            poll_fn(|cx| self.poll_sent(cx)).await?;
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
                Ok(WebSocket::open(self.handle, OpeningHeads::new(request, response)))
            }
            (_, Some(response)) => Err(Rejected::new(response).into()),
            _ => Err(Error::Closed),
        }
    }

    /// Returns the stream, and the bytes that were read after the request.
    ///
    /// # Errors
    ///
    /// `Closed` if the stream has ended.
    pub fn into_inner(self) -> Result<(S, Vec<u8>)> {
        let taken = self.handle.shared().change(None, Engine::take_stream);
        taken.ok_or(Error::Closed)
    }

    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let shared = self.handle.shared();
        while self.request.is_none() {
            let item = ready!(shared.poll(Waiter::Receiver, cx, |engine, cx| engine.poll_item(cx)))?;
            match item.map(Item::into_event) {
                Some(Some(Event::Request(request))) => self.request = Some(*request),
                Some(_) => {}
                None => return Poll::Ready(Err(ProtocolError::HandshakeCut.into())),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until the response is written, and for the end of the connection unless the response opens it.
    fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.handle.shared().poll(Waiter::Sender, cx, |engine, cx| {
            if engine.state() == State::Open {
                return engine.poll_flush(0, cx);
            }
            while ready!(engine.poll_item(cx))?.is_some() {}
            Poll::Ready(Ok(()))
        })
    }
}

impl<S: Transport> fmt::Debug for Server<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("request", &self.request)
            .field("response", &self.response)
            .finish_non_exhaustive()
    }
}
