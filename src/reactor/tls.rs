//! Encrypted sockets.
//!
//! OpenSSL differs from a plain socket in four ways, which are handled in this file:
//!
//! - A read can wait until the socket is writable, and a write until it is readable.
//! - OpenSSL can hold input that it has not delivered. The system reports no event for it.
//! - A blocked write must be repeated with the same bytes, and reads can fail until then. Writes therefore never block; see
//!   [`TcpStream`].
//! - A read continues while the peer sends records without data.

mod opening;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};

use log::debug;
use mio::event::Source;
use openssl::error::ErrorStack;
use openssl::ssl::{self, ErrorCode, HandshakeError, MidHandshakeSslStream, NameType, SslStream};

pub(super) use self::opening::Keys;
use self::opening::handshake_failed;
use super::api::handshake::Encryption;
use super::transport::Stop;
use crate::error::{Error, ErrorKind, Result};
use crate::tcp_stream::TcpStream;

/// Whether this build supports `wss` URLs.
pub(super) const IS_SUPPORTED: bool = true;

/// The most reads from the socket for one record with data. OpenSSL reads twice per record, and records without data cost as
/// much as others.
const READS: u32 = 8;

/// The most records that are read from a connection in one turn.
const RECORDS: u32 = 32;

/// The most bytes that are encrypted at once: the payload of one record (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;

/// Reading stops while more than this number of bytes is unsent, because a peer can cause answers without reading them.
const MAX_UNSENT: usize = 4 * RECORD;

/// A socket that is encrypted, or whose TLS handshake has begun.
pub(super) struct Tls {
    stage: Stage,
    /// The end or error that follows bytes which had to be delivered first.
    end: Option<Halt>,
    /// OpenSSL may hold input.
    has_more: bool,
    reads_on_writable: bool,
    writes_on_readable: bool,
    /// close_notify has been sent.
    has_sent_close_notify: bool,
}

enum Stage {
    Handshake(MidHandshakeSslStream<TcpStream>),
    Open(SslStream<TcpStream>),
    /// Nothing can be sent or received.
    Broken,
}

/// Why a call into OpenSSL has stopped.
enum Halt {
    /// It waits for input.
    WantsRead,
    /// It waits until the socket is writable.
    WantsWrite,
    /// The budget of the turn is used up.
    Turn,
    /// The peer has closed its side.
    End,
    Failed(Error),
}

impl Tls {
    /// Continues a handshake that has begun, or uses the session of a complete one.
    fn begin(begun: Result<SslStream<TcpStream>>) -> Result<Self> {
        let stage = match begun {
            Ok(session) => Stage::Open(session),
            Err(Error { kind: ErrorKind::SslHandshake(err), details }) => match err {
                HandshakeError::WouldBlock(midway) => Stage::Handshake(midway),
                HandshakeError::Failure(midway) => return Err(handshake_failed(midway)),
                err @ HandshakeError::SetupFailure(_) => {
                    return Err(Error::new(ErrorKind::SslHandshake(err), details));
                }
            },
            Err(err) => return Err(err),
        };
        let mut tls = Self {
            stage,
            end: None,
            has_more: true,
            reads_on_writable: false,
            writes_on_readable: false,
            has_sent_close_notify: false,
        };
        if let Some(stream) = tls.tcp_mut() {
            stream.keep_writes();
        }
        Ok(tls)
    }

