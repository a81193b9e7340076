//! The messages of a connection as an iterator, and as a stream of bytes.

use std::io::{self, Read, Write};

use super::{Stream, WebSocket};
use crate::error::Result;
use crate::message::Message;
use crate::socket::byte_reader::into_io;

/// The messages that come, until the connection is closed, or has failed: then the error comes last.
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
        self.0.read().transpose()
    }
}

impl<'s, S: Stream> IntoIterator for &'s mut WebSocket<S> {
    type Item = Result<Message>;
    type IntoIter = Messages<'s, S>;

    fn into_iter(self) -> Self::IntoIter {
        self.messages()
    }
}

/// Reads the messages one behind the other, of whatever type, as if they were one stream of bytes; it ends where the peer
/// closes. An end without a Close is an error. What it leaves of a message is the next thing that is read, by whatever
/// handle.
impl<S: Stream> Read for WebSocket<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let (link, stream) = self.parts().map_err(into_io)?;
        link.reading(|reading| {
            while reading.rest.is_empty() {
                let Some(message) = link.message(stream, reading).map_err(into_io)? else { return Ok(0) };
                reading.rest = message.into();
            }
            Ok(reading.rest.read(buffer))
        })
    }
}

/// Sends each piece that is written as one binary message. A [`BufWriter`](io::BufWriter) around it makes larger ones.
impl<S: Stream> Write for WebSocket<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes).map_err(into_io)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::flush(self).map_err(into_io)
    }
}
