//! Frames to bytes (§5.2), with masking (§5.3) and fragmentation (§5.4).

use std::ops::Range;
use std::sync::Arc;

use super::frame::{Frame, Payload, len64};
use super::header::{Header, MAX_HEADER, OpCode};
use super::mask::{self, Key};
#[cfg(feature = "reactor")]
use super::message_ref::{Content, MessageRef};
use crate::message::Message;
use crate::protocol::{Role, buffer_pool};

/// Receives the bytes to send, in order.
///
/// A `Vec<u8>` copies everything into itself. An output of a front end may store large payloads without copying them, and
/// pass them to the system from there.
pub trait Output {
    /// Payloads of at least this length in bytes are passed to [`append`](Self::append). Shorter ones are copied into
    /// [`buffer`](Self::buffer).
    const KEEPS_FROM: usize = usize::MAX;

    /// Returns from which length on payloads are kept, in bytes, if that depends on the output. It is at least
    /// [`KEEPS_FROM`](Self::KEEPS_FROM), which is the default.
    fn keeps_from(&self) -> usize {
        Self::KEEPS_FROM
    }

    /// Returns the buffer to which the next bytes must be appended.
    fn buffer(&mut self) -> &mut Vec<u8>;

    /// Appends a piece of a payload that is ready to send. By default it is copied into the buffer.
    fn append(&mut self, payload: &Arc<Vec<u8>>, piece: Range<usize>) {
        let piece = payload.get(piece).unwrap_or_default();
        self.buffer().extend_from_slice(piece);
    }

    /// Appends a payload that is ready to send, is not split and belongs to nothing else. By default it is passed to
    /// [`append`](Self::append).
    fn append_owned(&mut self, payload: Vec<u8>) {
        let len = payload.len();
        self.append(&Arc::new(payload), 0..len);
    }
}

impl Output for Vec<u8> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        self
    }
}

/// What can be encoded: a frame, or a message, which is a frame by itself.
pub(crate) trait Encode: Into<Frame> {
    /// Whether the RFC allows to send it.
    fn is_sendable(&self) -> bool;

    /// Whether a reserved bit is set that only an extension of the program understands.
    #[cfg(feature = "reactor")]
    fn has_foreign_bits(&self) -> bool;

    /// Its header, if it is not split.
    fn header(&self) -> Header;

    fn payload(&self) -> &[u8];

    /// The buffer of its payload, unless it is shared.
    fn into_buffer(self) -> Option<Vec<u8>>;
}

impl Encode for Frame {
    #[inline]
    fn is_sendable(&self) -> bool {
        self.is_sendable()
    }

    #[cfg(feature = "reactor")]
    #[inline]
    fn has_foreign_bits(&self) -> bool {
        self.has_foreign_bits()
    }

    #[inline]
    fn header(&self) -> Header {
        self.header()
    }

    #[inline]
    fn payload(&self) -> &[u8] {
        self.as_slice()
    }

    #[inline]
    fn into_buffer(self) -> Option<Vec<u8>> {
        self.into_buffer()
    }
}

impl Encode for Message {
    #[inline]
    fn is_sendable(&self) -> bool {
        true
    }

    #[cfg(feature = "reactor")]
    #[inline]
    fn has_foreign_bits(&self) -> bool {
        false
    }

    #[inline]
    fn header(&self) -> Header {
        Header { fin: true, rsv: 0, opcode: self.opcode(), key: None, len: len64(self.len()) }
    }

    #[inline]
    fn payload(&self) -> &[u8] {
        self.as_bytes()
    }

    #[inline]
    fn into_buffer(self) -> Option<Vec<u8>> {
        Some(self.into_data())
    }
}

/// Encodes a frame as an endpoint of the given role sends it. A client masks it (§5.1). Data that is longer than
/// `fragment_size` bytes is split into fragments (§5.4).
///
/// The path of a frame that is copied is always inlined into the function that sends, because the header and the result of each
/// call would pass through memory. Without that, an echo of 20 bytes in the event loop takes about 85 instructions more
/// (callgrind).
#[inline(always)]
pub(crate) fn write_frame<O: Output, F: Encode>(frame: F, role: Role, fragment_size: usize, out: &mut O) {
    let (header, len) = (frame.header(), frame.payload().len());
    if len < O::KEEPS_FROM && (len <= fragment_size || header.opcode.is_control()) {
        write_whole(header, frame.payload(), role, out);
        if let Some(buffer) = frame.into_buffer() {
            buffer_pool::give(buffer);
        }
    } else {
        write_pieces(frame.into(), role, fragment_size, out);
    }
}

