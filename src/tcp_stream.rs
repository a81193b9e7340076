//! The TCP stream that TLS speaks through.

use std::io::{self, IoSlice, Read, Write};
use std::ops::{Deref, DerefMut};

use mio::net;

/// How often one may read when nobody counts.
const UNCOUNTED: u32 = u32::MAX;

/// A TCP stream of the event loop, as the TLS hooks of a [`Handler`](crate::Handler) get it: non-blocking, connected.
///
/// It is a [`mio::net::TcpStream`] that the loop can hold back in two ways, once it has it again:
///
/// - OpenSSL goes on reading until it has something to deliver. A peer that keeps it busy with records that deliver
///   nothing (key updates, for one) would keep the whole loop waiting. So reads are counted, and one too many gets
///   [`WouldBlock`](io::ErrorKind::WouldBlock).
/// - OpenSSL cannot answer a key update while one of its writes is blocked: it fails the connection. So no write is ever
///   blocked: what the system does not take waits in here. And none ever fails, since OpenSSL would not read any more then:
///   what the peer has said before it went could not be heard.
#[derive(Debug)]
pub struct TcpStream {
    stream: net::TcpStream,
    /// How many reads are left.
    reads_left: u32,
    /// Whether a read was refused because none was left.
    is_curbed: bool,
    /// Whether the last read has taken all that there was, so that another one would find nothing.
    is_drained: bool,
    /// Whether the peer has ended its side.
    has_ended: bool,
    /// Whether writes are kept that would block.
    keeps_writes: bool,
    unsent: Vec<u8>,
    /// Why the last write has failed, until that is asked for.
    failure: Option<io::Error>,
}

impl TcpStream {
    /// Gives back the stream within.
    pub fn into_inner(self) -> net::TcpStream {
        self.stream
    }

    /// Allows a number of reads, and forgets what was before.
    pub(crate) fn allow_reads(&mut self, count: u32) {
        self.reads_left = count;
        self.is_curbed = false;
    }

    /// Asks the system again when something is to be read: there may be more than when it was last asked.
    pub(crate) fn look_again(&mut self) {
        self.is_drained = false;
    }

    /// Whether there may be more to read, which was not taken because no read was left.
    pub(crate) fn is_curbed(&self) -> bool {
        self.is_curbed
    }

    /// Whether the peer has ended its side of TCP.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// From now on takes all that is written.
    pub(crate) fn keep_writes(&mut self) {
        self.keeps_writes = true;
    }

    /// Whether the last write has failed, and nobody has asked why.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// How many bytes the system has not taken.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Sends what the system has not taken; `WouldBlock` if it still does not take all of it, and the error of an earlier
    /// write if that has failed.
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
        // Whoever sends nothing owns no buffer.
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
        // What comes from now on makes an event of its own.
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

    /// Does nothing: what the system has not taken goes when it has room.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tries again if a signal came in between.
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
