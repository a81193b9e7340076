//! How long to wait between attempts to connect.

use std::time::Duration;

/// The longest wait before the first attempt. It doubles with each attempt that fails.
const FIRST: Duration = Duration::from_millis(100);

/// The longest wait before any attempt.
const LONGEST: Duration = Duration::from_secs(10);

/// A connection that has lived this long resets the back-off.
const STABLE: Duration = Duration::from_secs(10);

/// Exponential back-off with full jitter: each wait is random between zero and a limit that doubles. The nodes of a cluster therefore
/// do not connect at the same time after the server was down.
#[derive(Debug)]
pub(super) struct Backoff {
    limit: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { limit: FIRST }
    }
}

impl Backoff {
    /// Returns the wait before the next attempt. `random` is in `0.0..1.0`.
    pub(super) fn next_wait(&mut self, random: f64) -> Duration {
        let wait = self.limit.mul_f64(random.clamp(0.0, 1.0));
        self.limit = (self.limit * 2).min(LONGEST);
        wait
    }

    /// Reports how long a connection has lived.
    pub(super) fn on_disconnected(&mut self, lifetime: Duration) {
        if lifetime >= STABLE {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_doubles_up_to_ten_seconds() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..9).map(|_| backoff.next_wait(1.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    }

    #[test]
    fn the_wait_is_random_from_zero() {
        let mut backoff = Backoff::default();
        let waits = [0.0, 0.5, 0.25].map(|random| backoff.next_wait(random).as_millis());
        assert_eq!(waits, [0, 100, 100]);
    }

    #[test]
    fn only_a_stable_connection_resets_it() {
        let mut backoff = Backoff::default();
        let _ = [backoff.next_wait(1.0), backoff.next_wait(1.0)];
        backoff.on_disconnected(STABLE.saturating_sub(Duration::from_millis(1)));
        assert_eq!(backoff.next_wait(1.0).as_millis(), 400);
        backoff.on_disconnected(STABLE);
        assert_eq!(backoff.next_wait(1.0).as_millis(), 100);
    }
}
