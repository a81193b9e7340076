//! Limits how often the same message is logged, because peers can cause it.

use std::time::{Duration, Instant};

/// The shortest time between two messages.
const INTERVAL: Duration = Duration::from_secs(1);

/// Counts events of one kind that are logged together.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    unlogged: usize,
    logged_at: Option<Instant>,
}

impl LogLimit {
    /// Counts an event. Returns how many events must be logged now; `None` shortly after the last message.
    pub(super) fn add(&mut self, now: Instant) -> Option<usize> {
        self.unlogged += 1;
        let is_recent = |logged: Instant| now.saturating_duration_since(logged) < INTERVAL;
        if self.logged_at.is_some_and(is_recent) {
            return None;
        }
        self.logged_at = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w12_events_are_logged_once_per_second_with_their_number() {
        let (mut limit, start) = (LogLimit::default(), Instant::now());
        assert_eq!(limit.add(start), Some(1));
        assert_eq!([limit.add(start), limit.add(start + INTERVAL / 2)], [None, None]);
        assert_eq!(limit.add(start + INTERVAL), Some(3));
        assert_eq!(limit.add(start + INTERVAL), None);
    }
}
