//! What a client that connects again shares with the handles that send: the queue, and the connection.

use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;
use std::{fmt, io, thread};

use super::state::IfBusy;
use super::{Stream, WebSocket};
use crate::close::{CloseCode, Closed};
use crate::message::Message;
use crate::protocol::check_close;
use crate::socket::outbox::Outbox;
use crate::socket::{Error, Result, TimeoutKind};

/// How much of the queue is written at once, in bytes.
const BATCH: usize = 64 * 1024;

/// The handle with which a connection is written to. One thread at a time uses it.
pub(super) type Writer<S> = Arc<Mutex<WebSocket<S>>>;

/// [`Shared::spawn`], for a stream that can be sent to a thread.
pub(super) type Spawn<S> = fn(Arc<Shared<S>>, Writer<S>) -> io::Result<()>;

/// What the threads share.
pub(super) struct Shared<S: Stream> {
    state: Mutex<State<S>>,
    /// Notified when the program ends the client.
    changed: Condvar,
}

struct State<S: Stream> {
    outbox: Outbox,
    writer: Option<Writer<S>>,
    sending: Sending,
}

/// What happens to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    /// It waits: there is no connection, or the program has not received from it yet.
    Queued,
    /// It waits behind the messages that a thread is sending.
    Draining,
    /// It is written to the connection.
    Direct,
    /// It waits: the connection is ending.
    Refused,
    /// It is not accepted, because the client has ended.
    Ended,
}

