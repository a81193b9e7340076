//! The values of [`Stats`] for the crate `metrics`.

use metrics::{Label, counter, gauge};

use super::families::{Family, Kind, Sample, Value};
use super::stats::Stats;

impl Stats {
    /// Passes all values to the recorder of the crate [`metrics`].
    ///
    /// Call this at intervals, on any thread. The names and labels are those of [`to_prometheus`](Self::to_prometheus). Counters are
    /// set to the value, so that it does not matter how often this is called, but only one loop can be recorded: call this with the sum of
    /// several loops. Durations are gauges in seconds, because counters of `metrics` are integers.
    ///
    /// Without a recorder, this has no effect.
    ///
    /// # Examples
    ///
    /// A server that records its statistics every ten seconds.
    ///
    /// ```
    /// use std::sync::mpsc::{RecvTimeoutError, channel};
    /// use std::thread;
    /// use std::time::Duration;
    ///
    /// use sockeye::{Message, Sender, WebSocket};
    ///
    /// let server = WebSocket::new(|out: Sender| move |msg: Message| out.send(msg))?.bind("127.0.0.1:0")?;
    /// let all = server.broadcaster();
    /// let (stop, stopped) = channel::<()>();
    /// let recorder = thread::spawn(move || {
    ///     while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(Duration::from_secs(10)) {
    ///         all.stats().record();
    ///     }
    /// });
    /// # server.broadcaster().shutdown()?;
    /// server.run()?;
    /// drop(stop);
    /// recorder.join().expect("the thread does not panic");
    /// # sockeye::Result::Ok(())
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn record(&self) {
        self.families().into_iter().for_each(record);
    }
}

fn record(family: Family) {
    let Family { name, kind, samples, .. } = family;
    for Sample { label, value } in samples {
        let labels: Vec<Label> = label.into_iter().map(|(label, value)| Label::new(label, value)).collect();
        match (kind, value) {
            (Kind::Counter, Value::Count(count)) => counter!(name, labels).absolute(count),
            // A double has 53 bits, which suffice for counts in practice.
            #[expect(
                clippy::cast_precision_loss,
                reason = "the crate `metrics` has no other type for gauges"
            )]
            (Kind::Gauge, Value::Count(count)) => gauge!(name, labels).set(count as f64),
            (_, Value::Time(time)) => gauge!(name, labels).set(time.as_secs_f64()),
        }
    }
}
