//! Messages as a `Stream` and a `Sink`, and as the bytes of an `AsyncRead` and an `AsyncWrite`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use futures_io::{AsyncRead, AsyncWrite};
use futures_sink::Sink;

use super::{Receiver, Sender, Transport, WebSocket};
use crate::close::CloseCode;
use crate::message::Message;
use crate::socket::{Error, Result};

/// A stream of messages. It ends after an error, and when the connection is closed.
impl<S: Transport> Stream for Receiver<S> {
    type Item = Result<Message>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx).map(Result::transpose)
    }
}

impl<S: Transport> FusedStream for Receiver<S> {
    fn is_terminated(&self) -> bool {
        self.handle.shared().lock().is_spent() && self.rest.is_empty()
    }
}

/// A sink for everything that converts into a [`Message`], such as `&str`, `String`, `&[u8]` and `Vec<u8>`.
///
/// It is ready while at most [`Builder::high_water`](super::Builder::high_water) bytes are waiting. Closing it closes the
/// connection with 1000, and waits for the answer of the peer.
impl<S: Transport, M: Into<Message>> Sink<M> for Sender<S> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().poll_below_high_water(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: M) -> Result<()> {
        self.enqueue(message.into())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().poll_until(0, cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.begin_close(CloseCode::Normal, "")?;
        ready!(self.poll_closed(cx));
        Poll::Ready(Ok(()))
    }
}

/// Reads the messages of any type as one stream of bytes.
///
/// The stream ends when the peer closes the connection. An end without a Close is an error. The rest of a message that was
/// read in part is the next message that is received.
impl<S: Transport> AsyncRead for Receiver<S> {
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
impl<S: Transport> AsyncWrite for Sender<S> {
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

impl<S: Transport> Stream for WebSocket<S> {
    type Item = Result<Message>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.get_mut().receiver).poll_next(cx)
    }
}

impl<S: Transport> FusedStream for WebSocket<S> {
    fn is_terminated(&self) -> bool {
        self.receiver.is_terminated()
    }
}

impl<S: Transport, M: Into<Message>> Sink<M> for WebSocket<S> {
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

impl<S: Transport> AsyncRead for WebSocket<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().receiver).poll_read(cx, buffer)
    }
}

impl<S: Transport> AsyncWrite for WebSocket<S> {
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
