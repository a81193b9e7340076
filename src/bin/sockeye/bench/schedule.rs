//! When messages are due.

use std::time::{Duration, Instant};

/// Messages at a constant rate. Latency is measured from the time when a message was due, not from when it was sent, so that the time
/// for which a slow server delays further messages counts as well (coordinated omission).
#[derive(Debug)]
pub(super) struct Schedule {
    start: Instant,
    interval: Duration,
    /// The number of messages that have been taken.
    taken: u64,
}

impl Schedule {
    /// The first message of a connection is due at a different time for each connection, so that they share the interval evenly.
    pub(super) fn new(start: Instant, rate: f64, connections: u32, index: u32) -> Self {
        let interval = Duration::from_secs_f64(f64::from(connections) / rate);
        let offset = Duration::from_secs_f64(f64::from(index) / rate);
        Self { start: start + offset, interval, taken: 0 }
    }

    /// Returns the time at which the next message is due.
    pub(super) fn next(&self) -> Instant {
        self.start + self.interval.mul_f64(self.taken as f64)
    }

    /// Takes the next message if it is due, and returns the time at which it was due.
    pub(super) fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next();
        if due > now {
            return None;
        }
        self.taken += 1;
        Some(due)
    }
}

/// Rounds a time up to the milliseconds that a timer of the event loop has.
pub(super) fn millis_until(due: Instant, now: Instant) -> u64 {
    let nanos = due.saturating_duration_since(now).as_nanos();
    u64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_share_the_rate_evenly() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut schedules = [Schedule::new(start, 100.0, 2, 0), Schedule::new(start, 100.0, 2, 1)];
        assert_eq!(schedules[0].take(at(0)), Some(at(0)));
        assert_eq!(schedules[0].take(at(19)), None);
        assert_eq!(schedules[0].next(), at(20));
        assert_eq!(schedules[1].take(at(9)), None);
        assert_eq!(schedules[1].take(at(10)), Some(at(10)));
    }

    #[test]
    fn messages_that_are_late_keep_the_time_at_which_they_were_due() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 1000.0, 1, 0);
        let late = start + Duration::from_millis(2);
        let due: Vec<_> = std::iter::from_fn(|| schedule.take(late)).collect();
        assert_eq!(due, [0, 1, 2].map(|millis| start + Duration::from_millis(millis)));
    }

    #[test]
    fn timers_never_fire_early() {
        let now = Instant::now();
        assert_eq!(millis_until(now + Duration::from_micros(1001), now), 2);
        assert_eq!(millis_until(now, now + Duration::from_secs(1)), 0);
    }
}
