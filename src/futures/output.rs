//! The bytes that are waiting to be written.
//!
//! A connection owns memory for output only while something is waiting. It returns it to the thread, which keeps one buffer:
//! nearly every output is written at once.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;

use crate::protocol::Output as _;
use crate::socket::output_queue::OutputQueue;

/// The longest buffer that a thread keeps, in bytes. Of a longer output, written bytes are removed before the end.
const KEPT: usize = 64 * 1024;

thread_local! {
    /// The buffer that the next output of this thread uses.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The output of a connection.
#[derive(Debug, Default)]
pub(super) struct OutputBuffer {
    queue: OutputQueue,
    /// Whether the stream must be flushed.
    needs_flush: bool,
}

impl OutputBuffer {
    /// Starts with bytes that are waiting already.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { queue: OutputQueue::new(bytes), ..Self::default() }
    }

    /// The number of bytes that are waiting.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    #[inline]
    pub(super) fn is_flushed(&self) -> bool {
        self.len() == 0 && !self.needs_flush
    }

    /// Returns the buffer, to append what is not a message or a frame.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        self.queue().buffer()
    }

    /// Returns the output, to append a message or a frame.
    #[inline]
    pub(super) fn queue(&mut self) -> &mut OutputQueue {
        if self.queue.capacity() == 0 {
            // When the thread is ending, there is no spare buffer.
            self.queue.set_buffer(SPARE.try_with(Cell::take).unwrap_or_default());
        }
        self.queue.forget_written(KEPT);
        &mut self.queue
    }

    /// Returns the buffer, to append a reply. There rarely is one, so no memory is reserved.
    pub(super) fn buffer_for_reply(&mut self) -> &mut Vec<u8> {
        self.queue.buffer()
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
        let before = self.len();
        let written = self.poll_write_up_to(stream, cx, before.saturating_sub(most));
        let left = self.len();
        if left == 0 {
            self.release();
        }
        (before.saturating_sub(left), written)
    }

    /// Writes until at most `least` bytes are left, and then stops unless nothing is left.
    fn poll_write_up_to<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        least: usize,
    ) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            let stream = Pin::new(&mut *stream);
            let written = match self.queue.contiguous() {
                Some(bytes) => stream.poll_write(cx, bytes),
                None => self.queue.with_slices(|slices| stream.poll_write_vectored(cx, slices)),
            };
            match ready!(written) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(len) => {
                    self.queue.advance(len);
                    self.needs_flush = true;
                    if self.len() <= least && !self.queue.is_empty() {
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
        let bytes = self.queue.take_buffer();
        if (1..=KEPT).contains(&bytes.capacity()) {
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
