//! The opening handshake of a client (§4.1).

use std::fmt;
use std::time::Instant;

use super::link::Link;
use super::{Builder, Stream, WebSocket};
use crate::protocol::handshake::{Body, Rejected, Request, Response};
use crate::protocol::{Event, ProtocolError};
use crate::socket::opening_heads::OpeningHeads;
use crate::socket::options::parse_url;
use crate::socket::{Answer, Error, Result};

/// A client that performs the opening handshake on a stream of the program, made by [`Builder::client`].
///
/// # Examples
///
/// ```no_run
/// use std::net::TcpStream;
/// use sockeye::blocking::{Answer, Builder};
///
/// let stream = TcpStream::connect("127.0.0.1:3012")?;
/// let mut client = Builder::new().add_subprotocol("chat").client(stream, "ws://example.com/")?;
/// match client.handshake()? {
///     Answer::Accepted { protocol } => println!("the subprotocol is {protocol:?}"),
///     Answer::Redirect { status, location } => println!("{status}: moved to {location}"),
///     Answer::Rejected { status } => println!("{status}: {:?}", client.response()),
///     answer => println!("{answer:?}"),
/// }
/// let mut socket = client.into_socket()?;
/// # sockeye::blocking::Result::Ok(())
/// ```
pub struct Client<S: Stream> {
    builder: Builder,
    stream: S,
    link: Link,
    request: Request,
    response: Option<Response>,
    start: Instant,
}

impl Builder {
    /// Creates a client on a stream that is connected to the host of the URL, and encrypted if the URL asks for it.
    ///
    /// # Errors
    ///
    /// `Url` if a client cannot connect to a URL of this form; `Protocol` if the request cannot be sent.
    ///
    /// See the example of [`Client`].
    pub fn client<S: Stream>(&self, stream: S, url: &str) -> Result<Client<S>> {
        let request = self.options.request(&parse_url(url)?)?;
        self.client_since(Instant::now(), stream, request)
    }

    /// Creates a client whose handshake timeout started earlier, before TLS.
    pub(super) fn client_since<S: Stream>(
        &self,
        start: Instant,
        stream: S,
        request: Request,
    ) -> Result<Client<S>> {
        let mut out = Vec::new();
        let session = self.options.client(request.clone(), start, &mut out)?;
        let link = Link::new(&stream, session, out, Vec::new());
        Ok(Client { builder: self.clone(), stream, link, request, response: None, start })
    }
}

impl<S: Stream> Client<S> {
    /// Sends the request, and waits for the answer. If the answer is not 101, its body is read as well, up to
    /// [`Config::max_head_size`](crate::protocol::Config::max_head_size).
    ///
    /// # Errors
    ///
    /// `Protocol` if the answer breaks a rule of RFC 6455 §4.1; `Timeout` with `Handshake`; `ConnectionLost`; `Io` with
    /// `WouldBlock` if the stream is in nonblocking mode and the answer has not arrived.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn handshake(&mut self) -> Result<Answer> {
        let response = match self.response.take() {
            Some(response) => response,
            None => self.receive_response()?,
        };
        let answer = Answer::of(&response);
        self.response = Some(response);
        Ok(answer)
    }

    /// Performs the handshake, and returns the socket.
    ///
    /// # Errors
    ///
    /// As [`handshake`](Self::handshake), and `Rejected` if the answer is not 101.
    ///
    /// See the example of [`Tls`](super::Tls).
    pub fn open(mut self) -> Result<WebSocket<S>> {
        self.handshake()?;
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
                let opening = OpeningHeads::new(self.request, response);
                Ok(WebSocket::open(&self.builder, self.stream, self.link, opening))
            }
            Some(response) => Err(Rejected::new(response).into()),
            None => Err(Error::Closed),
        }
    }

    /// Returns the stream, with its original timeouts, and the bytes that were read after the answer.
    ///
    /// # Errors
    ///
    /// `Io` if the timeouts of the stream cannot be restored.
    pub fn into_inner(mut self) -> Result<(S, Vec<u8>)> {
        self.link.restore_timeouts(&mut self.stream)?;
        let unread = self.link.reading(|reading| reading.take_unread());
        Ok((self.stream, unread))
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

    fn receive_response(&mut self) -> Result<Response> {
        let Self { builder, stream, link, request, start, .. } = self;
        match link.reading(|reading| link.event(stream, reading))? {
            Some(Event::Response { request: sent, response }) => {
                *request = *sent;
                Ok(*response)
            }
            Some(Event::Rejected(mut response)) => {
                let config = &builder.options.config;
                let mut body = Body::of(&response, config.max_head_size);
                let deadline = *start + config.handshake_timeout;
                link.reading(|reading| reading.read_body(stream, &mut body, deadline));
                response.set_body(body.finish());
                Ok(*response)
            }
            _ => Err(ProtocolError::HandshakeCut.into()),
        }
    }
}

impl<S: Stream> fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("request", &self.request)
            .field("response", &self.response)
            .finish_non_exhaustive()
    }
}
