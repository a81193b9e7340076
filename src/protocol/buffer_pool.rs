//! Buffers of payloads that have been sent, for those that come next.
//!
//! A server that answers needs for each message a buffer of about the size that it has just done with. Allocators are
//! slow with large ones, and some give them back to the system each time, only to fetch them again.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// The shortest buffer that is kept among others, in bytes. Allocators are fast with shorter ones, but not as fast as the
/// single one that is kept of them, which is all that an echo needs.
const MIN: usize = 4096;

/// How much too large a short buffer may be, in bytes, beside a quarter.
const SLACK: usize = 32;

/// How much a thread keeps: so many buffers, and so many bytes in all.
const MAX_COUNT: usize = 64;
const MAX_BYTES: usize = 1024 * 1024;

/// How many buffers are looked at for one that fits.
const MAX_LOOKS: usize = 8;

thread_local! {
    static SPARE: RefCell<Spare> = const { RefCell::new(Spare { buffers: VecDeque::new(), bytes: 0 }) };
    /// A short buffer.
    static SHORT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

struct Spare {
    /// The newest last.
    buffers: VecDeque<Vec<u8>>,
    /// The capacity of all of them.
    bytes: usize,
}

/// Returns a copy of `bytes`, in a buffer that is at most a quarter too large.
#[inline]
pub(crate) fn copy(bytes: &[u8]) -> Vec<u8> {
    let Some(mut buffer) = take(bytes.len()) else { return bytes.to_vec() };
    buffer.extend_from_slice(bytes);
    buffer
}

/// Returns a copy of `text`, as [`copy`] does it.
#[inline]
pub(crate) fn copy_text(text: &str) -> String {
    let Some(mut copy) = take_text(text.len()) else { return text.to_owned() };
    copy.push_str(text);
    copy
}

/// Returns an empty buffer for text, as [`take`] does it.
pub(crate) fn take_text(len: usize) -> Option<String> {
    // An empty buffer is text.
    take(len).and_then(|buffer| String::from_utf8(buffer).ok())
}

/// Returns an empty buffer with room for `len` bytes, if there is one that is at most a quarter too large, and a short one
/// 32 bytes more.
#[inline]
pub(crate) fn take(len: usize) -> Option<Vec<u8>> {
    let mut buffer = take_used(len)?;
    buffer.clear();
    Some(buffer)
}

/// Returns a buffer as [`take`] does, with some of the bytes in it that it was given back with.
#[inline]
pub(crate) fn take_used(len: usize) -> Option<Vec<u8>> {
    match len {
        1..MIN => take_short(len),
        MIN..=MAX_BYTES => take_kept(len),
        _ => None,
    }
}

#[inline]
fn take_short(len: usize) -> Option<Vec<u8>> {
    let buffer = SHORT.try_with(Cell::take).ok()?;
    (len..=len.saturating_add((len / 4).saturating_add(SLACK))).contains(&buffer.capacity()).then_some(buffer)
}

fn take_kept(len: usize) -> Option<Vec<u8>> {
    with(|spare| {
        let most = len.saturating_add(len / 4);
        let mut newest = spare.buffers.iter().enumerate().rev().take(MAX_LOOKS);
        let (at, _) = newest.find(|(_, buffer)| (len..=most).contains(&buffer.capacity()))?;
        let buffer = spare.buffers.swap_remove_back(at)?;
        spare.bytes = spare.bytes.saturating_sub(buffer.capacity());
        Some(buffer)
    })
    .flatten()
}

/// Keeps a buffer that is not needed any more, rather than the oldest ones where there is no room for all.
#[inline]
pub(crate) fn give(buffer: Vec<u8>) {
    match buffer.capacity() {
        1..MIN => give_short(buffer),
        MIN..=MAX_BYTES => keep(buffer),
        _ => {}
    }
}

/// Keeps a short buffer if there is none. The first of many, and not the last, which an allocator may have placed behind all
/// that it could give back to the system otherwise.
#[inline]
fn give_short(buffer: Vec<u8>) {
    // An error is the end of the thread, and of the buffer.
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
    with(|spare| {
        while spare.buffers.len() >= MAX_COUNT || spare.bytes.saturating_add(capacity) > MAX_BYTES {
            let Some(oldest) = spare.buffers.pop_front() else { break };
            spare.bytes = spare.bytes.saturating_sub(oldest.capacity());
        }
        spare.bytes = spare.bytes.saturating_add(capacity);
        spare.buffers.push_back(buffer);
    });
}

/// Does something with what the thread keeps; `None` when the thread is about to end.
fn with<R>(act: impl FnOnce(&mut Spare) -> R) -> Option<R> {
    SPARE.try_with(|spare| spare.try_borrow_mut().ok().map(|mut spare| act(&mut spare))).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> (usize, usize) {
        with(|spare| (spare.buffers.len(), spare.bytes)).unwrap()
    }

    #[test]
    fn a_buffer_that_fits_is_used_again() {
        give(Vec::with_capacity(10_000));
        assert_eq!(take(20_000), None, "too small");
        assert_eq!(take(5000), None, "too large");
        let copied = copy(&[7; 9000]);
        assert_eq!((copied.as_slice(), copied.capacity()), (&[7; 9000][..], 10_000));
        assert_eq!(kept(), (0, 0));
        assert_eq!(copy(b"short").capacity(), 5);
    }

    #[test]
    fn a_short_buffer_is_used_again() {
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
    fn m7_no_more_is_kept_than_a_megabyte() {
        for _ in 0..1000 {
            give(Vec::with_capacity(100_000));
            give(Vec::with_capacity(5000));
            give(vec![0; 100]);
        }
        let (count, bytes) = kept();
        assert!(count <= MAX_COUNT && (MAX_BYTES / 2..=MAX_BYTES).contains(&bytes), "{count}, {bytes}");
    }
}
