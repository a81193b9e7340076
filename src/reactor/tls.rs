//! A socket that is encrypted, and how a connection comes to have one.
//!
//! OpenSSL differs from a plain socket in four ways, and none of them leaves this file. Reading may have to wait until
//! the socket is writable, and writing until it is readable. What it has taken off the socket, and not delivered, no event
//! tells of. A write that is blocked must be repeated as it was, and until then a read may fail; so none ever is, see
//! [`TcpStream`]. And one read may go on for as long as a peer sends records that hold nothing.

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

/// Whether `wss` URLs can be connected to.
pub(super) const IS_SUPPORTED: bool = true;

/// How often OpenSSL may read from the socket for one record that it delivers. It reads twice for each, and what delivers
/// nothing costs as much as what does.
const READS: u32 = 8;

/// How many records one turn takes from a connection.
const RECORDS: u32 = 32;

/// The most that is encrypted at once, in bytes: the payload of one record (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;

/// How much may wait to be sent, in bytes, before no more is read: a peer may have us answer without reading the answers.
const MAX_UNSENT: usize = 4 * RECORD;

/// A socket that is encrypted, or about to be.
pub(super) struct Tls {
    stage: Stage,
    /// What a read has met behind bytes that had to be delivered first.
    end: Option<Halt>,
    /// OpenSSL may hold something to read.
    has_more: bool,
    reads_on_writable: bool,
    writes_on_readable: bool,
    /// The last word is said: nothing more comes from us.
    has_sent_close_notify: bool,
}

enum Stage {
    Handshake(MidHandshakeSslStream<TcpStream>),
    Open(SslStream<TcpStream>),
    /// Nothing can be said any more.
    Broken,
}

/// Why OpenSSL has not done what it was asked to do.
enum Halt {
    /// It waits for something to read.
    WantsRead,
    /// It waits for room to write.
    WantsWrite,
    /// It has done its share of this turn.
    Turn,
    /// The peer has ended its side.
    End,
    Failed(Error),
}

impl Tls {
    /// Takes over a handshake that has begun; one that was interrupted goes on in here.
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

    /// Reads until the buffer is full, or there is nothing more, or this turn's share of the socket is used up. Reading
    /// less than the buffer holds means what it means for a plain socket, unless [`has_more`](Self::has_more) says else.
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

    /// Reads as much as there is room for, within the budget of a turn; says why it has stopped.
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

    /// Writes one record, of as many pieces as fit into it. What the system does not take of it is kept, and sent before
    /// the next one is made.
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

    /// Sends what the system has not taken before.
    pub(super) fn flush(&mut self) -> std::result::Result<(), Stop> {
        match self.tcp_mut() {
            Some(stream) => Ok(stream.send_unsent()?),
            None => Ok(()),
        }
    }

    /// How many bytes the system has not taken.
    pub(super) fn unsent(&self) -> usize {
        self.tcp().map_or(0, TcpStream::unsent)
    }

    /// Ends our side: first that of TLS, so that the peer knows that nothing was cut off, then that of TCP.
    pub(super) fn shut_down_writing(&mut self) -> std::result::Result<(), Stop> {
        self.send_close_notify();
        self.flush()?;
        if let Some(stream) = self.tcp()
            && let Err(err) = stream.shutdown(Shutdown::Write)
        {
            log::trace!("the peer was faster than the end of our side: {err}");
        }
        Ok(())
    }

    /// Says, once, that nothing more comes.
    pub(super) fn send_close_notify(&mut self) {
        let Stage::Open(session) = &mut self.stage else { return };
        if !self.has_sent_close_notify {
            self.has_sent_close_notify = true;
            clear_errors();
            if let Err(err) = session.shutdown() {
                debug!("the end of TLS could not be said: {err}");
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

    /// What was agreed on; nothing before the handshake is over.
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

    /// Goes on with the handshake if it is not over.
    fn session(&mut self) -> std::result::Result<&mut SslStream<TcpStream>, Halt> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Broken) {
            Stage::Handshake(midway) => match midway.handshake() {
                Ok(session) => {
                    // It may have read more than it needed.
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

    /// After a failure OpenSSL must not be asked to do anything more.
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

/// What is sent as one record: of one large piece its beginning, of small ones as many as fit, joined.
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

/// What stopped a read; the end of TCP is an end, even without a word of TLS before it.
fn read_halt(session: &SslStream<TcpStream>, err: ssl::Error) -> Halt {
    if err.code() == ErrorCode::ZERO_RETURN {
        return Halt::End;
    }
    if session.get_ref().has_ended() {
        debug!("the peer has ended TCP without ending TLS: what it has sent may be cut");
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

/// Empties this thread's list of errors. OpenSSL would take one that somebody has left there, such as a handler of the
/// program, for that of the next call, and fail a connection that has nothing to do with it.
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
