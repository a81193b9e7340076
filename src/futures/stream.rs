//! Connecting and accepting with tokio.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::timeout;
use url::Url;

use super::tls::Tls;
use super::{Builder, Compat, Reconnecting, Timer, Transport, WebSocket};
use crate::connecting::reconnect::Reconnect;
use crate::socket::{Error, Result, TimeoutKind};

/// The stream of a socket that [`Builder::connect`] or [`Builder::accept`] has opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Socket {
    /// TCP: `ws://`, and a server without a certificate.
    Tcp(Compat<TcpStream>),
    /// A Unix domain socket: `ws+unix://`.
    #[cfg(unix)]
    Unix(Compat<UnixStream>),
    /// TLS over TCP: `wss://`, and a server with a certificate. It needs the feature `rustls` or `ssl`.
    Tls(Box<Tls<Compat<TcpStream>>>),
}

impl WebSocket<Socket> {
    /// Connects to a `ws://`, `wss://` (feature `rustls` or `ssl`) or `ws+unix://` URL. [`Builder`] has options.
    ///
    /// # Errors
    ///
    /// See [`Builder::connect`].
    pub async fn connect(url: &str) -> Result<Self> {
        Builder::new().connect(url).await
    }

    /// Accepts a client on a TCP stream, and performs the opening handshake. [`Builder`] has options.
    ///
    /// # Errors
    ///
    /// See [`Builder::accept`].
    pub async fn accept(stream: TcpStream) -> Result<Self> {
        Builder::new().accept(stream).await
    }
}

impl Builder {
    /// Connects to a `ws://`, `wss://` (feature `rustls` or `ssl`) or `ws+unix://` URL.
    ///
    /// The addresses of the host are tried in turn, each within [`connect_timeout`](Self::connect_timeout). The next attempt
    /// begins when one fails, or after 250 ms while the earlier ones continue (RFC 8305); both address families alternate.
    /// With a [`proxy`](Self::proxy), this applies to the addresses of the proxy, and the time limit includes its handshake.
    /// [`Config::handshake_timeout`](crate::protocol::Config::handshake_timeout) limits TLS and the opening handshake
    /// together. `TCP_NODELAY` is set.
    ///
    /// # Errors
    ///
    /// - `Url` if a client cannot connect to a URL of this form; `TlsDisabled` for `wss://` in a build without TLS.
    /// - `Connect` if the host is unknown or refuses the connection; `Timeout` with `Connect`.
    /// - `Proxy` if the proxy does not connect to the host.
    /// - `Tls` if TLS fails, for instance because the certificate is not valid for the host.
    /// - `Rejected` if the server answers with another status than 101.
    /// - `Protocol` if its answer breaks a rule of RFC 6455 §4.1; `Timeout` with `Handshake`; `ConnectionLost`.
    pub async fn connect(&self, url: &str) -> Result<WebSocket<Socket>> {
        let builder = self.with_tokio_timer();
        let mut redirect = builder.options.first_url(url)?;
        loop {
            // A URL that cannot be requested is refused before connecting.
            let request = builder.options.redirected_request(&redirect)?;
            let stream = builder.connect_stream(&redirect.url).await?;
            let client = within(builder.options.config.handshake_timeout, async {
                let stream = builder.encrypt(stream, &redirect.url).await?;
                let mut client = builder.client_with(stream, request)?;
                client.handshake().await?;
                Ok(client)
            });
            let client = client.await?;
            if !builder.options.follow(&mut redirect, client.response()) {
                return client.into_socket();
            }
        }
    }

    /// Creates a client that connects to a URL, and connects again when its connection is lost.
    ///
    /// It does not connect yet, so that it does not matter whether the server is there: [`Reconnecting::receive`] connects. The waits use
    /// the [`timer`](Self::timer) of the builder, by default that of tokio.
    ///
    /// # Errors
    ///
    /// `Url` if a client cannot connect to a URL of this form; `Protocol` if the request cannot be sent.
    ///
    /// See the example of [`Reconnecting`].
    pub fn connect_with(&self, url: &str, reconnect: Reconnect) -> Result<Reconnecting<Socket>> {
        let redirect = self.options.first_url(url)?;
        self.options.redirected_request(&redirect)?;
        let (builder, url): (_, Arc<str>) = (self.clone(), url.into());
        let timer = self.timer.clone().unwrap_or_else(Timer::tokio);
        Ok(Reconnecting::new(reconnect, timer, move || {
            let (builder, url) = (builder.clone(), Arc::clone(&url));
            async move { builder.connect(&url).await }
        }))
    }

    /// Accepts a client on a TCP stream, with TLS if there is a certificate (`server_tls`), and performs the opening
    /// handshake.
    ///
    /// [`Config::handshake_timeout`](crate::protocol::Config::handshake_timeout) limits TLS and the opening handshake
    /// together. The first supported subprotocol that the client offers is chosen. `TCP_NODELAY` is set.
    /// [`server`](Self::server) accepts on other streams, and shows the request first.
    ///
    /// # Errors
    ///
    /// - `Protocol` if the request breaks a rule of RFC 6455 §4.2.1. The client has received an HTTP error.
    /// - `Tls` if TLS fails.
    /// - `Timeout` with `Handshake`; `ConnectionLost`.
    pub async fn accept(&self, stream: TcpStream) -> Result<WebSocket<Socket>> {
        let builder = self.with_tokio_timer();
        stream.set_nodelay(true)?;
        let start = Instant::now();
        let encrypting = builder.encrypt_server(Compat(stream));
        let stream = within(builder.options.config.handshake_timeout, encrypting).await?;
        builder.server_since(start, stream).accept().await
    }

    fn with_tokio_timer(&self) -> Self {
        let builder = self.clone();
        if builder.timer.is_some() { builder } else { builder.timer(Timer::tokio()) }
    }

    /// Connects the stream for a URL, without TLS.
    async fn connect_stream(&self, url: &Url) -> Result<Socket> {
        #[cfg(unix)]
        if let Some((path, _)) = crate::protocol::handshake::unix_target(url) {
            let connected = self.within_connect_timeout(UnixStream::connect(&path)).await?;
            let stream = connected.map_err(|source| Error::Connect { target: path, source })?;
            return Ok(Socket::Unix(Compat(stream)));
        }
        let stream = self.connect_tcp(url).await?;
        stream.set_nodelay(true)?;
        Ok(Socket::Tcp(Compat(stream)))
    }

    #[cfg(unix)]
    async fn within_connect_timeout<T>(&self, connecting: impl Future<Output = T>) -> Result<T> {
        let connected = timeout(self.options.connect_timeout, connecting).await;
        connected.map_err(|_| Error::Timeout(TimeoutKind::Connect))
    }
}

/// Limits the time of a handshake.
async fn within<T>(limit: Duration, handshake: impl Future<Output = Result<T>>) -> Result<T> {
    let late = || Err(Error::Timeout(TimeoutKind::Handshake));
    timeout(limit, handshake).await.unwrap_or_else(|_| late())
}

impl Socket {
    fn as_mut(&mut self) -> Pin<&mut dyn Transport> {
        match self {
            Self::Tcp(stream) => Pin::new(stream),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.get_mut().as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().as_mut().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().as_mut().poll_write_vectored(cx, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().as_mut().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().as_mut().poll_close(cx)
    }
}
