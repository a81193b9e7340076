//! WebSockets on connections of [hyper] 1, over HTTP/1.1 and HTTP/2, in both roles. Feature `hyper`.
//!
//! # Servers
//!
//! [`upgrade`](fn@upgrade) is all that a service needs. [`accept`] does the same in steps, for programs that look at the request first.
//! Services of `tower` with the request of hyper use the same functions.
//!
//! ```
//! use sockeye::http::{Request, Response};
//! use sockeye::hyper;
//! use sockeye::protocol::Config;
//!
//! /// The function of a `service_fn`, with a body such as `Full<Bytes>`.
//! async fn answer<B, R: From<Vec<u8>>>(mut request: Request<B>) -> Response<R> {
//!     hyper::upgrade(&mut request, Config::default(), |mut socket| async move {
//!         while let Ok(Some(message)) = socket.receive().await {
//!             let _ = socket.send(message).await;
//!         }
//!     })
//! }
//! # drop(answer::<(), Vec<u8>>(Request::new(())));
//! ```
//!
//! Over HTTP/1.1, the connection must be served with `serve_connection_with_upgrades` or `with_upgrades`. Over HTTP/2, the server
//! must call `enable_connect_protocol`; otherwise clients do not send such requests.
//!
//! # Clients
//!
//! [`http1_request`] or [`http2_request`], then `SendRequest::send_request` of hyper, then [`open`]. The connection of HTTP/1.1 must
//! be polled with `with_upgrades`.
//!
//! ```
//! use sockeye::hyper;
//! use sockeye::upgrade::client::RequestBuilder;
//!
//! let (request, pending) = hyper::http2_request::<String>(RequestBuilder::new("wss://example.com/chat")?)?;
//! assert_eq!(request.method(), "CONNECT");
//! // let response = sender.send_request(request).await?;
//! // let mut socket = hyper::open(pending, response).await?;
//! # drop(pending);
//! # sockeye::Result::Ok(())
//! ```
//!
//! # Timeouts
//!
//! The sockets have the timer of tokio. A stream of HTTP/2 ends when both ends have ended it; a peer that resets it
//! (`RST_STREAM`), or the whole connection (`GOAWAY` and then the end of TCP), is a lost connection.
//!
//! [hyper]: https://docs.rs/hyper/1

use std::fmt;
use std::future::Future;
use std::io;

use http::{Request, Response, Version};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;

use super::accept_response;
pub use super::hyper_stream::Stream;
use crate::futures::{self, Builder, Error, Timer};
use crate::protocol::{Config, ProtocolError, Upgrade};
use crate::upgrade::client::RequestBuilder;
use crate::upgrade::{self, ClientUpgrade, RequestHead};

/// The async socket on a connection of hyper. See the example of the [module](self).
pub type WebSocket = futures::WebSocket<Stream>;

/// A request for a WebSocket that a server has accepted, and the connection on which it arrived.
///
/// See the example of [`accept`].
pub struct Accepted {
    upgrade: Upgrade,
    connection: OnUpgrade,
}

/// Answers a request for a WebSocket, over HTTP/1.1 or HTTP/2, and runs `serve` with the socket in a task of tokio.
///
/// The response opens the connection, or rejects the request with the status for the reason. The first subprotocol of
/// [`Config::subprotocols`] that the client offers is selected. If the client disconnects before the response has been sent, `serve`
/// is not called.
///
/// # Panics
///
/// Outside of a runtime of tokio.
///
/// See the example of the [module](self).
pub fn upgrade<B, R, F, S>(request: &mut Request<B>, config: Config, serve: S) -> Response<R>
where
    R: From<Vec<u8>>,
    F: Future<Output = ()> + Send,
    S: FnOnce(WebSocket) -> F + Send + 'static,
{
    let version = request.version();
    let answered = accept(request, config).and_then(|accepted| {
        let response = accepted.response().map_err(|_| ProtocolError::UnsendableHead)?;
        tokio::spawn(async move {
            if let Ok(socket) = accepted.open(&Builder::new()).await {
                serve(socket).await;
            }
        });
        Ok(response)
    });
    answered.unwrap_or_else(|reason| refusal(version, reason))
}

/// Accepts a request for a WebSocket, over HTTP/1.1 or HTTP/2. [`refusal`] creates the response for an error.
///
/// # Errors
///
/// The rule that the request breaks, as [`upgrade::accept`](crate::upgrade::accept) and
/// [`accept_extended_connect`](crate::upgrade::accept_extended_connect).
///
/// # Examples
///
/// ```
/// use sockeye::http::{Request, Response};
/// use sockeye::hyper;
/// use sockeye::protocol::Config;
///
/// fn answer<B, R: From<Vec<u8>>>(mut request: Request<B>) -> Response<R> {
///     let version = request.version();
///     let accepted = match hyper::accept(&mut request, Config::default()) {
///         Ok(accepted) if accepted.upgrade().request().path() == "/chat" => accepted,
///         Ok(_) => return Response::new(Vec::new().into()),
///         Err(reason) => return hyper::refusal(version, reason),
///     };
///     let response = accepted.response().unwrap_or_else(|_| Response::new(Vec::new().into()));
///     tokio::spawn(async move {
///         let mut socket = accepted.open(&sockeye::futures::Builder::new()).await?;
///         socket.send("hello").await
///     });
///     response
/// }
/// # let answered = answer::<(), Vec<u8>>(Request::new(()));
/// # assert_eq!(answered.status(), 400);
/// ```
pub fn accept<B>(request: &mut Request<B>, config: Config) -> Result<Accepted, ProtocolError> {
    let upgrade = accept_head(request, request.extensions(), config)?;
    Ok(Accepted::new(upgrade, hyper::upgrade::on(request)))
}

