//! What a blocking socket speaks through.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::Tls;

/// A stream that a [`WebSocket`](super::WebSocket) can wait for, end one side of, and use from two threads.
///
/// It is implemented for the sockets of the standard library and for [`Tls`]; [`Bare`] makes one of whatever reads and
/// writes.
pub trait Stream: Read + Write {
    /// Sets how long a read may block, before it fails with `WouldBlock` or `TimedOut`; `None` for as long as it takes.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Sets how long a write may block.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Ends the writing side, after what was written, or both.
    ///
    /// # Errors
    ///
    /// Those of the system, and that a stream has no sides; it is dropped instead, then.
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()>;

    /// Makes a second handle to the same stream, so that one thread can be blocked in reading while another writes.
    ///
    /// # Errors
    ///
    /// Those of the system, and that a stream can have no second handle.
    fn try_clone(&self) -> io::Result<Self>
    where
        Self: Sized;
}

/// Makes a [`Stream`] of whatever reads and writes. It cannot be told how long to wait, it has one handle, and it ends when
/// it is dropped.
///
/// # Examples
///
/// ```no_run
/// use sockeye::blocking::{Bare, WebSocket};
///
/// # fn doc(stream: Box<dyn ReadAndWrite>) -> sockeye::Result<()> {
/// let mut socket = WebSocket::accept(Bare(stream))?;
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

/// Writes a `Stream` that does what the type itself does under the same names.
macro_rules! stream_of_the_system {
    ($stream:ty) => {
        impl Stream for $stream {
            fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                Self::set_read_timeout(self, timeout)
            }

            fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                Self::set_write_timeout(self, timeout)
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

stream_of_the_system!(TcpStream);
#[cfg(unix)]
stream_of_the_system!(UnixStream);

/// The stream of a client that has connected to a URL: its scheme says which.
#[derive(Debug)]
#[non_exhaustive]
pub enum Socket {
    /// `ws`.
    Tcp(TcpStream),
    /// `ws+unix`.
    #[cfg(unix)]
    Unix(UnixStream),
    /// `wss`; only ever made with the feature `ssl`.
    Tls(Tls<TcpStream>),
}

impl Socket {
    fn as_ref(&self) -> &dyn Stream {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
            Self::Tls(stream) => stream,
        }
    }

    fn as_mut(&mut self) -> &mut dyn Stream {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
            Self::Tls(stream) => stream,
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

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        self.as_mut().shutdown(how)
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            #[cfg(unix)]
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tls(stream) => Self::Tls(stream.try_clone()?),
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

    fn flush(&mut self) -> io::Result<()> {
        self.as_mut().flush()
    }
}
