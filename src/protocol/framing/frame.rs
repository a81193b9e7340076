//! A complete frame (§5.2).

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::header::{Header, MAX_CONTROL, OpCode, RSV1};
use super::mask::{self, Key};
use crate::close::{self, CloseCode};
use crate::message::Message;
use crate::protocol::ProtocolError;
use crate::protocol::deflate::Cache;

/// A frame: its bits, its opcode and its payload. The payload is never masked.
///
/// # Examples
///
/// ```
/// use sockeye::{Frame, OpCode};
///
/// let mut frame = Frame::message(b"upstream".to_vec(), OpCode::Text, true);
/// frame.payload_mut().make_ascii_uppercase();
/// assert_eq!(frame.payload(), b"UPSTREAM");
/// assert!(frame.is_final() && !frame.is_control());
/// ```
#[derive(Debug, Clone)]
pub struct Frame {
    fin: bool,
    rsv: u8,
    opcode: OpCode,
    key: Option<Key>,
    payload: Payload,
    /// The reserved bits that the core itself understands.
    understood: u8,
    is_compressible: bool,
}

/// The payload of a frame, in the form that avoids copies.
#[derive(Debug, Clone)]
#[expect(clippy::box_collection, reason = "frames are smaller for it, and few programs ask for that copy")]
pub(crate) enum Payload {
    Bytes(Vec<u8>),
    /// Text that is known to be UTF-8. The copy is made when the bytes are requested by reference.
    Text(String, OnceLock<Box<Vec<u8>>>),
    /// One payload for many receivers, with its compressed forms. It is copied before it is changed.
    Shared(Arc<Vec<u8>>, Cache),
}

impl Payload {
    #[inline]
    pub(crate) fn text(text: String) -> Self {
        Self::Text(text, OnceLock::new())
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Text(text, _) => text.as_bytes(),
            Self::Shared(bytes, _) => bytes,
        }
    }

    #[inline]
    pub(crate) fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Text(text, _) => text.into_bytes(),
            Self::Shared(bytes, _) => Arc::unwrap_or_clone(bytes),
        }
    }
}

