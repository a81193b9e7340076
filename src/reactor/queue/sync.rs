//! The primitives with which the queue synchronizes threads: those of the standard library, and those of loom in the models.

#[cfg(not(all(test, loom)))]
pub(super) use std::sync::{Mutex, MutexGuard, OnceLock, atomic};
#[cfg(not(all(test, loom)))]
pub(super) use std::thread_local;

#[cfg(all(test, loom))]
pub(super) use super::models::sync::{Mutex, MutexGuard, OnceLock, atomic, thread_local};