    /// Reads until the buffer is full, no input is left, or the budget of the turn is used up. A read that does not fill the
    /// buffer has emptied the socket, as with a plain socket, unless [`has_more`](Self::has_more) returns true.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> std::result::Result<usize, Stop> {
        self.has_more = false;
        self.reads_on_writable = false;
        let mut filled = 0;
        let halt = match self.end.take() {
            Some(end) => end,
            None if self.unsent() > MAX_UNSENT => Halt::WantsWrite,
            None => self.fill(buffer, &mut filled),
        };
        self.reads_on_writable = matches!(halt, Halt::WantsWrite);
        self.has_more = matches!(halt, Halt::Turn) || self.tcp().is_some_and(TcpStream::is_curbed);
        match halt {
            Halt::WantsRead | Halt::WantsWrite | Halt::Turn if filled == 0 => Err(Stop::Blocked),
            Halt::End if filled == 0 => Ok(0),
            Halt::Failed(err) if filled == 0 => Err(self.fail(err)),
            Halt::WantsRead | Halt::WantsWrite | Halt::Turn => Ok(filled),
            end => {
                self.end = Some(end);
                Ok(filled)
            }
        }
    }

    /// Reads into the buffer within the budget of a turn. Returns why it has stopped.
    fn fill(&mut self, buffer: &mut [u8], filled: &mut usize) -> Halt {
        self.prepare();
        let session = match self.session() {
            Ok(session) => session,
            Err(halt) => return halt,
        };
        for _ in 0..RECORDS {
            let Some(room) = buffer.get_mut(*filled..).filter(|room| !room.is_empty()) else { break };
            session.get_mut().allow_reads(READS);
            match session.ssl_read(room) {
                Ok(len) => *filled += len,
                Err(err) => return read_halt(session, err),
            }
        }
        Halt::Turn
    }

    /// Writes one record with as many pieces as fit into it. Bytes that the system does not accept are kept, and sent before
    /// the next record.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> std::result::Result<usize, Stop> {
        self.flush()?;
        self.writes_on_readable = false;
        let halt = match self.write_record(&gather(slices)) {
            Ok(len) if self.tcp().is_some_and(TcpStream::has_failed) => return self.flush().map(|()| len),
            Ok(len) => return Ok(len),
            Err(halt) => halt,
        };
        self.has_more |= self.tcp().is_some_and(TcpStream::is_curbed);
        self.writes_on_readable = matches!(halt, Halt::WantsRead);
        match halt {
            Halt::WantsRead | Halt::WantsWrite | Halt::Turn => Err(Stop::Blocked),
            Halt::End => Err(self.fail(io::Error::from(io::ErrorKind::BrokenPipe).into())),
            Halt::Failed(err) => Err(self.fail(err)),
        }
    }

    fn write_record(&mut self, record: &[u8]) -> std::result::Result<usize, Halt> {
        self.prepare();
        self.session()?.ssl_write(record).map_err(halt)
    }

    /// Sends bytes that the system did not accept before.
    pub(super) fn flush(&mut self) -> std::result::Result<(), Stop> {
        match self.tcp_mut() {
            Some(stream) => Ok(stream.send_unsent()?),
            None => Ok(()),
        }
    }

    /// Returns the number of unsent bytes.
    pub(super) fn unsent(&self) -> usize {
        self.tcp().map_or(0, TcpStream::unsent)
    }

    /// Ends this side of TLS, so that the peer knows that nothing was cut off, and then of TCP.
    pub(super) fn shut_down_writing(&mut self) -> std::result::Result<(), Stop> {
        self.send_close_notify();
        self.flush()?;
        if let Some(stream) = self.tcp()
            && let Err(err) = stream.shutdown(Shutdown::Write)
        {
            log::trace!("TCP was already closed: {err}");
        }
        Ok(())
    }

    /// Sends close_notify, once.
    pub(super) fn send_close_notify(&mut self) {
        let Stage::Open(session) = &mut self.stage else { return };
        if !self.has_sent_close_notify {
            self.has_sent_close_notify = true;
            clear_errors();
            if let Err(err) = session.shutdown() {
                debug!("close_notify could not be sent: {err}");
            }
        }
    }

    pub(super) fn has_more(&self) -> bool {
        self.has_more || self.end.is_some()
    }

    pub(super) fn reads_on_writable(&self) -> bool {
        self.reads_on_writable
    }

    pub(super) fn writes_on_readable(&self) -> bool {
        self.writes_on_readable
    }

    pub(super) fn is_handshaking(&self) -> bool {
        matches!(self.stage, Stage::Handshake(_))
    }

    pub(super) fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        match self.tcp() {
            Some(stream) => (stream.peer_addr().ok(), stream.local_addr().ok()),
            None => (None, None),
        }
    }

    /// What TLS has negotiated. Empty before the end of the handshake.
    pub(super) fn encryption(&self) -> Encryption {
        let Stage::Open(session) = &self.stage else { return Encryption::default() };
        let ssl = session.ssl();
        Encryption {
            version: Some(ssl.version_str()),
            peer_certificate: ssl.peer_certificate(),
            server_name: ssl.servername(NameType::HOST_NAME).map(str::to_owned),
        }
    }

    pub(super) fn source(&mut self) -> io::Result<&mut dyn Source> {
        match self.tcp_mut() {
            Some(stream) => Ok(&mut **stream),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Continues the handshake, and returns the session when it is complete.
    fn session(&mut self) -> std::result::Result<&mut SslStream<TcpStream>, Halt> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Broken) {
            Stage::Handshake(midway) => match midway.handshake() {
                Ok(session) => {
                    // OpenSSL may have read more than the handshake.
                    self.has_more = true;
                    Stage::Open(session)
                }
                Err(HandshakeError::WouldBlock(midway)) => {
                    let wants_write = midway.error().code() == ErrorCode::WANT_WRITE;
                    self.stage = Stage::Handshake(midway);
                    return Err(if wants_write { Halt::WantsWrite } else { Halt::WantsRead });
                }
                Err(HandshakeError::Failure(midway)) => return Err(Halt::Failed(handshake_failed(midway))),
                Err(err @ HandshakeError::SetupFailure(_)) => return Err(Halt::Failed(err.into())),
            },
            stage => stage,
        };
        match &mut self.stage {
            Stage::Open(session) => Ok(session),
            Stage::Handshake(_) | Stage::Broken => Err(Halt::End),
        }
    }

    /// Prepares for a call into OpenSSL.
    fn prepare(&mut self) {
        clear_errors();
        if let Some(stream) = self.tcp_mut() {
            stream.allow_reads(READS);
            stream.look_again();
        }
    }

    /// Ends the session after a failure. OpenSSL must not be called again.
    fn fail(&mut self, err: Error) -> Stop {
        self.stage = Stage::Broken;
        Stop::Failed(err)
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match &self.stage {
            Stage::Handshake(midway) => Some(midway.get_ref()),
            Stage::Open(session) => Some(session.get_ref()),
            Stage::Broken => None,
        }
    }

    fn tcp_mut(&mut self) -> Option<&mut TcpStream> {
        match &mut self.stage {
            Stage::Handshake(midway) => Some(midway.get_mut()),
            Stage::Open(session) => Some(session.get_mut()),
            Stage::Broken => None,
        }
    }
}

