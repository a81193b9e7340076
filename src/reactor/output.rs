//! What is queued for one connection: small frames joined, large payloads kept as they are.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use crate::protocol;

/// Payloads from this length on, in bytes, are sent from where they lie; copying less than this is cheaper than keeping
/// it.
const KEEP_FROM: usize = 16 * 1024;

/// The most pieces that are handed to the system at once.
const MAX_PIECES: usize = 64;

/// A buffer that has grown beyond this, in bytes, is not kept for later.
const MAX_KEPT_CAPACITY: usize = 16 * 1024;

/// Bytes in order, not yet taken by the system.
#[derive(Debug, Default)]
pub(super) struct Output {
    pieces: VecDeque<Piece>,
    /// The length of all pieces but the last, which may still grow.
    settled: usize,
    /// How much of the first piece is sent.
    sent: usize,
}

#[derive(Debug)]
enum Piece {
    Joined(Vec<u8>),
    Payload(Arc<Vec<u8>>, Range<usize>),
}

impl Piece {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Joined(bytes) => bytes,
            Self::Payload(bytes, range) => bytes.get(range.clone()).unwrap_or_default(),
        }
    }
}

impl protocol::Output for Output {
    const KEEPS_FROM: usize = KEEP_FROM;

    fn buffer(&mut self) -> &mut Vec<u8> {
        if !matches!(self.pieces.back(), Some(Piece::Joined(_))) {
            self.push(Piece::Joined(Vec::new()));
        }
        match self.pieces.back_mut() {
            Some(Piece::Joined(bytes)) => bytes,
            _ => unreachable!("a joined piece was put there just above"),
        }
    }

    fn append(&mut self, payload: &Arc<Vec<u8>>, piece: Range<usize>) {
        self.push(Piece::Payload(Arc::clone(payload), piece));
    }
}

impl Output {
    /// Makes an output whose first buffer has a capacity, in bytes.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let pieces = VecDeque::from([Piece::Joined(Vec::with_capacity(capacity))]);
        Self { pieces, settled: 0, sent: 0 }
    }

    /// How many bytes are not sent.
    pub(super) fn len(&self) -> usize {
        self.settled + self.pieces.back().map_or(0, |last| last.as_slice().len()) - self.sent
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands what is queued to `write`, once; returns how much it took.
    pub(super) fn write_with<E>(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let mut slices = [IoSlice::new(&[]); MAX_PIECES];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            let sent = if count == 0 { self.sent } else { 0 };
            *slice = IoSlice::new(piece.as_slice().get(sent..).unwrap_or_default());
            count += 1;
        }
        let written = write(slices.get(..count).unwrap_or_default())?;
        self.advance(written);
        Ok(written)
    }

    fn push(&mut self, piece: Piece) {
        self.settled += self.pieces.back().map_or(0, |last| last.as_slice().len());
        self.pieces.push_back(piece);
    }

    fn advance(&mut self, written: usize) {
        self.sent += written;
        loop {
            let count = self.pieces.len();
            let Some(first) = self.pieces.front_mut() else { return };
            let len = first.as_slice().len();
            if self.sent < len {
                return;
            }
            self.sent -= len;
            match (first, count) {
                // The last buffer stays, empty, for the next frames.
                (Piece::Joined(bytes), 1) if bytes.capacity() <= MAX_KEPT_CAPACITY => return bytes.clear(),
                (_, 1) => {}
                _ => self.settled -= len,
            }
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Output as _;

    /// Takes at most `most` bytes at a time.
    fn drain(output: &mut Output, most: usize) -> Vec<u8> {
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
    fn o4_partial_writes_lose_nothing() {
        let payload = Arc::new((0..=255).collect::<Vec<u8>>());
        for most in [1, 2, 3, 7, 300, 10_000] {
            let mut output = Output::with_capacity(16);
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
    fn m7_a_large_buffer_is_not_kept() {
        let mut output = Output::with_capacity(16);
        output.buffer().extend_from_slice(&vec![0; 1024 * 1024]);
        drain(&mut output, usize::MAX / 2);
        assert!(output.buffer().capacity() <= MAX_KEPT_CAPACITY);
    }
}
