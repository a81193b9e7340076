//! The output of one connection: small frames are joined, large payloads are kept where they are.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::memory::SharedBytes;
use crate::error::Error;
use crate::protocol::{self, buffer_pool};
use crate::tls::WRITE;

/// Payloads of at least this length are sent without being copied, in bytes. Shorter ones are cheaper to copy.
const KEEP_FROM: usize = 16 * 1024;

/// The same for encrypted sockets. What is encrypted together must be in one place, in full records.
const KEEP_ENCRYPTED_FROM: usize = WRITE;

/// The most slices that are passed to one write.
const MAX_PIECES: usize = 64;

/// A larger buffer is shrunk when it is empty, in bytes. The replies to one read fit into a buffer of this size.
const MAX_KEPT_CAPACITY: usize = 128 * 1024;

/// What kind of socket a queue is written to, which decides which payloads are kept where they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum SocketKind {
    #[default]
    Plain,
    Encrypted,
}

/// Bytes that the system has not accepted yet, in order.
///
/// Small frames, and the headers of large ones, are consecutive in `joined`. Usually there is nothing else. When a payload
/// is kept where it is, `pieces` contains the order of the payloads and of the parts of `joined`.
#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    joined: Vec<u8>,
    /// The length of the part of `joined` that has been sent.
    taken: usize,
    /// The length of the part of `joined` that has been sent or belongs to a piece. The rest follows all pieces.
    covered: usize,
    pieces: VecDeque<Piece>,
    /// How many bytes of the first piece have been sent, if it is a payload.
    sent: usize,
    /// The length of all payloads in `pieces`.
    kept: usize,
    /// How much memory those payloads occupy that belong to this connection alone.
    owned: usize,
    /// The length of the bytes in `pieces` that other connections hold as well.
    shared: usize,
    socket: SocketKind,
    /// Reading pauses until this time because so much is queued. It may be in the past.
    pub(super) held_until: Option<Instant>,
    /// Why a write has failed, until the input that was received before is processed.
    pub(super) failure: Option<Box<Error>>,
}

#[derive(Debug)]
enum Piece {
    /// This number of bytes of `joined`.
    Joined(usize),
    Payload(Arc<Vec<u8>>, Range<usize>),
    /// A payload that is not split.
    Owned(Vec<u8>),
    /// Frames that other connections hold as well.
    Shared(Arc<SharedBytes>),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Joined(len) => *len,
            Self::Payload(_, range) => range.len(),
            Self::Owned(payload) => payload.len(),
            Self::Shared(frames) => frames.len(),
        }
    }

    /// The memory of a payload counts with its last piece, which is the last one to be dropped.
    fn owned(&self) -> usize {
        match self {
            Self::Payload(payload, range) if range.end == payload.len() => payload.capacity(),
            Self::Owned(payload) => payload.capacity(),
            _ => 0,
        }
    }

    fn shared(&self) -> usize {
        match self {
            Self::Shared(frames) => frames.len(),
            _ => 0,
        }
    }

    /// The piece has been sent. The memory of a payload that nothing else holds is reused.
    #[inline]
    fn release(self) {
        let buffer = match self {
            Self::Owned(payload) => Some(payload),
            Self::Payload(payload, _) => Arc::into_inner(payload),
            Self::Joined(_) | Self::Shared(_) => None,
        };
        if let Some(buffer) = buffer {
            buffer_pool::give(buffer);
        }
    }
}

impl protocol::Output for WriteQueue {
    const KEEPS_FROM: usize = KEEP_FROM;

    fn keeps_from(&self) -> usize {
        match self.socket {
            SocketKind::Plain => KEEP_FROM,
            SocketKind::Encrypted => KEEP_ENCRYPTED_FROM,
        }
    }

    #[inline]
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.joined
    }

    fn append(&mut self, payload: &Arc<Vec<u8>>, piece: Range<usize>) {
        self.keep(Piece::Payload(Arc::clone(payload), piece));
    }

    fn append_owned(&mut self, payload: Vec<u8>) {
        self.keep(Piece::Owned(payload));
    }
}