/// Returns the payload of the next record: the beginning of a large piece, or small pieces joined.
fn gather<'a>(slices: &'a [IoSlice<'_>]) -> Cow<'a, [u8]> {
    if let [one, ..] = slices
        && (slices.len() == 1 || one.len() >= RECORD)
    {
        return Cow::Borrowed(one.get(..RECORD).unwrap_or(one));
    }
    let len = slices.iter().map(|slice| slice.len()).sum::<usize>().min(RECORD);
    let mut record = Vec::with_capacity(len);
    for slice in slices {
        let room = len - record.len();
        record.extend_from_slice(slice.get(..room).unwrap_or(slice));
    }
    Cow::Owned(record)
}

/// Returns why a read has stopped. The end of TCP is an end, even without close_notify.
fn read_halt(session: &SslStream<TcpStream>, err: ssl::Error) -> Halt {
    if err.code() == ErrorCode::ZERO_RETURN {
        return Halt::End;
    }
    if session.get_ref().has_ended() {
        debug!("the peer has closed TCP without close_notify, so its data may be incomplete");
        return Halt::End;
    }
    halt(err)
}

fn halt(err: ssl::Error) -> Halt {
    match err.code() {
        ErrorCode::WANT_READ => Halt::WantsRead,
        ErrorCode::WANT_WRITE => Halt::WantsWrite,
        _ => Halt::Failed(match err.into_io_error() {
            Ok(err) => err.into(),
            Err(err) => err.into(),
        }),
    }
}

/// Clears the error queue of this thread. OpenSSL would attribute an older error, for example of a handler, to the next call,
/// and fail an unrelated connection.
fn clear_errors() {
    drop(ErrorStack::get());
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Handshake(_) => "handshake",
            Stage::Open(_) => "open",
            Stage::Broken => "broken",
        };
        f.debug_struct("Tls").field("stage", &stage).finish_non_exhaustive()
    }
}
