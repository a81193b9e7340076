//! The connection between a stream and the protocol, for any number of threads.
//!
//! There are two locks: one for the state, and one for the input. No thread holds the lock of the state while a stream
//! blocks. The thread that reads holds the lock of the input. The thread that writes sets `is_writing`; output of other
//! threads is appended meanwhile, and that thread writes it too. Thus a reader never waits for a writer, and a sender waits
//! until the system has accepted its bytes.
//!
//! Reading and closing are here; writing is in [`writer`](super::writer).

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::Stream;
use super::state::{IfBusy, WriteState};
use super::timeout::{SHORTEST_WAIT, StreamTimeout, TICK, is_timeout, time_left};
use crate::close::{CloseCode, Closed};
use crate::message::Message;
use crate::protocol::handshake::Body;
use crate::protocol::{Event, Output as _, State};
use crate::socket::byte_reader::ByteReader;
use crate::socket::read_buffer::ReadBuffer;
use crate::socket::session::{Item, Session, Unit};
use crate::socket::{Error, Result, TimeoutKind};

/// How much is read at once while the stream has more, in bytes.
const CHUNK: usize = 64 * 1024;

/// How much is read at once otherwise, in bytes. Most threads wait for input, and each of them holds this much.
const FIRST_CHUNK: usize = 8 * 1024;

/// A connection without its stream.
pub(super) struct Link {
    state: Mutex<WriteState>,
    reading: Mutex<Reading>,
    /// Notified when a thread stops reading or writing.
    pub(super) changed: Condvar,
}

/// The input, which belongs to the thread that reads.
pub(super) struct Reading {
    input: ReadBuffer,
    /// Whether the last read has filled its buffer, so that the stream may have more.
    has_more: bool,
    timeout: StreamTimeout,
    /// The last deadline of the connection that passed before something was read.
    passed: Option<Instant>,
    /// When the call that receives must return.
    until: Option<Instant>,
    /// The rest of a message that [`io::Read`] has read in part.
    pub(super) rest: ByteReader,
}

