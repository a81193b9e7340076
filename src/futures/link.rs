//! What the halves of a connection share, and the wakers of the tasks that wait for it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::Transport;
use super::engine::Engine;

/// A user of a connection. Each one has its own waker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
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

/// What a half of a connection holds. When the last owner is dropped, the connection ends.
pub(super) struct Owner<S: Transport>(Arc<Shared<S>>);

impl<S: Transport> Shared<S> {
    /// Polls the connection.
    pub(super) fn poll<T>(
        &self,
        who: Who,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Engine<S>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.wakers.register(who, cx.waker());
        let all = Waker::from(Arc::clone(&self.wakers));
        self.change(Some(who), |engine| poll(engine, &mut Context::from_waker(&all)))
    }

    /// Changes the connection, and wakes all other users if that may concern them.
    pub(super) fn change<T>(&self, who: Option<Who>, change: impl FnOnce(&mut Engine<S>) -> T) -> T {
        let mut engine = self.lock();
        let before = engine.progress;
        let changed = change(&mut engine);
        let has_changed = engine.progress != before;
        drop(engine);
        if has_changed {
            self.wakers.wake_others(who);
        }
        changed
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Engine<S>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a user that waits for the end.
    pub(super) fn observe(&self) -> Who {
        let mut waiting = self.wakers.lock();
        waiting.next += 1;
        Who::Observer(waiting.next)
    }

    pub(super) fn forget(&self, who: Who) {
        self.wakers.lock().take(who);
    }
}

impl<S: Transport> Owner<S> {
    pub(super) fn new(engine: Engine<S>) -> Arc<Self> {
        Arc::new(Self(Arc::new(Shared { engine: Mutex::new(engine), wakers: Arc::default() })))
    }

    /// The connection. To hold it does not keep it open.
    pub(super) fn shared(&self) -> &Arc<Shared<S>> {
        &self.0
    }
}

impl<S: Transport> Drop for Owner<S> {
    fn drop(&mut self) {
        self.0.change(None, Engine::leave);
    }
}

impl Wakers {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, who: Who, waker: &Waker) {
        self.lock().put(who, waker.clone());
    }

    /// Wakes all users except one.
    fn wake_others(&self, who: Option<Who>) {
        let mut waiting = self.lock();
        let own = who.and_then(|who| Some((who, waiting.take(who)?)));
        let others = waiting.take_all();
        if let Some((who, waker)) = own {
            waiting.put(who, waker);
        }
        drop(waiting);
        others.into_iter().for_each(Waker::wake);
    }
}

impl Waiting {
    fn put(&mut self, who: Who, waker: Waker) {
        match who {
            Who::Receiver => self.receiver = Some(waker),
            Who::Sender => self.sender = Some(waker),
            Who::Observer(number) => {
                self.observers.insert(number, waker);
            }
        }
    }

    fn take(&mut self, who: Who) -> Option<Waker> {
        match who {
            Who::Receiver => self.receiver.take(),
            Who::Sender => self.sender.take(),
            Who::Observer(number) => self.observers.remove(&number),
        }
    }

    fn take_all(&mut self) -> Vec<Waker> {
        let observers = std::mem::take(&mut self.observers).into_values();
        self.receiver.take().into_iter().chain(self.sender.take()).chain(observers).collect()
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let all = self.lock().take_all();
        all.into_iter().for_each(Waker::wake);
    }
}

impl<S> fmt::Debug for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
