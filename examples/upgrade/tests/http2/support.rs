//! Servers with an echo on one end of a pipe, and clients on the other.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Method, Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use sockeye::axum::WebSocketUpgrade;
use sockeye::futures::{Builder, Error, Timer, Transport, WebSocket};
use sockeye::protocol::{Config, Upgrade};
use sockeye::upgrade::client::RequestBuilder;
use sockeye::{Deflate, Origins, upgrade};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub const URL: &str = "ws://example.com/echo";
pub const SERVERS: [Kind; 3] = [Kind::Hyper, Kind::Axum, Kind::H2];

/// The crate whose connection the server uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Hyper,
    Axum,
    H2,
}

/// The result of each echo: `None` for a closing handshake, or the error.
pub type Ends = UnboundedReceiver<Option<Error>>;

/// A server on its end of a pipe.
pub struct Server {
    pub ends: Ends,
    /// Makes the server send GOAWAY, and complete the streams that are open.
    pub shut_down: Arc<Notify>,
    /// Ends the connection at once.
    pub abort: tokio::task::AbortHandle,
}

#[derive(Clone)]
struct Echo(UnboundedSender<Option<Error>>);

impl Echo {
    async fn run<S: Transport>(self, mut socket: WebSocket<S>) {
        let end = loop {
            match socket.receive().await {
                Ok(Some(message)) if message.as_text().is_ok_and(|text| text == "leave") => break None,
                Ok(Some(message)) => {
                    if let Err(err) = socket.send(message).await {
                        break Some(err);
                    }
                }
                Ok(None) => {
                    let closed = socket.closed().await;
                    break (!closed.was_clean).then_some(Error::Closed);
                }
                Err(err) => break Some(err),
            }
        };
        let _ = self.0.send(end);
    }
}

/// What all servers accept.
pub fn config() -> Config {
    Config {
        subprotocols: ["b", "a"].map(String::from).to_vec(),
        origins: Origins::Only(&["https://example.com"]).into(),
        deflate: Some(Deflate::default()),
        ..Config::default()
    }
}

/// The sizes of windows and the number of streams.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub window: u32,
    pub streams: u32,
}

pub const USUAL: Limits = Limits { window: 65_535, streams: 100 };

pub fn serve(kind: Kind, limits: Limits) -> (DuplexStream, Server) {
    let (near, far) = duplex(64 * 1024);
    let (ended, ends) = unbounded_channel();
    let (echo, shut_down) = (Echo(ended), Arc::new(Notify::new()));
    let stop = Arc::clone(&shut_down);
    let task = match kind {
        Kind::Hyper => tokio::spawn(hyper_server(far, limits, echo, stop)),
        Kind::Axum => tokio::spawn(axum_server(far, limits, echo, stop)),
        Kind::H2 => tokio::spawn(h2_server(far, limits, echo, stop)),
    };
    (near, Server { ends, shut_down, abort: task.abort_handle() })
}

fn builder(limits: Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.enable_connect_protocol().max_concurrent_streams(limits.streams);
    builder.initial_stream_window_size(limits.window).initial_connection_window_size(limits.window);
    builder
}

async fn hyper_server(stream: DuplexStream, limits: Limits, echo: Echo, stop: Arc<Notify>) {
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        let echo = echo.clone();
        let answer = sockeye::hyper::upgrade::<_, Full<Bytes>, _, _>(&mut request, config(), |socket| {
            echo.run(socket)
        });
        async { Ok::<_, Infallible>(answer) }
    });
    let mut connection = pin!(builder(limits).serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.notified() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn axum_server(stream: DuplexStream, limits: Limits, echo: Echo, stop: Arc<Notify>) {
    let handler = async move |upgrade: WebSocketUpgrade| {
        let upgrade = upgrade.config(config()).deflate(Deflate::default());
        upgrade.on_upgrade(move |socket| echo.run(socket))
    };
    let app: Router =
        Router::new().route("/echo", any(move |upgrade: WebSocketUpgrade| handler.clone()(upgrade)));
    let service = TowerToHyperService::new(app);
    let mut connection = pin!(builder(limits).serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.notified() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn h2_server(stream: DuplexStream, limits: Limits, echo: Echo, stop: Arc<Notify>) {
    let mut builder = h2::server::Builder::new();
    builder.enable_connect_protocol().max_concurrent_streams(limits.streams);
    builder.initial_window_size(limits.window).initial_connection_window_size(limits.window);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    let mut is_stopping = false;
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            () = stop.notified(), if !is_stopping => {
                is_stopping = true;
                connection.graceful_shutdown();
                continue;
            }
        };
        let Some(Ok((request, respond))) = accepted else { return };
        tokio::spawn(h2_answer(request, respond, echo.clone()));
    }
}

async fn h2_answer(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    echo: Echo,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let upgrade: Upgrade = match sockeye::h2::accept(&request, config()) {
        Ok(upgrade) => upgrade,
        Err(reason) => {
            let refusal = upgrade::refusal_for(Version::HTTP_2, reason)?;
            let mut head = refusal.map(drop);
            head.headers_mut().remove("content-length");
            respond.send_response(head, true)?;
            return Ok(());
        }
    };
    let send = respond.send_response(upgrade::response(&upgrade)?, false)?;
    let stream = sockeye::h2::Stream::new(send, request.into_body());
    echo.run(Builder::new().timer(Timer::tokio()).upgraded(stream, upgrade)?).await;
    Ok(())
}

/// The client of an HTTP/2 connection, whose server has announced that it supports extended CONNECT.
pub async fn h2_client(stream: DuplexStream, window: u32) -> h2::client::SendRequest<Bytes> {
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window).initial_connection_window_size(window);
    let (sender, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let sender = sender.ready().await.unwrap();
    within(async {
        while !sender.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    sender
}

pub type Client = WebSocket<sockeye::h2::Stream>;

/// Opens a WebSocket on a stream of the connection.
pub async fn open(
    sender: &h2::client::SendRequest<Bytes>,
    builder: RequestBuilder,
) -> sockeye::futures::Result<Client> {
    let (request, pending) = sockeye::h2::request(builder)?;
    let mut sender = within(sender.clone().ready()).await.unwrap();
    let (response, send) = sender.send_request(request, false).unwrap();
    let response = within(response).await.map_err(std::io::Error::other)?;
    sockeye::h2::open(pending, response, send, &Builder::new().timer(Timer::tokio()))
}

pub fn request() -> RequestBuilder {
    RequestBuilder::new(URL).unwrap()
}

/// A request of HTTP/2 as it is, without the client of Sockeye.
pub fn raw(method: Method, protocol: Option<&'static str>, headers: &[(&str, &str)]) -> Request<()> {
    let mut request =
        Request::builder().method(method).uri("http://example.com/echo").version(Version::HTTP_2);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(()).unwrap();
    if let Some(protocol) = protocol {
        request.extensions_mut().insert(h2::ext::Protocol::from_static(protocol));
    }
    request
}

/// A bound for a test that would otherwise hang. It does not decide whether the test passes.
pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("the peer does not answer")
}
