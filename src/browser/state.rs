//! How far a connection has come, and who waits for it to go on.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use super::Interface;
use super::builder::Limits;
use super::inbox::Inbox;
use super::timer::Alarm;
use crate::close::Closed;
use crate::error::{Error, Result};
use crate::message::Message;
use crate::protocol::ProtocolError;

/// The states of §7, as far as the browser lets them be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    Open,
    Closing,
    Closed,
}

/// What the opening handshake has brought.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) url: String,
    pub(super) protocol: String,
    pub(super) extensions: String,
    pub(super) interface: Interface,
}

/// Who waits. Each has a place for its waker, so that none takes that of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Receiver,
    Sender,
    /// The task that reads the stream of the browser, and the one that writes it.
    Reading,
    Writing,
    /// One of those who wait for the end.
    Observer(u64),
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    opening: Option<Opening>,
    pub(super) inbox: Inbox,
    /// What was received is all in the inbox, and nothing comes after it.
    has_read_all: bool,
    /// Why the connection has failed; told once.
    error: Option<Error>,
    /// It is we who have failed the connection: what still comes does not count.
    pub(super) has_failed: bool,
    /// Output that was accepted has not been sent.
    pub(super) has_lost_output: bool,
    closed: Option<Closed>,
    /// Nobody has the socket any more.
    pub(super) is_left: bool,
    /// When the patience with the opening or the closing handshake ends.
    pub(super) deadline: Option<Alarm>,
    pub(super) idle: Option<Alarm>,
    /// When a message came last, or the program was not ready for one; in milliseconds of the browser's clock.
    pub(super) heard: f64,
    waiting: BTreeMap<Who, Waker>,
    observers: u64,
}

impl State {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            phase: Phase::Connecting,
            opening: None,
            inbox: Inbox::new(limits.max_received, limits.max_received_messages),
            has_read_all: false,
            error: None,
            has_failed: false,
            has_lost_output: false,
            closed: None,
            is_left: false,
            deadline: None,
            idle: None,
            heard: 0.0,
            waiting: BTreeMap::new(),
            observers: 0,
        }
    }

    pub(super) fn open(&mut self, opening: Opening) {
        self.phase = Phase::Open;
        self.opening = Some(opening);
        self.deadline = None;
    }

    /// Notes why the connection has failed. The first reason counts.
    pub(super) fn note(&mut self, err: Error) {
        self.error.get_or_insert(err);
    }

    /// Notes that we have failed the connection.
    pub(super) fn fail(&mut self, err: Error) {
        self.note(err);
        self.has_failed = true;
    }

    /// Notes that no more is coming; the reason, if that is one for an error.
    pub(super) fn end_reading(&mut self, err: Option<Error>) {
        self.has_read_all = true;
        if let Some(err) = err {
            self.note(err);
        }
    }

    /// Whether what comes is for anybody.
    pub(super) fn wants(&self) -> bool {
        !self.has_failed && !self.has_read_all && !self.is_left
    }

    /// Nobody is there any more who could be told of the end, other than those who only wait for it.
    pub(super) fn leave(&mut self) {
        self.is_left = true;
        self.closed.get_or_insert_with(Closed::abnormal);
    }

    /// Notes how the connection has ended. The first end counts, and after a failure of ours it was none that the peer
    /// could have wanted (§7.1.5).
    pub(super) fn end(&mut self, closed: Closed) {
        if !closed.was_clean {
            self.note(ProtocolError::ConnectionLost.into());
        }
        let closed = if self.has_failed { Closed::abnormal() } else { closed };
        self.closed.get_or_insert(closed);
        self.phase = Phase::Closed;
        (self.deadline, self.idle) = (None, None);
    }

    pub(super) fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// Whether nothing more can come into the inbox.
    fn is_over(&self) -> bool {
        self.has_failed || self.is_left || (self.has_read_all && self.closed.is_some())
    }

    /// Whether the program has been given everything, and been told of the end.
    pub(super) fn is_spent(&self) -> bool {
        self.is_over() && self.inbox.is_empty() && self.error.is_none()
    }

    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<Opening>> {
        if let Some(opening) = self.opening.take() {
            return Poll::Ready(Ok(opening));
        }
        if self.phase == Phase::Closed {
            let err = self.error.take().unwrap_or_else(|| ProtocolError::ConnectionLost.into());
            return Poll::Ready(Err(err));
        }
        self.wait(Who::Receiver, cx)
    }

    /// Waits for the next message: `None` at the end, after the error if there is one.
    pub(super) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>>> {
        if let Some(message) = self.inbox.pop() {
            return Poll::Ready(Ok(Some(message)));
        }
        if self.is_over() {
            return Poll::Ready(self.error.take().map_or(Ok(None), Err));
        }
        self.wait(Who::Receiver, cx)
    }

    pub(super) fn poll_closed(&mut self, who: Who, cx: &mut Context<'_>) -> Poll<Closed> {
        match &self.closed {
            Some(closed) => Poll::Ready(closed.clone()),
            None => self.wait(who, cx),
        }
    }

    pub(super) fn wait<T>(&mut self, who: Who, cx: &Context<'_>) -> Poll<T> {
        self.waiting.insert(who, cx.waker().clone());
        Poll::Pending
    }

    /// Makes a place for someone who waits for the end.
    pub(super) fn observe(&mut self) -> Who {
        self.observers = self.observers.wrapping_add(1);
        Who::Observer(self.observers)
    }

    pub(super) fn take(&mut self, who: Who) -> Option<Waker> {
        self.waiting.remove(&who)
    }

    pub(super) fn take_waiting(&mut self) -> BTreeMap<Who, Waker> {
        std::mem::take(&mut self.waiting)
    }
}
