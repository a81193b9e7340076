//! Bytes between a stream and the protocol, for any number of threads.
//!
//! Nobody holds the lock of the state while a stream blocks. One thread at a time reads, and has the lock of the input for
//! that; one at a time writes, which a flag says: whoever has something to say while another thread writes leaves it in
//! the output, and that thread takes it along. So a reader never waits for a writer, and whoever sends waits until the
//! system has taken what it sends.

use std::io;
use std::net::Shutdown;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use super::Stream;
use crate::close::{CloseCode, Closed};
use crate::error::{Error, ErrorKind, Result};
use crate::message::Message;
use crate::protocol::handshake::Body;
use crate::protocol::{Connection, Event, Frame, OpCode, ProtocolError, State};

/// How much is read at once, in bytes.
const BUFFER: usize = 64 * 1024;

/// The shortest time that a system waits.
const TICK: Duration = Duration::from_millis(1);

/// The part of a connection that does not know its stream.
pub(super) struct Link {
    state: Mutex<Speech>,
    input: Mutex<Input>,
    /// Somebody has stopped reading or writing.
    changed: Condvar,
}

/// The protocol, and what is to be sent.
pub(super) struct Speech {
    pub(super) connection: Connection,
    out: Vec<u8>,
    is_writing: bool,
    /// The stream has been ended.
    has_ended: bool,
    /// Why nothing can be sent any more.
    failure: Option<io::ErrorKind>,
    /// The Close of the peer.
    closed: Option<Closed>,
    /// The time-out that the stream has for writing, where it is known.
    timeout: Option<Option<Duration>>,
}

/// What was read and not looked at.
pub(super) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The message of which [`io::Read`] has given a part, and how much.
    pub(super) message: Vec<u8>,
    pub(super) given: usize,
    timeout: Option<Option<Duration>>,
}

/// What to do while another thread writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Wait until all is sent.
    Wait,
    /// Leave it to that thread.
    Leave,
}

/// Takes something off the input.
type Take<T> = fn(&mut Speech, &mut &mut [u8], Instant) -> std::result::Result<Option<T>, ProtocolError>;

