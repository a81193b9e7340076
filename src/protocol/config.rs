//! The limits and rules of the protocol core.

use std::sync::Arc;
use std::time::Duration;

use super::Deflate;
use super::handshake::OriginPolicy;

/// The limits and rules of a [`Connection`](super::Connection). Connections share one value.
///
/// All lengths are in bytes. The defaults are suitable for a server on the open Internet.
///
/// # Examples
///
/// ```
/// use sockeye::protocol::Config;
///
/// let config = Config { max_message_size: 64 * 1024, subprotocols: vec!["chat".into()], ..Config::default() };
/// # assert_eq!(config.max_headers, 100);
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    /// The maximum length of an HTTP head, including the empty line at its end. Default: 16 KiB.
    ///
    /// A server answers a longer request with 431.
    pub max_head_size: usize,
    /// The maximum length of a request target. Default: 8 KiB.
    ///
    /// A server answers a request with a longer target with 414.
    pub max_target_size: usize,
    /// The maximum number of header fields of an HTTP head. Default: 100.
    ///
    /// A server answers a request with more fields with 431.
    pub max_headers: usize,
    /// The maximum length of a message, after its fragments have been joined and decompressed. Default: 16 MiB.
    ///
    /// A longer message fails the connection with 1009. The excess is not stored.
    pub max_message_size: usize,
    /// The maximum payload of a single frame. Default: no limit besides `max_message_size`.
    ///
    /// A longer payload fails the connection with 1009.
    pub max_frame_size: usize,
    /// The maximum number of fragments of a message. Default: `None`, which means 65,536 or `max_message_size / 64`, whichever
    /// is greater.
    ///
    /// A message with more fragments, or with more than 1,024 empty fragments, fails the connection with 1008.
    pub max_fragments: Option<usize>,
    /// The maximum payload of a frame that is sent. Default: no limit.
    ///
    /// A longer message is sent in fragments.
    pub fragment_size: usize,
    /// Whether frames of clients must be masked, and frames of servers must not be (§5.1). Default: `true`.
    ///
    /// A frame that breaks this rule fails the connection with 1002. Without the check, both kinds of frames are accepted.
    pub masking_strict: bool,
    /// Whether the key of the opening handshake and the response to it are checked (§4.1, §4.2.1). Default: `true`.
    pub key_strict: bool,
    /// Whether the method of an opening handshake must be GET (§4.2.1). Default: `true`.
    pub method_strict: bool,
    /// The origins that a server accepts (§10.2). Default: any.
    ///
    /// A server answers a request with another origin with 403.
    pub origins: OriginPolicy,
    /// The subprotocols that a server supports, in order of preference, or that a client offers. Default: none.
    pub subprotocols: Vec<String>,
    /// The settings of permessage-deflate (RFC 7692), which a client offers and a server accepts. Default: disabled.
    pub deflate: Option<Deflate>,
    /// The time limit for the opening handshake. Default: 10 s.
    pub handshake_timeout: Duration,
    /// The time limit for the peer's reply to our Close, and for the end of TCP after it (§7.1.1). Default: 10 s.
    ///
    /// It begins when all output has been sent.
    pub close_timeout: Duration,
    /// The time without input after which the connection counts as lost. Default: 120 s.
    ///
    /// The time in which the front end has paused reading does not count.
    pub idle_timeout: Option<Duration>,
    /// The time without input after which a Ping is sent (§5.5.2). Default: 30 s. Zero also disables it.
    ///
    /// The Pong of the peer is input, and it is no event. The Pongs for the program's own Pings are.
    pub ping_interval: Option<Duration>,
    /// The time without progress after which a connection with unsent output is lost. Default: 60 s.
    ///
    /// Any byte that the socket accepts is progress. Without this limit, `close_timeout` applies to the output that precedes
    /// the end of a connection.
    pub write_timeout: Option<Duration>,
    /// The minimum rate of an unfinished message, in bytes per second, averaged over 60 s. Default: 1,024. Zero disables it.
    ///
    /// A message that takes more than 60 s and arrives at a lower rate fails the connection with 1008. Control frames
    /// between its fragments do not count.
    pub min_message_rate: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_head_size: 16 * 1024,
            max_target_size: 8 * 1024,
            max_headers: 100,
            max_message_size: 16 * 1024 * 1024,
            max_frame_size: usize::MAX,
            max_fragments: None,
            fragment_size: usize::MAX,
            masking_strict: true,
            key_strict: true,
            method_strict: true,
            origins: OriginPolicy::Any,
            subprotocols: Vec::new(),
            deflate: None,
            handshake_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(10),
            idle_timeout: Some(Duration::from_secs(120)),
            ping_interval: Some(Duration::from_secs(30)),
            write_timeout: Some(Duration::from_secs(60)),
            min_message_rate: 1024,
        }
    }
}

impl Config {
    /// Returns the default configuration without the time limits of an open connection: `idle_timeout`, `ping_interval`,
    /// `write_timeout` and `min_message_rate`.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::protocol::Config;
    ///
    /// let config = Config { max_headers: 20, ..Config::without_timeouts() };
    /// assert_eq!((config.idle_timeout, config.ping_interval), (None, None));
    /// ```
    pub fn without_timeouts() -> Self {
        Self {
            idle_timeout: None,
            ping_interval: None,
            write_timeout: None,
            min_message_rate: 0,
            ..Self::default()
        }
    }

    /// Returns the configuration of a connection whose head carries overrides.
    pub(crate) fn with(self: Arc<Self>, overrides: &Overrides) -> Arc<Self> {
        if overrides.deflate.is_none() && overrides.max_fragments.is_none() {
            return self;
        }
        let max_fragments = match (self.max_fragments, overrides.max_fragments) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Arc::new(Self { deflate: overrides.deflate.or(self.deflate), max_fragments, ..(*self).clone() })
    }
}

/// What a handler overrides for its own connection.
///
/// The overrides are part of the head that the handler creates: of the request of a client, or of the response of a server.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Overrides {
    pub(crate) deflate: Option<Deflate>,
    /// The maximum number of fragments of a message, if it is less than that of the configuration.
    pub(crate) max_fragments: Option<usize>,
}
