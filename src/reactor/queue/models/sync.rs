//! The primitives of loom, with the interface of the standard library where loom lacks a part that the queue uses.

use std::cell::{Cell, RefCell};

pub(in crate::reactor::queue) use loom::sync::{Mutex, MutexGuard, atomic};

use self::atomic::{AtomicBool, Ordering};

/// A value that is written once. Loom has no such type. The models write it while they hold the lock of the queue.
#[derive(Debug)]
pub(in crate::reactor::queue) struct OnceLock<T> {
    is_set: AtomicBool,
    value: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    pub(in crate::reactor::queue) fn new() -> Self {
        Self { is_set: AtomicBool::new(false), value: std::sync::OnceLock::new() }
    }

    pub(in crate::reactor::queue) fn get(&self) -> Option<&T> {
        if self.is_set.load(Ordering::Acquire) { self.value.get() } else { None }
    }

    pub(in crate::reactor::queue) fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
        let value = self.value.get_or_init(init);
        self.is_set.store(true, Ordering::Release);
        value
    }
}

/// A value of each thread. The threads of a model share one thread of the system, so its thread-local values cannot be used.
pub(in crate::reactor::queue) struct LocalKey<T: 'static>(
    pub(in crate::reactor::queue) &'static loom::thread::LocalKey<T>,
);

impl<T> LocalKey<T> {
    pub(in crate::reactor::queue) fn with<R>(&'static self, read: impl FnOnce(&T) -> R) -> R {
        self.0.with(read)
    }
}

impl<T> LocalKey<Cell<T>> {
    pub(in crate::reactor::queue) fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.0.with(Cell::get)
    }

    pub(in crate::reactor::queue) fn set(&'static self, value: T) {
        self.0.with(|cell| cell.set(value));
    }

    pub(in crate::reactor::queue) fn replace(&'static self, value: T) -> T {
        self.0.with(|cell| cell.replace(value))
    }

    pub(in crate::reactor::queue) fn take(&'static self) -> T
    where
        T: Default,
    {
        self.0.with(Cell::take)
    }
}

impl<T> LocalKey<RefCell<T>> {
    pub(in crate::reactor::queue) fn with_borrow<R>(&'static self, read: impl FnOnce(&T) -> R) -> R {
        self.0.with(|cell| read(&cell.borrow()))
    }

    pub(in crate::reactor::queue) fn with_borrow_mut<R>(
        &'static self,
        change: impl FnOnce(&mut T) -> R,
    ) -> R {
        self.0.with(|cell| change(&mut cell.borrow_mut()))
    }

    pub(in crate::reactor::queue) fn set(&'static self, value: T) {
        self.0.with(|cell| cell.replace(value));
    }

    pub(in crate::reactor::queue) fn take(&'static self) -> T
    where
        T: Default,
    {
        self.0.with(RefCell::take)
    }
}

macro_rules! local_keys {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = const $init:block;)*) => {$(
        $(#[$attribute])*
        static $name: $crate::reactor::queue::models::sync::LocalKey<$type> = {
            loom::thread_local! { static KEY: $type = $init }
            $crate::reactor::queue::models::sync::LocalKey(&KEY)
        };
    )*};
}
pub(in crate::reactor::queue) use local_keys as thread_local;
