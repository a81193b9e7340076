//! How long to wait between attempts to connect.

use std::time::Duration;

/// Exponential back-off with full jitter: each wait is random between zero and a limit that doubles. The clients of a server therefore do
/// not connect at the same time after the server was down.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    /// The longest wait before the next attempt.
    limit: Duration,
}

impl Backoff {
    /// `first` is the longest wait before the first attempt, and `longest` that before any attempt.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        let first = first.min(longest);
        Self { first, longest, limit: first }
    }

    /// Returns the wait before the next attempt. `random` is in `0.0..1.0`.
    pub(crate) fn next_wait(&mut self, random: f64) -> Duration {
        let wait = part_of(self.limit, random);
        self.limit = self.limit.saturating_mul(2).min(self.longest);
        wait
    }

    /// Begins again with the shortest waits.
    pub(crate) fn reset(&mut self) {
        self.limit = self.first;
    }
}

/// Returns a part of a duration. `part` is limited to `0.0..=1.0`.
pub(super) fn part_of(whole: Duration, part: f64) -> Duration {
    let part = part.clamp(0.0, 1.0);
    Duration::try_from_secs_f64(whole.as_secs_f64() * part).map_or(whole, |wait| wait.min(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(backoff: &mut Backoff, random: f64, count: usize) -> Vec<f64> {
        (0..count).map(|_| backoff.next_wait(random).as_secs_f64()).collect()
    }

    #[test]
    fn the_limit_doubles_up_to_the_longest_wait() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        assert_eq!(seconds(&mut backoff, 1.0, 8), [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        backoff.reset();
        assert_eq!(seconds(&mut backoff, 1.0, 2), [0.5, 1.0]);
    }

    #[test]
    fn the_wait_is_random_from_zero() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(4));
        let waits = [0.0, 0.5, 0.25, -1.0, 2.0].map(|random| backoff.next_wait(random).as_millis());
        assert_eq!(waits, [0, 1000, 1000, 0, 4000]);
    }

    #[test]
    fn extreme_settings_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::MAX, Duration::MAX);
        assert_eq!([backoff.next_wait(1.0), backoff.next_wait(1.0)], [Duration::MAX; 2]);
        let mut backoff = Backoff::new(Duration::from_secs(9), Duration::ZERO);
        assert_eq!(backoff.next_wait(1.0), Duration::ZERO);
    }
}
