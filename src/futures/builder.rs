//! What a connection is made with.

use super::Timer;
use super::engine::Limits;
#[cfg(all(feature = "tokio", feature = "ssl"))]
use super::tokio_tls::Encryption;
use crate::socket::options::{Options, setters};

/// How a build encrypts that cannot.
#[cfg(not(all(feature = "tokio", feature = "ssl")))]
type Encryption = ();

/// How sockets are made: headers, subprotocols, limits and time-outs. It makes any number of them, of either role.
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
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) options: Options,
    max_buffered: usize,
    pub(super) timer: Option<Timer>,
    #[cfg_attr(not(all(feature = "tokio", feature = "ssl")), expect(dead_code, reason = "nothing encrypts"))]
    pub(super) encryption: Encryption,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

setters!(Builder);

impl Builder {
    /// Begins with the defaults of everything.
    pub fn new() -> Self {
        Self {
            options: Options::default(),
            max_buffered: 16 * 1024 * 1024,
            timer: None,
            encryption: Default::default(),
        }
    }

    /// Sets how much may wait to be sent before nothing more is accepted, in bytes. Default 16 MiB.
    #[must_use]
    pub fn max_buffered(mut self, max: usize) -> Self {
        self.max_buffered = max;
        self
    }

    /// Sets how to sleep. Without it there are no time-outs, except for what tokio's `connect` and `accept` make.
    #[must_use]
    pub fn timer(mut self, timer: Timer) -> Self {
        self.timer = Some(timer);
        self
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            timer: self.timer.clone(),
            max_buffered: self.max_buffered,
            max_body: self.options.config.max_head_size,
        }
    }
}
