//! Every rule that a peer or a caller can break, with its close code and HTTP status.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use crate::close::{CloseCode, InvalidPayload};
use crate::error::{Error, ErrorKind};

/// The rule of the protocol that was broken.
///
/// For errors of the opening handshake, [`http_status`](Self::http_status) returns the status of the response. For errors of an
/// open connection, [`close_code`](Self::close_code) returns the code of the Close frame.
///
/// # Examples
///
/// ```
/// use sockeye::CloseCode;
/// use sockeye::protocol::ProtocolError;
///
/// assert_eq!(ProtocolError::InvalidUtf8.close_code(), CloseCode::Invalid);
/// assert_eq!(ProtocolError::UnsupportedVersion.http_status(), 426);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolError {
    // The opening handshake, in either role.
    /// An HTTP head does not follow the grammar of RFC 9112.
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
    /// The program has not responded to a request within the limit of the handshake.
    ResponseTimeout,
    /// The peer closed the TCP connection within the handshake.
    HandshakeCut,

    // The opening handshake of a server (§4.2).
    /// The request target is longer than the limit.
    TargetTooLong,
    /// The HTTP version of the request is not 1.1 (§4.2.1, item 1).
    HttpVersion,
    /// The method of an upgrade is not GET (§4.2.1, item 1).
    MethodNotGet,
    /// There is no `Host`, or more than one (§4.2.1, item 2).
    MissingHost,
    /// The request does not ask for an upgrade to `websocket` (§4.2.1, items 3 and 4).
    NotAnUpgrade,
    /// The pseudo-header `:protocol` of a CONNECT is missing, or is not `websocket` (RFC 8441 §4).
    WrongConnectProtocol,
    /// The key is missing, or is not the encoding of 16 bytes (§4.2.1, item 5).
    InvalidKey,
    /// The version of the protocol is not 13 (§4.2.1, item 6; §4.2.2, item 4).
    UnsupportedVersion,
    /// The `Origin` is not one of those that the server accepts (§4.2.2, item 4; §10.2).
    OriginRefused,
    /// The response of the program contains a subprotocol that the client has not offered (§4.2.2).
    ProtocolNotOffered,
    /// The response of the program contains an extension that the client has not offered (§9.1).
    ExtensionNotOffered,
    /// The parameters of an accepted extension do not match any offer, or are not supported (§9.1, RFC 7692 §7.1).
    ExtensionMismatch,
    /// The program built a head that cannot be sent, such as one with a line break in a header.
    UnsendableHead,

    // The opening handshake of a client (§4.1).
    /// The status of the response is not 101.
    UnexpectedStatus(u16),
    /// The response does not contain `Upgrade: websocket` (§4.1, item 2).
    MissingUpgrade,
    /// The response does not contain `Connection: Upgrade` (§4.1, item 3).
    MissingConnection,
    /// `Sec-WebSocket-Accept` is missing or does not match the key (§4.1, item 4).
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
    /// The length is not encoded in its shortest form (§5.2).
    NonMinimalLength,
    /// The highest bit of a 64-bit length is set (§5.2).
    LengthOverflow,
    /// A frame of a client is not masked (§5.1).
    UnmaskedFrame,
    /// A frame of a server is masked (§5.1).
    MaskedFrame,
    /// The payload of a control frame is longer than 125 bytes (§5.5).
    ControlTooLong,
    /// A control frame is fragmented (§5.5).
    FragmentedControl,
    /// A continuation frame has no message to continue (§5.4).
    LoneContinuation,
    /// A new message begins before the previous one has ended (§5.4).
    InterruptedMessage,
    /// A frame is longer than the limit.
    FrameTooLong,
    /// A message is longer than the limit.
    MessageTooLong,
    /// A message has more fragments than the limit.
    TooManyFragments,
    /// An unfinished message arrives more slowly than the limit.
    SlowMessage,
    /// A compressed message cannot be decompressed (RFC 7692 §7.2.2).
    MalformedDeflate,
    /// A compressed message is far longer than the message itself.
    WastefulDeflate,
    /// Text, or the reason of a Close frame, is not UTF-8 (§8.1).
    InvalidUtf8,
    /// The payload of a Close frame is a single byte (§5.5.1).
    TruncatedCloseCode,
    /// The code of a Close frame must not be sent (§7.4).
    InvalidCloseCode,

    // Time and use.
    /// Nothing was received within the idle timeout.
    IdleTimeout,
    /// The peer did not accept output for too long.
    WriteTimeout,
    /// The TCP connection ended without a closing handshake (§7.1.5).
    ConnectionLost,
    /// The connection is not open, or not open any more, so that nothing can be sent (§5.5.1, §6.1).
    NotOpen,
    /// A Close with this code must not be sent (§7.4).
    UnsendableCloseCode,
    /// The reason of a Close must not be longer than 123 bytes (§5.5).
    ReasonTooLong,
    /// The protocol does not allow to send this frame (§5.2, §5.5).
    UnsendableFrame,
}

