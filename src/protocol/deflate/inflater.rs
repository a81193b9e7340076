//! Compressed payloads to messages (RFC 7692 §7.2.2), with bounded time and memory.

use std::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::compressor::TAIL;
use super::settings::MAX_WINDOW_BITS;
use super::{ProtocolError, thread_local};

/// Receives a message piece by piece.
pub(crate) type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), ProtocolError> + 'a;

/// How many bytes of input are decompressed between two checks of the budget.
const CHUNK: usize = 16 * 1024;

/// How many bytes of input of a message may produce no output (D3).
const FREE_INPUT: u64 = 64 * 1024;

/// How many further bytes of input are allowed for each byte of the message. A sender that flushes after every character needs
/// eight.
const MAX_INPUT_PER_OUTPUT: u64 = 8;

/// By how many bytes the sum of the output so far and of the remaining input may exceed the room for the message. A large
/// decompression bomb is therefore detected before it is decompressed. Honest senders do not need this margin.
const MAX_EXCESS: usize = 768 * 1024;

/// Decompresses the fragments of messages, one after the other.
pub(super) struct Inflater {
    stream: Inflate,
    /// Bytes of input and of output of the message in progress.
    consumed: u64,
    produced: u64,
    /// Whether the last block was marked as final, and nothing has followed it.
    has_ended: bool,
    /// Whether the last step has ended before all output of its input was produced.
    has_output: bool,
}

/// How far a step has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// How many bytes of the fragment were decompressed.
    pub(crate) read: usize,
    /// Whether the fragment is decompressed.
    pub(crate) is_last: bool,
}

impl Inflater {
    /// How much memory a decompressor occupies, in bytes: the window, and the tables of the format.
    #[cfg(feature = "reactor")]
    pub(super) const SIZE: usize = 48 * 1024;

    pub(super) fn new() -> Self {
        // The window has its largest size: a smaller one needs as much memory.
        let stream = Inflate::new(false, MAX_WINDOW_BITS);
        Self { stream, consumed: 0, produced: 0, has_ended: false, has_output: false }
    }

    /// Drops the context of earlier messages.
    pub(super) fn reset(&mut self) {
        self.stream.reset(false);
        self.begin();
    }

    /// A message begins.
    pub(super) fn begin(&mut self) {
        (self.consumed, self.produced) = (0, 0);
        (self.has_ended, self.has_output) = (false, false);
    }

    /// Decompresses the next part of a fragment: `rest` is what is left of it. The step ends after `step` bytes of input or output,
    /// approximately. The message may still grow by `room` bytes.
    ///
    /// The output is passed to `sink` in pieces and stored nowhere else. When the sink reports an error, at most one buffer has
    /// been decompressed in vain (D1).
    pub(super) fn inflate(
        &mut self,
        rest: &[u8],
        step: usize,
        room: usize,
        sink: &mut Sink<'_>,
    ) -> Result<Step, ProtocolError> {
        let most = room.saturating_add(MAX_EXCESS);
        let (mut read, mut written) = (0, 0);
        loop {
            let left = rest.get(read..).unwrap_or_default();
            if left.is_empty() && !self.has_output {
                return Ok(Step { read, is_last: true });
            }
            if read.max(written) >= step {
                return Ok(Step { read, is_last: false });
            }
            let chunk = left.get(..CHUNK).unwrap_or(left);
            let consumed = self.run(chunk, step.saturating_sub(written), &mut |part| {
                written = written.saturating_add(part.len());
                if left.len().saturating_add(written) > most {
                    return Err(ProtocolError::MessageTooLong);
                }
                sink(part)
            })?;
            read = read.saturating_add(consumed);
        }
    }

    /// Decompresses the tail of the message, which the sender has removed (§7.2.2).
    pub(super) fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), ProtocolError> {
        let is_empty = self.consumed == 0;
        // A final block ends at a byte boundary by itself, and an empty payload has no block.
        if self.has_ended || is_empty { Ok(()) } else { self.run(&TAIL, usize::MAX, sink).map(drop) }
    }

    /// Decompresses input until all of its output is produced, or until that is `most` bytes or more. Returns how much of the
    /// input was read.
    fn run(&mut self, input: &[u8], most: usize, sink: &mut Sink<'_>) -> Result<usize, ProtocolError> {
        thread_local::with_buffer(|buffer| {
            let (mut consumed, mut produced) = (0_usize, 0_usize);
            loop {
                let left = input.get(consumed..).unwrap_or_default();
                let (read, written, status) = self.step(left, buffer)?;
                consumed = consumed.saturating_add(read);
                produced = produced.saturating_add(written);
                sink(buffer.get(..written).unwrap_or_default())?;
                if status == Status::StreamEnd {
                    // §7.2.1 allows final blocks. Blocks that follow one begin a new stream, as they did for the sender.
                    self.stream.reset(false);
                    self.has_ended = true;
                }
                // If room is left, there is no more output.
                self.has_output = written == buffer.len() && !self.has_ended;
                if consumed == input.len() && !self.has_output {
                    return self.check_budget().map(|()| consumed);
                }
                if (read, written) == (0, 0) {
                    return Err(ProtocolError::MalformedDeflate);
                }
                if produced >= most {
                    return Ok(consumed);
                }
            }
        })
    }

    /// Decompresses until the output is full; returns how many bytes were read and written.
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
