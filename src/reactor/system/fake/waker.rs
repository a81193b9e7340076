//! Wake-ups by other threads.

use std::sync::atomic::{AtomicBool, Ordering};

/// A wake-up ends the next wait. Nothing else does: a test has no other thread.
#[derive(Debug, Default)]
pub(super) struct Waker(AtomicBool);

impl Waker {
    pub(super) fn wake(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_pending(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns whether a wake-up was pending. None is afterwards.
    pub(super) fn clear(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    #[expect(clippy::unused_self, reason = "the waker of the models waits")]
    pub(super) fn wait(&self) {
        panic!("the loop would wait forever");
    }
}