/// Borrowed messages of at most this length are copied into the output, in bytes. Longer ones receive memory of their own, which
/// the output can keep.
#[cfg(feature = "reactor")]
const MAX_COPIED: usize = 64 * 1024;

/// Encodes a borrowed message as a server sends it, as [`write_frame`] does.
#[cfg(feature = "reactor")]
#[inline(always)]
pub(crate) fn write_message<O: Output>(message: MessageRef<'_>, fragment_size: usize, out: &mut O) {
    let len = message.len();
    let is_owned = matches!(message.0, Content::Whole(_) | Content::Forwarded(_));
    if is_owned || len > MAX_COPIED.min(fragment_size) {
        return write_frame(message.into_owned(), Role::Server, fragment_size, out);
    }
    let out = out.buffer();
    out.reserve(len.saturating_add(MAX_HEADER));
    Header { fin: true, rsv: 0, opcode: message.opcode(), key: None, len: len64(len) }.encode(out);
    match message.0 {
        Content::Text(text) => out.extend_from_slice(text.as_bytes()),
        Content::Bytes(bytes) => out.extend_from_slice(bytes),
        Content::Masked(bytes, key) => mask::append(key, bytes, out),
        Content::Whole(message) | Content::Forwarded(message) => out.extend_from_slice(message.as_bytes()),
    }
}

/// Encodes a frame that is split, or whose payload the output keeps.
#[inline(never)]
fn write_pieces<O: Output>(frame: Frame, role: Role, fragment_size: usize, out: &mut O) {
    let len = frame.as_slice().len();
    let pieces = Pieces { len, size: if frame.is_control() { usize::MAX } else { fragment_size.max(1) } };
    let first = Header { key: None, ..frame.header() };
    if len >= out.keeps_from() {
        write_kept(&first, frame.into_payload(), role, pieces, out);
    } else {
        write_copied(&first, frame.as_slice(), role, pieces, out);
        if let Some(buffer) = frame.into_buffer() {
            buffer_pool::give(buffer);
        }
    }
}

