//! The output of a blocking or an async socket: small frames are joined, large payloads stay where they are.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use crate::protocol::{Output, buffer_pool};

/// Payloads of at least this length are not copied, in bytes.
const KEEP_FROM: usize = 16 * 1024;

/// The same for payloads that other connections send as well. They need less memory if they are not copied.
///
/// To keep a payload takes about 2,810 instructions for the whole call of `send_shared`, whatever its length. To copy it takes 1,893
/// for 256 bytes, 2,276 for 4 KiB, 2,666 for 8 KiB and more beyond that (callgrind, an async server whose stream accepts everything).
/// Below 4 KiB, copies are cheaper by a fifth or more. From there on, the memory of slow peers is worth the difference.
const SHARE_FROM: usize = 4 * 1024;

/// The most slices that are passed to one write.
const MAX_SLICES: usize = 16;

/// Bytes that are waiting to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct OutputQueue {
    /// Small frames, and the headers of large ones.
    bytes: Vec<u8>,
    /// How many of these bytes are written.
    written: usize,
    /// Boxed, because few connections have some at a time, and all have room for them.
    kept: Option<Box<KeptPayloads>>,
}

/// Payloads that stay where they are. There is at least one.
#[derive(Debug, Default)]
struct KeptPayloads {
    payloads: VecDeque<KeptPayload>,
    /// The number of their bytes that are waiting.
    len: usize,
}

#[derive(Debug)]
struct KeptPayload {
    /// The number of bytes of the buffer that precede it.
    at: usize,
    payload: Arc<Vec<u8>>,
    /// What of it is waiting.
    range: Range<usize>,
}

/// The output for a message that other connections send as well.
pub(crate) struct SharedOutput<'q>(pub(crate) &'q mut OutputQueue);

impl OutputQueue {
    /// Starts with bytes that are waiting already.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// The number of bytes that are waiting.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.len) + self.bytes.len().saturating_sub(self.written)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_none() && self.bytes.len() <= self.written
    }

    /// The memory of the buffer, in bytes.
    #[cfg(feature = "futures")]
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Replaces the buffer, which must be empty.
    pub(crate) fn set_buffer(&mut self, buffer: Vec<u8>) {
        (self.bytes, self.written) = (buffer, 0);
    }

    /// Returns the buffer of an empty queue.
    #[inline]
    pub(crate) fn take_buffer(&mut self) -> Vec<u8> {
        self.written = 0;
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes
    }

    /// Removes the written bytes from the buffer, if they are most of it and at least so many. Thus each byte is moved once at most.
    #[cfg(feature = "futures")]
    #[inline]
    pub(crate) fn forget_written(&mut self, least: usize) {
        if self.written > least && self.written > self.bytes.len() / 2 {
            self.drain_written();
        }
    }

    #[cfg(feature = "futures")]
    #[inline(never)]
    fn drain_written(&mut self) {
        self.bytes.drain(..self.written);
        for kept in self.kept.iter_mut().flat_map(|kept| &mut kept.payloads) {
            kept.at = kept.at.saturating_sub(self.written);
        }
        self.written = 0;
    }

    /// Returns the waiting bytes if they are in one place, as they nearly always are.
    #[inline]
    pub(crate) fn contiguous(&self) -> Option<&[u8]> {
        match self.kept {
            None => Some(self.bytes.get(self.written..).unwrap_or_default()),
            Some(_) => None,
        }
    }

    /// Returns the parts of the waiting bytes.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = self.written;
        let kept = self.kept.iter().flat_map(|kept| &kept.payloads);
        let last = kept.clone().last().map_or(from, |last| last.at);
        let kept = kept.flat_map(move |kept| {
            let before = self.bytes.get(from..kept.at).unwrap_or_default();
            from = kept.at;
            [before, kept.payload.get(kept.range.clone()).unwrap_or_default()]
        });
        let rest = std::iter::once(self.bytes.get(last..).unwrap_or_default());
        kept.chain(rest).filter(|part| !part.is_empty())
    }

    /// Passes the first parts to `write`.
    #[inline(never)]
    pub(crate) fn with_slices<R>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slice, part) in slices.iter_mut().zip(self.parts()) {
            *slice = IoSlice::new(part);
            count += 1;
        }
        write(slices.get(..count).unwrap_or_default())
    }

    /// Records that bytes were written.
    #[inline]
    pub(crate) fn advance(&mut self, len: usize) {
        match self.kept {
            None => self.written += len,
            Some(_) => self.advance_kept(len),
        }
    }

    #[inline(never)]
    fn advance_kept(&mut self, mut len: usize) {
        while let Some(kept) = &mut self.kept
            && let Some(first) = kept.payloads.front_mut()
        {
            let before = first.at.saturating_sub(self.written);
            if len < before {
                break;
            }
            self.written += before;
            len -= before;
            let part = len.min(first.range.len());
            first.range.start += part;
            kept.len -= part;
            len -= part;
            if !first.range.is_empty() {
                return;
            }
            kept.payloads.pop_front().into_iter().for_each(KeptPayload::release);
            if kept.payloads.is_empty() {
                self.kept = None;
            }
        }
        self.written += len;
    }

    fn keep(&mut self, payload: &Arc<Vec<u8>>, range: Range<usize>) {
        let kept = self.kept.get_or_insert_default();
        kept.len += range.len();
        kept.payloads.push_back(KeptPayload { at: self.bytes.len(), payload: Arc::clone(payload), range });
    }
}

