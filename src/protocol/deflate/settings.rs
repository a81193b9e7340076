//! The settings of permessage-deflate.

/// The largest window, and the default of the RFC: 2^15 bytes (RFC 7692 §7.1.2).
pub(super) const MAX_WINDOW_BITS: u8 = 15;

/// The smallest window that our compressor supports. The RFC allows 8, which zlib does not implement; a peer may use it.
pub(super) const MIN_WINDOW_BITS: u8 = 9;

/// The settings of permessage-deflate (RFC 7692), for either role.
///
/// By default, no context is kept in either direction: each message is compressed by itself. This suits servers with many
/// connections, which share one compressor and one decompressor. A context makes small messages that resemble each other much
/// smaller. It costs 380 KB for each connection that sends, and 60 KB for each that receives (measured on a 64-bit system; with
/// a window of 12 bits, a connection that sends takes 165 KB, and with 9 bits 150 KB). This memory is allocated with the first
/// compressed message of each direction.
///
/// # What should not be compressed
///
/// - Data that is already compressed, such as images: compression takes time and saves nothing.
/// - Secrets that are sent together with text that an attacker can choose. The length of the messages reveals whether the two
///   have parts in common, so that an attacker who observes it can guess the secret piece by piece, even with encryption (the
///   attacks CRIME and BREACH; RFC 7692 §8). With a context, "together" means within the same connection.
///
/// Send these with `Sender::send_uncompressed`, or clear
/// [`Frame::set_compressible`](crate::Frame::set_compressible).
///
/// # Examples
///
/// ```
/// use sockeye::Deflate;
///
/// // A client that receives a stream of small updates.
/// let deflate = Deflate {
///     server_no_context_takeover: false,
///     server_max_window_bits: 12,
///     threshold: 64,
///     ..Deflate::default()
/// };
/// # assert_ne!(deflate, Deflate::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deflate {
    /// Whether the server compresses each message by itself (RFC 7692 §7.1.1.1). Default: `true`.
    ///
    /// A server announces it. A client requires it, and declines compression otherwise.
    pub server_no_context_takeover: bool,
    /// Whether the client compresses each message by itself (RFC 7692 §7.1.1.2). Default: `true`.
    ///
    /// A server requires it. A client announces it, and does it in any case.
    pub client_no_context_takeover: bool,
    /// The largest window of the server's compressor, as an exponent of two from 9 to 15 (RFC 7692 §7.1.2.1). Default: 15, which is
    /// 32 KiB.
    ///
    /// A server uses it, or a smaller one if the client requests that. A client requires it.
    pub server_max_window_bits: u8,
    /// The largest window of the client's compressor, as an exponent of two from 9 to 15 (RFC 7692 §7.1.2.2). Default: 15.
    ///
    /// A client uses it, or a smaller one if the server requests that. A server requires it of clients that allow it.
    pub client_max_window_bits: u8,
    /// Whether the peer may require that we compress each message by itself. Default: `true`.
    ///
    /// Otherwise a server declines such an offer, and a client fails the handshake.
    pub accept_no_context_takeover: bool,
    /// The compression level, from 1 (fast) to 9 (small). Default: 6, as in most libraries.
    ///
    /// Level 1 is the same as level 2, because level 1 of the library has a defect. Level 4 takes a tenth less time, and gives two to four per cent more bytes.
    pub level: u8,
    /// The minimum length of a message that is compressed, in bytes. Default: 1,024.
    ///
    /// A message that fits into one packet gains little, unless the context is kept.
    pub threshold: usize,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: MAX_WINDOW_BITS,
            client_max_window_bits: MAX_WINDOW_BITS,
            accept_no_context_takeover: true,
            level: 6,
            threshold: 1024,
        }
    }
}

impl Deflate {
    /// Returns the name of a field whose value is invalid.
    #[cfg(feature = "reactor")]
    pub(crate) fn nonsense(&self) -> Option<&'static str> {
        let bits = MIN_WINDOW_BITS..=MAX_WINDOW_BITS;
        let fields = [
            (bits.contains(&self.server_max_window_bits), "server_max_window_bits (9 to 15)"),
            (bits.contains(&self.client_max_window_bits), "client_max_window_bits (9 to 15)"),
            ((1..=9).contains(&self.level), "level (1 to 9)"),
        ];
        fields.into_iter().find(|(makes_sense, _)| !makes_sense).map(|(_, name)| name)
    }

    pub(super) fn server(&self) -> Side {
        Side::within(!self.server_no_context_takeover, self.server_max_window_bits)
    }

    pub(super) fn client(&self) -> Side {
        Side::within(!self.client_no_context_takeover, self.client_max_window_bits)
    }

    pub(super) fn level(&self) -> u8 {
        self.level.clamp(1, 9)
    }
}

/// How one end compresses what it sends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    pub(super) keeps_context: bool,
    pub(super) window_bits: u8,
}

impl Side {
    /// Settings that have not been checked get the nearest valid window, because zlib panics at any other.
    fn within(keeps_context: bool, window_bits: u8) -> Self {
        Self { keeps_context, window_bits: window_bits.clamp(MIN_WINDOW_BITS, MAX_WINDOW_BITS) }
    }
}
