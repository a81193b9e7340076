//! The options with which async sockets are opened.

use super::Timer;
use super::engine::EngineOptions;
use crate::socket::options::{Options, setters};
use crate::tls::ServerTls;

/// Options for sockets: headers, subprotocols, limits and timeouts. A builder opens any number of sockets, in both roles.
///
/// # Examples
///
/// ```
/// use sockeye::futures::Builder;
/// use sockeye::protocol::Config;
///
/// let builder = Builder::new()
///     .config(Config { max_message_size: 64 * 1024, ..Config::default() })
///     .add_header("Origin", "https://example.com")?
///     .add_subprotocol("chat.v2");
/// # sockeye::futures::Result::Ok(())
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) options: Options,
    max_buffered: usize,
    pub(super) timer: Option<Timer>,
    #[cfg_attr(
        not(feature = "tokio"),
        expect(dead_code, reason = "only tokio's sockets are encrypted by a builder")
    )]
    pub(super) server_tls: Option<ServerTls>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

setters!(Builder);

impl Builder {
    /// Creates a builder with the default options.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn new() -> Self {
        Self { options: Options::default(), max_buffered: 16 * 1024 * 1024, timer: None, server_tls: None }
    }

    /// Sets how many bytes may wait to be sent. Beyond that, messages and frames are not accepted. Default: 16 MiB.
    ///
    /// A program that awaits each `send` does not reach this limit. [`Error::Full`](super::Error::Full) returns the message.
    #[must_use]
    pub fn max_buffered(mut self, max: usize) -> Self {
        self.max_buffered = max;
        self
    }

    /// Sets the timer. Default: that of tokio for sockets that `connect` and `accept` open; otherwise none, and then there
    /// are no timeouts.
    ///
    /// See the example of [`Timer`](super::Timer).
    #[must_use]
    pub fn timer(mut self, timer: Timer) -> Self {
        self.timer = Some(timer);
        self
    }

    pub(super) fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            timer: self.timer.clone(),
            max_buffered: self.max_buffered,
            high_water: self.options.high_water,
            max_body: self.options.config.max_head_size,
        }
    }
}
