//! Buffers of payloads that have been sent, for the payloads that are received next. They belong to the thread.
//!
//! For each message, a server that replies needs a buffer of about the same size as the last one. Allocators are slow with large
//! buffers, and some return them to the system each time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::framing::header::MAX_HEADER;

/// The shortest buffer that is kept with others, in bytes. Of shorter ones, a single one is kept: allocators are fast with them,
/// and one is all that an echo needs.
const MIN: usize = 4096;

/// How many bytes larger than a quarter too large a short buffer may be.
const HEADROOM: usize = 32;

/// The maximum number of buffers of a thread, and of their bytes.
const MAX_COUNT: usize = 64;
const MAX_BYTES: usize = 1024 * 1024;

/// How many buffers are examined to find one that fits.
const MAX_LOOKS: usize = 8;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { buffers: VecDeque::new(), bytes: 0 }) };
    /// A short buffer.
    static SHORT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

struct Pool {
    /// The newest buffer is the last.
    buffers: VecDeque<Vec<u8>>,
    /// The capacity of all of them.
    bytes: usize,
}

/// Returns the capacity of a new buffer for a payload of `len` bytes. A long one has room for the header as well, so that later
/// the whole frame of a message of the same length can be received into it.
#[inline]
pub(crate) fn capacity_for(len: usize) -> usize {
    if len < MIN { len } else { len.saturating_add(MAX_HEADER) }
}

/// Returns a buffer for the whole frame of a message of `len` bytes, with a header of any length, if there is one that
/// [is suitable](is_suitable). Its memory is initialized for so many bytes.
#[cfg(feature = "reactor")]
pub(crate) fn take_for_frame(len: usize) -> Option<Vec<u8>> {
    let len = len.saturating_add(MAX_HEADER);
    let mut buffer = if len < MIN { None } else { take_used(len) }?;
    buffer.resize(len, 0);
    Some(buffer)
}

/// Whether a buffer of this capacity may become the memory of a message of `len` bytes that was received into it.
#[cfg(feature = "reactor")]
pub(crate) fn is_suitable(len: u64, capacity: usize) -> bool {
    usize::try_from(len).is_ok_and(|len| len >= MIN && fits(len.saturating_add(MAX_HEADER), capacity))
}

/// Whether a buffer has room for `len` bytes and is at most a quarter too large.
fn fits(len: usize, capacity: usize) -> bool {
    (len..=len.saturating_add(len / 4)).contains(&capacity)
}

/// Returns a copy of `bytes`, in a buffer that is at most a quarter too large.
#[inline]
pub(crate) fn copy(bytes: &[u8]) -> Vec<u8> {
    let Some(mut buffer) = take(bytes.len()) else { return bytes.to_vec() };
    buffer.extend_from_slice(bytes);
    buffer
}

/// Returns a copy of `text`, as [`copy`] does.
#[inline]
pub(crate) fn copy_text(text: &str) -> String {
    let Some(mut copy) = take_text(text.len()) else { return text.to_owned() };
    copy.push_str(text);
    copy
}

/// Returns an empty buffer for text, as [`take`] does.
pub(crate) fn take_text(len: usize) -> Option<String> {
    // An empty buffer is valid UTF-8.
    take(len).and_then(|buffer| String::from_utf8(buffer).ok())
}

/// Returns an empty buffer with room for `len` bytes, if there is one that is at most a quarter too large, or for short buffers a
/// quarter and 32 bytes.
#[inline]
pub(crate) fn take(len: usize) -> Option<Vec<u8>> {
    let mut buffer = take_used(len)?;
    buffer.clear();
    Some(buffer)
}

/// Returns a buffer as [`take`] does, which contains bytes of its last use. It is always inlined into the path of a received
/// message, as `FrameDecoder::whole_message` explains.
#[inline(always)]
pub(crate) fn take_used(len: usize) -> Option<Vec<u8>> {
    match len {
        1..MIN => take_short(len),
        MIN..=MAX_BYTES => take_kept(len),
        _ => None,
    }
}