/// Accepts the head of a request with the extensions that hyper adds to it.
pub(super) fn accept_head(
    request: &impl RequestHead,
    extensions: &http::Extensions,
    config: Config,
) -> Result<Upgrade, ProtocolError> {
    if request.version() < Version::HTTP_2 {
        return upgrade::accept(request, config);
    }
    let protocol = extensions.get::<Protocol>().map(Protocol::as_str);
    // A GET over HTTP/2 asks for a page.
    upgrade::accept_extended_connect(request, protocol, config)
}

/// Creates the response that rejects a request with this version of HTTP.
///
/// See the example of [`accept`].
pub fn refusal<R: From<Vec<u8>>>(version: Version, reason: ProtocolError) -> Response<R> {
    match upgrade::refusal_for(version, reason) {
        Ok(response) => response.map(R::from),
        Err(_) => Response::new(Vec::new().into()),
    }
}

impl Accepted {
    pub(super) fn new(upgrade: Upgrade, connection: OnUpgrade) -> Self {
        Self { upgrade, connection }
    }

    /// Returns the request, and the response that will be sent.
    ///
    /// See the example of [`accept`].
    pub fn upgrade(&self) -> &Upgrade {
        &self.upgrade
    }

    /// Returns the same for changes, for example to select a subprotocol or to add a header to the response.
    ///
    /// See the example of [`into_parts`](Self::into_parts).
    pub fn upgrade_mut(&mut self) -> &mut Upgrade {
        &mut self.upgrade
    }

    /// Returns the upgrade, and the connection of hyper. Awaited after the response has been sent, it returns the stream, which a program
    /// can hand over to an event loop (`Sender::accept_upgraded`) if it is that of HTTP/1.1.
    ///
    /// # Examples
    ///
    /// ```
    /// use hyper::upgrade::OnUpgrade;
    /// use sockeye::http::Request;
    /// use sockeye::protocol::{Config, ProtocolError, Upgrade};
    ///
    /// fn prepare<B>(request: &mut Request<B>) -> Result<(Upgrade, OnUpgrade), ProtocolError> {
    ///     let mut accepted = sockeye::hyper::accept(request, Config::default())?;
    ///     let response = accepted.upgrade_mut().response_mut();
    ///     response.add_header("Set-Cookie", "session=1").map_err(|_| ProtocolError::UnsendableHead)?;
    ///     Ok(accepted.into_parts())
    /// }
    /// # drop(prepare::<()>);
    /// ```
    pub fn into_parts(self) -> (Upgrade, OnUpgrade) {
        (self.upgrade, self.connection)
    }

    /// Creates the response that the service must return.
    ///
    /// # Errors
    ///
    /// An error of `http` if the response was changed to one that cannot be sent.
    ///
    /// See the example of [`accept`].
    pub fn response<R: From<Vec<u8>>>(&self) -> http::Result<Response<R>> {
        Ok(upgrade::response(&self.upgrade)?.map(|()| R::from(Vec::new())))
    }

    /// Waits until the response has been sent, and returns the socket. Options of the builder for handshakes are not used, and its
    /// timer is replaced by that of tokio.
    ///
    /// # Errors
    ///
    /// `ConnectionLost` if the connection has ended before, or the server does not support upgrades; `Protocol` if the response was
    /// changed so that it does not open a connection.
    ///
    /// See the example of [`accept`].
    pub async fn open(self, builder: &Builder) -> futures::Result<WebSocket> {
        finish(self.upgrade, self.connection, builder).await
    }
}

/// Creates the request of a client over HTTP/1.1, with an empty body.
///
/// # Errors
///
/// As [`RequestBuilder::http1`].
///
/// See the example of the [module](self).
pub fn http1_request<B: Default>(builder: RequestBuilder) -> crate::Result<(Request<B>, ClientUpgrade)> {
    let (request, pending) = builder.http1()?;
    Ok((request.map(|()| B::default()), pending))
}

/// Creates the request of a client over HTTP/2, with `:protocol: websocket` and an empty body.
///
/// Send it only to a server that supports this (RFC 8441 §3). Others treat it as malformed and reset the stream.
///
/// # Errors
///
/// As [`RequestBuilder::http2`].
///
/// See the example of the [module](self).
pub fn http2_request<B: Default>(builder: RequestBuilder) -> crate::Result<(Request<B>, ClientUpgrade)> {
    let (mut request, pending) = builder.http2()?;
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    Ok((request.map(|()| B::default()), pending))
}

/// Checks the response of a server, and returns the socket of the client.
///
/// # Errors
///
/// `Rejected` if the status does not open the connection: 101 over HTTP/1.1, 2xx over HTTP/2. `Protocol` if the response breaks
/// another rule (RFC 6455 §4.1). `ConnectionLost` if the connection has ended.
///
/// See the example of the [module](self).
pub async fn open<B>(pending: ClientUpgrade, response: Response<B>) -> futures::Result<WebSocket> {
    let upgrade = accept_response(pending, &response)?;
    finish(upgrade, hyper::upgrade::on(response), &Builder::new()).await
}

async fn finish(upgrade: Upgrade, connection: OnUpgrade, builder: &Builder) -> futures::Result<WebSocket> {
    let stream = connection.await.map_err(|err| Error::ConnectionLost(io::Error::other(err)))?;
    builder.clone().timer(Timer::tokio()).upgraded(Stream::new(stream), upgrade)
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted").field("upgrade", &self.upgrade).finish_non_exhaustive()
    }
}
