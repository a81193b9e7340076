//! The feature `metrics`: the recorder of a program receives what the text for Prometheus contains.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use sockeye::{CloseCode, Stats};

/// The values that a recorder has received.
#[derive(Debug, Default)]
struct Values {
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    /// The bits of the values.
    gauges: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
}

impl Recorder for Values {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::clone(self.counters.lock().unwrap().entry(name(key)).or_default()))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::clone(self.gauges.lock().unwrap().entry(name(key)).or_default()))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("there are no histograms")
    }
}

/// The name with its label, as in the text for Prometheus.
fn name(key: &Key) -> String {
    let labels = key.labels().map(|label| format!("{{{}=\"{}\"}}", label.key(), label.value()));
    format!("{}{}", key.name(), labels.collect::<String>())
}

/// All values, as lines of the text for Prometheus.
fn lines(values: &Values) -> Vec<String> {
    let counters = values.counters.lock().unwrap();
    let gauges = values.gauges.lock().unwrap();
    let counters = counters.iter().map(|(name, value)| format!("{name} {}", value.load(Ordering::Relaxed)));
    let gauge = |value: &AtomicU64| f64::from_bits(value.load(Ordering::Relaxed));
    let gauges = gauges.iter().map(|(name, value)| format!("{name} {}", gauge(value)));
    let mut lines: Vec<String> = counters.chain(gauges).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn the_recorder_receives_the_values_for_prometheus() {
    let mut stats = Stats::default();
    stats.connections_open = 7;
    stats.bytes_received = u64::MAX;
    stats.closed_by_code = vec![(CloseCode::Normal, 3)];
    stats.refused_by_status = vec![(503, 2)];
    stats.lag = Duration::from_millis(1500);
    stats.busy = Duration::from_secs(3);
    let values = Values::default();
    metrics::with_local_recorder(&values, || {
        stats.record();
        // A counter is set, and not increased.
        stats.turns = 5;
        stats.record();
    });
    let text = stats.to_prometheus();
    let mut expected: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    expected.sort_unstable();
    assert_eq!(lines(&values), expected);
}
