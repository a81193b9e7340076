//! The bytes that are waiting to be written.
//!
//! A connection owns memory for output only while something is waiting. It returns it to the thread, which keeps one buffer:
//! nearly every output is written at once.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;

/// The longest buffer that a thread keeps, in bytes. Of a longer output, written bytes are removed before the end.
const KEPT: usize = 64 * 1024;

thread_local! {
    /// The buffer that the next output of this thread uses.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The output of a connection, and how much of it is written.
#[derive(Debug, Default)]
pub(super) struct OutputBuffer {
    bytes: Vec<u8>,
    written: usize,
    /// Whether the stream must be flushed.
    needs_flush: bool,
}

impl OutputBuffer {
    /// Starts with bytes that are waiting already.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// The number of bytes that are waiting.
    pub(super) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.written)
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.len() == 0 && !self.needs_flush
    }

    /// Returns the buffer, to append a message or a frame.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            // When the thread is ending, there is no spare buffer.
            self.bytes = SPARE.try_with(Cell::take).unwrap_or_default();
        }
        // Written bytes are removed only when they are most of the buffer, so that each byte is moved once at most.
        if self.written > KEPT && self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        &mut self.bytes
    }

    /// Returns the buffer, to append a reply. There rarely is one, so no memory is reserved.
    pub(super) fn buffer_for_reply(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Drops the waiting bytes.
    pub(super) fn discard(&mut self) {
        *self = Self::default();
    }

    /// Writes until nothing is left, or at least `most` bytes are written. This does not flush the stream. Returns the number
    /// of written bytes as well.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        most: usize,
    ) -> (usize, Poll<io::Result<()>>) {
        let before = self.written;
        let written = self.poll_write_up_to(stream, cx, before.saturating_add(most));
        let len = self.written.saturating_sub(before);
        if self.len() == 0 {
            self.release();
        }
        (len, written)
    }

    fn poll_write_up_to<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        end: usize,
    ) -> Poll<io::Result<()>> {
        while let Some(left) = self.bytes.get(self.written..).filter(|left| !left.is_empty()) {
            match ready!(Pin::new(&mut *stream).poll_write(cx, left)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(len) => {
                    self.written += len;
                    self.needs_flush = true;
                    if self.written >= end && self.len() > 0 {
                        return Poll::Pending;
                    }
                }
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Poll::Ready(Err(err)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Returns the memory to the thread.
    fn release(&mut self) {
        self.written = 0;
        let mut bytes = std::mem::take(&mut self.bytes);
        if (1..=KEPT).contains(&bytes.capacity()) {
            bytes.clear();
            // The longer one is kept, so that replies do not replace it. When the thread is ending, the memory is freed.
            let _ = SPARE.try_with(|spare| {
                let kept = spare.take();
                spare.set(if kept.capacity() > bytes.capacity() { kept } else { bytes });
            });
        }
    }

    /// Flushes the stream, if anything was written to it.
    pub(super) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.needs_flush {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }
}
