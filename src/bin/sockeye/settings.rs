//! The settings of the event loop, and its log.

use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use sockeye::Settings;

use crate::options::{Compression, Timing};

/// The longest time between two Pings that check whether the peer is there.
const MAX_KEEPALIVE: Duration = Duration::from_secs(30);

/// Returns the settings for the options. The program sends its own Pings, because it measures them.
pub(crate) fn settings(timing: &Timing, compression: Option<Compression>) -> Settings {
    Settings {
        connect_timeout: timing.connect_timeout,
        handshake_timeout: timing.connect_timeout,
        idle_timeout: timing.idle_timeout(),
        ping_interval: None,
        max_message_size: timing.max_message_size.0.max(1),
        deflate: compression.map(|Compression(deflate)| deflate),
        // Somebody who types fragments by hand is slow.
        min_message_rate: 0,
        ..Settings::default()
    }
}

/// Returns how often to check whether the peer is there, so that an idle connection is not ended.
pub(crate) fn keepalive(timing: &Timing) -> Duration {
    timing.idle_timeout().map_or(MAX_KEEPALIVE, |timeout| (timeout / 2).min(MAX_KEEPALIVE))
}

/// Converts a time for a timer of the event loop, which counts milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("sockeye")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            crate::output::log_line(&record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Prints what the event loop logs, if the user has asked for it with `-vv`.
pub(crate) fn start_log(verbose: u8) {
    static LOGGER: Logger = Logger;
    if verbose >= 2 && log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}
