//! Every rule that a peer, or a caller, can break: one variant each, and what the peer is told.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use crate::close::{CloseCode, InvalidPayload};
use crate::error::{Error, ErrorKind};

/// Says which rule of the protocol was broken.
///
/// What is wrong before a connection is open has an [`http_status`](Self::http_status), what is wrong afterwards a
/// [`close_code`](Self::close_code).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolError {
    // The opening handshake, in either role.
    /// A head is not HTTP/1.1 as RFC 9112 has it.
    MalformedHead,
    /// A head is longer than the limit.
    HeadTooLarge,
    /// A head has more header fields than the limit.
    TooManyHeaders,
    /// A list of subprotocols or extensions does not follow its grammar (§4.1, §9.1).
    MalformedList,
    /// A header that may appear only once appears again (§4.1, §4.2.1, §11.3).
    RepeatedHeader,
    /// The handshake took longer than the limit.
    HandshakeTimeout,
    /// The peer closed the TCP connection within the handshake.
    HandshakeCut,

    // The opening handshake of a server (§4.2).
    /// The request target is longer than the limit.
    TargetTooLong,
    /// The request speaks another version of HTTP than 1.1 (§4.2.1, item 1).
    HttpVersion,
    /// The method of an upgrade is not GET (§4.2.1, item 1).
    MethodNotGet,
    /// There is no `Host`, or more than one (§4.2.1, item 2).
    MissingHost,
    /// The request does not ask for an upgrade to `websocket` (§4.2.1, items 3 and 4).
    NotAnUpgrade,
    /// There is no key, or it does not stand for 16 bytes (§4.2.1, item 5).
    InvalidKey,
    /// The version of the protocol is not 13 (§4.2.1, item 6; §4.2.2, item 4).
    UnsupportedVersion,
    /// The `Origin` is not one of those that the server accepts (§4.2.2, item 4; §10.2).
    OriginRefused,
    /// The program answered with a subprotocol that the client had not offered (§4.2.2).
    ProtocolNotOffered,
    /// The program answered with an extension that the client had not offered (§9.1).
    ExtensionNotOffered,
    /// The parameters with which an extension was accepted do not fit any offer, or cannot be kept to (§9.1, RFC 7692 §7.1).
    ExtensionMismatch,
    /// The program built a head that cannot be sent, such as one with a line break in a header.
    UnsendableHead,

    // The opening handshake of a client (§4.1).
    /// The server answered with another status than 101.
    UnexpectedStatus(u16),
    /// The response does not say `Upgrade: websocket` (§4.1, item 2).
    MissingUpgrade,
    /// The response does not say `Connection: Upgrade` (§4.1, item 3).
    MissingConnection,
    /// `Sec-WebSocket-Accept` is missing or does not fit the key (§4.1, item 4).
    AcceptMismatch,
    /// The server chose an extension that was not offered (§4.1, item 5).
    UnsolicitedExtension,
    /// The server chose a subprotocol that was not offered (§4.1, item 6).
    UnsolicitedProtocol,

    // Frames (§5).
    /// A reserved bit is set that no negotiated extension uses (§5.2).
    ReservedBits,
    /// The opcode is reserved (§5.2).
    ReservedOpCode,
    /// The length is not written in its shortest form (§5.2).
    NonMinimalLength,
    /// The highest bit of a 64-bit length is set (§5.2).
    LengthOverflow,
    /// A client's frame is not masked (§5.1).
    UnmaskedFrame,
    /// A server's frame is masked (§5.1).
    MaskedFrame,
    /// A control frame carries more than 125 bytes (§5.5).
    ControlTooLong,
    /// A control frame is fragmented (§5.5).
    FragmentedControl,
    /// A continuation frame has no message to continue (§5.4).
    LoneContinuation,
    /// A new message begins before the last one has ended (§5.4).
    InterruptedMessage,
    /// A frame is longer than the limit.
    FrameTooLong,
    /// A message is longer than the limit.
    MessageTooLong,
    /// A message has more fragments than the limit.
    TooManyFragments,
    /// A message that is said to be compressed is not (RFC 7692 §7.2.2).
    MalformedDeflate,
    /// A compressed message takes far more bytes than it would without compression.
    WastefulDeflate,
    /// Text, or the reason of a Close frame, is not UTF-8 (§8.1).
    InvalidUtf8,
    /// A Close frame carries a single byte (§5.5.1).
    TruncatedCloseCode,
    /// A Close frame carries a code that may not be sent (§7.4).
    InvalidCloseCode,

    // Time and use.
    /// Nothing came from the peer within the idle time-out.
    IdleTimeout,
    /// The TCP connection ended without a closing handshake (§7.1.5).
    ConnectionLost,
    /// The caller wants to send on a connection that is not open, or no longer (§5.5.1, §6.1).
    NotOpen,
    /// The caller wants to send a Close frame with a code that may not be sent (§7.4).
    UnsendableCloseCode,
    /// The caller wants to send a Close frame with a reason of more than 123 bytes (§5.5).
    ReasonTooLong,
    /// The caller wants to send a frame that the protocol does not allow (§5.2, §5.5).
    UnsendableFrame,
}

