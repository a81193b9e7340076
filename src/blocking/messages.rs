//! The messages of a connection as an iterator, and as a stream of bytes.

use std::io::{self, Read, Write};

use super::{Stream, WebSocket};
use crate::message::Message;
use crate::socket::Result;

/// An iterator over the messages of a connection, made by [`WebSocket::messages`].
///
/// It ends when the connection is closed. If the connection fails, the error is the last item.
///
/// See the example of [`WebSocket::messages`].
#[derive(Debug)]
pub struct Messages<'s, S: Stream>(&'s mut WebSocket<S>);

impl<'s, S: Stream> Messages<'s, S> {
    pub(super) fn of(socket: &'s mut WebSocket<S>) -> Self {
        Self(socket)
    }
}

impl<S: Stream> Iterator for Messages<'_, S> {
    type Item = Result<Message>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.receive().transpose()
    }
}

impl<'s, S: Stream> IntoIterator for &'s mut WebSocket<S> {
    type Item = Result<Message>;
    type IntoIter = Messages<'s, S>;

    fn into_iter(self) -> Self::IntoIter {
        self.messages()
    }
}

/// Reads the messages of any type as one stream of bytes.
///
/// The stream ends when the peer closes the connection. An end without a Close is an error. The rest of a message that was
/// read in part is the next message that any handle receives.
impl<S: Stream> Read for WebSocket<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let (link, stream) = self.parts()?;
        let read = link.receive(|reading| {
            while reading.rest.is_empty() {
                let Some(message) = link.message(stream, reading)? else { return Ok(0) };
                reading.rest = message.into();
            }
            Ok(reading.rest.read(buffer))
        });
        Ok(read?)
    }
}

/// Sends the bytes of each write as one binary message. A [`BufWriter`](io::BufWriter) creates larger messages.
impl<S: Stream> Write for WebSocket<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(Self::flush(self)?)
    }
}
