//! Compressed payloads to messages (RFC 7692 §7.2.2), within bounds whatever the peer sends.

use std::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::compressor::TAIL;
use super::settings::MAX_WINDOW_BITS;
use super::{ProtocolError, thread_local};

/// Takes what a message is, piece by piece.
pub(crate) type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), ProtocolError> + 'a;

/// How much is inflated before the budget is looked at, in bytes of input.
const STEP: usize = 16 * 1024;

/// How much input of a message may produce nothing, in bytes (D3).
const FREE_INPUT: u64 = 64 * 1024;

/// Beyond that, how many bytes of input each byte of the message may take. A sender that flushes after every character
/// takes eight.
const MAX_INPUT_PER_OUTPUT: u64 = 8;

/// How much longer than the room for it what has come out and what is still to be inflated may be together, in bytes: a
/// bomb that is large itself need not go off before it is recognized. Who compresses to make smaller needs none of it.
const MAX_EXCESS: usize = 768 * 1024;

/// Inflates the fragments of one message after the other.
pub(super) struct Inflater {
    stream: Inflate,
    /// Of the message in progress, in bytes.
    consumed: u64,
    produced: u64,
    /// Whether the last block said that it is the last one, and nothing has come behind it.
    has_ended: bool,
}

impl Inflater {
    pub(super) fn new() -> Self {
        // The window is as large as it can be, since a smaller one takes as much memory.
        let stream = Inflate::new(false, MAX_WINDOW_BITS);
        Self { stream, consumed: 0, produced: 0, has_ended: false }
    }

    /// Forgets what was inflated before.
    pub(super) fn reset(&mut self) {
        self.stream.reset(false);
        self.begin();
    }

    /// A message begins.
    pub(super) fn begin(&mut self) {
        (self.consumed, self.produced, self.has_ended) = (0, 0, false);
    }

    /// Inflates a fragment of a message that may still take `room` bytes.
    ///
    /// What comes out goes to `sink` in pieces, and is nowhere else: where the sink has enough, no more than the buffer of
    /// the thread has been inflated in vain (D1).
    pub(super) fn inflate(
        &mut self,
        payload: &[u8],
        room: usize,
        sink: &mut Sink<'_>,
    ) -> Result<(), ProtocolError> {
        let most = room.saturating_add(MAX_EXCESS);
        let mut held = payload.len();
        for input in payload.chunks(STEP) {
            self.run(input, &mut |part| {
                held = held.saturating_add(part.len());
                if held > most { Err(ProtocolError::MessageTooLong) } else { sink(part) }
            })?;
            held = held.saturating_sub(input.len());
        }
        Ok(())
    }

    /// Inflates the end of the message, which the sender has left out (§7.2.2).
    pub(super) fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), ProtocolError> {
        let is_empty = self.consumed == 0;
        // A final block ends at a byte by itself, and behind an empty payload there is nothing to end.
        if self.has_ended || is_empty { Ok(()) } else { self.run(&TAIL, sink) }
    }

    fn run(&mut self, mut input: &[u8], sink: &mut Sink<'_>) -> Result<(), ProtocolError> {
        thread_local::with_buffer(|buffer| {
            loop {
                let (read, written, status) = self.step(input, buffer)?;
                input = input.get(read..).unwrap_or_default();
                sink(buffer.get(..written).unwrap_or_default())?;
                if status == Status::StreamEnd {
                    // §7.2.1 allows final blocks. What may follow begins a new stream, as it did for the sender.
                    self.stream.reset(false);
                    self.has_ended = true;
                }
                // With room left, nothing is left to come out.
                if input.is_empty() && (written < buffer.len() || self.has_ended) {
                    return self.check_budget();
                }
                if (read, written) == (0, 0) {
                    return Err(ProtocolError::MalformedDeflate);
                }
            }
        })
    }

    /// Inflates as far as there is room; returns how much was read and written.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize, Status), ProtocolError> {
        let before = (self.stream.total_in(), self.stream.total_out());
        let status = self
            .stream
            .decompress(input, output, InflateFlush::SyncFlush)
            .map_err(|_| ProtocolError::MalformedDeflate)?;
        let read = self.stream.total_in().wrapping_sub(before.0);
        let written = self.stream.total_out().wrapping_sub(before.1);
        self.consumed = self.consumed.saturating_add(read);
        self.produced = self.produced.saturating_add(written);
        self.has_ended &= read == 0;
        let lengths = usize::try_from(read).ok().zip(usize::try_from(written).ok());
        lengths.map(|(read, written)| (read, written, status)).ok_or(ProtocolError::MalformedDeflate)
    }

    fn check_budget(&self) -> Result<(), ProtocolError> {
        let budget = self.produced.saturating_mul(MAX_INPUT_PER_OUTPUT).saturating_add(FREE_INPUT);
        if self.consumed > budget { Err(ProtocolError::WastefulDeflate) } else { Ok(()) }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("consumed", &self.consumed)
            .field("produced", &self.produced)
            .field("has_ended", &self.has_ended)
            .finish_non_exhaustive()
    }
}
