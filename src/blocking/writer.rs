//! Writing the output to the stream, on whichever thread has something to send.

use std::io;
use std::net::Shutdown;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Stream;
use super::link::Link;
use super::state::{IfBusy, WriteState};
use super::timeout::{TICK, is_timeout};
use crate::protocol::{OpCode, Output as _, State};
use crate::socket::output_queue::OutputQueue;
use crate::socket::{Error, Result, TimeoutKind};

impl Link {
    /// Writes all output.
    pub(super) fn flush<'l, S: Stream>(
        &'l self,
        mut state: MutexGuard<'l, WriteState>,
        stream: &mut S,
        if_busy: IfBusy,
    ) -> Result<()> {
        loop {
            if let Some(failure) = state.failure {
                state.dropped = state.unsent();
                state.out = OutputQueue::default();
                return Err(Error::ConnectionLost(failure.into()));
            }
            if state.is_writing {
                if if_busy == IfBusy::Return {
                    return Ok(());
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.send_pending_pong();
            if state.out.is_empty() {
                state.finish_writing(stream);
                return Ok(());
            }
            state.is_writing = true;
            let mut output = std::mem::take(&mut state.out);
            let len = output.len();
            drop(state);
            let written = self.write_all(stream, &mut output);
            state = self.lock();
            state.is_writing = false;
            self.changed.notify_all();
            if let Err(err) = written {
                state.failure = Some(kind_of(&err));
                state.dropped = state.dropped.saturating_add(output.len());
                return Err(err);
            }
            state.reuse(output, len);
        }
    }

    /// Writes all output, until a timeout of the connection or of the stream expires. What was not written remains in `output`.
    fn write_all<S: Stream>(&self, stream: &mut S, output: &mut OutputQueue) -> Result<()> {
        loop {
            let mut state = self.lock();
            let limit = state.session.connection.write_limit(Instant::now());
            let limit = limit.map(|left| left.max(TICK));
            let program = state.write_timeout.original();
            let timeout = limit.into_iter().chain(program).min();
            if state.write_timeout.update(timeout) {
                stream.set_write_timeout(timeout)?;
            }
            drop(state);
            // A TLS stream may have accepted all bytes without having written them.
            let written = match output.contiguous() {
                Some([]) => stream.flush().map(|()| None),
                Some(bytes) => stream.write(bytes).map(Some),
                None => output.with_slices(|slices| stream.write_vectored(slices)).map(Some),
            };
            match written {
                Ok(None) => return Ok(()),
                Ok(Some(0)) => return Err(Error::ConnectionLost(io::ErrorKind::WriteZero.into())),
                Ok(Some(len)) => {
                    output.advance(len);
                    if !output.is_empty() {
                        self.lock().session.connection.unsent(len, Instant::now());
                    }
                }
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) if is_timeout(&err) && program.is_some() && timeout == program => {
                    return Err(Error::Timeout(TimeoutKind::Write));
                }
                Err(err) if is_timeout(&err) && limit.is_some() => {
                    let mut state = self.lock();
                    state.on_write_timeout()?;
                    // A closed connection has no further limit, so the next write could wait forever.
                    if state.state() == State::Closed {
                        return Err(Error::ConnectionLost(err));
                    }
                }
                Err(err) => return Err(Error::ConnectionLost(err)),
            }
        }
    }

    /// Shuts down the stream of a closed connection, so that the peer need not wait until the socket is dropped.
    pub(super) fn end<S: Stream>(&self, stream: &mut S) {
        if !std::mem::replace(&mut self.lock().has_ended, true) {
            // The peer may have ended it already.
            let _ = stream.shutdown(Shutdown::Write).and_then(|()| stream.shutdown(Shutdown::Both));
        }
    }

    /// Sends a Close with 1001 on an open connection whose last handle is dropped, within `timeout`.
    pub(super) fn send_going_away<S: Stream>(&self, stream: &mut S, timeout: Duration) {
        let mut state = self.lock();
        if !state.session.connection.can_send(OpCode::Close) || state.failure.is_some() {
            return;
        }
        let state = &mut *state;
        state.session.leave(Instant::now(), state.out.buffer());
        if stream.set_write_timeout(Some(timeout)).is_ok() {
            // The socket is gone, so there is no way to report a failure.
            let written = state.out.parts().try_for_each(|part| stream.write_all(part));
            let _ = written.and_then(|()| stream.flush());
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

/// The kind of error that later attempts to send return.
fn kind_of(err: &Error) -> io::ErrorKind {
    match err {
        Error::ConnectionLost(err) | Error::Io(err) => err.kind(),
        _ => io::ErrorKind::TimedOut,
    }
}
