//! What is to be written, and how far that has come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;

/// An output that is longer than this gives its memory back when it is written, in bytes.
const KEPT: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    written: usize,
    /// Whether the stream may hold what was written.
    needs_flush: bool,
}

impl Output {
    /// Begins with what is to be written already.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// How much waits, in bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.written)
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.len() == 0 && !self.needs_flush
    }

    /// Where the next bytes are appended.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        // What is written makes room only when it is most of the whole: each byte is moved once at most.
        if self.written > KEPT && self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        &mut self.bytes
    }

    /// Forgets what waits; returns whether that was anything.
    pub(super) fn discard(&mut self) -> bool {
        let had_any = !self.is_flushed();
        *self = Self::default();
        had_any
    }

    /// Writes until nothing is left; flushing is another matter.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(left) = self.bytes.get(self.written..).filter(|left| !left.is_empty()) {
            match ready!(Pin::new(&mut *stream).poll_write(cx, left)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(len) => {
                    self.written += len;
                    self.needs_flush = true;
                }
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Poll::Ready(Err(err)),
            }
        }
        self.written = 0;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        Poll::Ready(Ok(()))
    }

    /// Has the stream hand on what it holds.
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
