//! A limit on the requests of one connection, so that a flood does not slow down the others.

use std::time::Instant;

use crate::limits::{MAX_REJECTED, REQUEST_BURST, REQUEST_INTERVAL};

/// A token bucket, stored as a point in time: each request moves it by [`REQUEST_INTERVAL`], and it may be ahead of the
/// present by at most [`REQUEST_BURST`].
#[derive(Debug)]
pub(crate) struct RateLimiter {
    used_until: Instant,
    rejected: u32,
}

/// What to do with a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Accept,
    Reject,
    Disconnect,
}

impl RateLimiter {
    pub(crate) fn new(now: Instant) -> Self {
        Self { used_until: now, rejected: 0 }
    }

    /// Counts a request, and decides what to do with it.
    pub(crate) fn check(&mut self, now: Instant) -> Decision {
        if self.used_until <= now {
            self.used_until = now;
            self.rejected = 0;
        }
        let used_until = self.used_until + REQUEST_INTERVAL;
        if used_until <= now + REQUEST_BURST {
            self.used_until = used_until;
            return Decision::Accept;
        }
        self.rejected += 1;
        if self.rejected > MAX_REJECTED { Decision::Disconnect } else { Decision::Reject }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limiter_accepts_a_burst_then_rejects_then_disconnects() {
        let now = Instant::now();
        let mut limiter = RateLimiter::new(now);
        let burst = REQUEST_BURST.as_millis() / REQUEST_INTERVAL.as_millis();
        for _ in 0..burst {
            assert_eq!(limiter.check(now), Decision::Accept);
        }
        for _ in 0..MAX_REJECTED {
            assert_eq!(limiter.check(now), Decision::Reject);
        }
        assert_eq!(limiter.check(now), Decision::Disconnect);
    }

    #[test]
    fn a_limiter_recovers_over_time() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(start);
        while limiter.check(start) == Decision::Accept {}
        assert_eq!(limiter.check(start + REQUEST_INTERVAL), Decision::Accept);
        assert_eq!(limiter.check(start + REQUEST_INTERVAL), Decision::Reject);
        let later = start + REQUEST_INTERVAL + REQUEST_BURST;
        assert_eq!(limiter.check(later), Decision::Accept);
        assert_eq!(limiter.rejected, 0);
    }

    #[test]
    fn a_limiter_accepts_a_steady_rate_forever() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(start);
        for n in 0..10_000 {
            assert_eq!(limiter.check(start + REQUEST_INTERVAL * n), Decision::Accept);
        }
    }
}