impl ProtocolError {
    /// Returns the code of the Close frame by which an open connection is failed for this reason (§7.1.7).
    ///
    /// Errors of the opening handshake have no Close frame; they answer 1002, as programs may want a number.
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::MalformedHead
            | Self::HeadTooLarge
            | Self::TooManyHeaders
            | Self::MalformedList
            | Self::RepeatedHeader
            | Self::HandshakeTimeout
            | Self::HandshakeCut
            | Self::TargetTooLong
            | Self::HttpVersion
            | Self::MethodNotGet
            | Self::MissingHost
            | Self::NotAnUpgrade
            | Self::InvalidKey
            | Self::UnsupportedVersion
            | Self::OriginRefused
            | Self::UnexpectedStatus(_)
            | Self::MissingUpgrade
            | Self::MissingConnection
            | Self::AcceptMismatch
            | Self::UnsolicitedExtension
            | Self::UnsolicitedProtocol
            | Self::ExtensionMismatch
            | Self::MalformedDeflate
            | Self::ReservedBits
            | Self::ReservedOpCode
            | Self::NonMinimalLength
            | Self::LengthOverflow
            | Self::UnmaskedFrame
            | Self::MaskedFrame
            | Self::ControlTooLong
            | Self::FragmentedControl
            | Self::LoneContinuation
            | Self::InterruptedMessage
            | Self::TruncatedCloseCode
            | Self::InvalidCloseCode => CloseCode::Protocol,
            Self::FrameTooLong | Self::MessageTooLong => CloseCode::Size,
            Self::TooManyFragments | Self::WastefulDeflate => CloseCode::Policy,
            Self::InvalidUtf8 => CloseCode::Invalid,
            Self::IdleTimeout | Self::ConnectionLost => CloseCode::Abnormal,
            Self::ProtocolNotOffered
            | Self::ExtensionNotOffered
            | Self::UnsendableHead
            | Self::NotOpen
            | Self::UnsendableCloseCode
            | Self::ReasonTooLong
            | Self::UnsendableFrame => CloseCode::Error,
        }
    }

    /// Returns the status by which a server refuses an opening handshake for this reason (§4.2.2).
    ///
    /// What can only go wrong later, or in a client, answers 500.
    pub fn http_status(self) -> u16 {
        match self {
            Self::MalformedHead
            | Self::MalformedList
            | Self::RepeatedHeader
            | Self::MissingHost
            | Self::InvalidKey => 400,
            Self::OriginRefused => 403,
            Self::MethodNotGet => 405,
            Self::HandshakeTimeout | Self::HandshakeCut => 408,
            Self::TargetTooLong => 414,
            Self::NotAnUpgrade | Self::UnsupportedVersion => 426,
            Self::HeadTooLarge | Self::TooManyHeaders => 431,
            Self::HttpVersion => 505,
            _ => 500,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::MalformedHead => "the HTTP head is malformed",
            Self::HeadTooLarge => "the HTTP head is too large",
            Self::TooManyHeaders => "the HTTP head has too many header fields",
            Self::MalformedList => "a header with a list is malformed",
            Self::RepeatedHeader => "a header that must stand alone is repeated",
            Self::HandshakeTimeout => "the opening handshake took too long",
            Self::HandshakeCut => "the peer closed the connection within the opening handshake",
            Self::TargetTooLong => "the request target is too long",
            Self::HttpVersion => "the peer does not speak HTTP/1.1",
            Self::MethodNotGet => "the method of an upgrade must be GET",
            Self::MissingHost => "the request does not have exactly one Host",
            Self::NotAnUpgrade => "the request does not ask for an upgrade to websocket",
            Self::InvalidKey => "Sec-WebSocket-Key is missing or not 16 bytes in base64",
            Self::UnsupportedVersion => "Sec-WebSocket-Version is not 13",
            Self::OriginRefused => "the Origin is not accepted",
            Self::ProtocolNotOffered => "the chosen subprotocol was not offered",
            Self::ExtensionNotOffered => "the chosen extension was not offered",
            Self::ExtensionMismatch => "the parameters of an extension do not fit the offer",
            Self::UnsendableHead => "the HTTP head contains what must not be sent",
            Self::UnexpectedStatus(_) => "the server refused the opening handshake",
            Self::MissingUpgrade => "the response does not say `Upgrade: websocket`",
            Self::MissingConnection => "the response does not say `Connection: Upgrade`",
            Self::AcceptMismatch => "Sec-WebSocket-Accept does not fit the key",
            Self::UnsolicitedExtension => "the server chose an extension that was not offered",
            Self::UnsolicitedProtocol => "the server chose a subprotocol that was not offered",
            Self::ReservedBits => "a reserved bit is set",
            Self::ReservedOpCode => "the opcode is reserved",
            Self::NonMinimalLength => "the length is not in its shortest form",
            Self::LengthOverflow => "the length has its highest bit set",
            Self::UnmaskedFrame => "a client's frame is not masked",
            Self::MaskedFrame => "a server's frame is masked",
            Self::ControlTooLong => "a control frame is longer than 125 bytes",
            Self::FragmentedControl => "a control frame is fragmented",
            Self::LoneContinuation => "a continuation frame has nothing to continue",
            Self::InterruptedMessage => "a new message begins inside another one",
            Self::FrameTooLong => "a frame is too long",
            Self::MessageTooLong => "a message is too long",
            Self::TooManyFragments => "a message has too many fragments",
            Self::MalformedDeflate => "a compressed message is malformed",
            Self::WastefulDeflate => "a compressed message is larger than it has to be",
            Self::InvalidUtf8 => "text is not UTF-8",
            Self::TruncatedCloseCode => "a Close frame has half a code",
            Self::InvalidCloseCode => "a Close frame has a code that may not be sent",
            Self::IdleTimeout => "the peer was silent for too long",
            Self::ConnectionLost => "the connection ended without a closing handshake",
            Self::NotOpen => "the connection is not open",
            Self::UnsendableCloseCode => "the close code may not be sent",
            Self::ReasonTooLong => "the close reason is longer than 123 bytes",
            Self::UnsendableFrame => "the frame may not be sent",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedStatus(status) => write!(f, "{} with status {status}", self.text()),
            _ => f.write_str(self.text()),
        }
    }
}