impl<S: Stream> Shared<S> {
    pub(super) fn new() -> Self {
        let state = State { outbox: Outbox::default(), writer: None, sending: Sending::Queued };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_max_queued(&self, bytes: usize) {
        self.lock().outbox.max = bytes;
    }

    /// Writes a message to the connection, or queues it.
    pub(super) fn send(&self, mut message: Message) -> Result<()> {
        loop {
            let mut state = self.lock();
            let writer = match (state.sending, &state.writer) {
                (Sending::Ended, _) => return Err(Error::Closed),
                (Sending::Direct, Some(writer)) => Arc::clone(writer),
                _ => return state.outbox.push(message),
            };
            drop(state);
            match write(&mut lock(&writer), [message])? {
                None => return Ok(()),
                Some(refused) => message = refused,
            }
            // The connection is ending. Unless there is another one, messages wait from now on.
            self.lock().stop_sending(&writer);
        }
    }

    /// Queues a message that the connection has refused.
    pub(super) fn queue(&self, message: Message) -> Result<()> {
        let mut state = self.lock();
        if state.sending == Sending::Ended { Err(Error::Closed) } else { state.outbox.push(message) }
    }

    /// A connection is open. Returns whether the client goes on. Messages wait until the queue is sent.
    pub(super) fn open(&self, writer: WebSocket<S>) -> bool {
        let mut state = self.lock();
        if state.sending == Sending::Ended {
            return false;
        }
        state.writer = Some(Arc::new(Mutex::new(writer)));
        state.sending = Sending::Queued;
        true
    }

    /// Sends the queue with `spawn`, which starts a thread, unless this has been done. An empty queue needs no thread.
    pub(super) fn begin_draining(self: &Arc<Self>, spawn: Spawn<S>) -> Result<()> {
        let mut state = self.lock();
        let Some(writer) = state.writer.clone().filter(|_| state.sending == Sending::Queued) else {
            return Ok(());
        };
        if state.outbox.is_empty() {
            state.sending = Sending::Direct;
            return Ok(());
        }
        state.sending = Sending::Draining;
        drop(state);
        let spawned = spawn(Arc::clone(self), writer);
        let mut state = self.lock();
        if spawned.is_err() && state.sending == Sending::Draining {
            // The next call that receives tries it again.
            state.sending = Sending::Queued;
        }
        Ok(spawned?)
    }

    /// Sends a part of the queue, and returns whether the thread goes on: not if the queue is empty or the connection ends.
    fn drain(&self, writer: &Writer<S>) -> bool {
        // `detach` waits for this lock. What is put back is therefore in its place before there is another connection.
        let mut socket = lock(writer);
        let mut state = self.lock();
        if !state.is_current(writer) || state.sending != Sending::Draining {
            return false;
        }
        let batch = state.take_batch();
        if batch.is_empty() {
            state.sending = Sending::Direct;
            return false;
        }
        drop(state);
        let mut batch = batch.into_iter();
        // A message that an extension of the program rejects is dropped.
        let refused = write(&mut socket, batch.by_ref()).unwrap_or_default();
        let is_refused = refused.is_some();
        let mut state = self.lock();
        batch.rev().chain(refused).for_each(|message| state.outbox.put_back(message));
        if is_refused {
            state.stop_sending(writer);
        }
        !is_refused
    }

    /// The connection has ended, and its stream is shut down. Returns the number of bytes that were accepted and not sent.
    pub(super) fn detach(&self) -> usize {
        let mut state = self.lock();
        if state.sending != Sending::Ended {
            state.sending = Sending::Queued;
        }
        let writer = state.writer.take();
        drop(state);
        // A thread that is writing at this moment fails, because the stream is shut down.
        writer.map_or(0, |writer| lock(&writer).parts().map_or(0, |(link, _)| link.lock().unsent()))
    }

    /// Waits until a time, or until the program ends the client.
    pub(super) fn wait(&self, until: Option<Instant>, timeout: Option<Instant>) -> Result<()> {
        let mut state = self.lock();
        while state.sending != Sending::Ended {
            let now = Instant::now();
            let has_passed = |time: Option<Instant>| time.is_some_and(|time| time <= now);
            if has_passed(until) {
                return Ok(());
            }
            if has_passed(timeout) {
                return Err(Error::Timeout(TimeoutKind::Read));
            }
            state = match until.into_iter().chain(timeout).min() {
                Some(end) => {
                    let waited = self.changed.wait_timeout(state, end.saturating_duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        Ok(())
    }

    /// Ends the client: nothing is accepted any more. Returns the connection.
    pub(super) fn end(&self) -> Option<Writer<S>> {
        let mut state = self.lock();
        state.sending = Sending::Ended;
        self.changed.notify_all();
        state.writer.clone()
    }

    /// Ends the client, and drops the connection. Returns whether a thread is still writing.
    pub(super) fn abandon(&self) -> bool {
        self.end();
        let writer = self.lock().writer.take();
        writer.is_some_and(|writer| matches!(writer.try_lock(), Err(TryLockError::WouldBlock)))
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().sending == Sending::Ended
    }

    /// Ends the client, and closes its connection if there is one.
    pub(super) fn close(&self, code: CloseCode, reason: &str) -> Result<Option<Closed>> {
        // A Close that cannot be sent ends nothing.
        check_close(code, reason)?;
        self.end().map(|writer| lock(&writer).close(code, reason)).transpose()
    }

    /// The number of bytes that wait in the queue or in the connection.
    pub(super) fn buffered(&self) -> usize {
        let state = self.lock();
        let (queued, writer) = (state.outbox.len(), state.writer.clone());
        drop(state);
        // A thread that is writing has the lock for as long as that takes.
        let unsent = writer.and_then(|writer| writer.try_lock().ok().map(|writer| writer.buffered_amount()));
        queued.saturating_add(unsent.unwrap_or_default())
    }
}

impl<S: Stream + Send + 'static> Shared<S> {
    /// Starts a thread that sends the queue. If the thread that receives sent it, and the peer did not read before it has written its
    /// replies, both would wait for ever.
    pub(super) fn spawn(self: Arc<Self>, writer: Writer<S>) -> io::Result<()> {
        let thread = thread::Builder::new().name("sockeye-queue".to_owned());
        thread.spawn(move || while self.drain(&writer) {}).map(drop)
    }
}

impl<S: Stream> State<S> {
    fn is_current(&self, writer: &Writer<S>) -> bool {
        self.writer.as_ref().is_some_and(|current| Arc::ptr_eq(current, writer))
    }

    /// A connection refuses messages, because it is ending. They wait until there is another one.
    fn stop_sending(&mut self, writer: &Writer<S>) {
        if self.is_current(writer) && self.sending != Sending::Ended {
            self.sending = Sending::Refused;
        }
    }

    /// Takes messages out of the queue that are written together.
    fn take_batch(&mut self) -> Vec<Message> {
        let (mut batch, mut len) = (Vec::new(), 0);
        while len < BATCH
            && let Some(message) = self.outbox.pop()
        {
            len += message.len();
            batch.push(message);
        }
        batch
    }
}

/// Writes messages, and returns the first one that the connection refuses because it is ending.
pub(super) fn write<S: Stream>(
    socket: &mut WebSocket<S>,
    messages: impl IntoIterator<Item = Message>,
) -> Result<Option<Message>> {
    let (link, stream) = socket.parts()?;
    let mut state = link.lock();
    let mut refused = None;
    for message in messages {
        refused = state.offer(message)?;
        if refused.is_some() {
            break;
        }
    }
    if link.flush(state, stream, IfBusy::Wait).is_err() {
        // The thread that receives reports the loss. It would not notice a write timeout.
        let _ = stream.shutdown(Shutdown::Both);
    }
    Ok(refused)
}

fn lock<S: Stream>(writer: &Writer<S>) -> MutexGuard<'_, WebSocket<S>> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Stream> fmt::Debug for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Shared")
            .field("queued", &state.outbox.len())
            .field("sending", &state.sending)
            .finish_non_exhaustive()
    }
}