impl ProtocolError {
    /// Returns the code of the Close frame that fails an open connection because of this error (§7.1.7).
    ///
    /// No Close frame is sent for errors of the opening handshake. Their code is 1002.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::MalformedHead
            | Self::HeadTooLarge
            | Self::TooManyHeaders
            | Self::MalformedList
            | Self::RepeatedHeader
            | Self::HandshakeTimeout
            | Self::ResponseTimeout
            | Self::HandshakeCut
            | Self::TargetTooLong
            | Self::HttpVersion
            | Self::MethodNotGet
            | Self::MissingHost
            | Self::NotAnUpgrade
            | Self::WrongConnectProtocol
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
            Self::TooManyFragments | Self::SlowMessage | Self::WastefulDeflate => CloseCode::Policy,
            Self::InvalidUtf8 => CloseCode::Invalid,
            Self::IdleTimeout | Self::WriteTimeout | Self::ConnectionLost => CloseCode::Abnormal,
            Self::ProtocolNotOffered
            | Self::ExtensionNotOffered
            | Self::UnsendableHead
            | Self::NotOpen
            | Self::UnsendableCloseCode
            | Self::ReasonTooLong
            | Self::UnsendableFrame => CloseCode::Error,
        }
    }

    /// Returns the HTTP status with which a server refuses an opening handshake because of this error (§4.2.2).
    ///
    /// For errors that cannot occur in the opening handshake of a server, it is 500.
    ///
    /// See the [example](Self#examples) of this type.
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
            // RFC 9220 §3.
            Self::WrongConnectProtocol => 501,
            Self::ResponseTimeout => 503,
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
            Self::RepeatedHeader => "a header that may appear only once is repeated",
            Self::HandshakeTimeout => "the opening handshake took too long",
            Self::ResponseTimeout => "the program did not respond to the request in time",
            Self::HandshakeCut => "the peer closed the connection during the opening handshake",
            Self::TargetTooLong => "the request target is too long",
            Self::HttpVersion => "the HTTP version of the request is not 1.1",
            Self::MethodNotGet => "the method of an upgrade must be GET",
            Self::MissingHost => "the request does not have exactly one Host header",
            Self::NotAnUpgrade => "the request does not ask for an upgrade to websocket",
            Self::WrongConnectProtocol => "the protocol of the CONNECT is not websocket",
            Self::InvalidKey => "Sec-WebSocket-Key is missing or not 16 bytes in base64",
            Self::UnsupportedVersion => "Sec-WebSocket-Version is not 13",
            Self::OriginRefused => "the Origin is not accepted",
            Self::ProtocolNotOffered => "the chosen subprotocol was not offered",
            Self::ExtensionNotOffered => "the chosen extension was not offered",
            Self::ExtensionMismatch => "the parameters of an extension do not match the offer",
            Self::UnsendableHead => "the HTTP head contains characters that must not be sent",
            Self::UnexpectedStatus(_) => "the server refused the opening handshake",
            Self::MissingUpgrade => "the response does not contain `Upgrade: websocket`",
            Self::MissingConnection => "the response does not contain `Connection: Upgrade`",
            Self::AcceptMismatch => "Sec-WebSocket-Accept does not match the key",
            Self::UnsolicitedExtension => "the server chose an extension that was not offered",
            Self::UnsolicitedProtocol => "the server chose a subprotocol that was not offered",
            Self::ReservedBits => "a reserved bit is set",
            Self::ReservedOpCode => "the opcode is reserved",
            Self::NonMinimalLength => "the length is not in its shortest form",
            Self::LengthOverflow => "the length has its highest bit set",
            Self::UnmaskedFrame => "a frame of a client is not masked",
            Self::MaskedFrame => "a frame of a server is masked",
            Self::ControlTooLong => "a control frame is longer than 125 bytes",
            Self::FragmentedControl => "a control frame is fragmented",
            Self::LoneContinuation => "a continuation frame has no message to continue",
            Self::InterruptedMessage => "a new message begins inside another one",
            Self::FrameTooLong => "a frame is too long",
            Self::MessageTooLong => "a message is too long",
            Self::TooManyFragments => "a message has too many fragments",
            Self::SlowMessage => "a message arrives too slowly",
            Self::MalformedDeflate => "a compressed message is malformed",
            Self::WastefulDeflate => "a compressed message is far longer than the message itself",
            Self::InvalidUtf8 => "text is not UTF-8",
            Self::TruncatedCloseCode => "the payload of a Close frame is a single byte",
            Self::InvalidCloseCode => "the code of a Close frame must not be sent",
            Self::IdleTimeout => "the peer was silent for too long",
            Self::WriteTimeout => "the peer did not accept output for too long",
            Self::ConnectionLost => "the connection ended without a closing handshake",
            Self::NotOpen => "the connection is not open",
            Self::UnsendableCloseCode => "the close code must not be sent",
            Self::ReasonTooLong => "the close reason is longer than 123 bytes",
            Self::UnsendableFrame => "the frame must not be sent",
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
    /// Exceeded limits become `Capacity`, invalid text becomes `Encoding`, and everything else becomes `Protocol`.
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

/// `ErrorKind::Encoding` contains an error of the standard library, which only a failed validation can create.
fn encoding_kind() -> ErrorKind {
    String::from_utf8(vec![0xff])
        .map_or_else(|err| ErrorKind::Encoding(err.utf8_error()), |_| ErrorKind::Protocol)
}
