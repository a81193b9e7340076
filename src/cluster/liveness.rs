//! The clock of heartbeats.

use std::time::{Duration, Instant};

/// A clock that stands still while the node is not connected or is stopped, because nothing can arrive then.
#[derive(Debug)]
pub(super) struct Liveness {
    heartbeat: Duration,
    elapsed: Duration,
    last: Instant,
    is_running: bool,
    /// When an own heartbeat came back last.
    returned: Duration,
}

/// How much later than expected something may arrive.
const TOLERANCE: Duration = Duration::from_secs(1);

impl Liveness {
    pub(super) fn new(heartbeat: Duration, now: Instant) -> Self {
        Self { heartbeat, elapsed: Duration::ZERO, last: now, is_running: false, returned: Duration::ZERO }
    }

    pub(super) fn start(&mut self) {
        self.is_running = true;
        self.returned = self.elapsed;
    }

    pub(super) fn stop(&mut self) {
        self.is_running = false;
    }

    /// A node that is not stopped is called more often than once in a heartbeat. A longer time counts as one heartbeat.
    pub(super) fn advance(&mut self, now: Instant) {
        let step = now.saturating_duration_since(self.last);
        if self.is_running {
            self.elapsed += step.min(self.heartbeat);
        }
        self.last = self.last.max(now);
    }

    pub(super) fn now(&self) -> Duration {
        self.elapsed
    }

    /// An own heartbeat has come back.
    pub(super) fn note_return(&mut self) {
        self.returned = self.elapsed;
    }

    /// Whether own heartbeats do not come back. The next result is `false` for some time.
    pub(super) fn take_stale(&mut self) -> bool {
        let is_stale = self.is_running && self.elapsed - self.returned > 3 * self.heartbeat + TOLERANCE;
        if is_stale {
            self.note_return();
        }
        is_stale
    }

    /// Nodes that were silent since this time are lost. Time does not count unless own heartbeats came back in it.
    pub(super) fn lost_before(&self) -> Duration {
        let expired = self.elapsed.saturating_sub(4 * self.heartbeat + TOLERANCE);
        expired.min(self.returned.saturating_sub(3 * self.heartbeat))
    }
}
