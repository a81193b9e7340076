//! How much a task does before others get their turn.
//!
//! A socket can always have input, and its stream can always accept output. Every call would then be ready at once, and a task
//! that calls it in a loop would never return to its executor. Therefore a call returns `Pending` once the budget of its task is
//! spent, and wakes the task. This needs no runtime. The budgets of runtimes do not replace it: they count calls of streams, and
//! one read returns thousands of frames.

use std::task::{Context, Poll};

/// How many steps a task makes: reads, messages, control frames, and calls that send.
const MAX_STEPS: u32 = 128;

/// How many bytes a task processes or writes.
const MAX_BYTES: u32 = 256 * 1024;

/// What a task has done with one half of a connection since the half has last returned `Pending`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Budget {
    steps: u32,
    bytes: u32,
}

impl Budget {
    pub(super) fn is_spent(self) -> bool {
        self.steps >= MAX_STEPS || self.bytes >= MAX_BYTES
    }

    pub(super) fn bytes_left(self) -> usize {
        usize::try_from(MAX_BYTES.saturating_sub(self.bytes)).unwrap_or(usize::MAX)
    }

    pub(super) fn spend_step(&mut self) {
        self.steps = self.steps.saturating_add(1);
    }

    pub(super) fn spend_bytes(&mut self, len: usize) {
        self.bytes = self.bytes.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
    }

    /// Spends what is left.
    pub(super) fn spend_rest(&mut self) {
        self.bytes = MAX_BYTES;
    }

    /// Returns `Pending` if the budget is spent. The task is then woken, and has a new one.
    pub(super) fn poll_left(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_spent() {
            return Poll::Ready(());
        }
        *self = Self::default();
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
