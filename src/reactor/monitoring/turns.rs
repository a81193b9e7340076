//! How long turns last.
//!
//! The clock is read once more at the end of each turn. Subtracting points in time costs more than reading the clock, so it
//! happens rarely: the beginning of a turn is published with a precision of a millisecond, and of the turns that end within the
//! same millisecond only a sample is measured. Turns of a millisecond and more are always measured.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

/// The precision of the published beginning of a turn.
const TICK: Duration = Duration::from_millis(1);

/// Of the short turns, one in this number is measured.
const SAMPLE: u64 = 16;

/// The longest turn of the recent past is that of this period and of the one before.
const PERIOD: Duration = Duration::from_secs(30);

/// Measures the turns of the loop. Only its thread uses it.
#[derive(Debug)]
pub(in crate::reactor) struct TurnMeter {
    count: u64,
    /// When the current turn began.
    began: Instant,
    /// When the published beginning must be renewed.
    next_tick: Instant,
}

/// What other threads know about the turns of the loop.
#[derive(Debug)]
pub(crate) struct PublishedTurns {
    epoch: Instant,
    /// Twice the number of turns, plus one during a turn.
    progress: AtomicU64,
    /// When the current turn began, in nanoseconds since the epoch, or up to a [`TICK`] earlier.
    began: AtomicU64,
    /// How long all turns took together, in nanoseconds.
    busy: AtomicU64,
    /// The longest turn, in nanoseconds.
    longest: AtomicU64,
    /// The longest turns of the period with this number and of the one before, in nanoseconds.
    period: AtomicU64,
    recent: AtomicU64,
    before: AtomicU64,
}

impl TurnMeter {
    pub(in crate::reactor) fn new(now: Instant) -> Self {
        Self { count: 0, began: now, next_tick: now }
    }

    /// A turn begins to work.
    #[inline]
    pub(in crate::reactor) fn begin(&mut self, now: Instant, published: &PublishedTurns) {
        self.began = now;
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            published.began.store(published.since_epoch(now), Relaxed);
        }
        // Whoever sees that a turn is in progress must not see the beginning of an earlier one.
        published.progress.store(2 * self.count + 1, Release);
    }

    /// A turn has ended.
    #[inline]
    pub(in crate::reactor) fn end(&mut self, now: Instant, published: &PublishedTurns) {
        let is_sample = self.count.is_multiple_of(SAMPLE);
        if is_sample || now >= self.next_tick {
            self.measure(is_sample, now, published);
        }
        self.count += 1;
        published.progress.store(2 * self.count, Release);
    }

    #[cold]
    fn measure(&self, is_sample: bool, now: Instant, published: &PublishedTurns) {
        let lasted = now.saturating_duration_since(self.began);
        let weight = match (lasted >= TICK, is_sample) {
            (true, _) => 1,
            (false, true) => SAMPLE,
            (false, false) => 0,
        };
        published.record(nanos(lasted), weight, published.since_epoch(now));
    }
}

