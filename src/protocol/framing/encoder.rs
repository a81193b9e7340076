//! Where frames are written to, and how (§5.2, §5.3, §5.4).

use std::ops::Range;
use std::sync::Arc;

use super::frame::{Frame, Payload, len64};
use super::header::{Header, MAX_HEADER, OpCode};
use super::mask;
use crate::message::Message;
use crate::protocol::{Role, buffer_pool};

/// Takes the bytes that are to be sent, in order.
///
/// A `Vec<u8>` is an output that copies everything into itself. An output of a front end may keep large payloads as
/// they are, and hand them to the system from where they lie.
pub trait Output {
    /// The payloads of this length and more, in bytes, are given to [`append`](Self::append); shorter ones are copied.
    const KEEPS_FROM: usize = usize::MAX;

    /// Returns the buffer to which the next bytes are to be appended.
    fn buffer(&mut self) -> &mut Vec<u8>;

    /// Takes a piece of a payload that is ready for the wire, without copying it if it can.
    fn append(&mut self, payload: &Arc<Vec<u8>>, piece: Range<usize>) {
        let piece = payload.get(piece).unwrap_or_default();
        self.buffer().extend_from_slice(piece);
    }
}

impl Output for Vec<u8> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        self
    }
}

/// Writes a frame as an endpoint of the given role sends it: masked by a client (§5.1), data that is longer than
/// `fragment_size` in fragments (§5.4).
#[inline]
pub(crate) fn write_frame<O: Output>(frame: Frame, role: Role, fragment_size: usize, out: &mut O) {
    let len = frame.as_slice().len();
    if len < O::KEEPS_FROM && (len <= fragment_size || frame.is_control()) {
        write_whole(frame.header(), frame.as_slice(), role, out);
        return recycle(frame);
    }
    let pieces = Pieces { len, size: if frame.is_control() { usize::MAX } else { fragment_size.max(1) } };
    let first = Header { key: None, ..frame.header() };
    if len >= O::KEEPS_FROM {
        write_kept(&first, frame.into_payload(), role, pieces, out);
    } else {
        write_copied(&first, frame.as_slice(), role, pieces, out);
        recycle(frame);
    }
}

/// Writes a message as [`write_frame`] writes the frame that it would be.
#[inline]
pub(crate) fn write_message<O: Output>(message: Message, role: Role, fragment_size: usize, out: &mut O) {
    let len = message.len();
    if len >= O::KEEPS_FROM || len > fragment_size {
        return write_frame(Frame::from(message), role, fragment_size, out);
    }
    let opcode = if message.is_text() { OpCode::Text } else { OpCode::Binary };
    let header = Header { fin: true, rsv: 0, opcode, key: None, len: len64(len) };
    write_whole(header, message.as_bytes(), role, out);
    buffer_pool::give(message.into_data());
}

/// Writes a frame that is copied, and not cut, as nearly all are.
#[inline]
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

#[inline]
fn recycle(frame: Frame) {
    if let Some(buffer) = frame.into_buffer() {
        buffer_pool::give(buffer);
    }
}

/// A payload cut into pieces of at most `size` bytes; an empty payload is one piece.
#[derive(Clone, Copy)]
struct Pieces {
    len: usize,
    size: usize,
}

impl Pieces {
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

    /// The header of one piece: the first has the opcode and the reserved bits, the last has FIN if the frame has it.
    #[inline]
    fn header(self, whole: &Header, piece: &Range<usize>, role: Role) -> Header {
        let is_first = piece.start == 0;
        Header {
            fin: whole.fin && piece.end == self.len,
            rsv: if is_first { whole.rsv } else { 0 },
            opcode: if is_first { whole.opcode } else { OpCode::Continue },
            // §5.3: a client picks a fresh key for every frame.
            key: (role == Role::Client).then(mask::fresh_key),
            len: len64(piece.len()),
        }
    }
}

#[inline]
fn write_copied<O: Output>(whole: &Header, payload: &[u8], role: Role, pieces: Pieces, out: &mut O) {
    let out = out.buffer();
    for piece in pieces.iter() {
        let header = pieces.header(whole, &piece, role);
        header.encode(out);
        let start = out.len();
        out.extend_from_slice(payload.get(piece).unwrap_or_default());
        if let (Some(key), Some(copy)) = (header.key, out.get_mut(start..)) {
            mask::apply(key, 0, copy);
        }
    }
}

fn write_kept<O: Output>(whole: &Header, payload: Payload, role: Role, pieces: Pieces, out: &mut O) {
    // A server's payload goes out as it is, shared or not. A client's is masked in place; one that others hold as well
    // becomes a copy first, so that nobody sees it masked.
    let headers: Vec<_> = pieces.iter().map(|piece| (pieces.header(whole, &piece, role), piece)).collect();
    let payload = match (role, payload) {
        (Role::Server, Payload::Shared(shared, _)) => shared,
        (_, payload) => {
            let mut bytes = payload.into_vec();
            for (header, piece) in &headers {
                if let (Some(key), Some(part)) = (header.key, bytes.get_mut(piece.clone())) {
                    mask::apply(key, 0, part);
                }
            }
            Arc::new(bytes)
        }
    };
    for (header, piece) in headers {
        header.encode(out.buffer());
        out.append(&payload, piece);
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
    fn s5_4_cut_into_fragments() {
        assert_eq!(written(0, 4, Role::Server), [0x82, 0]);
        assert_eq!(written(4, 4, Role::Server), [0x82, 4, 7, 7, 7, 7]);
        assert_eq!(written(5, 4, Role::Server), [0x02, 4, 7, 7, 7, 7, 0x80, 1, 7]);
        assert_eq!(written(2, 0, Role::Server), [0x02, 1, 7, 0x80, 1, 7]);
    }

    #[test]
    fn f9_every_fragment_has_its_own_key() {
        let out = written(8, 4, Role::Client);
        assert_eq!(out.len(), 2 * (2 + 4 + 4));
        assert_ne!(out[2..6], out[12..16]);
    }

    /// Keeps every payload, as an output of a front end may.
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
    fn f10_masking_leaves_a_shared_payload_as_it_is() {
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
