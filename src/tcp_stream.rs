//! The stream below OpenSSL: the socket in the TLS hooks of a handler, and memory everywhere else.

use std::io::{self, Read, Write};
#[cfg(feature = "reactor")]
use std::ops::{Deref, DerefMut};

#[cfg(feature = "reactor")]
use mio::net;

use crate::byte_queue::ByteQueue;

/// A connected, non-blocking TCP stream of the event loop, as the TLS hooks of a [`Handler`](crate::Handler) receive it.
///
/// It dereferences to [`mio::net::TcpStream`]. When a hook has returned, the event loop takes the socket back, and passes only
/// the bytes that it reads and writes to OpenSSL.
///
/// # Panics
///
/// Dereferencing panics after the loop has taken the socket back. The stream in the error of a failed handshake
/// ([`ErrorKind::SslHandshake`](crate::ErrorKind::SslHandshake)) is in this state.
///
/// See the [example](crate::Handler#method.upgrade_ssl_server).
#[derive(Debug)]
pub struct TcpStream {
    #[cfg(feature = "reactor")]
    socket: Option<net::TcpStream>,
    pub(crate) memory: Memory,
}

/// The two directions of a stream in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) incoming: ByteQueue,
    pub(crate) outgoing: ByteQueue,
    /// The number of bytes at the end of `incoming` that cannot be read for now.
    pub(crate) hidden: usize,
    /// Nothing follows what is in `incoming`.
    pub(crate) has_ended: bool,
}

#[cfg(feature = "reactor")]
impl TcpStream {
    /// Returns the stream of mio. See the [example](crate::Handler#method.upgrade_ssl_server).
    ///
    /// # Panics
    ///
    /// As described [above](Self#panics).
    pub fn into_inner(self) -> net::TcpStream {
        self.socket.expect(TAKEN)
    }

    /// Takes the socket. From now on the stream reads from memory and writes to memory.
    pub(crate) fn take_socket(&mut self) -> Option<net::TcpStream> {
        self.socket.take()
    }

    /// Returns the socket of a failed handshake, for the program that receives the error.
    pub(crate) fn return_socket(&mut self, socket: net::TcpStream) {
        self.socket = Some(socket);
    }
}

#[cfg(feature = "reactor")]
impl TcpStream {
    /// Creates a stream that reads from memory and writes to memory.
    pub(crate) fn in_memory() -> Self {
        Self { socket: None, memory: Memory::default() }
    }
}

#[cfg(not(feature = "reactor"))]
impl TcpStream {
    /// Creates a stream that reads from memory and writes to memory.
    pub(crate) fn in_memory() -> Self {
        Self { memory: Memory::default() }
    }
}

impl Memory {
    /// Whether everything has been read, and nothing follows.
    pub(crate) fn is_at_end(&self) -> bool {
        self.has_ended && self.incoming.is_empty()
    }
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let incoming = self.incoming.bytes();
        let mut visible = incoming.get(..incoming.len().saturating_sub(self.hidden)).unwrap_or_default();
        let len = visible.read(buffer)?;
        self.incoming.consume(len);
        if len == 0 && !buffer.is_empty() && !self.is_at_end() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(len)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.append(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "reactor")]
const TAKEN: &str = "the event loop has taken the socket back";

#[cfg(feature = "reactor")]
impl From<net::TcpStream> for TcpStream {
    fn from(socket: net::TcpStream) -> Self {
        Self { socket: Some(socket), memory: Memory::default() }
    }
}

#[cfg(feature = "reactor")]
impl Deref for TcpStream {
    type Target = net::TcpStream;

    fn deref(&self) -> &net::TcpStream {
        self.socket.as_ref().expect(TAKEN)
    }
}

#[cfg(feature = "reactor")]
impl DerefMut for TcpStream {
    fn deref_mut(&mut self) -> &mut net::TcpStream {
        self.socket.as_mut().expect(TAKEN)
    }
}

#[cfg(feature = "reactor")]
impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.socket {
            Some(socket) => uninterrupted(|| socket.read(buffer)),
            None => self.memory.read(buffer),
        }
    }
}

#[cfg(feature = "reactor")]
impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.socket {
            Some(socket) => uninterrupted(|| socket.write(bytes)),
            None => self.memory.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(not(feature = "reactor"))]
impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.memory.read(buffer)
    }
}

#[cfg(not(feature = "reactor"))]
impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.memory.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Repeats a call that a signal has interrupted.
#[cfg(feature = "reactor")]
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
