//! Connecting and accepting, by tokio.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_io::{AsyncRead, AsyncWrite};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use url::{Host, Url};

use super::tokio_tls::Tls;
use super::{Builder, Compat, Timer, Transport, WebSocket};
use crate::error::{Error, Result};
use crate::protocol::ProtocolError;
use crate::socket::options::parse_url;

/// The stream of a socket that tokio has connected or accepted: the scheme of the URL, or the certificate of the server, says
/// which.
#[derive(Debug)]
#[non_exhaustive]
pub enum Socket {
    /// `ws`.
    Tcp(Compat<TcpStream>),
    /// `ws+unix`.
    #[cfg(unix)]
    Unix(Compat<UnixStream>),
    /// `wss`; only ever made with the feature `ssl`.
    Tls(Box<Tls<Compat<TcpStream>>>),
}

impl WebSocket<Socket> {
    /// Connects to a `ws://`, `wss://` (feature `ssl`) or `ws+unix://` URL. [`Builder`] has the options.
    ///
    /// # Errors
    ///
    /// As [`Builder::connect`].
    pub async fn connect(url: &str) -> Result<Self> {
        Builder::new().connect(url).await
    }

    /// Accepts a client that has connected, and makes the opening handshake. [`Builder`] has the options.
    ///
    /// # Errors
    ///
    /// As [`Builder::accept`].
    pub async fn accept(stream: TcpStream) -> Result<Self> {
        Builder::new().accept(stream).await
    }
}

impl Builder {
    /// Connects to a `ws://`, `wss://` (feature `ssl`) or `ws+unix://` URL. The addresses of the host are tried one after the
    /// other; [`Config::handshake_timeout`](crate::protocol::Config::handshake_timeout) is for TLS and the opening handshake
    /// together.
    ///
    /// # Errors
    ///
    /// `Internal` for a URL that cannot be read, or a `wss` one in a build without TLS; `Io` if there is no such host, or
    /// nobody answers; `Ssl` if TLS fails; `Protocol` if the answer to the opening
    /// handshake breaks a rule, or does not come in time; `Custom` with
    /// [`Rejected`](crate::protocol::handshake::Rejected) if it is not 101.
    pub async fn connect(&self, url: &str) -> Result<WebSocket<Socket>> {
        let builder = self.with_tokio();
        let parsed = parse_url(url)?;
        // What cannot be asked is not connected for.
        builder.options.request(&parsed)?;
        let stream = builder.dial(&parsed).await?;
        in_time(builder.options.config.handshake_timeout, async {
            let stream = builder.encrypt(stream, &parsed).await?;
            builder.client(stream, url)?.open().await
        })
        .await
    }

    /// Accepts a client that has connected, encrypted if there is a [certificate](Self::server_tls), and makes the opening
    /// handshake; [`Config::handshake_timeout`](crate::protocol::Config::handshake_timeout) is for both together.
    ///
    /// # Errors
    ///
    /// The rule that the request breaks, which the client has been told; `Ssl` if TLS fails; `Io` if the stream fails.
    pub async fn accept(&self, stream: TcpStream) -> Result<WebSocket<Socket>> {
        let builder = self.with_tokio();
        stream.set_nodelay(true)?;
        let begun = Instant::now();
        let stream =
            in_time(builder.options.config.handshake_timeout, builder.encrypt_server(Compat(stream))).await?;
        builder.server_since(begun, stream).accept().await
    }

    fn with_tokio(&self) -> Self {
        let builder = self.clone();
        if builder.timer.is_some() { builder } else { builder.timer(Timer::tokio()) }
    }

    async fn dial(&self, url: &Url) -> Result<Socket> {
        #[cfg(unix)]
        if let Some((path, _)) = crate::protocol::handshake::unix_target(url) {
            let stream = patiently(self, UnixStream::connect(path)).await?;
            return Ok(Socket::Unix(Compat(stream)));
        }
        let port = url.port_or_known_default().unwrap_or(80);
        let addresses = match url.host() {
            Some(Host::Domain(name)) => lookup_host((name, port)).await?.collect(),
            Some(Host::Ipv4(address)) => vec![(address, port).into()],
            Some(Host::Ipv6(address)) => vec![(address, port).into()],
            None => Vec::new(),
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in addresses {
            match patiently(self, TcpStream::connect(address)).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Socket::Tcp(Compat(stream)));
                }
                Err(err) => last = err,
            }
        }
        Err(last.into())
    }
}

/// Gives a connection to an address its time.
async fn patiently<T>(builder: &Builder, connecting: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(builder.options.connect_timeout, connecting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Gives a handshake its time.
async fn in_time<T>(within: std::time::Duration, handshake: impl Future<Output = Result<T>>) -> Result<T> {
    let late = || Err(Error::from(ProtocolError::HandshakeTimeout));
    timeout(within, handshake).await.unwrap_or_else(|_| late())
}

/// Whether the URL wants encryption.
pub(super) fn is_secure(url: &Url) -> bool {
    matches!(url.scheme(), "wss" | "https")
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
