//! Bytes between a stream and the protocol, for any number of threads.
//!
//! Nobody holds the lock of the state while a stream blocks. One thread at a time reads, and has the lock of the input for
//! that; one at a time writes, which a flag says: whoever has something to say while another thread writes leaves it in
//! the output, and that thread takes it along. So a reader never waits for a writer, and whoever sends waits until the
//! system has taken what it sends. Reading and closing are here, writing is in [`writing`](super::writer).

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use super::Stream;
use super::writer::{Patience, Speech};
use crate::close::{CloseCode, Closed};
use crate::error::Result;
use crate::message::Message;
use crate::protocol::handshake::Body;
use crate::protocol::{Event, State};
use crate::socket::byte_reader::Leftover;
use crate::socket::read_buffer::Input;
use crate::socket::session::{Item, Session, Unit};

/// How much is read at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// The shortest time that a system waits.
const TICK: Duration = Duration::from_millis(1);

/// The part of a connection that does not know its stream.
pub(super) struct Link {
    state: Mutex<Speech>,
    reading: Mutex<Reading>,
    /// Somebody has stopped reading or writing.
    pub(super) changed: Condvar,
}

/// What whoever reads has.
pub(super) struct Reading {
    input: Input,
    timeout: Timeout,
    /// The last deadline that passed before something was read.
    passed: Option<Instant>,
    /// What [`io::Read`] has left of a message.
    pub(super) rest: Leftover,
}

/// The time-out that a stream has for one direction, where it is known.
#[derive(Debug, Default)]
pub(super) struct Timeout(Option<Option<Duration>>);

