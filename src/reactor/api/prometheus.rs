//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write as _;

use super::families::{Family, Kind, Sample, Value};
use super::stats::Stats;
use crate::protocol::handshake::Response;

/// The media type of the format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Stats {
    /// Returns the values in the text format of Prometheus, version 0.0.4.
    ///
    /// The names begin with `sockeye_`. Durations are in seconds, and sizes in bytes. `docs/monitoring.md` in the repository lists all names.
    ///
    /// # Examples
    ///
    /// ```
    /// let text = sockeye::Stats::default().to_prometheus();
    /// let lines: Vec<&str> = text.lines().take(3).collect();
    /// assert_eq!(lines[0], "# HELP sockeye_connections_open Open connections.");
    /// assert_eq!(lines[1], "# TYPE sockeye_connections_open gauge");
    /// assert_eq!(lines[2], "sockeye_connections_open 0");
    /// ```
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        self.families().iter().for_each(|family| family.write(&mut text));
        text
    }

    /// Returns a response with status 200 that contains [`to_prometheus`](Self::to_prometheus), for `on_request`.
    ///
    /// See the example of [`Sender::stats`](crate::Sender::stats).
    pub fn to_response(&self) -> Response {
        let mut response = Response::new(200, "OK", self.to_prometheus().into_bytes());
        response.headers_mut().push(("Content-Type".to_owned(), CONTENT_TYPE.into()));
        response
    }
}

impl Family {
    fn write(&self, text: &mut String) {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {} {}\n# TYPE {0} {kind}", self.name, self.help);
        self.samples.iter().for_each(|sample| sample.write(self.name, text));
    }
}

impl Sample {
    fn write(&self, name: &str, text: &mut String) {
        text.push_str(name);
        if let Some((label, value)) = &self.label {
            let _ = write!(text, "{{{label}=\"{}\"}}", escaped(value));
        }
        let _ = match self.value {
            Value::Count(count) => writeln!(text, " {count}"),
            Value::Time(time) => writeln!(text, " {}", time.as_secs_f64()),
        };
    }
}

/// Escapes what the value of a label must not contain.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_value_of_a_label_is_escaped() {
        let value = "a\\b\"c\nd";
        let sample = Sample { label: Some(("name", value.into())), value: Value::Count(7) };
        let mut text = String::new();
        sample.write("sockeye_test", &mut text);
        assert_eq!(text, "sockeye_test{name=\"a\\\\b\\\"c\\nd\"} 7\n");
    }

    #[test]
    fn times_are_in_seconds_without_an_exponent() {
        for (time, expected) in [
            (Duration::from_nanos(1), "0.000000001"),
            (Duration::from_millis(1500), "1.5"),
            (Duration::from_secs(10_000_000), "10000000"),
        ] {
            let mut text = String::new();
            Sample { label: None, value: time.into() }.write("s", &mut text);
            assert_eq!(text, format!("s {expected}\n"));
        }
    }

    /// Texts of HELP lines must not contain line breaks and backslashes, which would have to be escaped.
    #[test]
    fn names_and_texts_need_no_escaping() {
        let families = Stats::default().families();
        for Family { name, help, kind, .. } in &families {
            assert!(
                name.starts_with("sockeye_")
                    && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
            );
            assert!(help.ends_with('.') && !help.contains(['\n', '\\']), "{help}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        }
    }
}
