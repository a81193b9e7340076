//! What the halves of a connection share, and the wakers of the tasks that wait for it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use super::Transport;
use super::budget::Budget;
use super::engine::Engine;
use crate::socket::opening_heads::OpeningHeads;

/// A user of a connection. Each one has its own waker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiter {
    Receiver,
    Sender,
    /// An [`Ended`](super::Ended) future.
    Observer(u64),
}

/// The wakers of a connection.
///
/// The stream gets all of them as a single waker, because it keeps only one for each direction, and every poll drives both.
#[derive(Default)]
struct Wakers(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    receiver: Option<Waker>,
    sender: Option<Waker>,
    observers: BTreeMap<u64, Waker>,
    next: u64,
}

/// A connection with several users.
pub(super) struct Shared<S> {
    engine: Mutex<Engine<S>>,
    wakers: Arc<Wakers>,
}

/// What a half of a connection holds. When the last handle is dropped, the connection ends.
pub(super) struct ConnectionHandle<S: Transport> {
    shared: Arc<Shared<S>>,
    /// Set when the connection is open.
    opening: OnceLock<OpeningHeads>,
}

impl<S: Transport> Shared<S> {
    /// Polls the connection, for a future that is ready once.
    pub(super) fn poll<T>(
        &self,
        waiter: Waiter,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Engine<S>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.poll_within(&mut Budget::default(), waiter, cx, poll)
    }

    /// Polls the connection within the budget of a task.
    pub(super) fn poll_within<T>(
        &self,
        budget: &mut Budget,
        waiter: Waiter,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Engine<S>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        ready!(budget.poll_left(cx));
        self.wakers.register(waiter, cx.waker());
        let all = Waker::from(Arc::clone(&self.wakers));
        let polled = self.change(Some(waiter), |engine| {
            engine.budget = *budget;
            let polled = poll(engine, &mut Context::from_waker(&all));
            *budget = engine.budget;
            polled
        });
        if polled.is_pending() {
            *budget = Budget::default();
        }
        polled
    }

    /// Changes the connection, and wakes all other users if that may concern them.
    pub(super) fn change<T>(&self, waiter: Option<Waiter>, change: impl FnOnce(&mut Engine<S>) -> T) -> T {
        let mut engine = self.lock();
        let before = engine.progress;
        let changed = change(&mut engine);
        let has_changed = engine.progress != before;
        drop(engine);
        if has_changed {
            self.wakers.wake_others(waiter);
        }
        changed
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Engine<S>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a user that waits for the end.
    pub(super) fn observe(&self) -> Waiter {
        let mut waiting = self.wakers.lock();
        waiting.next += 1;
        Waiter::Observer(waiting.next)
    }

    pub(super) fn forget(&self, waiter: Waiter) {
        self.wakers.lock().take(waiter);
    }
}

impl<S: Transport> ConnectionHandle<S> {
    pub(super) fn new(engine: Engine<S>) -> Arc<Self> {
        let shared = Arc::new(Shared { engine: Mutex::new(engine), wakers: Arc::default() });
        Arc::new(Self { shared, opening: OnceLock::new() })
    }

    /// The connection. To hold it does not keep it open.
    pub(super) fn shared(&self) -> &Arc<Shared<S>> {
        &self.shared
    }

    /// Stores the heads of the opening handshake, once.
    pub(super) fn set_opening(&self, heads: OpeningHeads) {
        // A connection is opened once.
        let _ = self.opening.set(heads);
    }

    pub(super) fn opening(&self) -> &OpeningHeads {
        self.opening.get_or_init(OpeningHeads::default)
    }
}

impl<S: Transport> Drop for ConnectionHandle<S> {
    fn drop(&mut self) {
        self.shared.change(None, Engine::leave);
    }
}

impl Wakers {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, waiter: Waiter, waker: &Waker) {
        self.lock().put(waiter, waker.clone());
    }

    /// Wakes all users except one.
    fn wake_others(&self, waiter: Option<Waiter>) {
        let mut waiting = self.lock();
        let own = waiter.and_then(|waiter| Some((waiter, waiting.take(waiter)?)));
        let others = waiting.take_all();
        if let Some((waiter, waker)) = own {
            waiting.put(waiter, waker);
        }
        drop(waiting);
        others.for_each(Waker::wake);
    }
}

impl Waiting {
    fn put(&mut self, waiter: Waiter, waker: Waker) {
        match waiter {
            Waiter::Receiver => self.receiver = Some(waker),
            Waiter::Sender => self.sender = Some(waker),
            Waiter::Observer(number) => {
                self.observers.insert(number, waker);
            }
        }
    }

    fn take(&mut self, waiter: Waiter) -> Option<Waker> {
        match waiter {
            Waiter::Receiver => self.receiver.take(),
            Waiter::Sender => self.sender.take(),
            Waiter::Observer(number) => self.observers.remove(&number),
        }
    }

    fn take_all(&mut self) -> impl Iterator<Item = Waker> + use<> {
        let observers = std::mem::take(&mut self.observers).into_values();
        self.receiver.take().into_iter().chain(self.sender.take()).chain(observers)
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let all = self.lock().take_all();
        all.for_each(Waker::wake);
    }
}

impl<S> fmt::Debug for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