impl StdError for ProtocolError {}

impl From<InvalidPayload> for ProtocolError {
    fn from(err: InvalidPayload) -> Self {
        match err {
            InvalidPayload::Truncated => Self::TruncatedCloseCode,
            InvalidPayload::Code => Self::InvalidCloseCode,
            InvalidPayload::Reason => Self::InvalidUtf8,
        }
    }
}

impl From<ProtocolError> for Error {
    /// Keeps the distinction that handlers know: too much is `Capacity`, bad text is `Encoding`, the rest `Protocol`.
    fn from(err: ProtocolError) -> Self {
        let kind = match err.close_code() {
            CloseCode::Size | CloseCode::Policy => ErrorKind::Capacity,
            CloseCode::Invalid => encoding_kind(),
            _ => ErrorKind::Protocol,
        };
        let details: Cow<'static, str> = match err {
            ProtocolError::UnexpectedStatus(_) => err.to_string().into(),
            _ => err.text().into(),
        };
        Self::new(kind, details)
    }
}

/// `ErrorKind::Encoding` wants an error of the standard library, which only a failed check can make.
fn encoding_kind() -> ErrorKind {
    String::from_utf8(vec![0xff])
        .map_or_else(|err| ErrorKind::Encoding(err.utf8_error()), |_| ErrorKind::Protocol)
}
