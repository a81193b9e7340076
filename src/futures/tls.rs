//! A TLS stream over another stream.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use super::Transport;
use crate::socket::{Error, Result};
#[cfg(any(feature = "rustls", feature = "ssl"))]
use crate::tls::{ClientTls, ServerTls};
use crate::tls::{Received, Session, WRITE, handshake_failed, into_io, transfer};

/// How many times one poll reads ciphertext. A record that arrives in small pieces would otherwise keep the task.
const MAX_READS: u32 = 64;

/// A TLS stream over another stream.
///
/// # Examples
///
#[cfg_attr(any(feature = "rustls", feature = "ssl"), doc = "```no_run")]
#[cfg_attr(not(any(feature = "rustls", feature = "ssl")), doc = "```ignore (needs TLS)")]
/// # use futures_io::{AsyncRead, AsyncWrite};
/// use sockeye::ClientTls;
/// use sockeye::futures::{Builder, Tls};
///
/// # async fn doc(stream: impl AsyncRead + AsyncWrite + Unpin) -> sockeye::futures::Result<()> {
/// let tls = Tls::connect(&ClientTls::new()?, "example.com", stream).await?;
/// let mut socket = Builder::new().client(tls, "wss://example.com/")?.open().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Tls<S> {
    stream: S,
    session: Session,
}

#[cfg(any(feature = "rustls", feature = "ssl"))]
impl<S: Transport> Tls<S> {
    /// Performs the handshake of a client with a server whose certificate must be valid for `host`, a name or an IP address.
    ///
    /// # Errors
    ///
    /// `Tls` if the handshake fails; `ConnectionLost` if the stream fails.
    pub async fn connect(tls: &ClientTls, host: &str, stream: S) -> Result<Self> {
        Self::handshake(Session::client(tls, host)?, stream).await
    }

    /// Performs the handshake of a server.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn accept(tls: &ServerTls, stream: S) -> Result<Self> {
        Self::handshake(Session::server(tls)?, stream).await
    }
}

impl<S: Transport> Tls<S> {
    /// Returns the stream below.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Returns the certificate of the peer, in DER.
    pub fn peer_certificate(&self) -> Option<Vec<u8>> {
        self.session.negotiated().peer_certificate
    }

    #[cfg_attr(
        not(any(feature = "rustls", feature = "ssl", feature = "tokio")),
        allow(dead_code, reason = "nothing can create a session in this build")
    )]
    pub(super) async fn handshake(session: Session, stream: S) -> Result<Self> {
        let mut tls = Self { stream, session };
        loop {
            let is_complete = tls.session.handshake();
            // An alert is sent as well.
            let flushed =
                poll_fn(|cx| Pin::new(&mut tls).poll_flush(cx)).await.map_err(Error::ConnectionLost);
            if is_complete.map_err(handshake_failed)? {
                return flushed.map(|()| tls);
            }
            flushed?;
            poll_fn(|cx| tls.poll_fill(cx)).await.map_err(Error::ConnectionLost)?;
        }
    }

    /// Reads ciphertext once.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Self { stream, session } = self;
        poll(transfer::fill(session, |room| result(Pin::new(&mut *stream).poll_read(cx, room))))
    }

    /// Sends the output of the session.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, session } = self;
        poll(transfer::drain(session, |output| result(Pin::new(&mut *stream).poll_write(cx, output))))
    }
}

/// Returns what a stream that is not ready returns in nonblocking mode.
fn result<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// Does the reverse of [`result`].
fn poll<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

impl<S: Transport> AsyncRead for Tls<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let tls = self.get_mut();
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        for _ in 0..MAX_READS {
            let received = tls.session.receive(buffer);
            // Replies are sent now, or when the task is woken because the stream can be written to.
            if let Poll::Ready(sent) = tls.poll_send(cx) {
                sent?;
            }
            match received.map_err(into_io)? {
                Received::Data(len) => return Poll::Ready(Ok(len)),
                Received::NeedsInput => _ = ready!(tls.poll_fill(cx))?,
                Received::Unfinished => break,
                Received::Closed => return Poll::Ready(Ok(0)),
                Received::Truncated => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: Transport> AsyncWrite for Tls<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let tls = self.get_mut();
        ready!(tls.poll_send(cx))?;
        let plain = bytes.get(..WRITE).unwrap_or(bytes);
        tls.session.send(plain).map_err(into_io)?;
        match tls.poll_send(cx) {
            Poll::Ready(Err(err)) => Poll::Ready(Err(err)),
            _ => Poll::Ready(Ok(plain.len())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(cx, &transfer::join(slices))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tls = self.get_mut();
        ready!(tls.poll_send(cx))?;
        Pin::new(&mut tls.stream).poll_flush(cx)
    }

    /// Ends TLS first, so that the peer can detect truncation.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tls = self.get_mut();
        tls.session.close_notify();
        // It does not matter if the peer has gone.
        let _ = ready!(tls.poll_send(cx));
        Pin::new(&mut tls.stream).poll_close(cx)
    }
}
