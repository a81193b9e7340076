//! The header of a frame (§5.2): read, check, write. Pure functions.

use super::mask::Key;
use crate::protocol::{ProtocolError, Role};
use std::fmt;

/// The kind of a frame (§5.2, §11.8).
#[derive(Debug, Eq, PartialEq, Hash, Clone, Copy)]
pub enum OpCode {
    /// A further fragment of the message in progress.
    Continue,
    /// A text message, or its first fragment.
    Text,
    /// A binary message, or its first fragment.
    Binary,
    /// The request to close, or the answer to it (§5.5.1).
    Close,
    /// The question whether the peer is alive (§5.5.2).
    Ping,
    /// The answer to a Ping, or a sign of life of its own accord (§5.5.3).
    Pong,
    /// One of the reserved codes, which are never sent, and fail the connection if they come.
    Bad,
}

impl OpCode {
    /// Returns whether this is the kind of a control frame (§5.5). Reserved codes count as such.
    #[inline]
    pub fn is_control(&self) -> bool {
        !matches!(self, Self::Continue | Self::Text | Self::Binary)
    }
}

impl From<u8> for OpCode {
    #[inline]
    fn from(bits: u8) -> Self {
        match bits {
            0 => Self::Continue,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => Self::Bad,
        }
    }
}

impl From<OpCode> for u8 {
    #[inline]
    fn from(opcode: OpCode) -> Self {
        match opcode {
            OpCode::Continue => 0,
            OpCode::Text => 1,
            OpCode::Binary => 2,
            OpCode::Close => 8,
            OpCode::Ping => 9,
            OpCode::Pong => 10,
            OpCode::Bad => 15,
        }
    }
}

impl fmt::Display for OpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Continue => "CONTINUE",
            Self::Text => "TEXT",
            Self::Binary => "BINARY",
            Self::Close => "CLOSE",
            Self::Ping => "PING",
            Self::Pong => "PONG",
            Self::Bad => "BAD",
        })
    }
}

const FIN: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// The three reserved bits of a header, in their places.
pub(crate) const RSV: u8 = 0x70;
/// The first of them, which permessage-deflate uses (RFC 7692 §6).
pub(crate) const RSV1: u8 = 0x40;

/// The longest payload of a control frame, in bytes (§5.5).
pub(crate) const MAX_CONTROL: u64 = 125;

/// The longest header: two bytes, a 64-bit length, a key.
pub(crate) const MAX_HEADER: usize = 14;

/// Says which reserved bits have a meaning on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reserved {
    /// None: no extension was negotiated.
    #[default]
    None,
    /// The first, on the first frame of a message: permessage-deflate (RFC 7692 §6).
    Deflate,
    /// Any of them: the program has negotiated an extension of its own, and looks at them itself.
    Any,
}

/// What a header is checked against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Who reads.
    pub(crate) role: Role,
    pub(crate) masking_strict: bool,
    pub(crate) reserved: Reserved,
    /// Whether a message is in progress.
    pub(crate) in_message: bool,
    /// The longest payload of a frame.
    pub(crate) max_frame: u64,
    /// What the message in progress, or the next one, may still take.
    pub(crate) room: Room,
    /// How many bytes more the beginning of a compressed message may have.
    pub(crate) slack: u64,
}

/// What a message may still take until it is over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) bytes: u64,
    pub(crate) fragments: usize,
    pub(crate) empty_fragments: usize,
}

/// The header of a frame (§5.2), for programs that read and write frames without a [`Connection`](crate::protocol::Connection).
///
/// # Examples
///
/// A client's text, from bytes and to bytes.
///
/// ```
/// use sockeye::OpCode;
/// use sockeye::protocol::{Header, mask};
///
/// let mut bytes = vec![0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
/// let (header, len) = Header::decode(&bytes, 125)?.expect("the header is all there");
/// assert_eq!((header.fin, header.rsv, header.opcode, header.len, len), (true, 0, OpCode::Text, 5, 6));
/// if let Some(key) = header.key {
///     mask::apply(key, 0, &mut bytes[len..]);
/// }
/// assert_eq!(&bytes[len..], b"Hello");
///
/// let mut out = Vec::new();
/// Header { key: None, ..header }.encode(&mut out);
/// assert_eq!(out, [0x81, 0x05]);
/// # Ok::<(), sockeye::protocol::ProtocolError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether this is the last frame of its message.
    pub fin: bool,
    /// The reserved bits, in their places: 0x40, 0x20 and 0x10.
    pub rsv: u8,
    /// The kind of the frame.
    pub opcode: OpCode,
    /// The masking key, of a frame that is masked.
    pub key: Option<Key>,
    /// Length of the payload, in bytes.
    pub len: u64,
}

