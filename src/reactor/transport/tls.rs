//! Encrypted sockets: a TCP socket and a TLS session.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};

use log::debug;
use mio::event::Source;
use mio::net::TcpStream;

use super::calls;
use super::hooks::return_socket;
use super::{Input, Next, Stop};
use crate::byte_queue::ByteQueue;
use crate::error::{Error, Result};
use crate::tls::Negotiated;
use crate::tls::{RECORD, Received, Session, WRITE, buffer, transfer};

/// How often the socket is read for one read of the connection. A peer can send records with a single byte.
const MAX_READS: usize = 8;

/// The most reads of input that is discarded after a failed handshake.
const MAX_DRAINING_READS: usize = 32;

/// A socket that is encrypted, or whose TLS handshake has begun.
#[derive(Debug)]
pub(in crate::reactor) struct Tls {
    /// `None` after a failed handshake, whose error may own the socket.
    socket: Option<TcpStream>,
    session: Session,
    /// The error that follows plaintext which was delivered first.
    failure: Option<Error>,
}

/// The memory for one read.
struct Room<'a, 'b> {
    buffers: &'a mut [IoSliceMut<'b>],
    /// The number of bytes that were received.
    filled: usize,
}

impl Room<'_, '_> {
    fn left(&self) -> usize {
        self.buffers.iter().map(|buffer| buffer.len()).sum::<usize>() - self.filled
    }

    /// Decrypts until the memory is full or more input is needed.
    fn receive(&mut self, session: &mut Session) -> Result<Received> {
        let mut begin = 0;
        for buffer in &mut *self.buffers {
            let end = begin + buffer.len();
            if let Some(room) = buffer.get_mut(self.filled.saturating_sub(begin)..)
                && !room.is_empty()
            {
                let received = session.receive(room)?;
                let Received::Data(len) = received else { return Ok(received) };
                self.filled += len;
                if self.filled < end {
                    return Ok(received);
                }
            }
            begin = end;
        }
        Ok(Received::Data(self.filled))
    }
}

/// What is left of the pieces of one write.
struct Pieces<'a> {
    slices: std::slice::Iter<'a, IoSlice<'a>>,
    rest: &'a [u8],
}

impl<'a> Pieces<'a> {
    /// Returns the beginning of the next piece, at most `most` bytes.
    fn first(&mut self, most: usize) -> &'a [u8] {
        while self.rest.is_empty()
            && let Some(next) = self.slices.next()
        {
            self.rest = next;
        }
        self.rest.get(..most).unwrap_or(self.rest)
    }

    /// Takes the beginning of the next piece.
    fn take(&mut self, most: usize) -> &'a [u8] {
        let first = self.first(most);
        self.rest = self.rest.get(first.len()..).unwrap_or_default();
        first
    }
}

impl Tls {
    pub(in crate::reactor) fn new(socket: TcpStream, session: Session) -> Self {
        Self { socket: Some(socket), session, failure: None }
    }

