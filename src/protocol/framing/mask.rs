//! Masking (§5.3), and the keys for it (§10.3).

use rand::Rng;

/// A masking key.
///
/// See the example of [`apply`].
pub type Key = [u8; 4];

/// Payloads of at least this length are masked block by block, in bytes.
const LONG: usize = 256;

/// The length of such a block, a multiple of the length of a key.
const BLOCK: usize = 128;

/// The length of the parts in which a payload is moved before it is unmasked, in bytes. Each part is then still in the fastest cache. It
/// is a multiple of the length of a key.
#[cfg(feature = "reactor")]
const PART: usize = 4 * 1024;

/// Masks or unmasks a piece of a payload, which is the same operation. `offset` is the position of the piece in the payload.
///
/// # Examples
///
/// ```
/// use sockeye::protocol::mask;
///
/// let mut payload = *b"roe and milt";
/// let (first, second) = payload.split_at_mut(5);
/// mask::apply([1, 2, 3, 4], 0, first);
/// mask::apply([1, 2, 3, 4], 5, second);
/// mask::apply([1, 2, 3, 4], 0, &mut payload);
/// assert_eq!(&payload, b"roe and milt");
/// ```
#[inline]
pub fn apply(key: Key, offset: u64, bytes: &mut [u8]) {
    let key = rotated(key, offset);
    if bytes.len() < LONG { apply_short(key, bytes) } else { apply_long(key, bytes) }
}

#[inline(always)]
fn apply_short(key: Key, bytes: &mut [u8]) {
    let word = u32::from_ne_bytes(key);
    // Compilers turn this loop into vector instructions. Wider words would be slower for short messages.
    let (words, rest) = bytes.as_chunks_mut::<4>();
    for bytes in words {
        *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// Masks block by block.
#[inline(never)]
fn apply_long(key: Key, bytes: &mut [u8]) {
    let (blocks, rest) = bytes.as_chunks_mut::<BLOCK>();
    for block in blocks {
        *block = masked_block(key, block);
    }
    apply_short(key, rest);
}

/// Copies a payload of the same length, and masks or unmasks the copy.
#[inline(always)]
pub(crate) fn copy(key: Key, from: &[u8], to: &mut [u8]) {
    if from.len() < LONG { copy_short(key, from, to) } else { copy_long(key, from, to) }
}

#[inline(always)]
fn copy_short(key: Key, from: &[u8], to: &mut [u8]) {
    let word = u32::from_ne_bytes(key);
    let ((words, rest), (copies, last)) = (from.as_chunks::<4>(), to.as_chunks_mut::<4>());
    for (copy, bytes) in copies.iter_mut().zip(words) {
        *copy = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for ((copy, byte), key) in last.iter_mut().zip(rest).zip(key) {
        *copy = byte ^ key;
    }
}

/// Appends the payload to a buffer, and masks or unmasks the copy.
#[inline(always)]
pub(crate) fn append(key: Key, from: &[u8], to: &mut Vec<u8>) {
    if from.len() < LONG { append_short(key, from, to) } else { append_long(key, from, to) }
}

#[inline(always)]
fn append_short(key: Key, from: &[u8], to: &mut Vec<u8>) {
    let start = to.len();
    to.extend_from_slice(from);
    apply_short(key, to.get_mut(start..).unwrap_or_default());
}

#[inline(never)]
fn append_long(key: Key, from: &[u8], to: &mut Vec<u8>) {
    to.reserve(from.len());
    let (blocks, rest) = from.as_chunks::<BLOCK>();
    for block in blocks {
        to.extend_from_slice(&masked_block(key, block));
    }
    append_short(key, rest, to);
}

#[inline(never)]
fn copy_long(key: Key, from: &[u8], to: &mut [u8]) {
    let ((blocks, rest), (copies, last)) = (from.as_chunks::<BLOCK>(), to.as_chunks_mut::<BLOCK>());
    for (copy, block) in copies.iter_mut().zip(blocks) {
        *copy = masked_block(key, block);
    }
    copy_short(key, rest, last);
}

/// Returns a block, masked or unmasked. Its length is fixed, so that there are few instructions besides those of the vector.
#[inline(always)]
fn masked_block(key: Key, block: &[u8; BLOCK]) -> [u8; BLOCK] {
    let mut masked = *block;
    apply_short(key, &mut masked);
    masked
}

/// Moves a payload to the front of its memory, where it follows `start` other bytes, and unmasks it.
///
/// This happens part by part, so that each part is still in the fastest cache when it is unmasked.
#[cfg(feature = "reactor")]
pub(crate) fn move_to_front(key: Option<Key>, start: usize, bytes: &mut [u8]) {
    let len = bytes.len().saturating_sub(start);
    for at in (0..len).step_by(PART) {
        let end = at.saturating_add(PART).min(len);
        if start > 0 {
            bytes.copy_within(at.saturating_add(start)..end.saturating_add(start), at);
        }
        if let (Some(key), Some(block)) = (key, bytes.get_mut(at..end)) {
            apply(key, 0, block);
        }
    }
}

/// Returns a fresh, unpredictable key. Each frame MUST have one (§5.3, §10.3).
///
/// It comes from the cryptographic generator of the thread, which is seeded by the system.
pub(crate) fn fresh_key() -> Key {
    rand::rng().next_u32().to_ne_bytes()
}

#[inline]
fn rotated(key: Key, offset: u64) -> Key {
    let [a, b, c, d] = key;
    match offset % 4 {
        0 => key,
        1 => [b, c, d, a],
        2 => [c, d, a, b],
        _ => [d, a, b, c],
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::random_inputs::{self, bytes};

    /// The algorithm as §5.3 writes it: octet i of the payload with octet i modulo 4 of the key.
    fn by_the_book(key: Key, offset: u64, bytes: &mut [u8]) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            let octet = (i as u64).wrapping_add(offset) % 4;
            *byte ^= key[octet as usize];
        }
    }

    #[test]
    fn s5_3_masking_matches_the_algorithm_of_the_rfc() {
        random_inputs::for_each(|rng| {
            let (key, offset, original) = (rng.random(), rng.random_range(0..9), bytes(rng, 0..600));
            let mut masked = original.clone();
            apply(key, offset, &mut masked);
            let mut expected = original.clone();
            by_the_book(key, offset, &mut expected);
            assert_eq!(masked, expected);
            let mut appended = vec![7];
            append(key, &original, &mut appended);
            let mut copied = vec![7; original.len()];
            copy(key, &original, &mut copied);
            let mut expected = original;
            by_the_book(key, 0, &mut expected);
            assert_eq!(copied, expected);
            assert_eq!(appended, [&[7], &*expected].concat());
        });
    }

    #[test]
    #[cfg(feature = "reactor")]
    fn s5_3_a_payload_is_unmasked_while_it_is_moved() {
        random_inputs::for_each(|rng| {
            let (key, start, payload) = (rng.random(), rng.random_range(0..15), bytes(rng, 0..9000));
            let mut memory = [vec![7; start], payload.clone()].concat();
            move_to_front(Some(key), start, &mut memory);
            let mut expected = payload;
            by_the_book(key, 0, &mut expected);
            assert_eq!(&memory[..expected.len()], expected);
        });
    }

    #[test]
    fn f9_masking_keys_are_fresh() {
        let keys: std::collections::HashSet<Key> = (0..1000).map(|_| fresh_key()).collect();
        assert!(keys.len() > 990, "only {} different keys in 1000", keys.len());
    }
}