impl Header {
    /// Reads a header from the front of `input` and checks it; returns it with its own length.
    ///
    /// `None` means that it is not all there. A rule is enforced as soon as the bytes that break it are there.
    #[inline]
    pub(crate) fn parse(input: &[u8], rules: &Rules) -> Result<Option<(Self, usize)>, ProtocolError> {
        let [first, second, rest @ ..] = input else { return Ok(None) };
        let (fin, rsv, opcode) = (first & FIN != 0, first & RSV, OpCode::from(first & OPCODE));
        let masked = second & MASKED != 0;
        check_start(fin, rsv, opcode, masked, second & LENGTH, rules)?;

        let Some((len, rest, extended)) = parse_length(second & LENGTH, rest)? else { return Ok(None) };
        check_limits(fin, rsv, opcode, len, rules)?;

        let (key, key_len) = match (masked, rest) {
            (false, _) => (None, 0),
            (true, [a, b, c, d, ..]) => (Some([*a, *b, *c, *d]), 4),
            (true, _) => return Ok(None),
        };
        let header = Self { fin, rsv, opcode, key, len };
        Ok(Some((header, 2usize.saturating_add(extended).saturating_add(key_len))))
    }

    /// Reads a header from the front of `input`, of a frame with a payload of up to `max_frame` bytes; returns it with its
    /// own length, or `None` when it is not all there.
    ///
    /// Nothing is known of the connection, so that only the rules of every frame hold: reserved bits may be set, the
    /// payload may be masked or not.
    ///
    /// # Errors
    ///
    /// The rule of §5.2 or §5.5 that the header breaks, [`ProtocolError::FrameTooLong`] for a longer payload.
    pub fn decode(input: &[u8], max_frame: u64) -> Result<Option<(Self, usize)>, ProtocolError> {
        let continues = input.first().is_some_and(|first| first & OPCODE == u8::from(OpCode::Continue));
        let rules = Rules {
            role: Role::Server,
            masking_strict: false,
            reserved: Reserved::Any,
            in_message: continues,
            max_frame,
            room: Room { bytes: u64::MAX, fragments: usize::MAX, empty_fragments: usize::MAX },
            slack: 0,
        };
        Self::parse(input, &rules)
    }

    /// Appends the header to `out`, its length in the shortest form (§5.2).
    #[inline(always)]
    pub fn encode(&self, out: &mut Vec<u8>) {
        let fin = if self.fin { FIN } else { 0 };
        let masked = if self.key.is_some() { MASKED } else { 0 };
        let first = fin | (self.rsv & RSV) | u8::from(self.opcode);
        match (u8::try_from(self.len), u16::try_from(self.len)) {
            (Ok(len @ 0..=125), _) => out.extend_from_slice(&[first, masked | len]),
            (_, Ok(len)) => {
                let [high, low] = len.to_be_bytes();
                out.extend_from_slice(&[first, masked | 126, high, low]);
            }
            _ => {
                out.extend_from_slice(&[first, masked | 127]);
                out.extend_from_slice(&self.len.to_be_bytes());
            }
        }
        if let Some(key) = self.key {
            out.extend_from_slice(&key);
        }
    }

    /// Returns how many bytes [`encode`](Self::encode) appends.
    pub fn encoded_len(&self) -> usize {
        let length: usize = match self.len {
            0..=125 => 2,
            126..=0xffff => 4,
            _ => 10,
        };
        if self.key.is_some() { length.saturating_add(4) } else { length }
    }
}

/// The header of a frame as nearly all are: a whole message of at most 65,535 bytes, no reserved bit set, and masked as
/// §5.1 wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) is_text: bool,
    pub(crate) key: Option<Key>,
    /// Length of the header in bytes.
    pub(crate) start: usize,
    /// Length of the payload in bytes.
    pub(crate) len: usize,
}

