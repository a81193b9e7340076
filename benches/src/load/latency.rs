//! Records the latency of replies.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::Result;
use crate::spec::Latency;

/// All latencies of a run, in nanoseconds with three significant digits.
#[derive(Debug)]
pub(super) struct Times(Histogram<u64>);

impl Times {
    pub(super) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, 600_000_000_000, 3)?))
    }

    /// Records the time between two moments.
    pub(super) fn note(&mut self, from: Instant, to: Instant) {
        let passed = to.saturating_duration_since(from);
        self.0.saturating_record(u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Removes all latencies, which were recorded before the measurement.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn summary(&self) -> Latency {
        let at = |quantile| microseconds(self.0.value_at_quantile(quantile));
        Latency {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: microseconds(self.0.max()),
        }
    }
}

fn microseconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64() * 1e6
}
