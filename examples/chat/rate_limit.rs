//! How much one connection may ask for, so that one that floods does not drown the others.

use std::time::Instant;

use crate::limits::{PATIENCE, REQUEST_COST, REQUEST_CREDIT};

/// Time as money: each request pays [`REQUEST_COST`] ahead, and nobody can be ahead by more than [`REQUEST_CREDIT`].
#[derive(Debug)]
pub(crate) struct Allowance {
    paid_until: Instant,
    refused: u32,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Granted,
    TooFast,
    Flood,
}

impl Allowance {
    pub(crate) fn new(now: Instant) -> Self {
        Self { paid_until: now, refused: 0 }
    }

    /// Judges one more request.
    pub(crate) fn ask(&mut self, now: Instant) -> Verdict {
        if self.paid_until <= now {
            self.paid_until = now;
            self.refused = 0;
        }
        let paid_until = self.paid_until + REQUEST_COST;
        if paid_until <= now + REQUEST_CREDIT {
            self.paid_until = paid_until;
            return Verdict::Granted;
        }
        self.refused += 1;
        if self.refused > PATIENCE { Verdict::Flood } else { Verdict::TooFast }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_granted_then_refused_then_a_flood() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        let burst = REQUEST_CREDIT.as_millis() / REQUEST_COST.as_millis();
        for _ in 0..burst {
            assert_eq!(allowance.ask(now), Verdict::Granted);
        }
        for _ in 0..PATIENCE {
            assert_eq!(allowance.ask(now), Verdict::TooFast);
        }
        assert_eq!(allowance.ask(now), Verdict::Flood);
    }

    #[test]
    fn time_earns_it_back() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        while allowance.ask(start) == Verdict::Granted {}
        assert_eq!(allowance.ask(start + REQUEST_COST), Verdict::Granted);
        assert_eq!(allowance.ask(start + REQUEST_COST), Verdict::TooFast);
        let rested = start + REQUEST_COST + REQUEST_CREDIT;
        assert_eq!(allowance.ask(rested), Verdict::Granted);
        assert_eq!(allowance.refused, 0);
    }

    #[test]
    fn two_a_second_go_on_for_ever() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        for n in 0..10_000 {
            assert_eq!(allowance.ask(start + REQUEST_COST * n), Verdict::Granted);
        }
    }
}
