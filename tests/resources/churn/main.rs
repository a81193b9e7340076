//! L6, M14: thousands of connections that begin, and end, in every way that there is.
//!
//! The descriptors and the memory of the whole process are counted here, so that these tests have it to themselves.
#![cfg(feature = "reactor")]

mod clients;
mod servers;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One test at a time has the process to itself.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