/// Encodes a frame that is copied and not split, as nearly all are.
#[inline(always)]
fn write_whole<O: Output>(header: Header, payload: &[u8], role: Role, out: &mut O) {
    let key = (role == Role::Client).then(mask::fresh_key);
    let out = out.buffer();
    out.reserve(payload.len().saturating_add(MAX_HEADER));
    Header { key, ..header }.encode(out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let (Some(key), Some(copy)) = (key, out.get_mut(start..)) {
        mask::apply(key, 0, copy);
    }
}

/// A payload of `len` bytes split into pieces of at most `size` bytes. An empty payload is one piece.
#[derive(Clone, Copy)]
struct Pieces {
    len: usize,
    size: usize,
}

impl Pieces {
    /// Whether the payload is not split.
    fn is_one(self) -> bool {
        self.len <= self.size
    }

    #[inline]
    fn iter(self) -> impl Iterator<Item = Range<usize>> {
        let mut next = Some(0usize);
        std::iter::from_fn(move || {
            let start = next?;
            let end = start.saturating_add(self.size).min(self.len);
            next = (end < self.len).then_some(end);
            Some(start..end)
        })
    }

    /// Returns the header of one piece. The first piece has the opcode and the reserved bits (§5.4), and the last has FIN if the
    /// frame has it.
    #[inline]
    fn header(self, whole: &Header, piece: &Range<usize>, key: Option<Key>) -> Header {
        let is_first = piece.start == 0;
        Header {
            fin: whole.fin && piece.end == self.len,
            rsv: if is_first { whole.rsv } else { 0 },
            opcode: if is_first { whole.opcode } else { OpCode::Continue },
            key,
            len: len64(piece.len()),
        }
    }
}

#[inline]
fn write_copied<O: Output>(whole: &Header, payload: &[u8], role: Role, pieces: Pieces, out: &mut O) {
    let out = out.buffer();
    for piece in pieces.iter() {
        // §5.3: "The masking key needs to be unpredictable", and fresh for every frame.
        let header = pieces.header(whole, &piece, (role == Role::Client).then(mask::fresh_key));
        header.encode(out);
        let start = out.len();
        out.extend_from_slice(payload.get(piece).unwrap_or_default());
        if let (Some(key), Some(copy)) = (header.key, out.get_mut(start..)) {
            mask::apply(key, 0, copy);
        }
    }
}

fn write_kept<O: Output>(whole: &Header, payload: Payload, role: Role, pieces: Pieces, out: &mut O) {
    // The payload of a server is sent as it is, shared or not. That of a client is masked in place, after it has been copied
    // if it is shared, so that other owners never see it masked.
    match (role, payload) {
        (Role::Server, Payload::Shared(shared, _)) => append_pieces(whole, &shared, &[], pieces, out),
        (_, payload) if pieces.is_one() => {
            let mut bytes = payload.into_vec();
            let key = (role == Role::Client).then(mask::fresh_key);
            if let Some(key) = key {
                mask::apply(key, 0, &mut bytes);
            }
            Header { key, ..*whole }.encode(out.buffer());
            out.append_owned(bytes);
        }
        (Role::Server, payload) => append_pieces(whole, &Arc::new(payload.into_vec()), &[], pieces, out),
        (Role::Client, payload) => {
            let mut bytes = payload.into_vec();
            let mut keys = Vec::new();
            for piece in pieces.iter() {
                let key = mask::fresh_key();
                mask::apply(key, 0, bytes.get_mut(piece).unwrap_or_default());
                keys.push(key);
            }
            append_pieces(whole, &Arc::new(bytes), &keys, pieces, out);
        }
    }
}

/// Appends a payload in pieces, each of which has its own header. A client has a key for each piece.
fn append_pieces<O: Output>(
    whole: &Header,
    payload: &Arc<Vec<u8>>,
    keys: &[Key],
    pieces: Pieces,
    out: &mut O,
) {
    let mut keys = keys.iter().copied();
    for piece in pieces.iter() {
        pieces.header(whole, &piece, keys.next()).encode(out.buffer());
        out.append(payload, piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::deflate::Cache;

    fn written(len: usize, size: usize, role: Role) -> Vec<u8> {
        let mut out = Vec::new();
        write_frame(Frame::message(vec![7; len], OpCode::Binary, true), role, size, &mut out);
        out
    }

    #[test]
    fn s5_4_messages_are_split_into_fragments() {
        assert_eq!(written(0, 4, Role::Server), [0x82, 0]);
        assert_eq!(written(4, 4, Role::Server), [0x82, 4, 7, 7, 7, 7]);
        assert_eq!(written(5, 4, Role::Server), [0x02, 4, 7, 7, 7, 7, 0x80, 1, 7]);
        assert_eq!(written(2, 0, Role::Server), [0x02, 1, 7, 0x80, 1, 7]);
    }

    #[test]
    fn f9_every_fragment_has_a_fresh_masking_key() {
        let out = written(8, 4, Role::Client);
        assert_eq!(out.len(), 2 * (2 + 4 + 4));
        assert_ne!(out[2..6], out[12..16]);
    }

    /// An output that keeps every payload.
    #[derive(Default)]
    struct Keeping {
        bytes: Vec<u8>,
        kept: Vec<Arc<Vec<u8>>>,
    }

    impl Output for Keeping {
        const KEEPS_FROM: usize = 1;

        fn buffer(&mut self) -> &mut Vec<u8> {
            &mut self.bytes
        }

        fn append(&mut self, payload: &Arc<Vec<u8>>, piece: Range<usize>) {
            self.kept.push(Arc::clone(payload));
            self.bytes.extend_from_slice(&payload[piece]);
        }
    }

    #[test]
    fn f10_masking_does_not_change_a_shared_payload() {
        let shared = Arc::new(b"shared by many".to_vec());
        for role in [Role::Client, Role::Server] {
            let frame = Frame::new(true, OpCode::Binary, Payload::Shared(Arc::clone(&shared), Cache::new()));
            let mut out = Keeping::default();
            write_frame(frame, role, 5, &mut out);
            assert_eq!(**shared, *b"shared by many");
            assert_eq!(out.kept.iter().all(|kept| Arc::ptr_eq(kept, &shared)), role == Role::Server);
        }
    }
}
