//! The state that all handles of a connection share: the session, and what is waiting to be written.

use std::io;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use super::Stream;
use super::timeout::StreamTimeout;
use crate::message::Message;
use crate::protocol::{OpCode, Output as _, ProtocolError, State};
use crate::socket::Result;
use crate::socket::output_queue::OutputQueue;
use crate::socket::read_buffer::ReadBuffer;
use crate::socket::session::{Item, Session, Unit};

/// The largest output whose memory is reused, in bytes.
const KEPT: usize = 64 * 1024;

/// The session, its output, and the progress of writing it.
pub(super) struct WriteState {
    pub(super) session: Session,
    pub(super) out: OutputQueue,
    /// Whether a thread is writing at this moment, without the lock of this state.
    pub(super) is_writing: bool,
    /// Whether the stream has been shut down.
    pub(super) has_ended: bool,
    /// Why nothing can be sent any more.
    pub(super) failure: Option<io::ErrorKind>,
    /// The number of bytes that were dropped because of the failure.
    pub(super) dropped: usize,
    pub(super) write_timeout: StreamTimeout,
    /// The timeout of one call that receives.
    pub(super) read_timeout: Option<Duration>,
}

/// What to do while another thread is writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfBusy {
    /// Wait until everything is written.
    Wait,
    /// Return at once: the other thread will write the output as well.
    Return,
}

impl WriteState {
    pub(super) fn new(session: Session, out: Vec<u8>, write_timeout: Option<Duration>) -> Self {
        Self {
            session,
            out: OutputQueue::new(out),
            is_writing: false,
            has_ended: false,
            failure: None,
            dropped: 0,
            write_timeout: StreamTimeout::new(write_timeout),
            read_timeout: None,
        }
    }

    pub(super) fn state(&self) -> State {
        self.session.connection.state()
    }

    /// Appends something to the output, and returns the length of the output in bytes.
    pub(super) fn enqueue(
        &mut self,
        write: impl FnOnce(&mut Session, Instant, &mut OutputQueue) -> std::result::Result<(), ProtocolError>,
    ) -> Result<usize> {
        write(&mut self.session, Instant::now(), &mut self.out)?;
        Ok(self.out.len())
    }

    /// Appends a message to the output, or returns it if nothing can be sent any more.
    pub(super) fn offer(&mut self, message: Message) -> Result<Option<Message>> {
        if self.failure.is_some() || !self.session.connection.can_send(OpCode::Text) {
            return Ok(Some(message));
        }
        self.session.send(message, Instant::now(), &mut self.out)?;
        Ok(None)
    }

    /// The number of bytes that were accepted, and that the stream has not accepted.
    pub(super) fn unsent(&self) -> usize {
        self.dropped.saturating_add(self.out.len())
    }

    /// Processes input, and returns the next item.
    pub(super) fn receive(
        &mut self,
        input: &mut ReadBuffer,
        unit: Unit,
    ) -> std::result::Result<Option<Item>, ProtocolError> {
        self.session.receive(input, unit, Instant::now(), self.out.buffer())
    }

    /// Does what is due at this time.
    pub(super) fn tick(&mut self) -> std::result::Result<(), ProtocolError> {
        self.session.tick(Instant::now(), self.out.buffer())
    }

    /// A write has made no progress within the limit of the connection.
    pub(super) fn on_write_timeout(&mut self) -> std::result::Result<(), ProtocolError> {
        if self.state() != State::Open {
            return self.tick();
        }
        self.session.on_write_timeout();
        Err(ProtocolError::WriteTimeout)
    }

    pub(super) fn send_pending_pong(&mut self) {
        self.session.send_pending_pong(Instant::now(), self.out.buffer());
    }

    /// Reuses the memory of output of this length that was written, unless it is large. Payloads that were not copied count as well: after
    /// a large message, a socket holds no memory.
    pub(super) fn reuse(&mut self, mut written: OutputQueue, len: usize) {
        let buffer = written.take_buffer();
        if self.out.is_empty() && len <= KEPT && buffer.capacity() <= KEPT {
            self.out.set_buffer(buffer);
        }
    }

    /// Everything is written: shuts down our side of the stream, if that comes next (§7.1.1).
    pub(super) fn finish_writing<S: Stream>(&mut self, stream: &mut S) {
        if self.session.connection.flushed(Instant::now()) && stream.shutdown(Shutdown::Write).is_err() {
            // The stream has no sides, or is gone: it ends when it is dropped.
            self.session.connection.abandon();
        }
    }
}
