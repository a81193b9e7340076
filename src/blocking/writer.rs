//! What is to be sent, and sending it, whichever thread does.

use std::io;
use std::net::Shutdown;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Stream;
use super::link::{Link, Timeout, is_timeout};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{OpCode, ProtocolError, State};
use crate::socket::read_buffer::Input;
use crate::socket::session::{Item, Session, Unit};

/// The largest output whose memory is used again, in bytes.
const KEPT: usize = 64 * 1024;

/// The protocol, and what is to be sent.
pub(super) struct Speech {
    pub(super) session: Session,
    out: Vec<u8>,
    is_writing: bool,
    /// The stream has been ended.
    has_ended: bool,
    /// Why nothing can be sent any more.
    failure: Option<io::ErrorKind>,
    timeout: Timeout,
}

/// What to do while another thread writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Wait until all is sent.
    Wait,
    /// Leave it to that thread.
    Leave,
}

impl Link {
    /// Sends all that is to be sent.
    pub(super) fn flush<'l, S: Stream>(
        &'l self,
        mut state: MutexGuard<'l, Speech>,
        stream: &mut S,
        patience: Patience,
    ) -> Result<()> {
        loop {
            if let Some(failure) = state.failure {
                state.out.clear();
                return Err(io::Error::from(failure).into());
            }
            if state.is_writing {
                if patience == Patience::Leave {
                    state.session.connection.hold_pongs();
                    return Ok(());
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.release_pongs();
            if state.out.is_empty() {
                state.end_writing(stream);
                return Ok(());
            }
            state.is_writing = true;
            let bytes = std::mem::take(&mut state.out);
            drop(state);
            let written = self.write_all(stream, &bytes);
            state = self.lock();
            state.is_writing = false;
            self.changed.notify_all();
            if let Err(err) = written {
                state.failure = Some(io_kind(&err));
                return Err(err);
            }
            state.reuse(bytes);
        }
    }

    /// Writes all, until the connection's time is up.
    fn write_all<S: Stream>(&self, stream: &mut S, mut bytes: &[u8]) -> Result<()> {
        loop {
            let mut state = self.lock();
            let deadline = state.session.connection.deadline();
            if state.timeout.changes(deadline) {
                stream.set_write_timeout(state.timeout.get())?;
            }
            drop(state);
            // A stream that encrypts may have taken all, and still have to send some of it.
            let written =
                if bytes.is_empty() { stream.flush().map(|()| None) } else { stream.write(bytes).map(Some) };
            match written {
                Ok(None) => return Ok(()),
                Ok(Some(0)) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(Some(len)) => bytes = bytes.get(len..).unwrap_or_default(),
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) if is_timeout(&err) && deadline.is_some() => self.lock().tick()?,
                Err(err) => return Err(err.into()),
            }
        }
    }

    /// Ends the stream of a connection that is closed: the peer need not wait until the socket is dropped.
    pub(super) fn end<S: Stream>(&self, stream: &mut S) {
        if !std::mem::replace(&mut self.lock().has_ended, true) {
            // It may be gone already.
            let _ = stream.shutdown(Shutdown::Write).and_then(|()| stream.shutdown(Shutdown::Both));
        }
    }

    /// Tells the peer of an open connection that nobody is there any more.
    pub(super) fn say_goodbye<S: Stream>(&self, stream: &mut S, within: Duration) {
        let mut state = self.lock();
        if !state.session.connection.can_send(OpCode::Close) || state.failure.is_some() {
            return;
        }
        let state = &mut *state;
        state.session.leave(Instant::now(), &mut state.out);
        if stream.set_write_timeout(Some(within)).is_ok() {
            // Nobody is left to be told of a failure.
            let _ = stream.write_all(&state.out).and_then(|()| stream.flush());
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

impl Speech {
    pub(super) fn new(session: Session, out: Vec<u8>) -> Self {
        let timeout = Timeout::default();
        Self { session, out, is_writing: false, has_ended: false, failure: None, timeout }
    }

    pub(super) fn state(&self) -> State {
        self.session.connection.state()
    }

    /// Puts something into the output; returns how much waits there.
    pub(super) fn say(
        &mut self,
        say: impl FnOnce(&mut Session, Instant, &mut Vec<u8>) -> std::result::Result<(), ProtocolError>,
    ) -> Result<usize> {
        say(&mut self.session, Instant::now(), &mut self.out)?;
        Ok(self.out.len())
    }

    pub(super) fn take(
        &mut self,
        input: &mut Input,
        unit: Unit,
    ) -> std::result::Result<Option<Item>, ProtocolError> {
        self.session.receive(input, unit, Instant::now(), &mut self.out)
    }

    /// Does what is due.
    pub(super) fn tick(&mut self) -> std::result::Result<(), ProtocolError> {
        self.session.tick(Instant::now(), &mut self.out)
    }

    fn release_pongs(&mut self) {
        self.session.release_pongs(Instant::now(), &mut self.out);
    }

    /// Takes the memory of what was sent for what is said next, unless it is large.
    fn reuse(&mut self, mut sent: Vec<u8>) {
        if self.out.is_empty() && sent.capacity() <= KEPT {
            sent.clear();
            self.out = sent;
        }
    }

    /// All is sent: ends our side of the stream, if that is next.
    fn end_writing<S: Stream>(&mut self, stream: &mut S) {
        if self.session.connection.flushed(Instant::now()) && stream.shutdown(Shutdown::Write).is_err() {
            // One that has no sides, or is gone: its end is when it is dropped.
            self.session.connection.abandon();
        }
    }
}

/// What is said to those who come too late to hear the error itself.
fn io_kind(err: &Error) -> io::ErrorKind {
    match &err.kind {
        ErrorKind::Io(err) => err.kind(),
        _ => io::ErrorKind::TimedOut,
    }
}
