//! What the caller may choose.

/// The largest window, and the default of the RFC: 2^15 bytes (RFC 7692 §7.1.2).
pub(super) const MAX_WINDOW_BITS: u8 = 15;

/// The smallest window that we can promise to stay within. The RFC allows 8, and zlib has never mastered it; a peer may
/// use it.
pub(super) const MIN_WINDOW_BITS: u8 = 9;

/// The settings of permessage-deflate (RFC 7692), for either role.
///
/// By default no context is kept, in either direction: each message is compressed for itself. That is right for a server
/// with many connections: they share one compressor and one inflater, and own none. Keeping the context makes small
/// messages that resemble each other much smaller; it costs 380 KB for each connection that sends, and 60 KB for each
/// that receives (measured on a 64-bit system; with a window of 12 bits a connection that sends takes 165 KB, with one of
/// 9 bits 150 KB). Both are allocated with the first compressed message of their direction.
///
/// # What should not be compressed
///
/// - What is compressed already, such as images: it costs time, and saves nothing.
/// - Secrets that are sent together with text that somebody else can choose: who sees the length of the messages learns
///   whether the two have something in common, and can guess the secret piece by piece, encryption or not (the attacks
///   CRIME and BREACH; RFC 7692 §8). With a context that is kept, "together" means within the same connection.
///
/// Send these by `Sender::send_uncompressed`, or clear
/// [`Frame::set_compressible`](crate::Frame::set_compressible).
///
/// # Examples
///
/// ```
/// use sockeye::Deflate;
///
/// // A client that follows a stream of small updates.
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
    /// Whether the server compresses each message for itself. A server says so, and does; a client demands it, and takes
    /// no compression without it (RFC 7692 §7.1.1.1). Default true.
    pub server_no_context_takeover: bool,
    /// Whether the client compresses each message for itself. A server demands it; a client announces it, and does in any
    /// case (RFC 7692 §7.1.1.2). Default true.
    pub client_no_context_takeover: bool,
    /// The largest window of the server's compressor, as a power of two from 9 to 15. A server keeps to it, or to less if
    /// the client wants that; a client demands it (RFC 7692 §7.1.2.1). Default 15, which is 32 KiB.
    pub server_max_window_bits: u8,
    /// The largest window of the client's compressor, as a power of two from 9 to 15. A client keeps to it, or to less if
    /// the server wants that; a server demands it from clients that let it (RFC 7692 §7.1.2.2). Default 15.
    pub client_max_window_bits: u8,
    /// Whether the peer may demand that we compress each message for itself. If not, a server declines such an offer,
    /// and a client fails the handshake. Default true.
    pub accept_no_context_takeover: bool,
    /// How much trouble the compressor takes, from 1 to 9. Default 6, as in most libraries; 4 takes a tenth less time, for two
    /// to four per cent more bytes.
    pub level: u8,
    /// Messages of less bytes are not compressed. Default 1,024: what fits into one packet anyway gains little, unless the
    /// context is kept.
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
    /// Returns the name of a field whose value makes no sense.
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
    /// Whoever skips the check of the settings gets the nearest window that is possible: zlib panics at any other.
    fn within(keeps_context: bool, window_bits: u8) -> Self {
        Self { keeps_context, window_bits: window_bits.clamp(MIN_WINDOW_BITS, MAX_WINDOW_BITS) }
    }
}