#[inline(always)]
fn take_short(len: usize) -> Option<Vec<u8>> {
    let buffer = SHORT.try_with(Cell::take).ok()?;
    (len..=len.saturating_add((len / 4).saturating_add(HEADROOM)))
        .contains(&buffer.capacity())
        .then_some(buffer)
}

fn take_kept(len: usize) -> Option<Vec<u8>> {
    with(|pool| {
        let mut newest = pool.buffers.iter().enumerate().rev().take(MAX_LOOKS);
        let (at, _) = newest.find(|(_, buffer)| fits(len, buffer.capacity()))?;
        let buffer = pool.buffers.swap_remove_back(at)?;
        pool.bytes = pool.bytes.saturating_sub(buffer.capacity());
        Some(buffer)
    })
    .flatten()
}

/// Keeps a buffer that is no longer needed. If there is no room, it replaces the oldest ones. It is always inlined into the path
/// of a sent message, as `write_frame` explains.
#[inline(always)]
pub(crate) fn give(buffer: Vec<u8>) {
    match buffer.capacity() {
        1..MIN => give_short(buffer),
        MIN..=MAX_BYTES => keep(buffer),
        _ => {}
    }
}

/// Keeps a short buffer if none is kept. The first of many is better than the last, whose place in memory could keep the
/// allocator from returning memory to the system.
#[inline]
fn give_short(buffer: Vec<u8>) {
    // After an error the thread is ending, and the buffer is dropped.
    let _ = SHORT.try_with(|short| {
        let kept = short.take();
        if kept.capacity() > 0 {
            return short.set(kept);
        }
        short.set(buffer);
    });
}

fn keep(buffer: Vec<u8>) {
    let capacity = buffer.capacity();
    with(|pool| {
        while pool.buffers.len() >= MAX_COUNT || pool.bytes.saturating_add(capacity) > MAX_BYTES {
            let Some(oldest) = pool.buffers.pop_front() else { break };
            pool.bytes = pool.bytes.saturating_sub(oldest.capacity());
        }
        pool.bytes = pool.bytes.saturating_add(capacity);
        pool.buffers.push_back(buffer);
    });
}

/// Calls `act` with the buffers of the thread. Returns `None` if the thread is ending.
fn with<R>(act: impl FnOnce(&mut Pool) -> R) -> Option<R> {
    POOL.try_with(|pool| pool.try_borrow_mut().ok().map(|mut pool| act(&mut pool))).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> (usize, usize) {
        with(|pool| (pool.buffers.len(), pool.bytes)).unwrap()
    }

    #[test]
    fn a_buffer_of_suitable_size_is_reused() {
        give(Vec::with_capacity(10_000));
        assert_eq!(take(20_000), None, "too small");
        assert_eq!(take(5000), None, "too large");
        let copied = copy(&[7; 9000]);
        assert_eq!((copied.as_slice(), copied.capacity()), (&[7; 9000][..], 10_000));
        assert_eq!(kept(), (0, 0));
        assert_eq!(copy(b"short").capacity(), 5);
    }

    #[test]
    fn a_short_buffer_is_reused() {
        give(vec![7; 40]);
        give(vec![8; 100]);
        assert_eq!(take(0), None, "nothing is needed");
        let copied = copy(b"at least eight bytes");
        assert_eq!((copied.as_slice(), copied.capacity()), (&b"at least eight bytes"[..], 40));
        assert_eq!(take(20), None, "it is in use");
        give(vec![9; 100]);
        assert_eq!(take(20), None, "too large");
        assert_eq!(kept(), (0, 0));
    }

    #[test]
    fn m7_the_pool_keeps_at_most_a_megabyte() {
        for _ in 0..1000 {
            give(Vec::with_capacity(100_000));
            give(Vec::with_capacity(5000));
            give(vec![0; 100]);
        }
        let (count, bytes) = kept();
        assert!(count <= MAX_COUNT && (MAX_BYTES / 2..=MAX_BYTES).contains(&bytes), "{count}, {bytes}");
    }
}