impl KeptPayload {
    /// The payload is written. The memory of one that nothing else holds is reused.
    fn release(self) {
        if let Some(buffer) = Arc::into_inner(self.payload) {
            buffer_pool::give(buffer);
        }
    }
}

impl Output for OutputQueue {
    const KEEPS_FROM: usize = KEEP_FROM;

    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    fn append(&mut self, payload: &Arc<Vec<u8>>, piece: Range<usize>) {
        self.keep(payload, piece);
    }
}

impl Output for SharedOutput<'_> {
    const KEEPS_FROM: usize = SHARE_FROM;

    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.0.bytes
    }

    fn append(&mut self, payload: &Arc<Vec<u8>>, piece: Range<usize>) {
        self.0.keep(payload, piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue with bytes, payloads and bytes, and all of these together.
    fn filled() -> (OutputQueue, Vec<u8>) {
        let (mut queue, mut all) = (OutputQueue::default(), Vec::new());
        for round in 0..3_u8 {
            let bytes = [round; 5];
            queue.buffer().extend_from_slice(&bytes);
            let payload = Arc::new((0..100 + round).collect::<Vec<u8>>());
            queue.append(&payload, 10..20);
            queue.append(&payload, 20..100);
            all.extend_from_slice(&bytes);
            all.extend_from_slice(&payload[10..100]);
        }
        queue.buffer().extend_from_slice(b"end");
        all.extend_from_slice(b"end");
        (queue, all)
    }

    #[test]
    fn bytes_are_written_in_order_however_many_are_accepted() {
        for step in [1, 2, 3, 5, 7, 11, 90, 95, 96, 1000] {
            let (mut queue, all) = filled();
            let mut written = Vec::new();
            while !queue.is_empty() {
                let rest: Vec<u8> = queue.parts().flatten().copied().collect();
                assert_eq!((queue.len(), &rest[..]), (rest.len(), &all[written.len()..]), "steps of {step}");
                let accepted = queue.with_slices(|slices| {
                    let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
                    bytes[..step.min(bytes.len())].to_vec()
                });
                queue.advance(accepted.len());
                written.extend(accepted);
            }
            assert_eq!(written, all);
            assert!(queue.kept.is_none() && queue.contiguous() == Some(&[]));
        }
    }

    #[cfg(feature = "futures")]
    #[test]
    fn written_bytes_are_forgotten_and_payloads_keep_their_place() {
        let (mut queue, all) = filled();
        queue.advance(5 + 90 + 5 + 3);
        queue.forget_written(0);
        // Ten of the eighteen bytes of the buffer are written.
        assert_eq!(queue.written, 0);
        queue.buffer().extend_from_slice(b"more");
        let rest: Vec<u8> = queue.parts().flatten().copied().collect();
        assert_eq!(rest, [&all[103..], b"more"].concat());
    }
}
