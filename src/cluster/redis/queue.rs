//! What the library has asked the broker for, and its thread has not done yet.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::error;
use mio::Waker;

use super::session::encode_publication;
use crate::cluster::Queued;

/// How much may be queued.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The most bytes that are not sent.
    pub(super) bytes: usize,
    /// The most publications that are not answered.
    pub(super) publications: usize,
}

/// The queue between the methods of the broker and its thread. While the broker is not connected, it is closed: what is added is
/// forgotten.
#[derive(Clone)]
pub(super) struct CommandQueue {
    state: Arc<Mutex<State>>,
    waker: Arc<Waker>,
    limits: Limits,
}

#[derive(Default)]
struct State {
    request: Request,
    is_open: bool,
    /// The thread has been woken since it took what was queued.
    is_awake: bool,
    subscriptions: Vec<Subscription>,
    /// Publications as commands, and their number.
    publications: Vec<u8>,
    publication_count: usize,
    /// The bytes that the thread has taken and not sent.
    unsent: usize,
    /// The publications that the thread has taken, and that the server has not answered.
    unanswered: usize,
}

/// What the thread must do with its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Request {
    #[default]
    None,
    Reconnect,
    Stop,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Subscription {
    Subscribe(String),
    Unsubscribe(String),
}

/// What the thread has still to send and to receive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backlog {
    /// The bytes of publications that are not sent.
    pub(super) unsent: usize,
    /// The publications that were answered since the last call.
    pub(super) answered: usize,
    /// Whether the subscribing connection has sent everything.
    pub(super) accepts_subscriptions: bool,
}

/// What the thread takes from the queue.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) request: Request,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) publications: Vec<u8>,
    pub(super) publication_count: usize,
}

impl CommandQueue {
    pub(super) fn new(waker: Waker, limits: Limits) -> Self {
        Self { state: Arc::default(), waker: Arc::new(waker), limits }
    }

    pub(super) fn subscribe(&self, channels: &[&str]) {
        self.add_subscriptions(channels, Subscription::Subscribe);
    }

    pub(super) fn unsubscribe(&self, channels: &[&str]) {
        self.add_subscriptions(channels, Subscription::Unsubscribe);
    }

    fn add_subscriptions(&self, channels: &[&str], wrap: fn(String) -> Subscription) {
        let mut state = self.lock();
        if state.is_open && !channels.is_empty() {
            state.subscriptions.extend(channels.iter().map(|channel| wrap((*channel).to_owned())));
            self.wake(state);
        }
    }

    pub(super) fn publish(&self, channel: &str, payload: &[u8]) -> Queued {
        let mut state = self.lock();
        if !state.is_open {
            // The library publishes it again after `up`.
            return Queued::Accepted;
        }
        let start = state.publications.len();
        // The names and lengths in a command need less.
        let len = channel.len() + payload.len() + 64;
        if state.unsent + start + len > self.limits.bytes
            || state.unanswered + state.publication_count >= self.limits.publications
        {
            return Queued::Full;
        }
        encode_publication(channel, payload, &mut state.publications);
        state.publication_count += 1;
        self.wake(state);
        Queued::Accepted
    }

    pub(super) fn request(&self, request: Request) {
        let mut state = self.lock();
        // Nothing follows a stop. Without a connection, the thread is connecting already.
        if state.request != Request::Stop && (request == Request::Stop || state.is_open) {
            state.request = request;
            self.wake(state);
        }
    }

    /// Begins to accept commands. The connections are new.
    pub(super) fn open(&self) {
        self.lock().is_open = true;
    }

    /// Forgets all commands but a stop, and those that follow.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        let request = if state.request == Request::Stop { Request::Stop } else { Request::None };
        *state = State { request, ..State::default() };
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lock().request == Request::Stop
    }

    /// Takes what the thread can send now. Publications remain while others are unsent, so that the limit counts all.
    pub(super) fn take(&self, backlog: Backlog) -> Work {
        let mut state = self.lock();
        state.is_awake = false;
        state.unsent = backlog.unsent;
        state.unanswered = state.unanswered.saturating_sub(backlog.answered);
        let mut work = Work { request: state.request, ..Work::default() };
        if backlog.accepts_subscriptions {
            work.subscriptions = mem::take(&mut state.subscriptions);
        }
        if backlog.unsent == 0 {
            work.publications = mem::take(&mut state.publications);
            work.publication_count = mem::take(&mut state.publication_count);
            state.unsent = work.publications.len();
            state.unanswered += work.publication_count;
        }
        work
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread, once until it takes what is queued.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let was_awake = mem::replace(&mut state.is_awake, true);
        drop(state);
        if !was_awake && let Err(err) = self.waker.wake() {
            error!("cannot wake the thread of the Redis broker: {err}");
        }
    }
}