impl Link {
    /// Creates a connection with output that is waiting already, and input that was read already. The timeouts that the
    /// program has set on the stream are taken over.
    pub(super) fn new<S: Stream>(stream: &S, session: Session, out: Vec<u8>, unread: Vec<u8>) -> Self {
        let timeouts = [stream.read_timeout(), stream.write_timeout()];
        let [read_timeout, write_timeout] = timeouts.map(|timeout| timeout.ok().flatten());
        let reading = Reading {
            input: ReadBuffer::new(unread),
            has_more: false,
            timeout: StreamTimeout::new(read_timeout),
            passed: None,
            until: None,
            rest: ByteReader::default(),
        };
        let mut state = WriteState::new(session, out, write_timeout);
        state.read_timeout = read_timeout;
        Self { state: Mutex::new(state), reading: Mutex::new(reading), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, WriteState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Receives for the program, within the read timeout.
    pub(super) fn receive<T>(&self, read: impl FnOnce(&mut Reading) -> Result<T>) -> Result<T> {
        let timeout = self.lock().read_timeout;
        self.reading(|reading| reading.within(timeout, read))
    }

    /// Receives for the program, unless another thread is reading.
    pub(super) fn try_receive<T>(&self, read: impl FnOnce(&mut Reading) -> Result<T>) -> Result<T> {
        let mut reading = match self.reading.try_lock() {
            Ok(reading) => reading,
            Err(TryLockError::Poisoned(reading)) => reading.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(Error::Timeout(TimeoutKind::Read)),
        };
        let result = reading.within(Some(TICK), read);
        drop(reading);
        self.notify();
        match result {
            // The stream is in nonblocking mode.
            Err(Error::Io(err)) if is_timeout(&err) => Err(Error::Timeout(TimeoutKind::Read)),
            result => result,
        }
    }

    /// Reads as the only thread.
    pub(super) fn reading<T>(&self, read: impl FnOnce(&mut Reading) -> T) -> T {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let result = read(&mut reading);
        drop(reading);
        self.notify();
        result
    }

    /// Wakes a thread that is waiting for the end and can now read itself. With the lock in between it cannot miss this:
    /// it either waits already, or has not tried to read yet.
    fn notify(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    /// Returns the rest of a message that was read in part, or the next message; `None` at the end.
    pub(super) fn message<S: Stream>(
        &self,
        stream: &mut S,
        reading: &mut Reading,
    ) -> Result<Option<Message>> {
        if let Some(rest) = reading.rest.take() {
            return Ok(Some(rest));
        }
        while let Some(event) = self.event(stream, reading)? {
            match event {
                Event::Message(message) => return Ok(Some(message)),
                // With manual answers the program must now send its Close.
                Event::Close(..) if self.lock().session.connection.owes_close() => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Returns the next event; `None` at the end.
    pub(super) fn event<S: Stream>(&self, stream: &mut S, reading: &mut Reading) -> Result<Option<Event>> {
        while let Some(item) = self.next(stream, reading, Unit::Event)? {
            if let Some(event) = item.into_event() {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Returns the next item; `None` at the end.
    pub(super) fn next<S: Stream>(
        &self,
        stream: &mut S,
        reading: &mut Reading,
        unit: Unit,
    ) -> Result<Option<Item>> {
        loop {
            let mut state = self.lock();
            let before = reading.input.len();
            let received = state.receive(&mut reading.input, unit);
            // Even if this fails, what the peer has sent before can be received.
            let _ = self.flush(state, stream, IfBusy::Return);
            match received {
                // There are more fragments.
                Ok(None) if (1..before).contains(&reading.input.len()) => continue,
                Ok(None) => {}
                Ok(received) => return Ok(received),
                Err(err) => {
                    self.drain(stream, reading);
                    return Err(err.into());
                }
            }
            match self.fill(stream, reading) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(err) => {
                    let _ = self.flush(self.lock(), stream, IfBusy::Return);
                    if self.lock().state() == State::Closed {
                        self.end(stream);
                    }
                    return Err(err);
                }
            }
        }
    }

    /// Reads and drops input until the peer ends TCP or its time is up, so that it can read our last frames (§7.1.1).
    pub(super) fn drain<S: Stream>(&self, stream: &mut S, reading: &mut Reading) {
        reading.until = None;
        while self.fill(stream, reading).unwrap_or(false) {
            let _ = self.lock().receive(&mut reading.input, Unit::Event);
        }
    }

    /// Reads once, and returns whether the connection goes on.
    fn fill<S: Stream>(&self, stream: &mut S, reading: &mut Reading) -> Result<bool> {
        let mut state = self.lock();
        let deadline = state.session.connection.deadline();
        if state.state() == State::Closed {
            drop(state);
            self.end(stream);
            return Ok(false);
        }
        if reading.has_timed_out() {
            return Err(Error::Timeout(TimeoutKind::Read));
        }
        let timeout = deadline.into_iter().chain(reading.until).min().map(time_left);
        if !state.session.connection.wants_input() {
            // The peer has ended its side, or sends although the connection has ended. Until the deadline, another thread can
            // finish writing.
            let waited = self.changed.wait_timeout(state, timeout.unwrap_or(TICK));
            waited.unwrap_or_else(PoisonError::into_inner).0.tick()?;
            return Ok(true);
        }
        if reading.is_too_late(deadline) {
            state.tick()?;
            return Ok(true);
        }
        let missing = state.session.connection.missing();
        drop(state);
        if reading.timeout.update(timeout) {
            stream.set_read_timeout(timeout)?;
        }
        let started = Instant::now();
        let read = reading.read(stream, missing);
        let has_waited = started.elapsed() >= SHORTEST_WAIT;
        let mut state = self.lock();
        match read {
            Ok(0) => state.session.receive_eof()?,
            Ok(_) => {}
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) if is_timeout(&err) => {
                if timeout.is_some() {
                    state.tick()?;
                }
                if timeout.is_none() || (err.kind() == io::ErrorKind::WouldBlock && !has_waited) {
                    return Err(err.into());
                }
            }
            Err(err) => {
                if state.session.on_read_error() {
                    return Err(Error::ConnectionLost(err));
                }
            }
        }
        Ok(true)
    }

    /// Closes the connection, and waits for its end.
    pub(super) fn close<S: Stream>(&self, stream: &mut S, code: CloseCode, reason: &str) -> Result<Closed> {
        let mut state = self.lock();
        state.enqueue(|session, now, out| session.close(code, reason, now, out.buffer()))?;
        // Even if this fails, the Close of the peer may have arrived.
        let _ = self.flush(state, stream, IfBusy::Wait);
        let mut state = self.lock();
        while state.state() != State::Closed {
            let reading = match self.reading.try_lock() {
                Ok(reading) => Some(reading),
                Err(TryLockError::Poisoned(reading)) => Some(reading.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            };
            if let Some(mut reading) = reading {
                drop(state);
                let next = self.next(stream, &mut reading, Unit::Event);
                state = self.lock();
                // The return value describes how a connection has ended. Only if it has not ended, this is an error.
                if state.state() != State::Closed {
                    next?;
                }
            } else {
                // Another thread is reading.
                let left = state.session.connection.deadline().map_or(TICK, time_left);
                let waited = self.changed.wait_timeout(state, left);
                self.end_if_late(waited.unwrap_or_else(PoisonError::into_inner).0, stream);
                state = self.lock();
            }
        }
        let closed = state.session.closed();
        drop(state);
        self.end(stream);
        Ok(closed.unwrap_or_else(Closed::abnormal))
    }

    /// Ends the stream when the time for the closing handshake is up, which wakes the thread that reads.
    fn end_if_late<S: Stream>(&self, mut state: MutexGuard<'_, WriteState>, stream: &mut S) {
        let _ = state.tick();
        if state.state() == State::Closed {
            drop(state);
            self.end(stream);
        }
    }

    /// Restores the timeouts that the program had set on the stream.
    pub(super) fn restore_timeouts<S: Stream>(&self, stream: &mut S) -> io::Result<()> {
        self.reading(|reading| {
            let original = reading.timeout.original();
            if reading.timeout.update(original) { stream.set_read_timeout(original) } else { Ok(()) }
        })?;
        let mut state = self.lock();
        let original = state.write_timeout.original();
        if state.write_timeout.update(original) { stream.set_write_timeout(original) } else { Ok(()) }
    }
}

impl Reading {
    /// Reads within a timeout.
    fn within<T>(&mut self, timeout: Option<Duration>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.until = timeout.and_then(|timeout| Instant::now().checked_add(timeout.max(TICK)));
        let result = read(self);
        self.until = None;
        result
    }

    fn has_timed_out(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }

    /// Reads once. `missing` is the rest of the payload in progress, in bytes.
    fn read<S: Stream>(&mut self, stream: &mut S, missing: u64) -> io::Result<usize> {
        let chunk = if self.has_more { CHUNK } else { FIRST_CHUNK };
        let room = self.input.room(chunk, missing);
        let most = room.len();
        let read = stream.read(room);
        let len = *read.as_ref().unwrap_or(&0);
        self.input.filled(len);
        self.input.release();
        self.has_more = len == most;
        read
    }

    /// Whether a deadline of the connection has passed, and the input read since then has not moved it.
    ///
    /// Thus a peer that always sends something can be late as well, and a peer that sent in time is not late if the program
    /// reads late.
    fn is_too_late(&mut self, deadline: Option<Instant>) -> bool {
        let passed = deadline.filter(|deadline| *deadline <= Instant::now());
        passed.is_some() && std::mem::replace(&mut self.passed, passed) == passed
    }

    /// Takes out what was read and not processed.
    pub(super) fn take_unread(&mut self) -> Vec<u8> {
        self.input.take()
    }

    /// Reads the body of a response until a deadline.
    pub(super) fn read_body<S: Stream>(&mut self, stream: &mut S, body: &mut Body, deadline: Instant) {
        let mut is_complete = body.push(&self.input.take());
        while !is_complete && Instant::now() < deadline {
            let timeout = Some(time_left(deadline));
            if self.timeout.update(timeout) && stream.set_read_timeout(timeout).is_err() {
                return;
            }
            match self.read(stream, 0) {
                Ok(1..) => {}
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
            is_complete = body.push(&self.input.take());
        }
    }
}
