//! What a loop costs under load: memory, and the time of those who do no harm.
//!
//! Whole processes are measured here, so that one test runs at a time.
#![cfg(all(feature = "reactor", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "a panic names the line of the failure")]

mod latency;
mod memory;
mod million;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One test at a time has the machine to itself.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
