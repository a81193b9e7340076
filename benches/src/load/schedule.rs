//! The moments at which messages are due, at a fixed rate. They do not depend on the server: a message that cannot be sent in time, because the
//! server does not read or this program was busy, keeps the moment at which it was due.

use std::time::{Duration, Instant};

/// A sequence of moments with equal distances.
#[derive(Debug)]
pub(super) struct Schedule {
    start: Instant,
    /// The distance between two moments, in seconds.
    interval: f64,
    /// The number of moments that have been taken.
    taken: u64,
}

impl Schedule {
    /// Creates the moments of `rate` messages per second. The first one is `start`.
    pub(super) fn new(start: Instant, rate: f64) -> Self {
        Self { start, interval: 1.0 / rate, taken: 0 }
    }

    /// Returns the next moment.
    pub(super) fn next(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.taken as f64 * self.interval)
    }

    /// Takes the next moment if it has passed.
    pub(super) fn take(&mut self, now: Instant) -> Option<Instant> {
        let next = self.next();
        if next > now {
            return None;
        }
        self.taken += 1;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::latency::Times;
    use super::Schedule;
    use crate::Result;
    use crate::spec::Latency;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// Simulates two seconds of 1000 messages per second, with a clock that advances by 0.1 ms. The server replies
    /// immediately, except in a stall of 200 ms. A client that waits for each reply before it sends the next message only
    /// sees one late reply. `is_open` decides whether the client waits.
    fn stalled(is_open: bool) -> Result<Latency> {
        let start = Instant::now();
        let (mut schedule, mut times) = (Schedule::new(start, 1000.0), Times::new()?);
        let mut waiting = Vec::new();
        for step in 0..20_000 {
            let now = start + MILLISECOND / 10 * step;
            while is_open || waiting.is_empty() {
                let Some(due) = schedule.take(now) else { break };
                waiting.push(if is_open { due } else { now });
            }
            if !(5_000..7_000).contains(&step) {
                waiting.drain(..).for_each(|sent| times.note(sent, now));
            }
        }
        Ok(times.summary())
    }

    #[test]
    fn a_stall_is_in_the_percentiles() -> Result<()> {
        let latency = stalled(true)?;
        // A tenth of the messages was due in the stall, and waited for 100 ms on average.
        assert!(latency.p50 < 1.0, "{latency:?}");
        assert!((178_000.0..=182_000.0).contains(&latency.p99), "{latency:?}");
        assert!((197_000.0..=201_000.0).contains(&latency.p999), "{latency:?}");
        Ok(())
    }

    #[test]
    fn a_client_that_waits_for_replies_would_not_see_the_stall() -> Result<()> {
        let latency = stalled(false)?;
        assert!(latency.p999 < 1_000.0 && latency.max > 199_000.0, "{latency:?}");
        Ok(())
    }

    #[test]
    fn the_rate_does_not_depend_on_when_moments_are_taken() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 4.0);
        let mut moments = Vec::new();
        for milliseconds in [0, 249, 1000] {
            let now = start + MILLISECOND * milliseconds;
            while let Some(due) = schedule.take(now) {
                moments.push((due - start).as_millis());
            }
        }
        assert_eq!(moments, [0, 250, 500, 750, 1000]);
    }
}
