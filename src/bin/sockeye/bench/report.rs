//! The result of a measurement, as text and as JSON.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::run::Run;
use crate::event::millis;
use crate::options::BenchOptions;

const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];
/// The longest bar of the histogram.
const WIDTH: u64 = 40;

pub(super) struct Report<'r> {
    url: String,
    run: &'r Run,
}

impl<'r> Report<'r> {
    pub(super) fn new(options: &BenchOptions, run: &'r Run) -> Self {
        let mut url = options.url.clone();
        // The result is shown to others. These fail only for URLs that cannot contain credentials.
        let _ = url.set_password(None);
        let _ = url.set_username("");
        Self { url: url.to_string(), run }
    }

    pub(super) fn text(&self) -> String {
        let run = self.run;
        let mut text = format!(
            "{}\nconnections  {} opened, {} failed, {} lost\nmessages     {} of {} bytes returned, {} sent, in {:.3} s\n",
            self.url,
            run.connected.opened,
            run.connected.failed,
            run.connected.lost,
            run.returned,
            run.message.len(),
            run.sent,
            run.elapsed().as_secs_f64(),
        );
        text += &format!(
            "throughput   {:.0} messages/s, {:.3} MB/s in each direction\n",
            self.rate(),
            self.bytes_per_second() / 1e6
        );
        if let Some(error) = run.error() {
            text += &format!("first error  {}\n", crate::escape::line(&error.text));
        }
        if run.latencies.is_empty() {
            return text;
        }
        text += &format!(
            "latency      min {}, mean {}\n",
            nanos(run.latencies.min()),
            nanos_of(run.latencies.mean())
        );
        for (name, percentile) in PERCENTILES {
            text += &format!("  {name:6}     {}\n", nanos(run.latencies.value_at_percentile(percentile)));
        }
        text += &format!("  max        {}\n", nanos(run.latencies.max()));
        text + &bars(&run.latencies)
    }

    pub(super) fn json(&self) -> String {
        let (run, latencies) = (self.run, &self.run.latencies);
        let mut latency = json!({
            "min": as_millis(latencies.min()),
            "mean": latencies.mean() / 1e6,
            "max": as_millis(latencies.max()),
        });
        for (name, percentile) in PERCENTILES {
            latency[name] = as_millis(latencies.value_at_percentile(percentile)).into();
        }
        let object: Value = json!({
            "url": self.url,
            "connections": {"opened": run.connected.opened, "failed": run.connected.failed, "lost": run.connected.lost},
            "sent": run.sent,
            "returned": run.returned,
            "bytes_per_message": run.message.len(),
            "seconds": run.elapsed().as_secs_f64(),
            "messages_per_second": self.rate(),
            "bytes_per_second": self.bytes_per_second(),
            "latency_ms": if latencies.is_empty() { Value::Null } else { latency },
            "error": run.error().map(|error| error.text.as_str()),
        });
        format!("{object}\n")
    }

    fn rate(&self) -> f64 {
        let seconds = self.run.elapsed().as_secs_f64();
        if seconds > 0.0 { self.run.returned as f64 / seconds } else { 0.0 }
    }

    fn bytes_per_second(&self) -> f64 {
        self.rate() * self.run.message.len() as f64
    }
}

fn nanos(value: u64) -> String {
    millis(Duration::from_nanos(value))
}

fn nanos_of(value: f64) -> String {
    millis(Duration::from_secs_f64(value / 1e9))
}

fn as_millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

/// Draws the histogram. Each row covers twice the latencies of the previous one.
fn bars(latencies: &Histogram<u64>) -> String {
    let first = latencies.min().next_power_of_two().max(1024);
    let mut rows: Vec<(u64, u64)> = Vec::new();
    let (mut from, mut to) = (0, first);
    while from <= latencies.max() {
        rows.push((to, latencies.count_between(from, to - 1)));
        (from, to) = (to, to.saturating_mul(2));
    }
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let lines = rows.iter().map(|(to, count)| {
        let length = (count * WIDTH).div_ceil(most);
        let bar = "#".repeat(usize::try_from(length).unwrap_or(0));
        format!("  < {:>12}  {count:>10}  {bar}", nanos(*to)).trim_end().to_owned() + "\n"
    });
    "histogram\n".to_owned() + &lines.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_histogram_counts_each_message_once() {
        let mut latencies = Histogram::new(3).unwrap();
        for nanos in [1000, 1100, 1500, 4000, 9000, 9001, 9002, 9003] {
            latencies.record(nanos).unwrap();
        }
        let drawn = bars(&latencies);
        let counts: Vec<u64> = drawn
            .lines()
            .skip(1)
            .map(|row| row.split_whitespace().nth(3).unwrap().parse().unwrap())
            .collect();
        assert_eq!(counts, [1, 2, 1, 0, 4]);
        let longest = drawn.lines().map(|row| row.matches('#').count()).max();
        assert_eq!(longest, Some(40));
    }

    #[test]
    fn a_single_latency_is_one_row() {
        let mut latencies = Histogram::new(3).unwrap();
        latencies.record(5_000_000).unwrap();
        let drawn = bars(&latencies);
        assert_eq!(drawn.lines().count(), 2, "{drawn}");
        assert!(drawn.contains("< "), "{drawn}");
    }
}
