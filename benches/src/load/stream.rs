//! The streams that transport messages.

use std::io::{self, Read, Write};

use mio::Interest;
use mio::event::Source;
use mio::net::TcpStream;

use crate::Result;

/// A nonblocking stream to the server.
pub trait Stream: Read + Write + Sized {
    /// Whether a read that does not fill the buffer has read all available bytes.
    const SHORT_READ_IS_ALL: bool;

    /// Creates a stream from a connected blocking socket. The socket stays blocking.
    ///
    /// # Errors
    ///
    /// Returns an error if the handshake of the stream, such as that of TLS, fails.
    fn open(socket: std::net::TcpStream) -> Result<Self>;

    /// Returns the underlying socket.
    fn socket(&mut self) -> &mut TcpStream;

    /// Registers the stream for both directions.
    ///
    /// # Errors
    ///
    /// Returns the error of the system.
    fn register(&mut self, poll: &mio::Poll, token: usize) -> io::Result<()> {
        self.socket().register(poll.registry(), mio::Token(token), Interest::READABLE | Interest::WRITABLE)
    }
}

/// A plain TCP stream.
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