impl Frame {
    /// Creates a frame that is a data message or a fragment of one.
    ///
    /// `code` is [`OpCode::Continue`], [`OpCode::Text`] or [`OpCode::Binary`]; a frame with any other cannot be
    /// sent.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn message(data: Vec<u8>, code: OpCode, finished: bool) -> Self {
        Self::new(finished, code, Payload::Bytes(data))
    }

    /// Creates a Pong (§5.5.3). It cannot be sent with more than 125 bytes.
    ///
    /// See the example of [`ping`](Self::ping).
    pub fn pong(data: Vec<u8>) -> Self {
        Self::new(true, OpCode::Pong, Payload::Bytes(data))
    }

    /// Creates a Ping (§5.5.2). It cannot be sent with more than 125 bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Frame, OpCode};
    ///
    /// let ping = Frame::ping(b"still there?".to_vec());
    /// let pong = Frame::pong(ping.payload().clone());
    /// assert_eq!((ping.opcode(), pong.opcode()), (OpCode::Ping, OpCode::Pong));
    /// assert!(ping.is_control());
    /// ```
    pub fn ping(data: Vec<u8>) -> Self {
        Self::new(true, OpCode::Ping, Payload::Bytes(data))
    }

    /// Creates a Close frame (§5.5.1).
    ///
    /// The payload is empty for the codes that mean "no code" ([`CloseCode::Status`], `CloseCode::Empty`). A reason that is
    /// longer than 123 bytes is truncated at a character boundary.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{CloseCode, Frame};
    ///
    /// let close = Frame::close(CloseCode::Normal, "done");
    /// assert_eq!(close.payload(), b"\x03\xe8done");
    /// assert!(Frame::close(CloseCode::Status, "").payload().is_empty());
    /// ```
    pub fn close(code: CloseCode, reason: &str) -> Self {
        Self::new(true, OpCode::Close, Payload::Bytes(close::encode_payload(code, reason)))
    }

    #[inline]
    pub(crate) fn new(fin: bool, opcode: OpCode, payload: Payload) -> Self {
        Self { fin, rsv: 0, opcode, key: None, payload, understood: 0, is_compressible: true }
    }

    #[inline]
    pub(crate) fn with_header(header: &Header, payload: Payload) -> Self {
        Self { rsv: header.rsv, ..Self::new(header.fin, header.opcode, payload) }
    }

    /// Returns the length of the encoded frame in bytes, header included.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Frame;
    ///
    /// let mut pong = Frame::pong(vec![1, 2, 3]);
    /// assert_eq!((pong.len(), pong.payload().len(), pong.is_empty()), (5, 3, false));
    /// assert_eq!(pong.set_mask().len(), 9);
    /// ```
    pub fn len(&self) -> usize {
        self.header().encoded_len().saturating_add(self.payload.as_slice().len())
    }

    /// Returns false: a frame has a header, whatever its payload.
    ///
    /// See the example of [`len`](Self::len).
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Returns whether this is the last frame of its message.
    ///
    /// See the [example](Self#examples) of this type.
    #[inline]
    pub fn is_final(&self) -> bool {
        self.fin
    }

    /// Returns the first reserved bit.
    ///
    /// See the example of [`set_final`](Self::set_final).
    #[inline]
    pub fn has_rsv1(&self) -> bool {
        self.rsv & 0x40 != 0
    }

    /// Returns the second reserved bit.
    ///
    /// See the example of [`set_final`](Self::set_final).
    pub fn has_rsv2(&self) -> bool {
        self.rsv & 0x20 != 0
    }

    /// Returns the third reserved bit.
    ///
    /// See the example of [`set_final`](Self::set_final).
    pub fn has_rsv3(&self) -> bool {
        self.rsv & 0x10 != 0
    }

    /// Returns the opcode.
    ///
    /// See the example of [`set_final`](Self::set_final).
    #[inline]
    pub fn opcode(&self) -> OpCode {
        self.opcode
    }

    /// Returns whether this is a control frame (§5.5).
    ///
    /// See the [example](Self#examples) of this type.
    #[inline]
    pub fn is_control(&self) -> bool {
        self.opcode.is_control()
    }

    /// Returns the payload.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn payload(&self) -> &Vec<u8> {
        match &self.payload {
            Payload::Bytes(bytes) => bytes,
            Payload::Text(text, bytes) => bytes.get_or_init(|| Box::new(text.as_bytes().to_vec())),
            Payload::Shared(bytes, _) => bytes,
        }
    }

    /// Returns whether a key was set with [`set_mask`](Self::set_mask).
    ///
    /// See the example of [`set_mask`](Self::set_mask).
    #[doc(hidden)]
    pub fn is_masked(&self) -> bool {
        self.key.is_some()
    }

    /// Returns the key that was set with [`set_mask`](Self::set_mask).
    ///
    /// See the example of [`set_mask`](Self::set_mask).
    #[doc(hidden)]
    pub fn mask(&self) -> Option<&[u8; 4]> {
        self.key.as_ref()
    }

    /// Sets whether this is the last frame of its message.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Frame, OpCode};
    ///
    /// let mut frame = Frame::message(b"sal".to_vec(), OpCode::Text, true);
    /// frame.set_final(false).set_rsv1(true).set_rsv2(true).set_rsv3(true).set_opcode(OpCode::Binary);
    /// assert!(!frame.is_final() && frame.has_rsv1() && frame.has_rsv2() && frame.has_rsv3());
    /// assert_eq!(frame.opcode(), OpCode::Binary);
    /// ```
    pub fn set_final(&mut self, is_final: bool) -> &mut Self {
        self.fin = is_final;
        self
    }

    /// Sets the first reserved bit, which requires a negotiated extension.
    ///
    /// See the example of [`set_final`](Self::set_final).
    pub fn set_rsv1(&mut self, has_rsv1: bool) -> &mut Self {
        self.set_rsv(0x40, has_rsv1)
    }

    /// Sets the second reserved bit, which requires a negotiated extension.
    ///
    /// See the example of [`set_final`](Self::set_final).
    pub fn set_rsv2(&mut self, has_rsv2: bool) -> &mut Self {
        self.set_rsv(0x20, has_rsv2)
    }

    /// Sets the third reserved bit, which requires a negotiated extension.
    ///
    /// See the example of [`set_final`](Self::set_final).
    pub fn set_rsv3(&mut self, has_rsv3: bool) -> &mut Self {
        self.set_rsv(0x10, has_rsv3)
    }

    fn set_rsv(&mut self, bit: u8, value: bool) -> &mut Self {
        self.rsv = if value { self.rsv | bit } else { self.rsv & !bit };
        self
    }

    /// Returns whether a reserved bit is set to which only an extension of the program can give a meaning. This is every bit except
    /// RSV1 on a message that was received with negotiated compression (RFC 7692 §6).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Frame, OpCode};
    ///
    /// let mut frame = Frame::message(b"salmon".to_vec(), OpCode::Text, true);
    /// assert!(!frame.has_foreign_bits());
    /// frame.set_rsv2(true);
    /// assert!(frame.has_foreign_bits());
    /// ```
    #[inline]
    pub fn has_foreign_bits(&self) -> bool {
        self.rsv & !self.understood != 0
    }

    /// Marks RSV1 as understood, on the frames on which it means compression (RFC 7692 §6).
    #[inline]
    pub(crate) fn understand_compression(&mut self) {
        if matches!(self.opcode, OpCode::Text | OpCode::Binary) {
            self.understood = RSV1;
        }
    }

    /// Sets whether the frame may be compressed when it is sent. Default: `true`. This applies to whole messages, on connections
    /// with permessage-deflate.
    ///
    /// Set it to `false` for data that is already compressed, and for secrets that are sent together with text that an attacker
    /// can choose: the length of the compressed message would reveal them (RFC 7692 §8).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Frame, OpCode};
    ///
    /// let mut frame = Frame::message(b"a picture".to_vec(), OpCode::Binary, true);
    /// assert!(frame.is_compressible());
    /// frame.set_compressible(false);
    /// assert!(!frame.is_compressible());
    /// ```
    pub fn set_compressible(&mut self, is_compressible: bool) -> &mut Self {
        self.is_compressible = is_compressible;
        self
    }

    /// Returns whether the frame may be compressed when it is sent.
    ///
    /// See the example of [`set_compressible`](Self::set_compressible).
    #[inline]
    pub fn is_compressible(&self) -> bool {
        self.is_compressible
    }

    /// Sets the opcode.
    ///
    /// See the example of [`set_final`](Self::set_final).
    pub fn set_opcode(&mut self, opcode: OpCode) -> &mut Self {
        self.opcode = opcode;
        self
    }

    /// Returns the payload for changes.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn payload_mut(&mut self) -> &mut Vec<u8> {
        if !matches!(self.payload, Payload::Bytes(_)) {
            let payload = std::mem::replace(&mut self.payload, Payload::Bytes(Vec::new()));
            self.payload = Payload::Bytes(payload.into_vec());
        }
        let Payload::Bytes(bytes) = &mut self.payload else { unreachable!("made into bytes just above") };
        bytes
    }

    /// Sets a fresh masking key, for a frame that the program encodes itself. Frames that are sent through a connection are masked
    /// according to its role.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Frame, OpCode};
    ///
    /// let mut frame = Frame::message(b"salmon".to_vec(), OpCode::Text, true);
    /// frame.set_mask();
    /// assert!(frame.is_masked() && frame.mask().is_some());
    /// let mut bytes = Vec::new();
    /// frame.format(&mut bytes)?;
    /// assert_eq!(&bytes[..2], [0x81, 0x80 | 6]);
    /// frame.remove_mask();
    /// assert_eq!(frame.into_data(), b"salmon");
    /// # sockeye::Result::Ok(())
    /// ```
    #[doc(hidden)]
    pub fn set_mask(&mut self) -> &mut Self {
        self.key = Some(mask::fresh_key());
        self
    }

    /// Removes the masking key.
    ///
    /// See the example of [`set_mask`](Self::set_mask).
    #[doc(hidden)]
    pub fn remove_mask(&mut self) -> &mut Self {
        self.key = None;
        self
    }

    /// Returns the payload by value.
    ///
    /// See the example of [`set_mask`](Self::set_mask).
    #[inline]
    pub fn into_data(self) -> Vec<u8> {
        self.payload.into_vec()
    }

    #[inline]
    pub(crate) fn into_payload(self) -> Payload {
        self.payload
    }

    #[cfg(feature = "permessage-deflate")]
    pub(crate) fn as_payload(&self) -> &Payload {
        &self.payload
    }

    /// The buffer of the payload, unless it is shared.
    #[inline]
    pub(crate) fn into_buffer(self) -> Option<Vec<u8>> {
        match self.payload {
            Payload::Bytes(bytes) => Some(bytes),
            Payload::Text(text, _) => Some(text.into_bytes()),
            Payload::Shared(..) => None,
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.payload.as_slice()
    }

    /// Returns whether this is a copy of another frame that nothing has changed. They share their payload.
    #[cfg(feature = "reactor")]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let (Payload::Shared(mine, _), Payload::Shared(others, _)) = (&self.payload, &other.payload) else {
            return false;
        };
        Arc::ptr_eq(mine, others)
            && (self.fin, self.rsv, self.opcode, self.key) == (other.fin, other.rsv, other.opcode, other.key)
    }

    /// Creates a frame of a message for many receivers. Its clones share the payload until one of them is changed.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Frame, Message};
    ///
    /// let frame = Frame::shared(Message::text("to everybody"));
    /// let receivers = vec![frame; 1000];
    /// assert_eq!(receivers[999].clone().into_data(), b"to everybody");
    /// ```
    pub fn shared(message: Message) -> Self {
        let opcode = message.opcode();
        Self::new(true, opcode, Payload::Shared(Arc::new(message.into_data()), Cache::new()))
    }

    /// Decodes a frame at the front of `bytes`, and returns it with its length. `None` means that it is incomplete.
    pub(crate) fn parse_bytes(
        bytes: &[u8],
        max_payload_length: u64,
    ) -> Result<Option<(Self, u64)>, ProtocolError> {
        let Some((header, header_len)) = Header::decode(bytes, max_payload_length)? else {
            return Ok(None);
        };
        let payload = bytes.get(header_len..).unwrap_or_default();
        let Some(payload) = usize::try_from(header.len).ok().and_then(|len| payload.get(..len)) else {
            return Ok(None);
        };
        let mut payload = payload.to_vec();
        if let Some(key) = header.key {
            mask::apply(key, 0, &mut payload);
        }
        let len = len64(header_len).saturating_add(header.len);
        Ok(Some((Self::with_header(&header, Payload::Bytes(payload)), len)))
    }

    /// Appends the encoded frame, masked with the key that was set.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let header = self.header();
        header.encode(out);
        let start = out.len();
        out.extend_from_slice(self.as_slice());
        if let (Some(key), Some(payload)) = (header.key, out.get_mut(start..)) {
            mask::apply(key, 0, payload);
        }
    }

    /// The header of the frame if it is not split.
    #[inline]
    pub(crate) fn header(&self) -> Header {
        Header {
            fin: self.fin,
            rsv: self.rsv,
            opcode: self.opcode,
            key: self.key,
            len: len64(self.payload.as_slice().len()),
        }
    }

    /// Whether the frame may be sent: it has no reserved opcode (§5.2), is no long or fragmented control frame (§5.5), and no Close
    /// with a payload that the peer would have to reject (§5.5.1).
    #[inline]
    pub(crate) fn is_sendable(&self) -> bool {
        !self.is_control() || self.is_sendable_control()
    }

    fn is_sendable_control(&self) -> bool {
        let fits = self.fin && self.as_slice().len() <= usize::from(MAX_CONTROL);
        match self.opcode {
            OpCode::Close => fits && close::parse_payload(self.as_slice()).is_ok(),
            OpCode::Ping | OpCode::Pong => fits,
            _ => false,
        }
    }
}

impl Default for Frame {
    /// Creates an empty Close frame, as in `ws`.
    fn default() -> Self {
        Self::close(CloseCode::Empty, "")
    }
}

impl From<Message> for Frame {
    #[inline]
    fn from(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::new(true, OpCode::Text, Payload::text(text)),
            Message::Binary(bytes) => Self::new(true, OpCode::Binary, Payload::Bytes(bytes)),
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "<FRAME>")?;
        writeln!(f, "final: {}", self.fin)?;
        writeln!(f, "reserved: {} {} {}", self.has_rsv1(), self.has_rsv2(), self.has_rsv3())?;
        writeln!(f, "opcode: {}", self.opcode)?;
        writeln!(f, "payload length: {}", self.as_slice().len())?;
        writeln!(f, "payload: 0x{}", Hex(self.as_slice()))
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Converts a length in memory to a length on the wire, which has 64 bits.
pub(crate) fn len64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

impl Message {
    /// Returns the opcode of the frame that begins this message.
    ///
    /// See the example of [`OpCode`].
    #[doc(hidden)]
    #[inline]
    pub fn opcode(&self) -> OpCode {
        match self {
            Self::Text(_) => OpCode::Text,
            Self::Binary(_) => OpCode::Binary,
        }
    }
}
