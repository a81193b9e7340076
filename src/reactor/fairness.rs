//! How the time of one turn is divided between connections.

use std::time::{Duration, Instant};

/// Once a turn has lasted this long, connections leave their remaining frames to the next turn.
const LONG_TURN: Duration = Duration::from_millis(4);

/// Each connection may use this much time, even in a long turn.
const MIN_BUDGET: Duration = Duration::from_millis(1);

/// The clock is read once per this number of frames of a connection.
const CLOCK_INTERVAL: usize = 16;

/// The time budget of a turn.
///
/// The clock is an argument, and it is read rarely: once per 16 frames of a connection, or more often while handlers are
/// slow.
#[derive(Debug)]
pub(super) struct Fairness {
    turn_began: Instant,
    /// Whether this turn was found to be long.
    is_long: bool,
    /// Whether the previous turn was found to be long.
    was_long: bool,
}

impl Fairness {
    pub(super) fn new(now: Instant) -> Self {
        Self { turn_began: now, is_long: false, was_long: false }
    }

    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.turn_began = now;
        self.was_long = std::mem::take(&mut self.is_long);
    }

    /// Begins the budget of one connection. Returns the time only after a long turn, because the clock is not free.
    #[inline]
    pub(super) fn begin_budget(&self, clock: impl FnOnce() -> Instant) -> Option<Instant> {
        self.was_long.then(clock)
    }

    /// Whether a connection must leave its remaining frames to the next turn, after a number of them.
    #[inline]
    pub(super) fn exceeds_budget(
        &mut self,
        frames: usize,
        began: Option<Instant>,
        clock: impl FnOnce() -> Instant,
    ) -> bool {
        let reads_clock =
            frames.is_multiple_of(CLOCK_INTERVAL) || began.is_some() && frames.is_power_of_two();
        reads_clock && self.has_used_up(began, clock())
    }

    /// Whether the turn is long and a connection has used up its own budget.
    pub(super) fn has_used_up(&mut self, began: Option<Instant>, now: Instant) -> bool {
        self.is_long = now.saturating_duration_since(self.turn_began) > LONG_TURN;
        self.is_long && began.is_none_or(|began| now.saturating_duration_since(began) > MIN_BUDGET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_turn_limits_each_connection_to_its_budget() {
        let start = Instant::now();
        let mut fairness = Fairness::new(start);
        let after = |millis| start + Duration::from_millis(millis);
        assert_eq!(fairness.begin_budget(|| start), None);
        assert!(!fairness.exceeds_budget(CLOCK_INTERVAL, None, || after(4)));
        assert!(!fairness.exceeds_budget(CLOCK_INTERVAL + 1, None, || after(5)), "the clock is not read");
        assert!(fairness.exceeds_budget(CLOCK_INTERVAL, None, || after(5)));
        // The turn after a long one measures each connection.
        fairness.begin_turn(after(5));
        let began = fairness.begin_budget(|| after(20));
        assert_eq!(began, Some(after(20)));
        assert!(!fairness.exceeds_budget(2, began, || after(21)));
        assert!(fairness.exceeds_budget(4, began, || after(22)));
    }
}
