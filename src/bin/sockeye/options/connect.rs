//! `sockeye connect`.

use std::time::Duration;

use clap::Args;
use sockeye::url::Url;
use sockeye::{Proxy, Reconnect};

use super::messages::{Execute, History, Input, OutputOptions, interval};
use super::request::RequestOptions;
use super::tls::ClientTlsOptions;
use super::values::{Compression, Size, positive_seconds, proxy, seconds, url};

#[derive(Debug, Args)]
pub(crate) struct ConnectOptions {
    /// The server, such as wss://example.com/chat. Without a scheme: ws
    #[arg(value_parser = url)]
    pub(crate) url: Url,
    #[command(flatten)]
    pub(crate) request: RequestOptions,
    #[command(flatten)]
    pub(crate) route: Route,
    #[command(flatten)]
    pub(crate) tls: ClientTlsOptions,
    #[command(flatten)]
    pub(crate) compression: CompressionOptions,
    #[command(flatten)]
    pub(crate) reconnect: ReconnectOptions,
    #[command(flatten)]
    pub(crate) timing: Timing,
    /// Sends a Ping at this interval, and prints the round-trip times
    #[arg(long, value_name = "SECONDS", value_parser = interval, help_heading = "Limits")]
    pub(crate) ping_interval: Option<Duration>,
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) history: History,
    #[command(flatten)]
    pub(crate) execute: Execute,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// The way to the server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Route {
    /// Connects through this proxy: http://[USER:PASSWORD@]HOST:PORT or socks5://[USER:PASSWORD@]HOST:PORT
    #[arg(long, value_name = "URL", value_parser = proxy)]
    pub(crate) proxy: Option<Proxy>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ReconnectOptions {
    /// Connects again when the connection is lost or cannot be established. It gives up after ATTEMPTS in a row [without a number:
    /// never]
    #[arg(long, value_name = "ATTEMPTS", num_args = 0..=1, require_equals = true)]
    reconnect: Option<Option<u32>>,
    /// The longest wait before an attempt. The waits are random, and grow up to this one
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds, default_value = "30", requires = "reconnect")]
    reconnect_wait: Duration,
}

impl ReconnectOptions {
    /// Returns when to connect again. `None` if a lost connection is the end.
    pub(crate) fn settings(&self) -> Option<Reconnect> {
        let max_attempts = self.reconnect?;
        let (defaults, longest_wait) = (Reconnect::default(), self.reconnect_wait);
        Some(Reconnect {
            max_attempts,
            longest_wait,
            first_wait: defaults.first_wait.min(longest_wait),
            ..defaults
        })
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Compression")]
pub(crate) struct CompressionOptions {
    /// Compresses messages (permessage-deflate). PARAMETERS: level=1..9, threshold=SIZE, context_takeover,
    /// server_max_window_bits=9..15, client_max_window_bits=9..15, separated by commas
    #[arg(short = 'z', long, value_name = "PARAMETERS", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    #[arg(overrides_with = "no_compress")]
    compress: Option<Compression>,
    /// Does not compress messages (the default)
    #[arg(long, overrides_with = "compress")]
    no_compress: bool,
}

impl CompressionOptions {
    pub(crate) fn parameters(&self) -> Option<Compression> {
        self.compress.filter(|_| !self.no_compress)
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Timing {
    /// Ends an attempt to connect, and an opening handshake, after this time
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds, default_value = "10")]
    pub(crate) connect_timeout: Duration,
    /// Ends a connection on which nothing has arrived for this time, although Pings are sent. 0: never
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "120")]
    idle_timeout: Duration,
    /// Ends a connection with a larger message. Units: K, M, G
    #[arg(long, value_name = "SIZE", default_value = "16M")]
    pub(crate) max_message_size: Size,
}

impl Timing {
    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        Some(self.idle_timeout).filter(|time| !time.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse_line;
    use super::super::{Command, Format, Records};
    use super::*;

    fn connect(line: &str) -> ConnectOptions {
        match parse_line(line) {
            Ok(Command::Connect(options)) => *options,
            _ => panic!("{line}"),
        }
    }

    #[test]
    fn every_option_has_a_default() {
        let options = connect("host");
        assert_eq!(options.timing.connect_timeout, Duration::from_secs(10));
        assert_eq!(options.timing.idle_timeout(), Some(Duration::from_secs(120)));
        assert_eq!(options.timing.max_message_size, Size(16 << 20));
        assert_eq!(options.execute.wait(), Some(Duration::from_secs(2)));
        assert_eq!(options.input.records(), Records::Lines);
        assert_eq!(options.output.format.format(), Format::Plain);
        assert!(options.compression.parameters().is_none() && options.ping_interval.is_none());
    }

    #[test]
    fn the_last_of_compress_and_no_compress_counts() {
        assert!(connect("host|--compress").compression.parameters().is_some());
        assert!(connect("host|--compress|--no-compress").compression.parameters().is_none());
        assert!(connect("host|--no-compress|--compress=level=1").compression.parameters().is_some());
        assert!(parse_line("host|--compress=level=10").is_err());
    }

    #[test]
    fn reconnecting_is_optional_and_can_be_limited() {
        let settings = |line: &str| connect(line).reconnect.settings();
        assert_eq!(settings("host"), None);
        assert_eq!(settings("host|--reconnect"), Some(Reconnect::default()));
        let limited = settings("host|--reconnect=3|--reconnect-wait|0.1").unwrap();
        let tenth = Duration::from_millis(100);
        assert_eq!((limited.max_attempts, limited.first_wait, limited.longest_wait), (Some(3), tenth, tenth));
        assert!(parse_line("host|--reconnect-wait|1").is_err());
    }

    #[test]
    fn waiting_can_be_unlimited() {
        assert_eq!(connect("host|-w|-1").execute.wait(), None);
        assert_eq!(connect("host|--no-close").execute.wait(), None);
        assert_eq!(connect("host|--linger|0.5").execute.wait(), Some(Duration::from_millis(500)));
        assert_eq!(connect("host|--idle-timeout|0").timing.idle_timeout(), None);
    }

    #[test]
    fn the_input_is_divided_as_the_flags_say() {
        assert_eq!(connect("host|-b").input.records(), Records::Chunks);
        assert_eq!(connect("host|-b|-0").input.records(), Records::Null);
        assert_eq!(connect("host|-1").input.records(), Records::Whole);
        assert_eq!(connect("host|-0").input.terminator(), 0);
    }
}
