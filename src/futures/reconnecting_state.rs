//! What a client that connects again shares with the handles that send: the queue, and the tasks that wait.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Sender, Transport};
use crate::close::CloseCode;
use crate::message::Message;
use crate::protocol::check_close;
use crate::socket::outbox::Outbox;
use crate::socket::{Error, Result};

/// What the tasks share.
#[derive(Default)]
pub(super) struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    outbox: Outbox,
    /// How many messages of the queue connections have accepted.
    accepted: u64,
    /// The number of bytes that the connection has accepted and not written.
    unwritten: usize,
    life: Life,
    /// The task that connects and receives.
    owner: Option<Waker>,
    /// The tasks that wait until a connection accepts their messages.
    senders: Vec<Waker>,
}

/// Whether there is a connection, and whether there will be another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Life {
    #[default]
    Disconnected,
    Connected,
    /// The program ends the client, and closes the connection with this code and reason.
    Closing(CloseCode, String),
    Ended,
}

/// The place of a message in the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket(u64);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_max_queued(&self, bytes: usize) {
        self.lock().outbox.max = bytes;
    }

    /// Queues a message, and wakes the task that sends it.
    pub(super) fn push(&self, message: Message) -> Result<Ticket> {
        let mut state = self.lock();
        if matches!(state.life, Life::Closing(..) | Life::Ended) {
            return Err(Error::Closed);
        }
        if state.life == Life::Connected && state.outbox.count() == 0 {
            // It does not wait for a connection, so that any length is accepted.
            state.outbox.append(message);
        } else {
            state.outbox.push(message)?;
        }
        let count = u64::try_from(state.outbox.count()).unwrap_or(u64::MAX);
        let ticket = Ticket(state.accepted.saturating_add(count));
        let owner = state.owner.take();
        drop(state);
        owner.into_iter().for_each(Waker::wake);
        Ok(ticket)
    }

    /// Waits until a connection has accepted a message, or there is no connection.
    pub(super) fn poll_accepted(&self, ticket: Ticket, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.life != Life::Connected || state.accepted >= ticket.0 {
            return Poll::Ready(());
        }
        if !state.senders.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.senders.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Passes messages of the queue to the connection, while less than `high_water` bytes wait there. Returns whether it has accepted
    /// any.
    pub(super) fn transfer<S: Transport>(&self, sender: &Sender<S>, high_water: usize) -> Result<bool> {
        let mut state = self.lock();
        let before = state.accepted;
        let mut result = Ok(());
        while sender.buffered_amount() < high_water
            && let Some(message) = state.outbox.pop()
        {
            match sender.offer(message) {
                Ok(None) => state.accepted += 1,
                Ok(Some(refused)) => {
                    state.outbox.put_back(refused);
                    break;
                }
                Err(err) => {
                    state.accepted += 1;
                    result = Err(err);
                    break;
                }
            }
        }
        let has_accepted = state.accepted != before;
        let senders = if has_accepted { std::mem::take(&mut state.senders) } else { Vec::new() };
        drop(state);
        senders.into_iter().for_each(Waker::wake);
        result.map(|()| has_accepted)
    }

    /// Registers the task that connects and receives. From now on, handles wake it.
    pub(super) fn register(&self, cx: &Context<'_>) {
        self.lock().owner = Some(cx.waker().clone());
    }

    /// A connection is open.
    pub(super) fn connect(&self) {
        let mut state = self.lock();
        if state.life == Life::Disconnected {
            state.life = Life::Connected;
        }
    }

    /// The connection has ended.
    pub(super) fn disconnect(&self) {
        let mut state = self.lock();
        if state.life == Life::Connected {
            state.life = Life::Disconnected;
        }
        state.unwritten = 0;
        let senders = std::mem::take(&mut state.senders);
        drop(state);
        senders.into_iter().for_each(Waker::wake);
    }

    /// Ends the client. The task that receives closes the connection.
    pub(super) fn close(&self, code: CloseCode, reason: &str) -> Result<()> {
        // A Close that cannot be sent ends nothing.
        check_close(code, reason)?;
        let mut state = self.lock();
        if matches!(state.life, Life::Disconnected | Life::Connected) {
            state.life = Life::Closing(code, reason.to_owned());
        }
        let (owner, senders) = (state.owner.take(), std::mem::take(&mut state.senders));
        drop(state);
        owner.into_iter().chain(senders).for_each(Waker::wake);
        Ok(())
    }

    /// The client has ended.
    pub(super) fn end(&self) {
        self.lock().life = Life::Ended;
        self.disconnect();
    }

    /// Returns the code and the reason with which the program ends the client, if it does.
    pub(super) fn closing(&self) -> Option<(CloseCode, String)> {
        match &self.lock().life {
            Life::Closing(code, reason) => Some((*code, reason.clone())),
            _ => None,
        }
    }

    /// Records how many bytes the connection has not written.
    pub(super) fn set_unwritten(&self, len: usize) {
        self.lock().unwritten = len;
    }

    /// The number of bytes that wait in the queue or in the connection.
    pub(super) fn buffered(&self) -> usize {
        let state = self.lock();
        state.outbox.len().saturating_add(state.unwritten)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Shared")
            .field("queued", &state.outbox.len())
            .field("life", &state.life)
            .finish_non_exhaustive()
    }
}
