//! The output of a connection, and whether the socket accepts it.

use std::io;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::protocol::Output as _;
use crate::reactor::buffer_pool::BufferPool;
use crate::reactor::queue::status::ConnectionStatus;
use crate::reactor::system::{Stop, Transport};
use crate::reactor::write_queue::{SocketKind, WriteQueue};
use crate::tls::RECORD;

/// Reading pauses while at least this much output is blocked, in bytes.
const HOLD_FROM: usize = 256 * 1024;

/// How long reading pauses because of blocked output.
const HOLD: Duration = Duration::from_millis(50);

/// What a connection has to send.
#[derive(Debug)]
pub(in crate::reactor) struct WriteSide {
    /// The queue, while there is output.
    queue: Option<Box<WriteQueue>>,
    socket: SocketKind,
    /// How many bytes of the published amount are output, when it was last measured.
    published: usize,
    /// The socket did not accept all output. An event follows when it accepts more.
    pub(super) is_blocked: bool,
    /// The system reports when the socket becomes writable.
    pub(super) is_watched: bool,
    /// All output has been sent, and the local side of the socket must be ended.
    pub(super) is_ending: bool,
}

impl WriteSide {
    /// Creates the write side. The protocol may have written to the queue already.
    pub(super) fn new(mut queue: Option<Box<WriteQueue>>, is_watched: bool, socket: &impl Transport) -> Self {
        let socket = if socket.is_encrypted() { SocketKind::Encrypted } else { SocketKind::Plain };
        if let Some(queue) = &mut queue {
            queue.set_socket(socket);
        }
        Self { queue, socket, published: 0, is_blocked: false, is_watched, is_ending: false }
    }

    /// Returns the queue, which is taken from the pool if there is none.
    #[inline]
    pub(in crate::reactor) fn queue(&mut self, pool: &mut BufferPool) -> &mut WriteQueue {
        self.queue.get_or_insert_with(|| {
            let mut queue = pool.take();
            queue.set_socket(self.socket);
            queue
        })
    }

    /// Returns the buffer of the queue, for output that is copied.
    #[inline]
    pub(super) fn buffer(&mut self, pool: &mut BufferPool) -> &mut Vec<u8> {
        self.queue(pool).buffer()
    }

    /// The number of queued bytes.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.len())
    }

    /// How much memory the output occupies that belongs to this connection alone, in bytes.
    pub(super) fn owned(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.owned())
    }

    /// How much of the output other connections hold as well, in bytes.
    pub(super) fn shared(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.shared())
    }

    /// Drops all output.
    pub(super) fn discard(&mut self) {
        self.queue = None;
    }

    /// Whether there is no queue. After [`recycle`](Self::recycle) this means that there is no output.
    #[inline]
    pub(super) fn is_released(&self) -> bool {
        self.queue.is_none()
    }

    /// A command of this length becomes output. The next measurement subtracts it from the published amount.
    #[inline]
    pub(in crate::reactor) fn add_published(&mut self, len: usize) {
        self.published += len;
    }

    /// Publishes how many bytes wait to be sent. `unsent` is what the socket holds, and `waiting` what is not encoded yet. Returns
    /// the number of encoded bytes.
    #[inline]
    pub(super) fn publish(
        &mut self,
        unsent: usize,
        waiting: usize,
        status: Option<&ConnectionStatus>,
    ) -> usize {
        let encoded = self.len() + unsent;
        let buffered = encoded + waiting;
        if let Some(status) = status {
            status.replace_local(self.published, buffered);
        }
        self.published = buffered;
        encoded
    }

    /// Removes the output from the published amount, because the connection is replaced.
    pub(super) fn unpublish(&self, status: Option<&ConnectionStatus>) {
        if let Some(status) = status {
            status.sub_local(self.published);
        }
    }

    /// Returns the queue to the pool, unless it contains a failure. It must be empty.
    #[inline]
    pub(super) fn recycle(&mut self, pool: &mut BufferPool) {
        if let Some(queue) = self.queue.take_if(|queue| queue.failure.is_none()) {
            pool.recycle(queue);
        }
    }

    /// Writes until the queue is empty or the socket accepts no more. Returns whether the queue is empty. Adds the number of bytes
    /// that the socket has accepted to `sent`.
    ///
    /// If more output is expected soon, an encrypted socket keeps the end of the output, which does not fill a record. Each flush
    /// sends something, so nothing is kept twice.
    #[inline]
    pub(super) fn write(
        &mut self,
        socket: &mut impl Transport,
        expects_more: bool,
        sent: &mut u64,
    ) -> Result<bool, Stop> {
        let ends_on_record = expects_more && socket.is_encrypted();
        let mut written = 0;
        while let Some(queue) = self.queue.as_mut().filter(|queue| !queue.is_empty()) {
            if ends_on_record && written > 0 && queue.len() < RECORD {
                return socket.flush().map(|()| false);
            }
            written = queue.write_with(|slices| socket.write(slices, ends_on_record))?;
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            *sent += written as u64;
        }
        socket.flush().map(|()| true)
    }

    /// A write has failed. Nothing more is written.
    pub(super) fn fail(&mut self, err: Error, pool: &mut BufferPool) {
        self.is_blocked = true;
        self.queue(pool).failure = Some(Box::new(err));
    }

    #[inline]
    pub(super) fn has_failed(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.failure.is_some())
    }

    /// Takes the reason why a write has failed.
    pub(super) fn take_failure(&mut self) -> Option<Box<Error>> {
        self.queue.as_mut().and_then(|queue| queue.failure.take())
    }

    /// Whether reading must wait because much output is blocked: replies should leave before more of them are produced.
    ///
    /// The pause is short and happens once per backlog, because a peer may have to send while it receives, or may receive
    /// only after it has sent everything.
    pub(super) fn holds_reading(&mut self, now: Instant) -> bool {
        if !self.is_blocked {
            return false;
        }
        let Some(queue) = self.queue.as_mut().filter(|queue| queue.len() >= HOLD_FROM) else { return false };
        now < *queue.held_until.get_or_insert_with(|| now + HOLD)
    }

    /// The time until which reading pauses. It may be in the past.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.queue.as_ref().and_then(|queue| queue.held_until)
    }
}