impl PublishedTurns {
    pub(super) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            progress: AtomicU64::new(0),
            began: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            period: AtomicU64::new(0),
            recent: AtomicU64::new(0),
            before: AtomicU64::new(0),
        }
    }

    /// Records a turn that stands for `weight` turns. Only the loop calls this, so a load and a store suffice.
    fn record(&self, lasted: u64, weight: u64, now: u64) {
        self.busy.store(self.busy.load(Relaxed).saturating_add(lasted.saturating_mul(weight)), Relaxed);
        self.longest.store(self.longest.load(Relaxed).max(lasted), Relaxed);
        let (recent, before) = self.recent_at(now);
        self.recent.store(recent.max(lasted), Relaxed);
        self.before.store(before, Relaxed);
        self.period.store(period_of(now), Relaxed);
    }

    /// Returns the longest turns of the current period and of the one before.
    fn recent_at(&self, now: u64) -> (u64, u64) {
        let (recent, before) = (self.recent.load(Relaxed), self.before.load(Relaxed));
        match period_of(now).saturating_sub(self.period.load(Relaxed)) {
            0 => (recent, before),
            1 => (0, recent),
            _ => (0, 0),
        }
    }

    /// The loop has ended, perhaps within a turn.
    pub(super) fn end(&self) {
        self.progress.store(2 * self.count(), Release);
    }

    /// The number of turns that have ended.
    pub(crate) fn count(&self) -> u64 {
        self.progress.load(Relaxed) / 2
    }

    /// How long all turns took together. It is extrapolated from the turns that were measured.
    pub(crate) fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy.load(Relaxed))
    }

    /// The longest turn since the loop was created.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest.load(Relaxed))
    }

    /// The longest turn of the last 30 to 60 seconds.
    pub(crate) fn longest_recent(&self, now: Instant) -> Duration {
        let (recent, before) = self.recent_at(self.since_epoch(now));
        Duration::from_nanos(recent.max(before))
    }

    /// How long the current turn has lasted. Zero between turns.
    pub(crate) fn lag(&self, now: Instant) -> Duration {
        if self.progress.load(Acquire).is_multiple_of(2) {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.since_epoch(now).saturating_sub(self.began.load(Relaxed)))
    }

    fn since_epoch(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.epoch))
    }
}

fn period_of(now: u64) -> u64 {
    now / nanos(PERIOD)
}

/// The duration in nanoseconds, up to 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A meter on a clock that the test moves.
    struct Meter {
        meter: TurnMeter,
        published: PublishedTurns,
        now: Instant,
    }

    impl Meter {
        fn new() -> Self {
            let now = Instant::now();
            Self { meter: TurnMeter::new(now), published: PublishedTurns::new(now), now }
        }

        fn wait(&mut self, millis: u64) {
            self.now += Duration::from_millis(millis);
        }

        fn turn(&mut self, micros: u64) {
            self.meter.begin(self.now, &self.published);
            self.now += Duration::from_micros(micros);
            self.meter.end(self.now, &self.published);
        }
    }

    #[test]
    fn the_lag_is_that_of_the_turn_in_progress() {
        let mut it = Meter::new();
        assert_eq!(it.published.lag(it.now), Duration::ZERO);
        it.wait(60_000);
        it.meter.begin(it.now, &it.published);
        it.wait(5);
        assert_eq!(it.published.lag(it.now), Duration::from_millis(5));
        it.meter.end(it.now, &it.published);
        it.wait(60_000);
        assert_eq!((it.published.lag(it.now), it.published.count()), (Duration::ZERO, 1));
        // Within a millisecond, the beginning is not published again.
        it.turn(100);
        it.meter.begin(it.now, &it.published);
        it.now += Duration::from_micros(10);
        assert_eq!(it.published.lag(it.now), Duration::from_micros(110));
        it.published.end();
        assert_eq!(it.published.lag(it.now), Duration::ZERO);
    }

    #[test]
    fn a_long_turn_is_always_found_and_forgotten_after_a_minute() {
        let mut it = Meter::new();
        for _ in 0..100 {
            it.turn(20);
        }
        assert_eq!(it.published.longest(), Duration::from_micros(20));
        it.turn(3000);
        it.turn(20);
        let recent = |it: &Meter| it.published.longest_recent(it.now);
        assert_eq!((it.published.longest().as_millis(), recent(&it).as_millis()), (3, 3));
        it.wait(29_000);
        assert_eq!(recent(&it).as_millis(), 3);
        it.wait(61_000);
        assert_eq!((it.published.longest().as_millis(), recent(&it).as_millis()), (3, 0));
        it.turn(2000);
        assert_eq!(recent(&it).as_millis(), 2);
    }

    #[test]
    fn the_time_of_all_turns_is_extrapolated_from_a_sample() {
        let mut it = Meter::new();
        for _ in 0..1600 {
            it.turn(50);
        }
        it.turn(1_000_000);
        it.wait(1000);
        let busy = it.published.busy();
        assert_eq!(busy, Duration::from_millis(80) + Duration::from_secs(1));
    }
}
