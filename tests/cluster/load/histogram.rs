//! How long messages take, counted in buckets: the error of a quantile is below a quarter.

/// The buckets of each power of two.
const STEPS: u64 = 4;

/// Enough for all numbers of 64 bits.
const BUCKETS: usize = 256;

/// Times in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Histogram([u64; BUCKETS]);

impl Histogram {
    pub(crate) const fn new() -> Self {
        Self([0; BUCKETS])
    }

    pub(crate) fn add(&mut self, time: u64) {
        self.0[bucket(time)] += 1;
    }

    /// Returns the counts, in which most of the last ones are zero.
    pub(crate) fn counts(&self) -> &[u64] {
        let used = self.0.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        &self.0[..used]
    }

    pub(crate) fn merge(&mut self, counts: &[u64]) {
        self.0.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }

    /// Describes the median, and what 99 % of the times do not exceed, in milliseconds.
    pub(crate) fn summary(&self) -> String {
        match (self.quantile(50), self.quantile(99)) {
            (Some(median), Some(most)) => format!("{} / {}", millis(median), millis(most)),
            _ => "-".to_owned(),
        }
    }

    /// Returns a time that this share of all times, in percent, does not exceed.
    fn quantile(&self, percent: u64) -> Option<u64> {
        let total: u64 = self.0.iter().sum();
        let mut passed = 0;
        let found = self.0.iter().position(|count| {
            passed += count;
            passed > 0 && passed * 100 >= total * percent
        });
        found.map(upper_end)
    }
}

fn millis(micros: u64) -> String {
    format!("{}.{}", micros / 1000, micros % 1000 / 100)
}

fn bucket(time: u64) -> usize {
    let log = u64::from(time.max(STEPS).ilog2());
    let index = if time < STEPS { time } else { (log - 1) * STEPS + (time >> (log - 2)) - STEPS };
    usize::try_from(index).unwrap().min(BUCKETS - 1)
}

/// Returns the highest time in a bucket.
fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let log = bucket / STEPS + 1;
    ((bucket % STEPS + STEPS + 1) << (log - 2)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_bucket_that_ends_at_it_or_above() {
        for time in (0..5000).chain([1 << 40, u64::MAX >> 4]) {
            let at = bucket(time);
            assert!(time <= upper_end(at), "{time}");
            assert!(at == 0 || time > upper_end(at - 1), "{time}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_counts() {
        let mut times = Histogram::new();
        (0..98).for_each(|_| times.add(1000));
        times.add(5000);
        times.add(50_000);
        assert_eq!(times.summary(), "1.0 / 5.1");
    }
}
