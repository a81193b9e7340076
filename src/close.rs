//! Close codes, and the payload of a Close frame (§5.5.1, §7.4).
//!
//! When a Close frame is sent, and how it affects a connection, is part of [`protocol`](crate::protocol).

use std::fmt;

/// The reason for closing a connection, as a number (§7.4).
///
/// Every `u16` converts into a `CloseCode` and back without loss. [`is_sendable`](CloseCode::is_sendable) returns whether a
/// code may be sent; some codes only inform the program.
///
/// # Examples
///
/// ```
/// use sockeye::CloseCode;
///
/// assert_eq!(CloseCode::from(1001), CloseCode::Away);
/// assert_eq!(u16::from(CloseCode::Other(4321)), 4321);
/// assert!(!CloseCode::Abnormal.is_sendable());
/// ```
#[derive(Debug, Eq, PartialEq, Hash, Clone, Copy)]
pub enum CloseCode {
    /// 1000: the purpose of the connection has been fulfilled.
    Normal,
    /// 1001: an endpoint goes away, for example a server that shuts down or a browser that leaves the page.
    Away,
    /// 1002: the peer violated the protocol.
    Protocol,
    /// 1003: the peer sent a kind of data that this endpoint cannot accept.
    Unsupported,
    /// 1005, never sent: the peer's Close frame had no code.
    Status,
    /// 1006, never sent: the connection ended without a Close frame.
    Abnormal,
    /// 1007: the data of a message did not match its type, for example text that is not UTF-8.
    Invalid,
    /// 1008: a message violated a rule of this endpoint that has no other code.
    Policy,
    /// 1009: a message was too big to process.
    Size,
    /// 1010: the client requires an extension that the server did not negotiate.
    Extension,
    /// 1011: the server encountered an unexpected condition.
    Error,
    /// 1012: the server restarts. The client may reconnect soon.
    Restart,
    /// 1013: the server is overloaded. The client may reconnect later.
    Again,
    /// 1015, never sent: the TLS handshake failed.
    #[doc(hidden)]
    Tls,
    /// No code: a Close frame with an empty payload.
    #[doc(hidden)]
    Empty,
    /// Any other number: 1014, codes of libraries and frameworks (3000 to 3999), codes of applications (4000 to 4999), and
    /// codes that must not be sent.
    #[doc(hidden)]
    Other(u16),
}

impl CloseCode {
    /// Returns whether a Close frame may contain the code (§7.4.1, §7.4.2, and the IANA registry for 1012 to 1014).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::CloseCode;
    ///
    /// assert!(CloseCode::Normal.is_sendable() && CloseCode::from(4321).is_sendable());
    /// // This code only describes that no Close frame was received.
    /// assert!(!CloseCode::Abnormal.is_sendable());
    /// ```
    pub fn is_sendable(self) -> bool {
        matches!(u16::from(self), 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        match code {
            0 => Self::Empty,
            1000 => Self::Normal,
            1001 => Self::Away,
            1002 => Self::Protocol,
            1003 => Self::Unsupported,
            1005 => Self::Status,
            1006 => Self::Abnormal,
            1007 => Self::Invalid,
            1008 => Self::Policy,
            1009 => Self::Size,
            1010 => Self::Extension,
            1011 => Self::Error,
            1012 => Self::Restart,
            1013 => Self::Again,
            1015 => Self::Tls,
            other => Self::Other(other),
        }
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        match code {
            CloseCode::Empty => 0,
            CloseCode::Normal => 1000,
            CloseCode::Away => 1001,
            CloseCode::Protocol => 1002,
            CloseCode::Unsupported => 1003,
            CloseCode::Status => 1005,
            CloseCode::Abnormal => 1006,
            CloseCode::Invalid => 1007,
            CloseCode::Policy => 1008,
            CloseCode::Size => 1009,
            CloseCode::Extension => 1010,
            CloseCode::Error => 1011,
            CloseCode::Restart => 1012,
            CloseCode::Again => 1013,
            CloseCode::Tls => 1015,
            CloseCode::Other(other) => other,
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        u16::from(*self).fmt(f)
    }
}

/// How a connection ended, as returned by the sockets without handlers.
///
/// # Examples
///
/// ```
/// use sockeye::{CloseCode, Closed};
///
/// /// Returns whether the server asks its client to connect again.
/// fn is_invited(closed: &Closed) -> bool {
///     closed.was_clean && matches!(closed.code, CloseCode::Restart | CloseCode::Again)
/// }
///
/// let closed = Closed { code: CloseCode::Restart, reason: "update".into(), was_clean: true };
/// assert!(is_invited(&closed));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The code of the peer's Close frame. [`CloseCode::Status`] if the frame had no code, [`CloseCode::Abnormal`] if no Close
    /// frame was received.
    pub code: CloseCode,
    /// The reason in the peer's Close frame.
    pub reason: String,
    /// Whether a Close frame of the peer was received (§7.1.4).
    pub was_clean: bool,
}

impl Closed {
    /// The end of a connection that was lost or failed (§7.1.5).
    #[cfg(any(
        feature = "blocking",
        feature = "futures",
        feature = "testing",
        all(feature = "browser", any(target_family = "wasm", sockeye_docs))
    ))]
    pub(crate) fn abnormal() -> Self {
        Self::new(CloseCode::Abnormal, "")
    }

    /// An end with the code and the reason of the peer's Close frame, or with [`CloseCode::Abnormal`], which no frame contains.
    #[cfg(any(
        feature = "reactor",
        feature = "blocking",
        feature = "futures",
        all(feature = "browser", any(target_family = "wasm", sockeye_docs))
    ))]
    pub(crate) fn new(code: CloseCode, reason: &str) -> Self {
        Self { code, reason: reason.to_owned(), was_clean: code != CloseCode::Abnormal }
    }
}