    /// Reads from the socket and decrypts into buffers, one after the other, until these have no room for another record, the socket is
    /// empty, or many records have contained no data.
    pub(super) fn read(&mut self, buffers: &mut [IoSliceMut<'_>]) -> Result<Input> {
        if let Some(err) = self.failure.take() {
            return Err(err);
        }
        let unsent = self.session.output().len();
        let was_handshaking = self.session.is_handshaking();
        let mut room = Room { buffers, filled: 0 };
        let next = match self.fill(&mut room) {
            Ok(next) => next,
            Err(err) => {
                let err = self.fail(err, was_handshaking);
                if room.filled == 0 {
                    return Err(err);
                }
                self.failure = Some(err);
                Next::More
            }
        };
        Ok(Input { len: room.filled, next, has_output: self.session.output().len() > unsent })
    }

    fn fill(&mut self, room: &mut Room<'_, '_>) -> Result<Next> {
        let mut is_drained = false;
        for _ in 0..MAX_READS {
            match room.receive(&mut self.session)? {
                Received::Data(_) | Received::NeedsInput => {}
                Received::Unfinished => return Ok(Next::More),
                // The session returns its end again.
                Received::Closed | Received::Truncated if room.filled > 0 => return Ok(Next::More),
                Received::Closed => return Ok(Next::End),
                Received::Truncated => {
                    debug!("the peer has closed TCP without close_notify, so its data may be incomplete");
                    return Ok(Next::End);
                }
            }
            // The session may hold more than there is room for. There is no event for what it has found behind the data.
            if room.filled > 0 && room.left() < RECORD || self.session.has_next() {
                return Ok(Next::More);
            }
            if is_drained {
                return Ok(Next::Event);
            }
            is_drained = self.read_socket()?;
        }
        Ok(Next::More)
    }

    /// Reads ciphertext once. Returns whether the socket is empty.
    fn read_socket(&mut self) -> Result<bool> {
        let Some(socket) = &mut self.socket else { return Err(gone()) };
        match transfer::fill(&mut self.session, |room| calls::receive(socket, room)) {
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(true),
            filled => Ok(filled?),
        }
    }

    /// Encrypts as much as fits into a few records. What the socket does not accept is sent before the next piece. If more output is
    /// expected, the last record is a full one, if there is one.
    pub(super) fn write(
        &mut self,
        slices: &[IoSlice<'_>],
        expects_more: bool,
    ) -> std::result::Result<usize, Stop> {
        self.flush()?;
        let mut len = slices.iter().map(|slice| slice.len()).sum::<usize>().min(WRITE);
        if expects_more && len > RECORD {
            len -= len % RECORD;
        }
        let mut pieces = Pieces { slices: slices.iter(), rest: &[] };
        let mut left = len;
        while left > 0 {
            left -= self.send_piece(&mut pieces, left)?;
        }
        match self.flush() {
            Err(Stop::Failed(err)) => Err(Stop::Failed(err)),
            Ok(()) | Err(Stop::Blocked) => Ok(len),
        }
    }

    /// Encrypts some of the next `most` bytes, so that the peer receives few and full records: full records of one piece, or one record
    /// that is joined from several pieces. Returns the number of bytes.
    fn send_piece(&mut self, pieces: &mut Pieces<'_>, most: usize) -> Result<usize> {
        let first = pieces.first(most);
        if first.len() == most || first.len() >= RECORD {
            let len = if first.len() == most { most } else { first.len() - first.len() % RECORD };
            self.session.send(pieces.take(len))?;
            return Ok(len);
        }
        let mut joined = ByteQueue::default();
        let len = most.min(RECORD);
        buffer::room(&mut joined, len);
        while joined.len() < len {
            joined.append(pieces.take(len - joined.len()));
        }
        let sent = self.session.send(joined.bytes());
        joined.consume(len);
        buffer::release(&mut joined);
        sent.map(|()| len)
    }

    /// Sends the output of the session. It is blocked also while plaintext waits for the handshake.
    pub(super) fn flush(&mut self) -> std::result::Result<(), Stop> {
        let Some(socket) = &mut self.socket else { return Err(gone().into()) };
        transfer::drain(&mut self.session, |output| calls::send(socket, output))?;
        if self.session.unsent() > 0 { Err(Stop::Blocked) } else { Ok(()) }
    }

    /// Returns the number of unsent bytes.
    pub(super) fn unsent(&self) -> usize {
        self.session.unsent()
    }

    /// Ends this side of TLS, so that the peer knows that nothing was cut off, and then of TCP.
    pub(super) fn shut_down_writing(&mut self) -> std::result::Result<(), Stop> {
        self.session.close_notify();
        self.flush()?;
        if let Some(socket) = &self.socket
            && let Err(err) = socket.shutdown(Shutdown::Write)
        {
            log::trace!("TCP was already closed: {err}");
        }
        Ok(())
    }

    /// Sends close_notify, once.
    pub(super) fn send_close_notify(&mut self) {
        self.session.close_notify();
        if let Err(Stop::Failed(err)) = self.flush() {
            debug!("close_notify could not be sent: {err}");
        }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    pub(super) fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        match &self.socket {
            Some(socket) => (socket.peer_addr().ok(), socket.local_addr().ok()),
            None => (None, None),
        }
    }

    /// Returns what TLS has negotiated. Empty before the end of the handshake.
    pub(super) fn encryption(&self) -> Negotiated {
        self.session.negotiated()
    }

    pub(super) fn source(&mut self) -> io::Result<&mut dyn Source> {
        match &mut self.socket {
            Some(socket) => Ok(socket),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Sends the alert with the reason why the session has failed. A failed handshake ends the connection.
    fn fail(&mut self, mut err: Error, was_handshaking: bool) -> Error {
        if let Err(Stop::Failed(err)) = self.flush() {
            debug!("the alert could not be sent: {err}");
        }
        if was_handshaking && let Some(mut socket) = self.socket.take() {
            close_after_alert(&mut socket);
            return_socket(&mut err, socket);
        }
        err
    }
}

/// Closes TCP so that the alert arrives: pending input is read first, because the system would otherwise reset the connection.
pub(super) fn close_after_alert(socket: &mut TcpStream) {
    let mut rest = [0; 1024];
    for _ in 0..MAX_DRAINING_READS {
        if !matches!(calls::receive(socket, &mut rest), Ok(1..)) {
            break;
        }
    }
    if let Err(err) = socket.shutdown(Shutdown::Both) {
        log::trace!("TCP was already closed: {err}");
    }
}

fn gone() -> Error {
    io::Error::from(io::ErrorKind::NotConnected).into()
}
