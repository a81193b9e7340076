//! The streams that messages travel by.

use std::io::{self, Read, Write};

use mio::Interest;
use mio::event::Source;
use mio::net::TcpStream;

use crate::Result;

/// A stream to the server, without blocking.
pub trait Stream: Read + Write + Sized {
    /// Whether a read that does not fill the buffer has emptied the stream.
    const SHORT_READ_IS_ALL: bool;

    /// Makes a stream of a connected socket that blocks, and leaves it blocking.
    ///
    /// # Errors
    ///
    /// If a handshake of its own fails.
    fn open(socket: std::net::TcpStream) -> Result<Self>;

    /// Returns the socket below.
    fn socket(&mut self) -> &mut TcpStream;

    /// Registers the stream for both directions.
    ///
    /// # Errors
    ///
    /// As the system reports.
    fn register(&mut self, poll: &mio::Poll, token: usize) -> io::Result<()> {
        self.socket().register(poll.registry(), mio::Token(token), Interest::READABLE | Interest::WRITABLE)
    }
}

/// TCP as it is.
#[derive(Debug)]
pub struct Plain(TcpStream);

impl Stream for Plain {
    const SHORT_READ_IS_ALL: bool = true;

    fn open(socket: std::net::TcpStream) -> Result<Self> {
        Ok(Self(TcpStream::from_std(socket)))
    }

    fn socket(&mut self) -> &mut TcpStream {
        &mut self.0
    }
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Plain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