impl Link {
    /// `out` is what the connection has to say already, `unread` what was read already.
    pub(super) fn new(session: Session, out: Vec<u8>, unread: Vec<u8>) -> Self {
        let input = Input::new(unread, CHUNK);
        let reading = Reading { input, timeout: Timeout::default(), passed: None, rest: Leftover::default() };
        Self {
            state: Mutex::new(Speech::new(session, out)),
            reading: Mutex::new(reading),
            changed: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Speech> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, as the only thread that does.
    pub(super) fn reading<T>(&self, read: impl FnOnce(&mut Reading) -> T) -> T {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let result = read(&mut reading);
        drop(reading);
        // Who waits for the end may go on reading; the lock sees to it that it is waiting, or has not looked yet.
        drop(self.lock());
        self.changed.notify_all();
        result
    }

    /// What is left of a message that was read in part, or the next one; `None` at the end.
    pub(super) fn message<S: Stream>(
        &self,
        stream: &mut S,
        reading: &mut Reading,
    ) -> Result<Option<Message>> {
        if let Some(rest) = reading.rest.take() {
            return Ok(Some(rest));
        }
        while let Some(item) = self.next(stream, reading, Unit::Event)? {
            match item.into_event() {
                Some(Event::Message(message)) => return Ok(Some(message)),
                // Where the program answers, it is its turn.
                Some(Event::Close(..)) if self.lock().session.connection.owes_close() => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    /// What comes next; `None` at the end.
    pub(super) fn next<S: Stream>(
        &self,
        stream: &mut S,
        reading: &mut Reading,
        unit: Unit,
    ) -> Result<Option<Item>> {
        loop {
            let mut state = self.lock();
            let taken = state.take(&mut reading.input, unit);
            // Should it fail, what the peer has said before is still to be read.
            let _ = self.flush(state, stream, Patience::Leave);
            match taken {
                Ok(None) => {}
                Ok(taken) => return Ok(taken),
                Err(err) => {
                    self.drain(stream, reading);
                    return Err(err.into());
                }
            }
            match self.fill(stream, reading) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(err) => {
                    let _ = self.flush(self.lock(), stream, Patience::Leave);
                    if self.lock().state() == State::Closed {
                        self.end(stream);
                    }
                    return Err(err);
                }
            }
        }
    }

    /// Lets the peer read our last words, until it ends TCP or its time is up.
    pub(super) fn drain<S: Stream>(&self, stream: &mut S, reading: &mut Reading) {
        while self.fill(stream, reading).unwrap_or(false) {
            let _ = self.lock().take(&mut reading.input, Unit::Event);
        }
    }

    /// Reads once; returns whether the connection goes on.
    fn fill<S: Stream>(&self, stream: &mut S, reading: &mut Reading) -> Result<bool> {
        let mut state = self.lock();
        let deadline = state.session.connection.deadline();
        if state.state() == State::Closed {
            drop(state);
            self.end(stream);
            return Ok(false);
        }
        if !state.session.connection.wants_input() {
            // The peer talks on after the end: it has a moment to find that out.
            drop(state);
            thread::sleep(deadline.map_or(TICK, time_left));
            state = self.lock();
            state.tick()?;
            return Ok(true);
        }
        if reading.is_too_late(deadline) {
            state.tick()?;
            return Ok(true);
        }
        let missing = state.session.connection.missing();
        drop(state);
        if reading.timeout.changes(deadline) {
            stream.set_read_timeout(reading.timeout.get())?;
        }
        let read = stream.read(reading.input.room(missing));
        let mut state = self.lock();
        match read {
            Ok(0) => state.session.receive_eof()?,
            Ok(len) => reading.input.filled(len),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) if is_timeout(&err) && deadline.is_some() => state.tick()?,
            Err(err) if is_timeout(&err) => return Err(err.into()),
            Err(err) => {
                if state.session.lose() {
                    return Err(err.into());
                }
            }
        }
        Ok(true)
    }

    /// Closes, and waits for the end.
    pub(super) fn close<S: Stream>(&self, stream: &mut S, code: CloseCode, reason: &str) -> Result<Closed> {
        let mut state = self.lock();
        state.say(|session, now, out| session.close(code, reason, now, out))?;
        // Should it fail, the Close of the peer may still be there.
        let _ = self.flush(state, stream, Patience::Wait);
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
                // How the connection has ended is told below; only one that goes on has failed to be closed.
                if state.state() != State::Closed {
                    next?;
                }
            } else {
                // Another thread reads.
                let left = state.session.connection.deadline().map_or(TICK, time_left);
                let waited = self.changed.wait_timeout(state, left);
                self.give_up_late(waited.unwrap_or_else(PoisonError::into_inner).0, stream);
                state = self.lock();
            }
        }
        let closed = state.session.closed();
        drop(state);
        self.end(stream);
        Ok(closed.unwrap_or_else(Closed::abnormal))
    }

    /// Wakes whoever reads when the time for the end is up.
    fn give_up_late<S: Stream>(&self, mut state: MutexGuard<'_, Speech>, stream: &mut S) {
        let _ = state.tick();
        if state.state() == State::Closed {
            drop(state);
            self.end(stream);
        }
    }
}

impl Reading {
    /// Whether the deadline has passed, and what was read since then has not moved it. So a peer that always has something to
    /// say is late as well, and one that has spoken in time is not, however late we listen.
    fn is_too_late(&mut self, deadline: Option<Instant>) -> bool {
        let passed = deadline.filter(|deadline| *deadline <= Instant::now());
        passed.is_some() && std::mem::replace(&mut self.passed, passed) == passed
    }

    /// What was read and not looked at; nothing is left of it.
    pub(super) fn take_unread(&mut self) -> Vec<u8> {
        self.input.take()
    }

    /// Reads the body of a response, as far as it comes.
    pub(super) fn read_body<S: Stream>(&mut self, stream: &mut S, body: &mut Body, end: Instant) {
        let mut is_whole = body.push(&self.input.take());
        while !is_whole && Instant::now() < end && stream.set_read_timeout(Some(time_left(end))).is_ok() {
            match stream.read(self.input.room(0)) {
                Ok(len @ 1..) => self.input.filled(len),
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
            is_whole = body.push(&self.input.take());
        }
    }
}

impl Timeout {
    /// Puts the time that is left in place; returns whether the stream must be told.
    pub(super) fn changes(&mut self, deadline: Option<Instant>) -> bool {
        let left = deadline.map(time_left);
        self.0.replace(left) != Some(left)
    }

    pub(super) fn get(&self) -> Option<Duration> {
        self.0.flatten()
    }
}

fn time_left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(TICK)
}

pub(super) fn is_timeout(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
