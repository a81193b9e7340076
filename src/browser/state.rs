//! The state of a connection, and the wakers of the tasks that wait for it.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use super::Interface;
use super::limits::Limits;
use super::message_queue::MessageQueue;
use super::timer::DelayedCall;
use crate::close::Closed;
use crate::message::Message;
use crate::protocol::ProtocolError;
use crate::socket::{Error, Result};

/// The `readyState` of the browser has the states of the protocol.
pub(super) use crate::protocol::State as ReadyState;

/// Whether messages are still accepted into the receive queue. A later variant overrides an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Intake {
    /// Messages are accepted.
    Open,
    /// The last message has arrived.
    Complete,
    /// We have failed the connection, so messages are dropped.
    Failed,
    /// The program has dropped the socket.
    Abandoned,
}

/// The results of the opening handshake.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) url: String,
    pub(super) protocol: String,
    pub(super) extensions: String,
    pub(super) interface: Interface,
}

/// A user of a connection. Each one has its own waker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WakerKey {
    Receiver,
    Sender,
    /// The task that reads the stream of the browser.
    Reading,
    /// The task that writes the stream of the browser.
    Writing,
    /// An [`Ended`](super::Ended) future.
    Observer(u64),
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) ready_state: ReadyState,
    opening: Option<Opening>,
    pub(super) received: MessageQueue,
    intake: Intake,
    /// Why the connection has failed. It is returned once.
    error: Option<Error>,
    /// Whether output that was accepted could not be sent.
    pub(super) has_lost_output: bool,
    closed: Option<Closed>,
    /// The timeout of the opening or the closing handshake.
    pub(super) deadline: Option<DelayedCall>,
    pub(super) idle: Option<DelayedCall>,
    /// When a message last arrived or was received by the program, in milliseconds of the browser's clock.
    pub(super) last_activity: f64,
    waiting: BTreeMap<WakerKey, Waker>,
    observers: u64,
}

impl State {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            ready_state: ReadyState::Connecting,
            opening: None,
            received: MessageQueue::new(limits.max_received, limits.max_received_messages),
            intake: Intake::Open,
            error: None,
            has_lost_output: false,
            closed: None,
            deadline: None,
            idle: None,
            last_activity: 0.0,
            waiting: BTreeMap::new(),
            observers: 0,
        }
    }

    pub(super) fn open(&mut self, opening: Opening) {
        self.ready_state = ReadyState::Open;
        self.opening = Some(opening);
        self.deadline = None;
    }

    /// Records why the connection has failed. Only the first error is kept.
    pub(super) fn record_error(&mut self, err: Error) {
        self.error.get_or_insert(err);
    }

    /// Records that we have failed the connection.
    pub(super) fn fail(&mut self, err: Error) {
        self.record_error(err);
        self.limit_intake(Intake::Failed);
    }

    /// Records that no more messages will arrive, and the error if this is one.
    pub(super) fn end_reading(&mut self, err: Option<Error>) {
        self.limit_intake(Intake::Complete);
        if let Some(err) = err {
            self.record_error(err);
        }
    }

    /// Records that the program has dropped the socket. Only [`Ended`](super::Ended) futures remain.
    pub(super) fn abandon(&mut self) {
        self.limit_intake(Intake::Abandoned);
        self.closed.get_or_insert_with(Closed::abnormal);
    }

    fn limit_intake(&mut self, intake: Intake) {
        self.intake = self.intake.max(intake);
    }

    /// Whether messages are accepted.
    pub(super) fn accepts_messages(&self) -> bool {
        self.intake == Intake::Open
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.intake == Intake::Abandoned
    }

    /// Records how the connection has ended. Only the first end counts. If we have failed the connection, it is abnormal,
    /// whatever Close the peer has sent (RFC 6455 §7.1.5).
    pub(super) fn end(&mut self, closed: Closed) {
        if !closed.was_clean {
            self.record_error(ProtocolError::ConnectionLost.into());
        }
        let closed = if self.intake == Intake::Failed { Closed::abnormal() } else { closed };
        self.closed.get_or_insert(closed);
        self.ready_state = ReadyState::Closed;
        (self.deadline, self.idle) = (None, None);
    }

    pub(super) fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// Whether no more messages can come into the receive queue.
    fn is_over(&self) -> bool {
        match self.intake {
            Intake::Open => false,
            Intake::Complete => self.closed.is_some(),
            Intake::Failed | Intake::Abandoned => true,
        }
    }

    /// Whether the program has received everything, including the error.
    pub(super) fn is_spent(&self) -> bool {
        self.is_over() && self.received.is_empty() && self.error.is_none()
    }

    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<Opening>> {
        if let Some(opening) = self.opening.take() {
            return Poll::Ready(Ok(opening));
        }
        if self.ready_state == ReadyState::Closed {
            let err = self.error.take().unwrap_or_else(|| ProtocolError::ConnectionLost.into());
            return Poll::Ready(Err(err));
        }
        self.wait(WakerKey::Receiver, cx)
    }

    /// Waits for the next message; `None` at the end, after the error if there is one.
    pub(super) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>>> {
        if let Some(message) = self.received.pop() {
            return Poll::Ready(Ok(Some(message)));
        }
        if self.is_over() {
            return Poll::Ready(self.error.take().map_or(Ok(None), Err));
        }
        self.wait(WakerKey::Receiver, cx)
    }

    pub(super) fn poll_closed(&mut self, key: WakerKey, cx: &mut Context<'_>) -> Poll<Closed> {
        match &self.closed {
            Some(closed) => Poll::Ready(closed.clone()),
            None => self.wait(key, cx),
        }
    }

    pub(super) fn wait<T>(&mut self, key: WakerKey, cx: &Context<'_>) -> Poll<T> {
        self.waiting.insert(key, cx.waker().clone());
        Poll::Pending
    }

    /// Adds a user that waits for the end.
    pub(super) fn observe(&mut self) -> WakerKey {
        self.observers = self.observers.wrapping_add(1);
        WakerKey::Observer(self.observers)
    }

    pub(super) fn take_waker(&mut self, key: WakerKey) -> Option<Waker> {
        self.waiting.remove(&key)
    }

    pub(super) fn take_wakers(&mut self) -> BTreeMap<WakerKey, Waker> {
        std::mem::take(&mut self.waiting)
    }
}
