//! How long a turn may last, and how its time is divided between connections.

use std::time::{Duration, Instant};

/// Once a turn has lasted this long, connections leave their remaining frames to the next turn.
const LONG_TURN: Duration = Duration::from_millis(4);

/// Each connection may use this much time, even in a long turn.
const MIN_BUDGET: Duration = Duration::from_millis(1);

/// The clock is read once per this number of frames of a connection, of connections, or of other steps.
const CLOCK_INTERVAL: usize = 16;

/// The clock is also read after messages of this many bytes. They may have been decompressed, or are compressed afterwards.
pub(super) const CLOCK_WORK: usize = 64 * 1024;

/// For how many turns connections that have exceeded their budget wait for the others.
const MAX_SKIPPED: u32 = 16;

/// The time budget of a turn.
///
/// The clock is an argument, and it is read rarely: once per 16 frames of a connection, once per 16 connections, and after
/// large messages. While turns are long, it is read for each connection.
#[derive(Debug)]
pub(super) struct Fairness {
    turn_began: Instant,
    /// How long a turn may last.
    limit: Duration,
    /// The number of steps since the clock was last read.
    steps: usize,
    /// The bytes of messages since the clock was last read.
    work: usize,
    /// Whether this turn was found to be long.
    is_long: bool,
    /// Whether the previous turn was found to be long.
    was_long: bool,
    /// Whether this turn has lasted as long as it may.
    is_over: bool,
    /// The number of turns in a row that were over before a connection was read from that had exceeded its budget.
    skipped: u32,
}

impl Fairness {
    pub(super) fn new(limit: Duration, now: Instant) -> Self {
        Self {
            turn_began: now,
            limit,
            steps: 0,
            work: 0,
            is_long: false,
            was_long: false,
            is_over: false,
            skipped: 0,
        }
    }

    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.turn_began = now;
        self.was_long = std::mem::take(&mut self.is_long);
        (self.steps, self.work, self.is_over) = (0, 0, false);
    }

    /// Whether this turn has lasted as long as it may. What is left continues in the next one.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// A turn is over. `is_skipped` means that connections which have exceeded their budget have waited for the whole turn. Returns
    /// whether one of them must be read from nevertheless.
    pub(super) fn must_resume(&mut self, is_skipped: bool) -> bool {
        self.skipped = if is_skipped && self.skipped < MAX_SKIPPED { self.skipped + 1 } else { 0 };
        is_skipped && self.skipped == 0
    }

    /// Records a message of this many bytes.
    #[inline]
    pub(super) fn add_work(&mut self, bytes: usize) {
        self.work += bytes;
    }

    /// A step has been made, such as reading from a connection. Returns whether the turn is over.
    #[inline]
    pub(super) fn step(&mut self, clock: impl FnOnce() -> Instant) -> bool {
        if self.was_long {
            self.note(clock());
            return self.is_over;
        }
        self.short_step(clock)
    }

    /// The same for a step that is short in every turn. The clock is read rarely even after a long turn: it would cost a tenth of
    /// the delivery of a message.
    #[inline]
    pub(super) fn short_step(&mut self, clock: impl FnOnce() -> Instant) -> bool {
        self.steps += 1;
        if self.work >= CLOCK_WORK || self.steps.is_multiple_of(CLOCK_INTERVAL) {
            self.note(clock());
        }
        self.is_over
    }

    /// The clock has been read.
    fn note(&mut self, now: Instant) {
        let lasted = now.saturating_duration_since(self.turn_began);
        self.work = 0;
        self.is_long = lasted > LONG_TURN;
        self.is_over |= lasted >= self.limit;
    }

    /// Begins the budget of one connection. Returns the time only after a long turn, because the clock is not free.
    #[inline]
    pub(super) fn begin_budget(&mut self, clock: impl FnOnce() -> Instant) -> Option<Instant> {
        self.was_long.then(|| {
            let now = clock();
            self.note(now);
            now
        })
    }

    /// Whether a connection must leave its remaining frames to the next turn, after a number of them.
    #[inline]
    pub(super) fn exceeds_budget(
        &mut self,
        frames: usize,
        began: Option<Instant>,
        clock: impl FnOnce() -> Instant,
    ) -> bool {
        let reads_clock = frames.is_multiple_of(CLOCK_INTERVAL)
            || self.work >= CLOCK_WORK
            || began.is_some() && frames.is_power_of_two();
        reads_clock && self.has_used_up(began, clock())
    }

    /// Whether the turn is long and a connection has used up its own budget.
    pub(super) fn has_used_up(&mut self, began: Option<Instant>, now: Instant) -> bool {
        self.note(now);
        self.is_over
            || self.is_long && began.is_none_or(|began| now.saturating_duration_since(began) > MIN_BUDGET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(10);

    #[test]
    fn w8_a_turn_is_over_after_its_limit() {
        let start = Instant::now();
        let mut fairness = Fairness::new(LIMIT, start);
        let over = start + LIMIT;
        // The clock is read for every 16th step.
        let steps = (1..).find(|_| fairness.step(|| over));
        assert_eq!((steps, fairness.is_over()), (Some(CLOCK_INTERVAL), true));
        // After a long turn, it is read for each step.
        fairness.begin_turn(over);
        assert!(!fairness.is_over() && !fairness.step(|| over) && fairness.step(|| over + LIMIT));
        // Short steps do not need that.
        fairness.note(over + LIMIT);
        fairness.begin_turn(over);
        let steps = (1..).find(|_| fairness.short_step(|| over + LIMIT));
        assert_eq!(steps, Some(CLOCK_INTERVAL));
        // It is also read after large messages.
        let mut fairness = Fairness::new(LIMIT, start);
        fairness.add_work(CLOCK_WORK - 1);
        assert!(!fairness.step(|| over));
        fairness.add_work(1);
        assert!(fairness.step(|| over));
    }

    #[test]
    fn a_long_turn_limits_each_connection_to_its_budget() {
        let start = Instant::now();
        let mut fairness = Fairness::new(LIMIT, start);
        let after = |millis| start + Duration::from_millis(millis);
        assert_eq!(fairness.begin_budget(|| start), None);
        assert!(!fairness.exceeds_budget(CLOCK_INTERVAL, None, || after(4)));
        assert!(!fairness.exceeds_budget(CLOCK_INTERVAL + 1, None, || after(5)), "the clock is not read");
        assert!(fairness.exceeds_budget(CLOCK_INTERVAL, None, || after(5)));
        // The turn after a long one measures each connection.
        fairness.begin_turn(after(5));
        let began = fairness.begin_budget(|| after(10));
        assert_eq!(began, Some(after(10)));
        assert!(!fairness.exceeds_budget(2, began, || after(11)));
        assert!(fairness.exceeds_budget(4, began, || after(12)));
        // In a turn that is over, a connection has no budget of its own.
        let began = fairness.begin_budget(|| after(15));
        assert!(fairness.exceeds_budget(1, began, || after(15)));
    }
}