impl Link {
    /// `out` is what the connection has to say already, `unread` what was read already.
    pub(super) fn new(connection: Connection, out: Vec<u8>, unread: Vec<u8>) -> Self {
        let speech = Speech {
            connection,
            out,
            is_writing: false,
            has_ended: false,
            failure: None,
            closed: None,
            timeout: None,
        };
        let (start, end) = (0, unread.len());
        let input = Input { buffer: unread, start, end, message: Vec::new(), given: 0, timeout: None };
        Self { state: Mutex::new(speech), input: Mutex::new(input), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Speech> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, as the only thread that does.
    pub(super) fn reading<T>(&self, read: impl FnOnce(&mut Input) -> T) -> T {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let result = read(&mut input);
        drop(input);
        // Who waits for the end may go on reading; the lock sees to it that it is waiting, or has not looked yet.
        drop(self.lock());
        self.changed.notify_all();
        result
    }

    /// The next message; `None` at the end.
    pub(super) fn message<S: Stream>(&self, stream: &mut S, input: &mut Input) -> Result<Option<Message>> {
        while let Some(event) = self.next(stream, input, event)? {
            match event {
                Event::Message(message) => return Ok(Some(message)),
                // Where the program answers, it is its turn.
                Event::Close(..) if self.lock().connection.owes_close() => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The next of what `take` takes; `None` at the end.
    pub(super) fn next<S: Stream, T>(
        &self,
        stream: &mut S,
        input: &mut Input,
        take: Take<T>,
    ) -> Result<Option<T>> {
        loop {
            let mut state = self.lock();
            let taken = state.take(input, take);
            // Should it fail, what the peer has said before is still to be read.
            let _ = self.flush(state, stream, Patience::Leave);
            match taken {
                Ok(None) => {}
                Ok(taken) => return Ok(taken),
                Err(err) => {
                    self.drain(stream, input);
                    return Err(err);
                }
            }
            match self.fill(stream, input) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(err) => {
                    let _ = self.flush(self.lock(), stream, Patience::Leave);
                    if self.lock().connection.state() == State::Closed {
                        self.end(stream);
                    }
                    return Err(err);
                }
            }
        }
    }

    /// Lets the peer read our last words, until it ends TCP or its time is up.
    pub(super) fn drain<S: Stream>(&self, stream: &mut S, input: &mut Input) {
        while self.fill(stream, input).unwrap_or(false) {
            let _ = self.lock().take(input, event);
        }
    }

    /// Reads once; returns whether the connection goes on.
    pub(super) fn fill<S: Stream>(&self, stream: &mut S, input: &mut Input) -> Result<bool> {
        let mut state = self.lock();
        let deadline = state.connection.deadline();
        if state.connection.state() == State::Closed {
            drop(state);
            self.end(stream);
            return Ok(false);
        }
        if !state.connection.wants_input() {
            // The peer talks on after the end: it has a moment to find that out.
            drop(state);
            thread::sleep(deadline.map_or(TICK, time_left));
            state = self.lock();
            state.tick()?;
            return Ok(true);
        }
        drop(state);
        if changes(&mut input.timeout, deadline) {
            stream.set_read_timeout(input.timeout.flatten())?;
        }
        let read = stream.read(input.room());
        let mut state = self.lock();
        match read {
            Ok(0) => state.connection.receive_eof()?,
            Ok(len) => input.end += len,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) if is_timeout(&err) && deadline.is_some() => state.tick()?,
            Err(err) if is_timeout(&err) => return Err(err.into()),
            Err(err) => {
                let was_closing = state.connection.state().is_ending() && state.closed.is_some();
                state.connection.abandon();
                if !was_closing {
                    return Err(err.into());
                }
            }
        }
        Ok(true)
    }

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
                    state.connection.hold_pongs();
                    return Ok(());
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if let Some(pong) = state.connection.release_pongs() {
                state.say(|connection, now, out| connection.send_frame(pong, now, out))?;
            }
            if state.out.is_empty() {
                state.end_writing(stream);
                return Ok(());
            }
            state.is_writing = true;
            let mut bytes = std::mem::take(&mut state.out);
            drop(state);
            let written = self.write_all(stream, &bytes);
            state = self.lock();
            state.is_writing = false;
            self.changed.notify_all();
            if let Err(err) = written {
                state.failure = Some(io_kind(&err));
                return Err(err);
            }
            if state.out.is_empty() && bytes.capacity() <= BUFFER {
                bytes.clear();
                state.out = bytes;
            }
        }
    }

    /// Writes all, until the connection's time is up.
    fn write_all<S: Stream>(&self, stream: &mut S, mut bytes: &[u8]) -> Result<()> {
        loop {
            let mut state = self.lock();
            let deadline = state.connection.deadline();
            if changes(&mut state.timeout, deadline) {
                stream.set_write_timeout(state.timeout.flatten())?;
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

    /// Closes, and waits for the end.
    pub(super) fn close<S: Stream>(&self, stream: &mut S, code: CloseCode, reason: &str) -> Result<Closed> {
        let mut state = self.lock();
        if state.connection.can_send(OpCode::Close) {
            state.say(|connection, now, out| connection.close(code, reason, now, out))?;
        }
        // Should it fail, the Close of the peer may still be there.
        let _ = self.flush(state, stream, Patience::Wait);
        let mut state = self.lock();
        while state.connection.state() != State::Closed {
            let input = match self.input.try_lock() {
                Ok(input) => Some(input),
                Err(TryLockError::Poisoned(input)) => Some(input.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            };
            if let Some(mut input) = input {
                drop(state);
                self.next(stream, &mut input, event)?;
            } else {
                // Another thread reads.
                let left = state.connection.deadline().map_or(TICK, time_left);
                let waited = self.changed.wait_timeout(state, left);
                self.give_up_late(waited.unwrap_or_else(PoisonError::into_inner).0, stream);
            }
            state = self.lock();
        }
        let closed = state.closed.clone().ok_or_else(|| ProtocolError::ConnectionLost.into());
        drop(state);
        self.end(stream);
        closed
    }

    /// Ends the stream of a connection that is closed: the peer need not wait until the socket is dropped.
    fn end<S: Stream>(&self, stream: &mut S) {
        if !std::mem::replace(&mut self.lock().has_ended, true) {
            // It may be gone already.
            let _ = stream.shutdown(Shutdown::Write).and_then(|()| stream.shutdown(Shutdown::Both));
        }
    }

    /// Wakes whoever reads when the time for the end is up.
    fn give_up_late<S: Stream>(&self, mut state: MutexGuard<'_, Speech>, stream: &mut S) {
        let _ = state.tick();
        if state.connection.state() == State::Closed {
            drop(state);
            self.end(stream);
        }
    }

    /// Tells the peer of an open connection that nobody is there any more.
    pub(super) fn say_goodbye<S: Stream>(&self, stream: &mut S, within: Duration) {
        let mut state = self.lock();
        let closed = state.say(|connection, now, out| connection.close(CloseCode::Away, "", now, out));
        if closed.is_ok() && state.failure.is_none() && stream.set_write_timeout(Some(within)).is_ok() {
            // Nobody is left to be told of a failure.
            let _ = stream.write_all(&state.out).and_then(|()| stream.flush());
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

impl Speech {
    /// Puts something into the output; returns how much waits there.
    pub(super) fn say(
        &mut self,
        say: impl FnOnce(&mut Connection, Instant, &mut Vec<u8>) -> std::result::Result<(), ProtocolError>,
    ) -> Result<usize> {
        say(&mut self.connection, Instant::now(), &mut self.out)?;
        Ok(self.out.len())
    }

    /// How the connection has ended, if it has.
    pub(super) fn closed(&self) -> Option<Closed> {
        let is_closed = self.connection.state() == State::Closed;
        self.closed.clone().or_else(|| is_closed.then(Closed::abnormal))
    }

    fn take<T>(&mut self, input: &mut Input, take: Take<T>) -> Result<Option<T>> {
        let mut unread = input.buffer.get_mut(input.start..input.end).unwrap_or_default();
        let len = unread.len();
        let taken = take(self, &mut unread, Instant::now());
        input.start += len - unread.len();
        Ok(taken?)
    }

    fn note(&mut self, event: &Option<Event>) {
        if let Some(Event::Close(code, reason)) = event {
            self.closed = Some(Closed { code: *code, reason: reason.clone(), was_clean: true });
        }
    }

    /// Does what is due.
    fn tick(&mut self) -> std::result::Result<(), ProtocolError> {
        let now = Instant::now();
        if let Some(ping) = self.connection.tick(now, &mut self.out)? {
            self.connection.send_frame(ping, now, &mut self.out)?;
        }
        Ok(())
    }

    /// All is sent: ends our side of the stream, if that is next.
    fn end_writing<S: Stream>(&mut self, stream: &mut S) {
        if self.connection.flushed(Instant::now()) && stream.shutdown(Shutdown::Write).is_err() {
            // One that has no sides, or is gone: its end is when it is dropped.
            self.connection.abandon();
        }
    }
}

impl Input {
    /// What was read and not looked at; nothing is left of it.
    pub(super) fn take_unread(&mut self) -> Vec<u8> {
        let unread = self.buffer.get(self.start..self.end).unwrap_or_default().to_vec();
        self.start = self.end;
        unread
    }

    /// Reads the body of a response, as far as it comes.
    pub(super) fn read_body<S: Stream>(&mut self, stream: &mut S, body: &mut Body, end: Instant) {
        let mut is_whole = body.push(&self.take_unread());
        while !is_whole && Instant::now() < end && stream.set_read_timeout(Some(time_left(end))).is_ok() {
            match stream.read(self.room()) {
                Ok(len @ 1..) => self.end += len,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
            is_whole = body.push(&self.take_unread());
        }
    }

    /// Where the next bytes are read to. All before has been looked at, but for what waits for an answer of ours.
    fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.buffer.len() < self.end + BUFFER {
            self.buffer.resize(self.end + BUFFER, 0);
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }
}

/// Takes the next event.
pub(super) fn event(
    state: &mut Speech,
    input: &mut &mut [u8],
    now: Instant,
) -> std::result::Result<Option<Event>, ProtocolError> {
    let event = state.connection.receive(input, now, &mut state.out)?;
    state.note(&event);
    Ok(event)
}

/// Takes the next frame, and acts on it.
pub(super) fn frame(
    state: &mut Speech,
    input: &mut &mut [u8],
    now: Instant,
) -> std::result::Result<Option<Frame>, ProtocolError> {
    let Some(frame) = state.connection.receive_frame(input, now, &mut state.out)? else { return Ok(None) };
    let event = state.connection.accept(frame.clone(), now, &mut state.out)?;
    state.note(&event);
    Ok(Some(frame))
}

/// Puts the time that is left in place of a time-out; returns whether the stream must be told.
fn changes(timeout: &mut Option<Option<Duration>>, deadline: Option<Instant>) -> bool {
    let left = deadline.map(time_left);
    timeout.replace(left) != Some(left)
}

fn time_left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(TICK)
}

fn is_timeout(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// What is said to those who come too late to hear the error itself.
fn io_kind(err: &Error) -> io::ErrorKind {
    match &err.kind {
        ErrorKind::Io(err) => err.kind(),
        _ => io::ErrorKind::TimedOut,
    }
}
