//! What an endpoint allows and demands: the limits of the protocol core.

use std::sync::Arc;
use std::time::Duration;

use super::Deflate;
use super::handshake::OriginPolicy;

/// The limits and rules of a [`Connection`](super::Connection); one value serves any number of them.
///
/// All lengths are in bytes. Every default is one that a server on the open Internet can run with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Longest HTTP head, from the first byte to the empty line; beyond it a server answers 431. Default 16 KiB.
    pub max_head_size: usize,
    /// Longest request target; beyond it a server answers 414. Default 8 KiB.
    pub max_target_size: usize,
    /// Most header fields of a head; beyond it a server answers 431. Default 100.
    pub max_headers: usize,
    /// Longest message, its fragments joined and inflated; beyond it the connection fails with 1009, before the excess
    /// is stored. Default 16 MiB.
    pub max_message_size: usize,
    /// Longest payload of a single frame; beyond it the connection fails with 1009. No limit of its own by default.
    pub max_frame_size: usize,
    /// Most fragments of one message; beyond it the connection fails with 1008. `None`, the default, means 65,536 or
    /// `max_message_size / 64`, whichever is more. Empty fragments are limited to 1,024 whatever stands here.
    pub max_fragments: Option<usize>,
    /// Longest payload of a frame that is sent; a longer message goes out in fragments. Default: never fragmented.
    pub fragment_size: usize,
    /// Whether a frame whose masking does not fit the peer's role fails the connection (§5.1). Default true.
    pub masking_strict: bool,
    /// Whether the key and the accept value of the handshake are checked to the letter (§4.1, §4.2.1). Default true.
    pub key_strict: bool,
    /// Whether an upgrade must be a GET (§4.2.1). Default true.
    pub method_strict: bool,
    /// Which origins a server accepts (§10.2). Default any.
    pub origins: OriginPolicy,
    /// The subprotocols that a server supports, best first; those that a client offers. Default none.
    pub subprotocols: Vec<String>,
    /// Compression of messages, permessage-deflate (RFC 7692): a client offers it, a server accepts it. Default none.
    pub deflate: Option<Deflate>,
    /// How long the opening handshake may take. Default 10 s.
    pub handshake_timeout: Duration,
    /// How long the peer may take to answer a Close frame, and the server to close TCP after it (§7.1.1). Default 10 s.
    pub close_timeout: Duration,
    /// How long the peer may stay silent before the connection counts as lost. Default: for ever.
    pub idle_timeout: Option<Duration>,
    /// After how much silence of the peer a Ping is sent (§5.5.2). Default: never.
    pub ping_interval: Option<Duration>,
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
            idle_timeout: None,
            ping_interval: None,
        }
    }
}

impl Config {
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

/// What a handler overrides for its own connection. The overrides are part of the head that the handler makes, the request of a
/// client or the response of a server, and so they pass through everything that passes the head on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Overrides {
    pub(crate) deflate: Option<Deflate>,
    /// The most fragments of a message, if that is less than for all connections.
    pub(crate) max_fragments: Option<usize>,
}
