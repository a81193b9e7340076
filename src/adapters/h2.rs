//! WebSockets on streams of [h2] connections, in both roles (RFC 8441). Feature `h2`.
//!
//! [`Stream`] joins both directions of a stream of HTTP/2. [`request`] and [`open`] are for clients, [`accept`] is for servers, whose
//! connection must be built with `enable_connect_protocol`.
//!
//! ```
//! use sockeye::h2;
//! use sockeye::protocol::Config;
//! use sockeye::upgrade::client::RequestBuilder;
//!
//! let (request, pending) = h2::request(RequestBuilder::new("wss://example.com/chat")?)?;
//! assert_eq!(request.extensions().len(), 1);
//! // let (response, send) = connection.send_request(request, false)?;
//! // let mut socket = h2::open(pending, response.await?, send, &Builder::new())?;
//! # drop((pending, Config::default()));
//! # sockeye::Result::Ok(())
//! ```
//!
//! | WebSocket over TCP | over HTTP/2 |
//! |---|---|
//! | the end of one direction of TCP | `END_STREAM` |
//! | a reset of TCP | `RST_STREAM` with `CANCEL`, which dropping the stream sends |
//! | TCP slows down the sender | the flow-control window: bytes that the program has not received do not enlarge it |
//!
//! [h2]: https://docs.rs/h2/0.4

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_io::{AsyncRead, AsyncWrite};
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};

use super::accept_response;
use crate::futures::{self, Builder};
use crate::protocol::{Config, ProtocolError, Upgrade};
use crate::upgrade::client::RequestBuilder;
use crate::upgrade::{self, ClientUpgrade};

/// The most bytes of one write, so that a large message does not reserve the whole window of the connection.
const MAX_WRITE: usize = 64 * 1024;

/// Both directions of a stream of HTTP/2, as a stream for an async socket.
///
/// See the example of [`accept`].
pub struct Stream {
    send: SendStream<Bytes>,
    receive: RecvStream,
    /// Data that has arrived and was not read.
    unread: Bytes,
    has_ended: bool,
}

impl Stream {
    /// Joins the two directions of a stream.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use bytes::Bytes;
    /// use ::h2::{RecvStream, SendStream};
    /// use sockeye::futures::{Result, WebSocket};
    /// use sockeye::h2::Stream;
    /// use sockeye::protocol::Upgrade;
    ///
    /// fn open(upgrade: Upgrade, send: SendStream<Bytes>, receive: RecvStream) -> Result<WebSocket<Stream>> {
    ///     WebSocket::upgraded(Stream::new(send, receive), upgrade)
    /// }
    /// ```
    pub fn new(send: SendStream<Bytes>, receive: RecvStream) -> Self {
        Self { send, receive, unread: Bytes::new(), has_ended: false }
    }
}

/// Creates the request of a client, with `:protocol: websocket`. `SendRequest::send_request` sends it, without the end of the stream.
///
/// # Errors
///
/// As [`RequestBuilder::http2`].
///
/// See the example of the [module](self).
pub fn request(builder: RequestBuilder) -> crate::Result<(Request<()>, ClientUpgrade)> {
    let (mut request, pending) = builder.http2()?;
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    Ok((request, pending))
}

/// Checks the response of a server, and returns the socket of the client.
///
/// # Errors
///
/// `Rejected` if the status is not 2xx; `Protocol` if the response breaks another rule (RFC 6455 §4.1).
///
/// See the example of the [module](self).
pub fn open(
    pending: ClientUpgrade,
    response: Response<RecvStream>,
    send: SendStream<Bytes>,
    builder: &Builder,
) -> futures::Result<futures::WebSocket<Stream>> {
    let upgrade = accept_response(pending, &response)?;
    builder.upgraded(Stream::new(send, response.into_body()), upgrade)
}

/// Accepts a request that a server has received. [`upgrade::response`](crate::upgrade::response) creates the response, which
/// `SendResponse::send_response` sends without the end of the stream; it returns the direction that sends.
///
/// # Errors
///
/// As [`accept_extended_connect`](crate::upgrade::accept_extended_connect).
///
/// # Examples
///
/// ```no_run
/// use ::h2::RecvStream;
/// use ::h2::server::SendResponse;
/// use bytes::Bytes;
/// use sockeye::futures::{Builder, Timer};
/// use sockeye::http::{Request, Version};
/// use sockeye::protocol::Config;
/// use sockeye::{h2, upgrade};
///
/// # type Result = std::result::Result<(), Box<dyn std::error::Error>>;
/// async fn serve(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result {
///     match h2::accept(&request, Config::default()) {
///         Ok(upgrade) => {
///             let send = respond.send_response(upgrade::response(&upgrade)?, false)?;
///             let stream = h2::Stream::new(send, request.into_body());
///             let mut socket = Builder::new().timer(Timer::tokio()).upgraded(stream, upgrade)?;
///             socket.send("hello").await?;
///         }
///         Err(reason) => {
///             let refusal = upgrade::refusal_for(Version::HTTP_2, reason)?;
///             respond.send_response(refusal.map(drop), true)?;
///         }
///     }
///     Ok(())
/// }
/// ```
pub fn accept<B>(request: &Request<B>, config: Config) -> Result<Upgrade, ProtocolError> {
    let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
    upgrade::accept_extended_connect(request, protocol, config)
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        while self.unread.is_empty() {
            match ready!(self.receive.poll_data(cx)) {
                Some(Ok(data)) => self.unread = data,
                Some(Err(err)) if err.reason() == Some(Reason::NO_ERROR) => return Poll::Ready(Ok(0)),
                Some(Err(err)) => return Poll::Ready(Err(io_error(err))),
                None => return Poll::Ready(Ok(0)),
            }
        }
        let len = buffer.len().min(self.unread.len());
        self.unread.copy_to_slice(buffer.get_mut(..len).unwrap_or_default());
        // The stream may have been reset meanwhile, and then has no window.
        let _ = self.receive.flow_control().release_capacity(len);
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let wanted = bytes.len().min(MAX_WRITE);
        self.send.reserve_capacity(wanted);
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(err)) => return Poll::Ready(Err(io_error(err))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let len = wanted.min(self.send.capacity());
        let data = Bytes::copy_from_slice(bytes.get(..len).unwrap_or_default());
        self.send.send_data(data, false).map_err(io_error)?;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The task of the connection writes what was sent.
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.has_ended, true) {
            self.send.send_data(Bytes::new(), true).map_err(io_error)?;
        }
        Poll::Ready(Ok(()))
    }
}

/// Converts an error. A stream that was reset is like a connection of TCP that was reset.
fn io_error(err: h2::Error) -> io::Error {
    match err.reason() {
        Some(_) if err.is_remote() || err.is_reset() => io::Error::new(io::ErrorKind::ConnectionReset, err),
        _ if err.is_io() => err.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()),
        _ => io::Error::other(err),
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("id", &self.send.stream_id()).finish_non_exhaustive()
    }
}
