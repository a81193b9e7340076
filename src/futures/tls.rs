//! A TLS stream over another stream.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use futures_io::{AsyncRead, AsyncWrite};
use openssl::ssl::{self, ErrorCode, Ssl, SslConnector, SslStream};
use openssl::x509::{X509, X509VerifyResult};

use super::Transport;
use crate::error::{Error as ReactorError, ErrorKind};
use crate::socket::{Error, Result};
use crate::tls::{ServerTls, session};

/// A TLS stream over another stream.
///
/// # Examples
///
/// ```no_run
/// # use futures_io::{AsyncRead, AsyncWrite};
/// use sockeye::ClientTls;
/// use sockeye::futures::{Builder, Tls};
///
/// # async fn doc(stream: impl AsyncRead + AsyncWrite + Unpin) -> sockeye::futures::Result<()> {
/// let tls = Tls::connect(&ClientTls::new()?.into(), "example.com", stream).await?;
/// let mut socket = Builder::new().client(tls, "wss://example.com/")?.open().await?;
/// # Ok(()) }
/// ```
pub struct Tls<S>(SslStream<Bridge<S>>);

/// A stream in the form that OpenSSL needs: where it would wait, it returns `WouldBlock`, and its waker is known.
struct Bridge<S> {
    stream: S,
    waker: Option<Waker>,
}

impl<S: Transport> Tls<S> {
    /// Performs the handshake of a client with a server whose certificate must be valid for `host`, a name or an IP address.
    ///
    /// # Errors
    ///
    /// `Tls` if the handshake fails; `ConnectionLost` if the stream fails.
    ///
    /// See the [example](Self#examples) of this type.
    pub async fn connect(connector: &SslConnector, host: &str, stream: S) -> Result<Self> {
        let ssl = session(connector, host).map_err(ReactorError::from)?;
        Self::handshake(ssl, stream, SslStream::connect).await
    }

    /// Performs the handshake of a server.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn accept(tls: &ServerTls, stream: S) -> Result<Self> {
        let ssl = Ssl::new(tls.acceptor().context()).map_err(ReactorError::from)?;
        Self::handshake(ssl, stream, SslStream::accept).await
    }

    /// Returns the stream below.
    pub fn get_ref(&self) -> &S {
        &self.0.get_ref().stream
    }

    /// Returns the certificate of the peer.
    pub fn peer_certificate(&self) -> Option<X509> {
        self.0.ssl().peer_certificate()
    }

    async fn handshake(
        ssl: Ssl,
        stream: S,
        side: fn(&mut SslStream<Bridge<S>>) -> std::result::Result<(), ssl::Error>,
    ) -> Result<Self> {
        let session = SslStream::new(ssl, Bridge { stream, waker: None }).map_err(ReactorError::from)?;
        let mut tls = Self(session);
        let done = poll_fn(|cx| tls.poll(cx, side)).await;
        // An alert is sent as well.
        let flushed = poll_fn(|cx| Pin::new(&mut tls).poll_flush(cx)).await;
        match done {
            Ok(()) => flushed.map(|()| tls).map_err(Error::ConnectionLost),
            Err(err) => {
                let details = match tls.0.ssl().verify_result() {
                    X509VerifyResult::OK => String::new(),
                    refusal => refusal.to_string(),
                };
                Err(Error::Tls(Box::new(ReactorError::new(ErrorKind::Ssl(err), details))))
            }
        }
    }

    /// Performs a step of OpenSSL, which may have to wait for either direction of the stream.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut SslStream<Bridge<S>>) -> std::result::Result<T, ssl::Error>,
    ) -> Poll<std::result::Result<T, ssl::Error>> {
        let waker = &mut self.0.get_mut().waker;
        if waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        match step(&mut self.0) {
            Err(err) if matches!(err.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE) => Poll::Pending,
            done => Poll::Ready(done),
        }
    }
}

impl<S: Transport> AsyncRead for Tls<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(match ready!(self.get_mut().poll(cx, |session| session.ssl_read(buffer))) {
            Err(err) if err.code() == ErrorCode::ZERO_RETURN => Ok(0),
            read => read.map_err(into_io),
        })
    }
}

impl<S: Transport> AsyncWrite for Tls<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.get_mut().poll(cx, |session| session.ssl_write(bytes)).map_err(into_io)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0.get_mut().stream).poll_flush(cx)
    }

    /// Ends TLS first, so that the peer can detect truncation.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tls = self.get_mut();
        // It does not matter if the peer has gone.
        let _ = ready!(tls.poll(cx, |session| session.shutdown().map(drop)));
        Pin::new(&mut tls.0.get_mut().stream).poll_close(cx)
    }
}

impl<S: Transport> Bridge<S> {
    /// Polls the stream, and returns `WouldBlock` if it is not ready.
    fn now<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        let waker = self.waker.as_ref().unwrap_or(Waker::noop());
        match poll(Pin::new(&mut self.stream), &mut Context::from_waker(waker)) {
            Poll::Ready(done) => done,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: Transport> Read for Bridge<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.now(|stream, cx| stream.poll_read(cx, buffer))
    }
}

impl<S: Transport> Write for Bridge<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.now(|stream, cx| stream.poll_write(cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.now(|stream, cx| stream.poll_flush(cx))
    }
}

impl<S> fmt::Debug for Tls<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

fn into_io(err: ssl::Error) -> io::Error {
    err.into_io_error().unwrap_or_else(io::Error::other)
}
