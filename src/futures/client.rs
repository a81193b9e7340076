//! The client's side of the opening handshake (§4.1).

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::engine::Engine;
use super::link::{Owner, Who};
use super::{Builder, Transport, WebSocket};
use crate::error::{Error, Result};
use crate::protocol::handshake::{Rejected, Request, Response};
use crate::protocol::{Event, ProtocolError};
use crate::socket::options::parse_url;
use crate::socket::session::Item;

/// A client that opens a connection over a stream of the program; made by [`Builder::client`].
///
/// # Examples
///
/// ```
/// # use futures_io::{AsyncRead, AsyncWrite};
/// use sockeye::futures::{Answer, Builder};
///
/// # async fn doc(stream: impl AsyncRead + AsyncWrite + Unpin) -> sockeye::Result<()> {
/// let mut client = Builder::new().add_subprotocol("chat").client(stream, "ws://example.com/")?;
/// match client.handshake().await? {
///     Answer::Accepted { protocol } => println!("it speaks {protocol:?}"),
///     Answer::Redirect { status, location } => println!("{status}: go to {location}"),
///     Answer::Rejected { status } => println!("{status}: {:?}", client.response()),
///     answer => println!("{answer:?}"),
/// }
/// let mut socket = client.into_socket()?;
/// # Ok(()) }
/// ```
pub struct Client<S: Transport> {
    owner: Arc<Owner<S>>,
    request: Request,
    response: Option<Response>,
    /// When the body of a rejection is no longer waited for, while there may be one to come.
    body_until: Option<Option<Instant>>,
    deadline: Option<Instant>,
}

/// What the server has answered; [`Client::response`] has its headers and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The connection is open.
    Accepted {
        /// The subprotocol that the server has chosen.
        protocol: Option<String>,
    },
    /// The server would have the client go elsewhere (RFC 9110 §15.4).
    Redirect {
        /// The status: 301, 302, 303, 307 or 308.
        status: u16,
        /// The `Location`, as it stands.
        location: String,
    },
    /// The server does not open a connection.
    Rejected {
        /// The status.
        status: u16,
    },
}

impl Builder {
    /// Begins as a client on a stream that has been connected to the host of the URL, and encrypted if need be.
    ///
    /// # Errors
    ///
    /// `Internal` for a URL that cannot be read, `Protocol` for a request that breaks a rule of §4.1.
    pub fn client<S: Transport>(&self, stream: S, url: &str) -> Result<Client<S>> {
        let request = self.options.request(&parse_url(url)?)?;
        let (now, mut out) = (Instant::now(), Vec::new());
        let session = self.options.client(request.clone(), now, &mut out)?;
        let owner = Owner::new(Engine::new(stream, session, out, self.limits()));
        let deadline = now.checked_add(self.options.config.handshake_timeout);
        Ok(Client { owner, request, response: None, body_until: None, deadline })
    }
}

impl<S: Transport> Client<S> {
    /// Sends the request, and waits for the answer, with as much of its body as fits into
    /// [`Config::max_head_size`](crate::protocol::Config::max_head_size) if it is a rejection.
    ///
    /// # Errors
    ///
    /// The rule that the answer breaks; `Io` if the stream fails.
    pub async fn handshake(&mut self) -> Result<Answer> {
        poll_fn(|cx| self.poll_answer(cx)).await
    }

    /// Makes the handshake, and returns the socket.
    ///
    /// # Errors
    ///
    /// As [`handshake`](Self::handshake), and `Custom` with [`Rejected`] if the answer is not 101.
    pub async fn open(mut self) -> Result<WebSocket<S>> {
        self.handshake().await?;
        self.into_socket()
    }

    /// Returns the socket of a connection that was accepted.
    ///
    /// # Errors
    ///
    /// `Custom` with [`Rejected`] if it was not; `Protocol` if there is no answer yet.
    pub fn into_socket(self) -> Result<WebSocket<S>> {
        match self.response {
            Some(response) if response.status() == 101 => {
                Ok(WebSocket::open(self.owner, self.request, response))
            }
            Some(response) => Err(Rejected::new(response).into()),
            None => Err(ProtocolError::NotOpen.into()),
        }
    }

    /// Gives the stream back, and what was read from it behind the answer.
    ///
    /// # Errors
    ///
    /// `Protocol` if the stream is gone.
    pub fn into_inner(self) -> Result<(S, Vec<u8>)> {
        let taken = self.owner.shared().change(None, Engine::take_stream);
        Ok(taken.ok_or(ProtocolError::NotOpen)?)
    }

    /// Returns the request; once it is answered, just as it was sent.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Returns the answer, once it is there.
    pub fn response(&self) -> Option<&Response> {
        self.response.as_ref()
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer>> {
        let shared = Arc::clone(self.owner.shared());
        while self.response.is_none() {
            match ready!(shared.poll(Who::Receiver, cx, |engine, cx| engine.poll_item(cx)))?
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
            response
                .set_body(ready!(shared.poll(Who::Receiver, cx, |engine, cx| engine.poll_body(until, cx))));
            self.body_until = None;
        }
        Poll::Ready(self.response.as_ref().map(answer).ok_or_else(|| Error::from(ProtocolError::NotOpen)))
    }
}

fn answer(response: &Response) -> Answer {
    let status = response.status();
    if status == 101 {
        let protocol = response.protocol().ok().flatten().map(str::to_owned);
        return Answer::Accepted { protocol };
    }
    match Rejected::new(response.clone()).redirect() {
        Some(location) => Answer::Redirect { status, location: location.to_owned() },
        None => Answer::Rejected { status },
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
