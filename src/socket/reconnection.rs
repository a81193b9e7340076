//! A client that connects again, without I/O and without a clock: what it does next, and how it ends.
//!
//! [`Reconnector`] decides when it connects. This module keeps the state around these decisions, for the front ends without
//! handlers.

use std::io::ErrorKind;
use std::time::Instant;

use super::{Error, Result};
use crate::close::Closed;
use crate::connecting::reconnect::{End, Lost, Reconnect, Reconnector};
use crate::message::Message;
use crate::protocol::ProtocolError;

/// Something that a client that connects again has received or noticed: `Reconnecting::receive_event` returns it.
///
/// See the example of `Reconnecting` in `blocking` and `futures`.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReconnectEvent<'r> {
    /// A connection is open: the first one, or another one after a loss.
    ///
    /// The new connection has no state at the server, so this is the place to log in and to subscribe again. What `Reconnecting::send`
    /// sends before the next call that receives precedes all messages that are queued.
    Opened,
    /// A message has arrived.
    Message(Message),
    /// The connection is lost, or an attempt has failed.
    Lost {
        /// The reason as codes, and the plan: [`Lost::retry_in`] and [`Lost::stop`] change what the next call that receives does.
        lost: &'r mut Lost,
        /// The error, for instance why a certificate was not accepted. `None` if the server has closed the connection.
        error: Option<&'r Error>,
    },
}

/// What a front end has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Connect, and report the result with [`Reconnection::opened`] or [`Reconnection::lost`].
    Connect,
    /// Wait until then, or for ever: only the program can end the client.
    Wait(Option<Instant>),
    /// Receive from the connection, and report its end with [`Reconnection::lost`].
    Receive,
    /// Return what [`Reconnection::end`] returns.
    End,
}

/// Something that the program learns of. [`Reconnection::event`] adds the loss.
#[derive(Debug)]
pub(crate) enum Happened {
    Opened,
    Message(Message),
    Lost,
}

/// The state of a client that connects again.
#[derive(Debug)]
pub(crate) struct Reconnection {
    reconnector: Reconnector,
    phase: Phase,
    /// The last loss and its error, until the next attempt.
    loss: Option<(Lost, Option<Error>)>,
    /// How the last connection has ended, if it was open.
    closed: Option<Closed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    /// A connection was lost at this time, and the program can change the plan.
    Lost(Instant),
    /// The next attempt begins at this time, or never.
    Waiting(Option<Instant>),
    Ended,
}

impl Reconnection {
    pub(crate) fn new(settings: Reconnect) -> Self {
        Self { reconnector: Reconnector::new(settings), phase: Phase::Connecting, loss: None, closed: None }
    }

    /// Returns what to do at this time.
    pub(crate) fn step(&mut self, now: Instant) -> Step {
        if let Phase::Lost(since) = self.phase {
            self.phase = self.begin_wait(since);
        }
        if let Phase::Waiting(Some(until)) = self.phase
            && until <= now
        {
            self.end_wait();
        }
        match self.phase {
            Phase::Connecting => Step::Connect,
            Phase::Open => Step::Receive,
            Phase::Waiting(until) => Step::Wait(until),
            Phase::Lost(_) | Phase::Ended => Step::End,
        }
    }

    /// The plan is final. The wait counts from the loss, so that the time that the program needs for it is not added.
    fn begin_wait(&mut self, since: Instant) -> Phase {
        let wait = self.loss.as_ref().and_then(|(lost, _)| self.reconnector.begin_attempt(lost));
        wait.map_or(Phase::Ended, |wait| Phase::Waiting(since.checked_add(wait)))
    }

    /// The wait is over.
    pub(crate) fn end_wait(&mut self) {
        if matches!(self.phase, Phase::Waiting(_)) {
            self.phase = Phase::Connecting;
            self.loss = None;
        }
    }

    /// An attempt was successful.
    pub(crate) fn opened(&mut self, now: Instant) {
        self.reconnector.on_open(now);
        self.phase = Phase::Open;
    }

    /// An attempt has failed, or a connection has ended, which `closed` describes. `random` is in `0.0..1.0`.
    pub(crate) fn lost(
        &mut self,
        error: Option<Error>,
        closed: Option<Closed>,
        unsent: usize,
        now: Instant,
        random: f64,
    ) {
        let end = end_of(error.as_ref(), closed.as_ref());
        self.closed = closed;
        self.loss = Some((self.reconnector.on_lost(end, unsent, now, random), error));
        self.phase = Phase::Lost(now);
    }

    /// Returns what has happened, with the last loss.
    pub(crate) fn event(&mut self, happened: Happened) -> Option<ReconnectEvent<'_>> {
        match happened {
            Happened::Opened => Some(ReconnectEvent::Opened),
            Happened::Message(message) => Some(ReconnectEvent::Message(message)),
            Happened::Lost => {
                self.loss.as_mut().map(|(lost, error)| ReconnectEvent::Lost { lost, error: error.as_ref() })
            }
        }
    }

    /// The program has ended the client. `closed` describes the end of its connection, if there was one.
    pub(crate) fn stop(&mut self, closed: Option<Closed>) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.loss = None;
            self.closed = closed;
        }
    }

    /// Returns why the client has ended: an error once, otherwise nothing.
    pub(crate) fn end<T>(&mut self) -> Result<Option<T>> {
        self.loss.take().and_then(|(_, error)| error).map_or(Ok(None), Err)
    }

    /// Returns how the last connection has ended, once the client has ended.
    pub(crate) fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref().filter(|_| self.phase == Phase::Ended)
    }
}

/// Returns how an end counts. `closed` is present if the connection was open.
fn end_of(error: Option<&Error>, closed: Option<&Closed>) -> End {
    match (closed, error) {
        (Some(closed), _) => End::Closed(closed.clone()),
        (None, Some(Error::Rejected(rejected))) => End::rejected(rejected.response()),
        (
            None,
            Some(Error::Url(_) | Error::TlsDisabled(_) | Error::Protocol(ProtocolError::UnsendableHead)),
        ) => End::Permanent,
        (None, Some(Error::Proxy(refusal))) if refusal.is_permanent() => End::Permanent,
        // The stream has no second handle.
        (None, Some(Error::Io(err))) if err.kind() == ErrorKind::Unsupported => End::Permanent,
        (None, _) => End::Failed,
    }
}

#[cfg(test)]
mod tests;
