//! The TCP stream below TLS.

use std::io::{self, IoSlice, Read, Write};
use std::ops::{Deref, DerefMut};

use mio::net;

/// The value of `reads_left` when reads are not limited.
const UNCOUNTED: u32 = u32::MAX;

/// A connected, non-blocking TCP stream of the event loop, as the TLS hooks of a [`Handler`](crate::Handler) receive it.
///
/// It dereferences to [`mio::net::TcpStream`]. After the hook has returned it to the loop, it works around two properties
/// of OpenSSL:
///
/// - OpenSSL reads until it can deliver data. A peer that sends records without data, such as key updates, could block the
///   whole loop. The number of reads is therefore limited; the next one fails with
///   [`WouldBlock`](io::ErrorKind::WouldBlock).
/// - OpenSSL fails the connection if it must answer a key update while a write is blocked, and it stops reading after a
///   failed write, so that data of the peer would be lost. Writes therefore never block and never fail: unsent bytes are
///   buffered, and an error is kept until the loop asks for it.
///
/// See the example of [`Handler::upgrade_ssl_server`](crate::Handler::upgrade_ssl_server).
#[derive(Debug)]
pub struct TcpStream {
    stream: net::TcpStream,
    /// The number of reads that are allowed.
    reads_left: u32,
    /// Whether a read failed because none was left.
    is_curbed: bool,
    /// Whether the last read returned everything that had arrived, so that another one would block.
    is_drained: bool,
    /// Whether the peer has closed its side.
    has_ended: bool,
    /// Whether bytes that would block are buffered.
    keeps_writes: bool,
    unsent: Vec<u8>,
    /// The error of the last write, until the loop asks for it.
    failure: Option<io::Error>,
}

impl TcpStream {
    /// Returns the stream of mio.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::util::TcpStream;
    ///
    /// /// Passes a stream to code that uses mio.
    /// fn without_loop(stream: TcpStream) -> mio::net::TcpStream {
    ///     stream.into_inner()
    /// }
    /// ```
    pub fn into_inner(self) -> net::TcpStream {
        self.stream
    }

    /// Sets the number of allowed reads.
    pub(crate) fn allow_reads(&mut self, count: u32) {
        self.reads_left = count;
        self.is_curbed = false;
    }

    /// Makes the next read ask the system, because more may have arrived.
    pub(crate) fn look_again(&mut self) {
        self.is_drained = false;
    }

    /// Returns whether more data may be available, because the last read was not allowed.
    pub(crate) fn is_curbed(&self) -> bool {
        self.is_curbed
    }

    /// Returns whether the peer has closed its side of TCP.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Buffers bytes that would block from now on.
    pub(crate) fn keep_writes(&mut self) {
        self.keeps_writes = true;
    }

    /// Returns whether a write has failed and the error has not been returned yet.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Returns the number of unsent bytes.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Sends the buffered bytes. Fails with `WouldBlock` if some are left, and with the error of an earlier write if that has
    /// failed.
    pub(crate) fn send_unsent(&mut self) -> io::Result<()> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        while !self.unsent.is_empty() {
            let sent = uninterrupted(|| self.stream.write(&self.unsent))?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.unsent.drain(..sent);
        }
        // A stream without unsent bytes owns no buffer.
        self.unsent = Vec::new();
        Ok(())
    }
}

impl From<net::TcpStream> for TcpStream {
    fn from(stream: net::TcpStream) -> Self {
        Self {
            stream,
            reads_left: UNCOUNTED,
            is_curbed: false,
            is_drained: false,
            has_ended: false,
            keeps_writes: false,
            unsent: Vec::new(),
            failure: None,
        }
    }
}

impl Deref for TcpStream {
    type Target = net::TcpStream;

    fn deref(&self) -> &net::TcpStream {
        &self.stream
    }
}

impl DerefMut for TcpStream {
    fn deref_mut(&mut self) -> &mut net::TcpStream {
        &mut self.stream
    }
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.reads_left == 0 {
            self.is_curbed = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let is_counted = self.reads_left != UNCOUNTED;
        if is_counted && self.is_drained {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if is_counted {
            self.reads_left -= 1;
        }
        let read = uninterrupted(|| self.stream.read(buffer))?;
        // Data that arrives from now on causes another event.
        self.is_drained = (1..buffer.len()).contains(&read);
        self.has_ended |= read == 0 && !buffer.is_empty();
        Ok(read)
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.keeps_writes {
            return uninterrupted(|| self.stream.write(bytes));
        }
        let sent = if self.unsent.is_empty() {
            match uninterrupted(|| self.stream.write(bytes)) {
                Ok(sent) => sent,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => 0,
                Err(err) => {
                    self.failure = Some(err);
                    return Ok(bytes.len());
                }
            }
        } else {
            0
        };
        self.unsent.extend_from_slice(bytes.get(sent..).unwrap_or_default());
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.keeps_writes {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.write(first.map_or(&[], |slice| slice));
        }
        uninterrupted(|| self.stream.write_vectored(slices))
    }

    /// Does nothing. The loop sends buffered bytes when the socket becomes writable.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Repeats a call that a signal has interrupted.
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
