//! Connecting and accepting with tokio.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_io::{AsyncRead, AsyncWrite};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use url::{Host, Url};

use super::tls::Tls;
use super::{Builder, Compat, Timer, Transport, WebSocket};
use crate::socket::options::{authority, parse_url};
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
    /// The addresses of the host are tried one after the other, each within [`connect_timeout`](Self::connect_timeout).
    /// [`Config::handshake_timeout`](crate::protocol::Config::handshake_timeout) limits TLS and the opening handshake
    /// together. `TCP_NODELAY` is set.
    ///
    /// # Errors
    ///
    /// - `Url` if a client cannot connect to a URL of this form; `TlsDisabled` for `wss://` in a build without TLS.
    /// - `Connect` if the host is unknown or refuses the connection; `Timeout` with `Connect`.
    /// - `Tls` if TLS fails, for instance because the certificate is not valid for the host.
    /// - `Rejected` if the server answers with another status than 101.
    /// - `Protocol` if its answer breaks a rule of RFC 6455 §4.1; `Timeout` with `Handshake`; `ConnectionLost`.
    pub async fn connect(&self, url: &str) -> Result<WebSocket<Socket>> {
        let builder = self.with_tokio_timer();
        let parsed = parse_url(url)?;
        // A URL that cannot be requested is refused before connecting.
        builder.options.request(&parsed)?;
        let stream = builder.connect_stream(&parsed).await?;
        within(builder.options.config.handshake_timeout, async {
            let stream = builder.encrypt(stream, &parsed).await?;
            builder.client(stream, url)?.open().await
        })
        .await
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
        let failed = |source| Error::Connect { target: authority(url), source };
        let mut failure = Error::Timeout(TimeoutKind::Connect);
        for address in resolve(url).await.map_err(failed)? {
            match self.within_connect_timeout(TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(Socket::Tcp(Compat(stream)));
                }
                Ok(Err(err)) => failure = failed(err),
                Err(err) => failure = err,
            }
        }
        Err(failure)
    }

    async fn within_connect_timeout<T>(&self, connecting: impl Future<Output = T>) -> Result<T> {
        let connected = timeout(self.options.connect_timeout, connecting).await;
        connected.map_err(|_| Error::Timeout(TimeoutKind::Connect))
    }
}

/// Looks up the addresses of a host.
async fn resolve(url: &Url) -> io::Result<Vec<SocketAddr>> {
    let port = url.port_or_known_default().unwrap_or(80);
    let addresses: Vec<SocketAddr> = match url.host() {
        Some(Host::Domain(name)) => lookup_host((name, port)).await?.collect(),
        Some(Host::Ipv4(address)) => vec![(address, port).into()],
        Some(Host::Ipv6(address)) => vec![(address, port).into()],
        None => Vec::new(),
    };
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    }
    Ok(addresses)
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

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().as_mut().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().as_mut().poll_close(cx)
    }
}
