//! `sockeye bench`.

use std::time::Duration;

use clap::Args;
use sockeye::url::Url;

use super::connect::{CompressionOptions, Route, Timing};
use super::request::RequestOptions;
use super::tls::ClientTlsOptions;
use super::values::{Size, positive_seconds, url};

#[derive(Debug, Args)]
pub(crate) struct BenchOptions {
    /// The server, which must return each message. Without a scheme: ws
    #[arg(value_parser = url)]
    pub(crate) url: Url,
    #[command(flatten)]
    pub(crate) load: Load,
    #[command(flatten)]
    pub(crate) request: RequestOptions,
    #[command(flatten)]
    pub(crate) route: Route,
    #[command(flatten)]
    pub(crate) tls: ClientTlsOptions,
    #[command(flatten)]
    pub(crate) compression: CompressionOptions,
    #[command(flatten)]
    pub(crate) timing: Timing,
    /// Prints the result as a JSON object
    #[arg(short = 'j', long)]
    pub(crate) json: bool,
    /// Shows no progress
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct Load {
    /// The number of connections
    #[arg(short = 'c', long, value_name = "NUMBER", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// The size of a message. Units: K, M, G
    #[arg(long, value_name = "SIZE", default_value = "20")]
    pub(crate) size: Size,
    /// Sends binary messages instead of text
    #[arg(short = 'b', long)]
    pub(crate) binary: bool,
    /// The number of messages that each connection sends before it waits for the first one to return
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) in_flight: u32,
    /// Sends this many messages per second on all connections together, instead of as many as possible
    #[arg(short = 'r', long, value_name = "NUMBER", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// How long messages are sent [default: 10, without --count]
    #[arg(short = 'd', long, value_name = "SECONDS", value_parser = positive_seconds, conflicts_with = "count")]
    duration: Option<Duration>,
    /// The number of messages on all connections together
    #[arg(short = 'n', long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

impl Load {
    /// How long messages are sent. `None` if their number is limited instead.
    pub(crate) fn duration(&self) -> Option<Duration> {
        let default = Some(Duration::from_secs(10)).filter(|_| self.count.is_none());
        self.duration.or(default)
    }
}

fn rate(given: &str) -> Result<f64, String> {
    match given.parse() {
        Ok(rate) if (0.001..=1e9).contains(&rate) => Ok(rate),
        _ => Err("expected 0.001 to 1000000000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::super::tests::parse_line;
    use super::*;

    fn load(line: &str) -> Load {
        match parse_line(line) {
            Ok(Command::Bench(options)) => options.load,
            _ => panic!("{line}"),
        }
    }

    #[test]
    fn either_the_time_or_the_number_is_limited() {
        assert_eq!(load("bench|host").duration(), Some(Duration::from_secs(10)));
        assert_eq!(load("bench|host|-d|1").duration(), Some(Duration::from_secs(1)));
        let counted = load("bench|host|-n|5");
        assert_eq!((counted.duration(), counted.count), (None, Some(5)));
    }

    #[test]
    fn a_load_without_messages_is_rejected() {
        for line in ["-c|0", "-n|0", "-d|0", "--in-flight|0", "--rate|0", "--rate|NaN", "--size|x"] {
            assert!(parse_line(&format!("bench|host|{line}")).is_err(), "{line}");
        }
    }
}
