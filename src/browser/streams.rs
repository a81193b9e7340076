//! Messages as a `Stream` and a `Sink`, and as the bytes of an `AsyncRead` and an `AsyncWrite`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use futures_io::{AsyncRead, AsyncWrite};
use futures_sink::Sink;

use super::{Receiver, Sender, WebSocket};
use crate::close::CloseCode;
use crate::message::Message;
use crate::socket::{Error, Result};

/// A stream of messages. It ends after an error, and when the connection is closed.
impl Stream for Receiver {
    type Item = Result<Message>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx).map(Result::transpose)
    }
}

impl FusedStream for Receiver {
    fn is_terminated(&self) -> bool {
        self.rest.is_empty() && self.link().with(|state| state.is_spent())
    }
}

/// A sink for everything that converts into a [`Message`], such as `&str`, `String`, `&[u8]` and `Vec<u8>`.
///
/// It is ready while at most [`Builder::high_water`](super::Builder::high_water) bytes are waiting. Closing it closes the
/// connection with 1000, and waits for the answer of the peer.
impl<M: Into<Message>> Sink<M> for Sender {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.link().poll_flush(self.link().limits.high_water, cx)
    }

    fn start_send(self: Pin<&mut Self>, message: M) -> Result<()> {
        self.link().send(message.into())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.link().poll_flush(0, cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.link().begin_close(CloseCode::Normal, "")?;
        ready!(self.poll_closed(cx));
        Poll::Ready(Ok(()))
    }
}

/// Reads the messages of any type as one stream of bytes.
///
/// The stream ends when the peer closes the connection. An end without a Close is an error. The rest of a message that was
/// read in part is the next message that is received.
impl AsyncRead for Receiver {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let receiver = self.get_mut();
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        while receiver.rest.is_empty() {
            let Some(message) = ready!(receiver.poll_message(cx))? else {
                return Poll::Ready(Ok(0));
            };
            receiver.rest = message.into();
        }
        Poll::Ready(Ok(receiver.rest.read(buffer)))
    }
}

/// Sends the bytes of each write as one binary message.
impl AsyncWrite for Sender {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut sink = self;
        ready!(Sink::<&[u8]>::poll_ready(sink.as_mut(), cx))?;
        Sink::start_send(sink, bytes)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Sink::<Message>::poll_flush(self, cx).map_err(io::Error::from)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Sink::<Message>::poll_close(self, cx).map_err(io::Error::from)
    }
}

impl Stream for WebSocket {
    type Item = Result<Message>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.get_mut().receiver).poll_next(cx)
    }
}

impl FusedStream for WebSocket {
    fn is_terminated(&self) -> bool {
        self.receiver.is_terminated()
    }
}

impl<M: Into<Message>> Sink<M> for WebSocket {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Sink::<M>::poll_ready(Pin::new(&mut self.get_mut().sender), cx)
    }

    fn start_send(self: Pin<&mut Self>, message: M) -> Result<()> {
        Pin::new(&mut self.get_mut().sender).start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Sink::<M>::poll_flush(Pin::new(&mut self.get_mut().sender), cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Sink::<M>::poll_close(Pin::new(&mut self.get_mut().sender), cx)
    }
}

impl AsyncRead for WebSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().receiver).poll_read(cx, buffer)
    }
}

impl AsyncWrite for WebSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().sender).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.get_mut().sender), cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_close(Pin::new(&mut self.get_mut().sender), cx)
    }
}