impl Plain {
    /// Reads such a header from the front of `input`. `None` says only that [`Header::parse`] is to be asked, which knows
    /// all kinds of frames, and what is wrong with them.
    #[inline]
    pub(crate) fn parse(input: &[u8], role: Role) -> Option<Self> {
        let (is_text, second, rest) = match input {
            [0x81, second, rest @ ..] => (true, *second, rest),
            [0x82, second, rest @ ..] => (false, *second, rest),
            _ => return None,
        };
        let (len, start, rest) = match (second & LENGTH, rest) {
            (len @ 0..=125, rest) => (usize::from(len), 2usize, rest),
            (126, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), 4, rest),
            _ => return None,
        };
        if start == 4 && len <= 125 {
            return None;
        }
        match (role, second & MASKED != 0, rest) {
            (Role::Server, true, [a, b, c, d, ..]) => {
                Some(Self { is_text, key: Some([*a, *b, *c, *d]), start: start.saturating_add(4), len })
            }
            (Role::Client, false, _) => Some(Self { is_text, key: None, start, len }),
            _ => None,
        }
    }
}

/// Every rule that the first two bytes can break.
#[inline]
fn check_start(
    fin: bool,
    rsv: u8,
    opcode: OpCode,
    masked: bool,
    len7: u8,
    rules: &Rules,
) -> Result<(), ProtocolError> {
    // §5.2: the bits MUST be 0 unless an extension defines what they mean.
    let allowed = match rules.reserved {
        Reserved::None => 0,
        // RFC 7692 §6: only on the first frame of a message.
        Reserved::Deflate if matches!(opcode, OpCode::Text | OpCode::Binary) => RSV1,
        Reserved::Deflate => 0,
        Reserved::Any => RSV,
    };
    if rsv & !allowed != 0 {
        return Err(ProtocolError::ReservedBits);
    }
    // §5.1: a server MUST close on a frame that is not masked, a client on one that is.
    match (rules.role, masked) {
        (Role::Server, false) if rules.masking_strict => return Err(ProtocolError::UnmaskedFrame),
        (Role::Client, true) if rules.masking_strict => return Err(ProtocolError::MaskedFrame),
        _ => {}
    }
    match opcode {
        // §5.2: an unknown opcode MUST fail the connection.
        OpCode::Bad => Err(ProtocolError::ReservedOpCode),
        // §5.5: control frames MUST have 125 bytes or less, and MUST NOT be fragmented.
        OpCode::Close | OpCode::Ping | OpCode::Pong if !fin => Err(ProtocolError::FragmentedControl),
        OpCode::Close | OpCode::Ping | OpCode::Pong if u64::from(len7) > MAX_CONTROL => {
            Err(ProtocolError::ControlTooLong)
        }
        OpCode::Close | OpCode::Ping | OpCode::Pong => Ok(()),
        // §5.4: fragments of one message MUST NOT be interleaved with another one.
        OpCode::Continue if !rules.in_message => Err(ProtocolError::LoneContinuation),
        OpCode::Text | OpCode::Binary if rules.in_message => Err(ProtocolError::InterruptedMessage),
        OpCode::Continue | OpCode::Text | OpCode::Binary => Ok(()),
    }
}

/// Reads the length; returns it with what follows and how many bytes the long forms took.
#[expect(clippy::type_complexity, reason = "three values of one place, used there only")]
#[inline]
fn parse_length(len7: u8, rest: &[u8]) -> Result<Option<(u64, &[u8], usize)>, ProtocolError> {
    match len7 {
        126 => {
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            let len = u64::from(u16::from_be_bytes(*bytes));
            // §5.2: the minimal number of bytes MUST be used.
            if len <= 125 { Err(ProtocolError::NonMinimalLength) } else { Ok(Some((len, rest, 2))) }
        }
        127 => {
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            match u64::from_be_bytes(*bytes) {
                0..=0xffff => Err(ProtocolError::NonMinimalLength),
                // §5.2: the most significant bit MUST be 0.
                len if len > u64::MAX >> 1 => Err(ProtocolError::LengthOverflow),
                len => Ok(Some((len, rest, 8))),
            }
        }
        len => Ok(Some((u64::from(len), rest, 0))),
    }
}

/// The limits, enforced on what the header announces: nothing of the payload is awaited, or stored.
#[inline]
fn check_limits(fin: bool, rsv: u8, opcode: OpCode, len: u64, rules: &Rules) -> Result<(), ProtocolError> {
    if opcode.is_control() {
        return Ok(());
    }
    if len > rules.max_frame {
        return Err(ProtocolError::FrameTooLong);
    }
    let slack = if rsv & RSV1 != 0 { rules.slack } else { 0 };
    if len > rules.room.bytes.saturating_add(slack) {
        return Err(ProtocolError::MessageTooLong);
    }
    let is_fragment = !fin || opcode == OpCode::Continue;
    if is_fragment && (rules.room.fragments == 0 || (len == 0 && rules.room.empty_fragments == 0)) {
        return Err(ProtocolError::TooManyFragments);
    }
    Ok(())
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