impl fmt::Debug for CommandQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandQueue").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Work {
    pub(super) fn is_empty(&self) -> bool {
        self.subscriptions.is_empty() && self.publication_count == 0
    }
}

#[cfg(test)]
mod tests {
    use mio::{Poll, Token};

    use super::*;

    fn queue(limits: Limits) -> CommandQueue {
        let waker = Waker::new(Poll::new().unwrap().registry(), Token(0)).unwrap();
        CommandQueue::new(waker, limits)
    }

    const IDLE: Backlog = Backlog { unsent: 0, answered: 0, accepts_subscriptions: true };
    const LARGE: Limits = Limits { bytes: 1 << 20, publications: 1 << 20 };

    #[test]
    fn a_closed_queue_forgets() {
        let queue = queue(LARGE);
        queue.subscribe(&["a"]);
        assert_eq!(queue.publish("a", b"x"), Queued::Accepted);
        queue.request(Request::Reconnect);
        queue.open();
        let work = queue.take(IDLE);
        assert!(work.is_empty() && work.request == Request::None, "{work:?}");
        queue.subscribe(&["b"]);
        queue.request(Request::Reconnect);
        queue.close();
        let work = queue.take(IDLE);
        assert!(work.is_empty() && work.request == Request::None, "{work:?}");
    }

    #[test]
    fn commands_keep_their_order() {
        let queue = queue(LARGE);
        queue.open();
        queue.subscribe(&["a", "b"]);
        queue.unsubscribe(&["a"]);
        queue.subscribe(&[]);
        let unready = queue.take(Backlog { accepts_subscriptions: false, ..IDLE });
        assert!(unready.is_empty());
        let expected = [
            Subscription::Subscribe("a".to_owned()),
            Subscription::Subscribe("b".to_owned()),
            Subscription::Unsubscribe("a".to_owned()),
        ];
        assert_eq!(queue.take(IDLE).subscriptions, expected);
    }

    #[test]
    fn unanswered_publications_are_limited() {
        let queue = queue(Limits { publications: 3, ..LARGE });
        queue.open();
        let publish = || queue.publish("a", b"x");
        assert_eq!([publish(), publish()], [Queued::Accepted; 2]);
        assert_eq!(queue.take(IDLE).publication_count, 2);
        assert_eq!([publish(), publish()], [Queued::Accepted, Queued::Full]);
        let _ = queue.take(Backlog { answered: 1, ..IDLE });
        assert_eq!([publish(), publish()], [Queued::Accepted, Queued::Full]);
        queue.close();
        queue.open();
        assert_eq!([publish(), publish(), publish(), publish()], {
            let [one, two, three] = [Queued::Accepted; 3];
            [one, two, three, Queued::Full]
        });
    }

    #[test]
    fn unsent_bytes_are_limited() {
        let queue = queue(Limits { bytes: 400, ..LARGE });
        queue.open();
        let publish = || queue.publish("a", &[0; 100]);
        assert_eq!([publish(), publish(), publish()], [Queued::Accepted, Queued::Accepted, Queued::Full]);
        let taken = queue.take(IDLE);
        assert_eq!(taken.publication_count, 2);
        assert_eq!(publish(), Queued::Full, "what is taken is not sent yet");
        assert_eq!(queue.take(Backlog { unsent: 1, ..IDLE }).publication_count, 0);
        assert_eq!([publish(), publish(), publish()], [Queued::Accepted, Queued::Accepted, Queued::Full]);
        assert_eq!(queue.publish("a", &[0; 400]), Queued::Full);
        assert_eq!(queue.take(IDLE).publication_count, 2);
    }

    #[test]
    fn a_stop_remains() {
        let queue = queue(LARGE);
        queue.request(Request::Stop);
        queue.open();
        queue.request(Request::Reconnect);
        queue.close();
        assert!(queue.is_stopping());
        assert_eq!(queue.take(IDLE).request, Request::Stop);
    }
}
