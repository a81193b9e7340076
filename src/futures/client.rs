//! The opening handshake of a client (§4.1).

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::engine::Engine;
use super::link::{ConnectionHandle, Waiter};
use super::{Builder, Transport, WebSocket};
use crate::protocol::handshake::{Rejected, Request, Response};
use crate::protocol::{Event, ProtocolError};
use crate::socket::opening_heads::OpeningHeads;
use crate::socket::options::parse_url;
use crate::socket::session::Item;
use crate::socket::{Answer, Error, Result};

/// A client that performs the opening handshake on a stream of the program, made by [`Builder::client`].
///
/// # Examples
///
/// ```
/// # use futures_io::{AsyncRead, AsyncWrite};
/// use sockeye::futures::{Answer, Builder};
///
/// # async fn doc(stream: impl AsyncRead + AsyncWrite + Unpin) -> sockeye::futures::Result<()> {
/// let mut client = Builder::new().add_subprotocol("chat").client(stream, "ws://example.com/")?;
/// match client.handshake().await? {
///     Answer::Accepted { protocol } => println!("the subprotocol is {protocol:?}"),
///     Answer::Redirect { status, location } => println!("{status}: moved to {location}"),
///     Answer::Rejected { status } => println!("{status}: {:?}", client.response()),
///     answer => println!("{answer:?}"),
/// }
/// let mut socket = client.into_socket()?;
/// # Ok(()) }
/// ```
pub struct Client<S: Transport> {
    handle: Arc<ConnectionHandle<S>>,
    request: Request,
    response: Option<Response>,
    /// The deadline for the body of a rejection, while it is being read.
    body_until: Option<Option<Instant>>,
    deadline: Option<Instant>,
}

impl Builder {
    /// Creates a client on a stream that is connected to the host of the URL, and encrypted if the URL asks for it.
    ///
    /// # Errors
    ///
    /// `Url` if a client cannot connect to a URL of this form; `Protocol` if the request cannot be sent.
    ///
    /// See the example of [`Client`].
    pub fn client<S: Transport>(&self, stream: S, url: &str) -> Result<Client<S>> {
        self.client_with(stream, self.options.request(&parse_url(url)?)?)
    }

    /// Creates a client that sends a request.
    pub(super) fn client_with<S: Transport>(&self, stream: S, request: Request) -> Result<Client<S>> {
        let (now, mut out) = (Instant::now(), Vec::new());
        let session = self.options.client(request.clone(), now, &mut out)?;
        let handle = ConnectionHandle::new(Engine::new(stream, session, out, self.engine_options()));
        let deadline = now.checked_add(self.options.config.handshake_timeout);
        Ok(Client { handle, request, response: None, body_until: None, deadline })
    }
}

impl<S: Transport> Client<S> {
    /// Sends the request, and waits for the answer. If the answer is not 101, its body is read as well, up to
    /// [`Config::max_head_size`](crate::protocol::Config::max_head_size).
    ///
    /// # Errors
    ///
    /// `Protocol` if the answer breaks a rule of RFC 6455 §4.1; `Timeout` with `Handshake`; `ConnectionLost`.
    ///
    /// See the [example](Self#examples) of this type.
    pub async fn handshake(&mut self) -> Result<Answer> {
        poll_fn(|cx| self.poll_answer(cx)).await
    }

    /// Performs the handshake, and returns the socket. If the future is dropped, so is the connection.
    ///
    /// # Errors
    ///
    /// As [`handshake`](Self::handshake), and `Rejected` if the answer is not 101.
    pub async fn open(mut self) -> Result<WebSocket<S>> {
        self.handshake().await?;
        self.into_socket()
    }

    /// Returns the socket of a connection that the server has accepted.
    ///
    /// # Errors
    ///
    /// `Rejected` if the server has answered with another status than 101; `Closed` if there is no answer yet.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn into_socket(self) -> Result<WebSocket<S>> {
        match self.response {
            Some(response) if response.status() == 101 => {
                Ok(WebSocket::open(self.handle, OpeningHeads::new(self.request, response)))
            }
            Some(response) => Err(Rejected::new(response).into()),
            None => Err(Error::Closed),
        }
    }

    /// Returns the stream, and the bytes that were read after the answer.
    ///
    /// # Errors
    ///
    /// `Closed` if the stream has ended.
    pub fn into_inner(self) -> Result<(S, Vec<u8>)> {
        let taken = self.handle.shared().change(None, Engine::take_stream);
        taken.ok_or(Error::Closed)
    }

    /// Returns the request. After the handshake it is exactly what was sent.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Returns the answer, or `None` before the handshake.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn response(&self) -> Option<&Response> {
        self.response.as_ref()
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer>> {
        let shared = Arc::clone(self.handle.shared());
        while self.response.is_none() {
            match ready!(shared.poll(Waiter::Receiver, cx, |engine, cx| engine.poll_item(cx)))?
                .and_then(Item::into_event)
            {
                Some(Event::Response { request, response }) => {
                    self.request = *request;
                    self.response = Some(*response);
                }
                Some(Event::Rejected(response)) => {
                    self.response = Some(*response);
                    self.body_until = Some(self.deadline);
                }
                Some(_) => {}
                None => return Poll::Ready(Err(ProtocolError::HandshakeCut.into())),
            }
        }
        if let (Some(until), Some(response)) = (self.body_until, &mut self.response) {
            response.set_body(ready!(
                shared.poll(Waiter::Receiver, cx, |engine, cx| engine.poll_body(until, cx))
            ));
            self.body_until = None;
        }
        Poll::Ready(self.response.as_ref().map(Answer::of).ok_or(Error::Closed))
    }
}

impl<S: Transport> fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("request", &self.request)
            .field("response", &self.response)
            .finish_non_exhaustive()
    }
}