impl WriteQueue {
    /// Creates a queue whose buffer has this capacity, in bytes.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { joined: Vec::with_capacity(capacity), ..Self::default() }
    }

    /// The queue is used for a socket of this kind.
    #[inline]
    pub(super) fn set_socket(&mut self, socket: SocketKind) {
        self.socket = socket;
    }

    /// Appends a copy of encoded frames.
    #[inline]
    pub(super) fn append_copy(&mut self, frames: &[u8]) {
        self.joined.extend_from_slice(frames);
    }

    /// Appends frames that other connections receive as well.
    pub(super) fn append_shared(&mut self, frames: &Arc<SharedBytes>) {
        self.keep(Piece::Shared(Arc::clone(frames)));
    }

    fn keep(&mut self, piece: Piece) {
        if self.covered < self.joined.len() {
            self.pieces.push_back(Piece::Joined(self.joined.len() - self.covered));
            self.covered = self.joined.len();
        }
        self.kept += piece.len();
        self.owned += piece.owned();
        self.shared += piece.shared();
        self.pieces.push_back(piece);
    }

    /// How much memory the output occupies that belongs to this connection alone, in bytes.
    pub(super) fn owned(&self) -> usize {
        self.joined.capacity() + self.owned + self.pieces.capacity() * size_of::<Piece>()
    }

    /// How much of the output other connections hold as well, in bytes.
    pub(super) fn shared(&self) -> usize {
        self.shared
    }

    /// The number of bytes that have not been sent.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.joined.len() - self.taken + self.kept - self.sent
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Passes the queued bytes to `write`, once, and returns how many of them were accepted.
    pub(super) fn write_with<E>(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let first = self.first();
        let written = if first.len() == self.len() {
            write(&[IoSlice::new(first)])?
        } else {
            self.write_pieces(write)?
        };
        self.advance(written);
        Ok(written)
    }

    /// Returns the bytes at the beginning that are in one place. Usually these are all.
    #[inline]
    fn first(&self) -> &[u8] {
        match self.pieces.front() {
            Some(Piece::Shared(frames)) => frames.get(self.sent..).unwrap_or_default(),
            Some(Piece::Payload(bytes, range)) => {
                bytes.get(range.start + self.sent..range.end).unwrap_or_default()
            }
            Some(Piece::Owned(payload)) => payload.get(self.sent..).unwrap_or_default(),
            Some(Piece::Joined(len)) => self.unsent_joined().get(..*len).unwrap_or_default(),
            None => self.unsent_joined(),
        }
    }

    /// Returns the part of `joined` that has not been sent.
    #[inline]
    fn unsent_joined(&self) -> &[u8] {
        self.joined.get(self.taken..).unwrap_or_default()
    }

    fn write_pieces<E>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> Result<usize, E>) -> Result<usize, E> {
        let mut joined = self.unsent_joined();
        let mut sent = self.sent;
        let mut slices = [IoSlice::new(&[]); MAX_PIECES];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(match piece {
                Piece::Joined(len) => joined.split_off(..*len).unwrap_or_default(),
                Piece::Payload(bytes, range) => {
                    let from = range.start + std::mem::take(&mut sent);
                    bytes.get(from..range.end).unwrap_or_default()
                }
                Piece::Owned(payload) => payload.get(std::mem::take(&mut sent)..).unwrap_or_default(),
                Piece::Shared(frames) => frames.get(std::mem::take(&mut sent)..).unwrap_or_default(),
            });
            count += 1;
        }
        // The part of `joined` that follows the last piece.
        if count == self.pieces.len()
            && !joined.is_empty()
            && let Some(slice) = slices.get_mut(count)
        {
            *slice = IoSlice::new(joined);
            count += 1;
        }
        write(slices.get(..count).unwrap_or_default())
    }

    #[inline]
    fn advance(&mut self, written: usize) {
        if written == self.len() {
            return self.clear();
        }
        let beyond = self.advance_pieces(written);
        self.taken += beyond;
        self.covered = self.covered.max(self.taken);
        self.forget();
    }

    /// Removes written bytes from the pieces, and returns how many bytes followed the last piece.
    fn advance_pieces(&mut self, mut written: usize) -> usize {
        while let Some(first) = self.pieces.front_mut() {
            let sent = if matches!(first, Piece::Joined(_)) { 0 } else { self.sent };
            let left = first.len() - sent;
            let is_all = written >= left;
            let part = written.min(left);
            match first {
                Piece::Joined(len) => {
                    *len -= part;
                    self.taken += part;
                }
                Piece::Payload(..) | Piece::Owned(_) | Piece::Shared(_) if is_all => {
                    self.kept -= first.len();
                    self.owned -= first.owned();
                    self.shared -= first.shared();
                    self.sent = 0;
                }
                Piece::Payload(..) | Piece::Owned(_) | Piece::Shared(_) => self.sent += part,
            }
            written -= part;
            if !is_all {
                break;
            }
            self.pieces.pop_front().into_iter().for_each(Piece::release);
        }
        written
    }

    /// Everything has been sent.
    #[inline]
    fn clear(&mut self) {
        while let Some(piece) = self.pieces.pop_front() {
            piece.release();
        }
        (self.sent, self.kept, self.owned, self.shared) = (0, 0, 0, 0);
        self.taken = self.joined.len();
        self.covered = self.taken;
        self.forget();
    }

    /// Frees the memory of bytes that have been sent, where that is cheap.
    #[inline]
    fn forget(&mut self) {
        if self.taken == self.joined.len() {
            self.joined.clear();
            self.joined.shrink_to(MAX_KEPT_CAPACITY);
        } else if self.taken > MAX_KEPT_CAPACITY && self.taken > self.joined.len() / 2 {
            self.joined.drain(..self.taken);
        } else {
            return;
        }
        self.covered -= self.taken;
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Output as _;

    /// Sends at most `most` bytes per write.
    fn drain(output: &mut WriteQueue, most: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while !output.is_empty() {
            output
                .write_with(|slices| {
                    let before = taken.len();
                    for slice in slices {
                        let room = most - (taken.len() - before);
                        taken.extend_from_slice(&slice[..room.min(slice.len())]);
                    }
                    std::io::Result::Ok(taken.len() - before)
                })
                .unwrap();
        }
        taken
    }

    #[test]
    fn o4_partial_writes_lose_no_bytes() {
        let payload = Arc::new((0..=255).collect::<Vec<u8>>());
        for most in [1, 2, 3, 7, 300, 10_000] {
            let mut output = WriteQueue::with_capacity(16);
            let mut expected = Vec::new();
            for round in 0..100u8 {
                output.buffer().extend_from_slice(&[round; 5]);
                output.append(&payload, 10..usize::from(round) + 20);
                expected.extend_from_slice(&[round; 5]);
                expected.extend_from_slice(&payload[10..usize::from(round) + 20]);
            }
            assert_eq!(output.len(), expected.len());
            assert_eq!(drain(&mut output, most), expected);
            output.buffer().extend_from_slice(b"again");
            assert_eq!(drain(&mut output, most), b"again");
        }
    }

    #[test]
    fn m7_sent_bytes_are_freed_while_the_queue_never_becomes_empty() {
        let payload = Arc::new(vec![7; 20_000]);
        let mut output = WriteQueue::with_capacity(16);
        for round in 0..10_000 {
            output.buffer().extend_from_slice(&[1; 1000]);
            output.append(&payload, 0..20_000);
            if round > 0 {
                let taken = output.write_with(|slices| {
                    Ok::<_, ()>(slices.iter().map(|it| it.len()).sum::<usize>().min(21_000))
                });
                assert_eq!(taken, Ok(21_000));
            }
            assert!(output.joined.capacity() <= 4 * MAX_KEPT_CAPACITY, "{}", output.joined.capacity());
        }
        assert_eq!(output.len(), 21_000);
    }

    #[test]
    fn m7_a_large_buffer_is_not_kept() {
        let mut output = WriteQueue::with_capacity(16);
        output.buffer().extend_from_slice(&vec![0; 1024 * 1024]);
        drain(&mut output, usize::MAX / 2);
        assert!(output.buffer().capacity() <= MAX_KEPT_CAPACITY);
    }
}
