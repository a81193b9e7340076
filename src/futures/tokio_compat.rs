//! Conversion between the I/O traits of tokio and those of `futures-io`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use tokio::io::{AsyncRead as TokioRead, AsyncWrite as TokioWrite, ReadBuf};

use super::{Receiver, Sender, Timer, Transport, WebSocket};

/// A stream with the traits of tokio, as a stream with those of `futures-io`.
///
/// # Examples
///
/// ```
/// use sockeye::futures::{Builder, Compat, Timer};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> sockeye::futures::Result<()> {
/// let (near, far) = tokio::io::duplex(1024);
/// let builder = Builder::new().timer(Timer::tokio());
/// let server = tokio::spawn(builder.server(Compat(far)).accept());
/// let mut client = builder.client(Compat(near), "ws://localhost/")?.open().await?;
/// let mut server = server.await.map_err(std::io::Error::other)??;
/// client.send("salmon").await?;
/// assert_eq!(server.receive().await?, Some("salmon".into()));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Compat<T>(pub T);

impl Timer {
    /// Creates a timer of tokio. Futures that use it must run in a runtime with time enabled.
    ///
    /// See the example of [`Compat`].
    pub fn tokio() -> Self {
        Self::new(|duration: Duration| tokio::time::sleep(duration))
    }
}

impl<T: TokioRead + Unpin> AsyncRead for Compat<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.get_mut().0).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl<T: TokioWrite + Unpin> AsyncWrite for Compat<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(cx, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

/// Implements the reading trait of tokio.
macro_rules! read_for_tokio {
    ($type:ident) => {
        impl<S: Transport> TokioRead for $type<S> {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let len = ready!(AsyncRead::poll_read(self, cx, buffer.initialize_unfilled()))?;
                buffer.advance(len);
                Poll::Ready(Ok(()))
            }
        }
    };
}

/// Implements the writing trait of tokio.
macro_rules! write_for_tokio {
    ($type:ident) => {
        impl<S: Transport> TokioWrite for $type<S> {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                AsyncWrite::poll_write(self, cx, bytes)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                AsyncWrite::poll_flush(self, cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                AsyncWrite::poll_close(self, cx)
            }
        }
    };
}

read_for_tokio!(WebSocket);
read_for_tokio!(Receiver);
write_for_tokio!(WebSocket);
write_for_tokio!(Sender);
