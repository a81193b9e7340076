//! The server's side of the opening handshake (§4.2).

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::engine::Engine;
use super::link::{Owner, Who};
use super::{Builder, Transport, WebSocket};
use crate::error::Result;
use crate::protocol::handshake::{Rejected, Request, Response};
use crate::protocol::{Event, ProtocolError, State};
use crate::socket::options::Options;
use crate::socket::session::Item;

/// A server that is asked for a connection over a stream of the program; made by [`Builder::server`].
///
/// # Examples
///
/// ```
/// # use futures_io::{AsyncRead, AsyncWrite};
/// use sockeye::Response;
/// use sockeye::futures::Builder;
///
/// # async fn doc(stream: impl AsyncRead + AsyncWrite + Unpin) -> sockeye::Result<()> {
/// let mut server = Builder::new().server(stream);
/// let request = server.receive_request().await?;
/// if request.resource() == "/chat" {
///     let mut socket = server.accept().await?;
///     socket.send("welcome").await?;
/// } else {
///     server.respond(Response::new(404, "Not Found", b"there is only /chat".to_vec())).await?;
/// }
/// # Ok(()) }
/// ```
pub struct Server<S: Transport> {
    owner: Arc<Owner<S>>,
    request: Option<Request>,
    response: Option<Response>,
    options: Options,
}

impl Builder {
    /// Begins as a server on a stream that a client has connected, encrypted if need be.
    pub fn server<S: Transport>(&self, stream: S) -> Server<S> {
        self.server_since(Instant::now(), stream)
    }

    /// Begins as a server whose time for the opening handshake has begun before, if there was TLS.
    pub(super) fn server_since<S: Transport>(&self, begun: Instant, stream: S) -> Server<S> {
        let session = self.options.server(begun);
        let owner = Owner::new(Engine::new(stream, session, Vec::new(), self.limits()));
        Server { owner, request: None, response: None, options: self.options.clone() }
    }
}

impl<S: Transport> Server<S> {
    /// Waits for the request. It may want a page and no WebSocket: [`Request::is_upgrade`] tells. An upgrade keeps the rules
    /// of §4.2.1.
    ///
    /// # Errors
    ///
    /// The rule that the request breaks, and the client has been told; `Io` if the stream fails.
    pub async fn receive_request(&mut self) -> Result<&Request> {
        poll_fn(|cx| self.poll_request(cx)).await?;
        Ok(self.request.as_ref().ok_or(ProtocolError::HandshakeCut)?)
    }

    /// Answers the request: a response with status 101, such as [`Response::from_request`] makes, opens the connection, and
    /// [`into_socket`](Self::into_socket) has it then. Any other one is sent with its body, and ends the connection.
    /// The first one counts: called again, as after the future was dropped, it goes on sending that.
    ///
    /// # Errors
    ///
    /// `Protocol` if there is no request yet, or the response does not fit it, such as with a subprotocol that was not
    /// offered; the client has been refused then. `Io` if the stream fails.
    pub async fn respond(&mut self, mut response: Response) -> Result<()> {
        let request = self.request.as_ref().ok_or(ProtocolError::NotOpen)?;
        if self.response.is_none() {
            self.owner.shared().change(None, |engine| {
                let said = engine.say(|session, now, out| session.respond(request, &mut response, now, out));
                // The client is told first.
                said.unwrap_or_else(|err| engine.fail(err));
            });
            self.response = Some(response);
        }
        poll_fn(|cx| self.poll_sent(cx)).await
    }

    /// Makes the handshake, and returns the socket. Of the subprotocols of the [`Builder`], the first that the client
    /// offers is chosen.
    ///
    /// # Errors
    ///
    /// As [`receive_request`](Self::receive_request) and [`respond`](Self::respond); a request that wants no WebSocket is
    /// answered 426.
    pub async fn accept(mut self) -> Result<WebSocket<S>> {
        if self.response.is_none() {
            let request = self.receive_request().await?.clone();
            let response = self.acceptance(&request);
            self.respond(response).await?;
        } else {
            poll_fn(|cx| self.poll_sent(cx)).await?;
        }
        self.into_socket()
    }

    /// Returns the socket of a connection that was accepted.
    ///
    /// # Errors
    ///
    /// `Custom` with [`Rejected`] if it was not; `Protocol` if nothing was answered yet.
    pub fn into_socket(self) -> Result<WebSocket<S>> {
        match (self.request, self.response) {
            (Some(request), Some(response)) if response.status() == 101 => {
                Ok(WebSocket::open(self.owner, request, response))
            }
            (_, Some(response)) => Err(Rejected::new(response).into()),
            _ => Err(ProtocolError::NotOpen.into()),
        }
    }

    /// Gives the stream back, and what was read from it behind the request.
    ///
    /// # Errors
    ///
    /// `Protocol` if the stream is gone.
    pub fn into_inner(self) -> Result<(S, Vec<u8>)> {
        let taken = self.owner.shared().change(None, Engine::take_stream);
        Ok(taken.ok_or(ProtocolError::NotOpen)?)
    }

    fn acceptance(&self, request: &Request) -> Response {
        let Ok(mut response) = Response::from_request(request) else {
            // It has no key: the core refuses it, with what belongs to that.
            return Response::new(101, "", Vec::new());
        };
        // A list that cannot be read is refused by the core.
        let _ = self.options.choose_protocol(request, &mut response);
        response
    }

    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let shared = self.owner.shared();
        while self.request.is_none() {
            let item = ready!(shared.poll(Who::Receiver, cx, |engine, cx| engine.poll_item(cx)))?;
            match item.map(Item::into_event) {
                Some(Some(Event::Request(request))) => self.request = Some(*request),
                Some(_) => {}
                None => return Poll::Ready(Err(ProtocolError::HandshakeCut.into())),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until the response is written, and, if it ends the connection, has ended it.
    fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.owner.shared().poll(Who::Sender, cx, |engine, cx| {
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
