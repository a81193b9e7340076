//! The streams of a blocking socket.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::Tls;

/// A stream for a blocking [`WebSocket`](super::WebSocket): it has timeouts, two sides, and can be used from two threads.
///
/// It is implemented for the sockets of the standard library and for [`Tls`]. [`Bare`] wraps anything else that reads and
/// writes.
pub trait Stream: Read + Write {
    /// Sets how long a read may block before it fails with `WouldBlock` or `TimedOut`. `None` means no limit.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Sets how long a write may block before it fails with `WouldBlock` or `TimedOut`. `None` means no limit.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Returns the read timeout. The socket takes it over as its own. Default: none.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    /// Returns the write timeout. The socket takes it over as its own. Default: none.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    /// Ends the writing side after the bytes that were written, or ends both sides.
    ///
    /// # Errors
    ///
    /// Those of the system, or `Unsupported` if the stream has no sides. It then ends when it is dropped.
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()>;

    /// Creates a second handle to the same stream, so that one thread can write while another is blocked in a read.
    ///
    /// # Errors
    ///
    /// Those of the system, or `Unsupported` if the stream cannot have a second handle.
    fn try_clone(&self) -> io::Result<Self>
    where
        Self: Sized;
}

/// A [`Stream`] made of anything that reads and writes.
///
/// It has no timeouts: the socket looks at the time only when a read returns. It has a single handle, and ends when it is
/// dropped.
///
/// # Examples
///
/// ```no_run
/// use sockeye::blocking::{Bare, Builder};
///
/// # fn doc(stream: Box<dyn ReadAndWrite>) -> sockeye::blocking::Result<()> {
/// let mut socket = Builder::new().server(Bare(stream)).accept()?;
/// # Ok(()) }
/// # trait ReadAndWrite: std::io::Read + std::io::Write {}
/// ```
#[derive(Debug)]
pub struct Bare<T>(pub T);

impl<T: Read + Write> Stream for Bare<T> {
    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&mut self, _: Shutdown) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn try_clone(&self) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl<T: Read> Read for Bare<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<T: Write> Write for Bare<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Implements `Stream` for a type that has methods of the same names.
macro_rules! system_stream {
    ($stream:ty) => {
        impl Stream for $stream {
            fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                Self::set_read_timeout(self, timeout)
            }

            fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                Self::set_write_timeout(self, timeout)
            }

            fn read_timeout(&self) -> io::Result<Option<Duration>> {
                Self::read_timeout(self)
            }

            fn write_timeout(&self) -> io::Result<Option<Duration>> {
                Self::write_timeout(self)
            }

            fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
                Self::shutdown(self, how)
            }

            fn try_clone(&self) -> io::Result<Self> {
                Self::try_clone(self)
            }
        }
    };
}

system_stream!(TcpStream);
#[cfg(unix)]
system_stream!(UnixStream);

/// The stream of a socket that [`Builder::connect`](super::Builder::connect) or
/// [`Builder::accept`](super::Builder::accept) has opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Socket {
    /// TCP: `ws://`, and a server without a certificate.
    Tcp(TcpStream),
    /// A Unix domain socket: `ws+unix://`.
    #[cfg(unix)]
    Unix(UnixStream),
    /// TLS over TCP: `wss://`, and a server with a certificate. It needs the feature `rustls` or `ssl`.
    Tls(Box<Tls<TcpStream>>),
}

impl Socket {
    fn as_ref(&self) -> &dyn Stream {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
            Self::Tls(stream) => stream.as_ref(),
        }
    }

    fn as_mut(&mut self) -> &mut dyn Stream {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
            Self::Tls(stream) => stream.as_mut(),
        }
    }
}

impl Stream for Socket {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.as_ref().set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.as_ref().set_write_timeout(timeout)
    }

    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.as_ref().read_timeout()
    }

    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.as_ref().write_timeout()
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        self.as_mut().shutdown(how)
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            #[cfg(unix)]
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tls(stream) => Self::Tls(Box::new(Tls::try_clone(stream)?)),
        })
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.as_mut().read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.as_mut().write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.as_mut().write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.as_mut().flush()
    }
}