/// The longest reason that fits into a control frame together with a code, in bytes (§5.5).
pub(crate) const MAX_REASON: usize = 123;

/// The error of an invalid payload of a Close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidPayload {
    /// A single byte: half a code.
    Truncated,
    /// A code that may not be sent.
    Code,
    /// A reason that is not UTF-8.
    Reason,
}

/// Encodes the payload of a Close frame: nothing for the codes that mean "no code", otherwise the code and the reason
/// (§5.5.1).
///
/// The reason is cut before the first character that would exceed [`MAX_REASON`] bytes. Callers that must not lose a part of
/// it check its length first.
pub(crate) fn encode_payload(code: CloseCode, reason: &str) -> Vec<u8> {
    if matches!(code, CloseCode::Empty | CloseCode::Status) {
        return Vec::new();
    }
    let end = (0..=MAX_REASON.min(reason.len())).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
    let mut payload = u16::from(code).to_be_bytes().to_vec();
    payload.extend(reason.bytes().take(end));
    payload
}

/// Parses the payload of a peer's Close frame. An empty payload is [`CloseCode::Status`].
pub(crate) fn parse_payload(payload: &[u8]) -> Result<(CloseCode, &str), InvalidPayload> {
    match payload {
        [] => Ok((CloseCode::Status, "")),
        // §5.5.1: if there is a body, its first two bytes MUST be the code.
        [_] => Err(InvalidPayload::Truncated),
        [high, low, reason @ ..] => {
            let code = CloseCode::from(u16::from_be_bytes([*high, *low]));
            if !code.is_sendable() {
                return Err(InvalidPayload::Code);
            }
            // §5.5.1: the reason is UTF-8. §8.1 defines the error.
            let reason = std::str::from_utf8(reason).map_err(|_| InvalidPayload::Reason)?;
            Ok((code, reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written from the table of §7.4.1, the ranges of §7.4.2 and the registry; not from the code above.
    fn may_be_sent(code: u16) -> bool {
        match code {
            1004 | 1005 | 1006 | 1015 => false,
            1000..=1014 => true,
            3000..=3999 => true,
            4000..=4999 => true,
            _ => false,
        }
    }

    #[test]
    fn f7_only_sendable_close_codes_are_parsed() {
        for number in 0..=u16::MAX {
            let code = CloseCode::from(number);
            assert_eq!(u16::from(code), number);
            assert_eq!(code.is_sendable(), may_be_sent(number), "{number}");
            let parsed = parse_payload(&number.to_be_bytes()).map(|(code, _)| u16::from(code));
            assert_eq!(parsed.is_ok(), may_be_sent(number), "{number}");
            if code.is_sendable() {
                assert_eq!(parse_payload(&encode_payload(code, "why")), Ok((code, "why")));
            }
        }
    }

    #[test]
    fn s5_5_1_payloads_of_zero_to_three_bytes_are_parsed() {
        assert_eq!(parse_payload(&[]), Ok((CloseCode::Status, "")));
        assert_eq!(parse_payload(&[3]), Err(InvalidPayload::Truncated));
        assert_eq!(parse_payload(&[3, 0xe8]), Ok((CloseCode::Normal, "")));
        assert_eq!(parse_payload(&[3, 0xe8, 0xff]), Err(InvalidPayload::Reason));
    }

    #[test]
    fn s5_5_a_long_reason_is_truncated_between_characters() {
        let payload = encode_payload(CloseCode::Normal, &"\u{20ac}".repeat(50));
        assert_eq!(payload.len(), 2 + 123);
        let payload = encode_payload(CloseCode::Normal, &format!("x{}", "\u{20ac}".repeat(50)));
        assert_eq!(payload.len(), 2 + 1 + 120);
        assert!(parse_payload(&payload).is_ok());
    }
}
