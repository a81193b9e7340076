//! The parts of header fields: tokens, text, and lists (RFC 9110 §5.5, §5.6).
//!
//! Every function examines each byte a bounded number of times, for any input.

/// The high bit of each of eight bytes.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Splits one field into the elements of its list.
pub(super) fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let list = rest?;
        let (element, others) = cut_at_comma(list);
        rest = others;
        Some(trim(element))
    })
    .filter(|element| !element.is_empty())
}

/// Splits before the first comma that is not within a quoted string (RFC 9110 §5.6.4).
fn cut_at_comma(list: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (mut quoted, mut escaped) = (false, false);
    let comma = list.iter().position(|byte| {
        let was_escaped = std::mem::take(&mut escaped);
        match byte {
            b'\\' if quoted && !was_escaped => escaped = true,
            b'"' if !was_escaped => quoted = !quoted,
            _ => {}
        }
        *byte == b',' && !quoted
    });
    match comma.and_then(|at| list.split_at_checked(at)) {
        Some((element, others)) => (element, others.split_first().map(|(_, others)| others)),
        None => (list, None),
    }
}

/// Removes optional white space at both ends (RFC 9110 §5.6.3).
pub(crate) fn trim(value: &[u8]) -> &[u8] {
    trim_end(trim_start(value))
}

/// Removes optional white space at the front, which usually is one space.
pub(super) fn trim_start(value: &[u8]) -> &[u8] {
    let mut value = value.strip_prefix(b" ").unwrap_or(value);
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    value
}

/// Removes optional white space at the end.
pub(super) fn trim_end(mut value: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Returns whether the bytes are a token (RFC 9110 §5.6.2): not empty, and without separators, spaces and controls.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all_in(&TOKEN, bytes)
}

/// The bytes of a token.
const TOKEN: [bool; 256] =
    byte_set(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

/// Returns how many bytes at the front may be part of a token.
pub(crate) fn token_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(bytes.len())
}

/// Returns where the first colon is.
pub(super) fn colon(bytes: &[u8]) -> Option<usize> {
    position(bytes, |word| zeros(word ^ 0x3a3a_3a3a_3a3a_3a3a), |byte| byte == b':')
}

/// Returns where the first byte of a kind is, and examines eight bytes at a time. `mark` sets the high bit of the first one in a word. Those of
/// bytes after it may be set as well, and other bits are arbitrary.
#[inline(always)]
fn position(bytes: &[u8], mark: impl Fn(u64) -> u64, is_of_kind: impl Fn(u8) -> bool) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let marks = mark(u64::from_le_bytes(*word)) & HIGH;
        if marks != 0 {
            let byte = usize::try_from(marks.trailing_zeros()).unwrap_or_default() / 8;
            return Some(index.wrapping_mul(8).wrapping_add(byte));
        }
    }
    let at = rest.iter().position(|byte| is_of_kind(*byte))?;
    Some(words.len().wrapping_mul(8).wrapping_add(at))
}

/// Marks the first zero of eight bytes.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(0x0101_0101_0101_0101) & !word
}

/// Returns whether a byte may be part of a token (RFC 9110 §5.6.2).
#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    contains(&TOKEN, byte)
}

/// Creates a set of bytes. Looking a byte up takes half of the instructions of comparisons with ranges.
pub(crate) const fn byte_set(mut bytes: &[u8]) -> [bool; 256] {
    let mut set = [false; 256];
    #[expect(
        clippy::indexing_slicing,
        reason = "the index of a byte is in bounds, and constants cannot call `get_mut`"
    )]
    while let [first, rest @ ..] = bytes {
        set[*first as usize] = true;
        bytes = rest;
    }
    set
}

/// Returns whether a set contains a byte.
#[inline]
pub(crate) fn contains(set: &[bool; 256], byte: u8) -> bool {
    set.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Returns whether the bytes may be part of a field value or a reason phrase. The tab is the only control byte that may (RFC 9110
/// §5.5).
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    text_len(bytes) == bytes.len()
}

/// Returns how many bytes at the front may be part of a field value (RFC 9110 §5.5).
pub(crate) fn text_len(bytes: &[u8]) -> usize {
    let mut len = 0_usize;
    while let Some(rest) = bytes.get(len..) {
        len = len.wrapping_add(visible_len(rest));
        match bytes.get(len) {
            Some(b'\t') => len = len.wrapping_add(1),
            _ => break,
        }
    }
    len
}

/// Returns how many bytes at the front are no control bytes.
fn visible_len(bytes: &[u8]) -> usize {
    position(bytes, controls, |byte| matches!(byte, 0..b' ' | 0x7f)).unwrap_or(bytes.len())
}

/// Marks the first control byte of eight.
#[inline]
fn controls(word: u64) -> u64 {
    // The high bit of a byte below 0x20 is set, and that of 0x7f.
    let below = word.wrapping_sub(0x2020_2020_2020_2020) & !word;
    below | zeros(word ^ 0x7f7f_7f7f_7f7f_7f7f)
}

/// Returns whether a set contains all of the bytes.
pub(crate) fn all_in(set: &[bool; 256], bytes: &[u8]) -> bool {
    let (quads, rest) = bytes.as_chunks::<4>();
    // One branch for four bytes.
    let has_quad = |quad: &[u8; 4]| quad.iter().fold(true, |all, byte| all & contains(set, *byte));
    quads.iter().all(has_quad) && rest.iter().all(|byte| contains(set, *byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_s5_6_2_tokens_consist_of_visible_characters_without_delimiters() {
        for byte in 0..=u8::MAX {
            let is_delimiter = b"\"(),/:;<=>?@[\\]{}".contains(&byte);
            assert_eq!(is_token_byte(byte), byte.is_ascii_graphic() && !is_delimiter, "{byte:#x}");
        }
    }

    #[test]
    fn the_first_colon_is_found_at_every_position() {
        for len in 0..30 {
            // These differ from a colon in one bit, or by one.
            for other in [b'a', b';', b'9', 0xba, 0, 0xff] {
                let bytes = vec![other; len];
                assert_eq!(colon(&bytes), None, "{other:#x} × {len}");
                for (at, second) in (0..len).flat_map(|at| (at..len).map(move |second| (at, second))) {
                    let mut bytes = bytes.clone();
                    bytes[at] = b':';
                    bytes[second] = b':';
                    assert_eq!(colon(&bytes), Some(at), "{}", bytes.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn text_ends_before_the_first_byte_that_is_not_text() {
        for byte in 0..=255 {
            for at in 0..20 {
                let mut bytes = [b'x'; 20];
                bytes[at] = byte;
                let is_text = matches!(byte, b' '..=b'~' | 0x80.. | b'\t');
                assert_eq!(text_len(&bytes), if is_text { 20 } else { at }, "{byte:#x} at {at}");
                bytes[..at].fill(b'\t');
                assert_eq!(text_len(&bytes), if is_text { 20 } else { at }, "{byte:#x} after {at} tabs");
            }
        }
    }

    #[test]
    fn h6_quoted_commas_do_not_split_elements() {
        let list = b" a ,\"b , \\\" c\" ,, d;e=\"f,g\" ,\"h";
        let parts: Vec<&[u8]> = split(list).collect();
        assert_eq!(parts, [&b"a"[..], b"\"b , \\\" c\"", b"d;e=\"f,g\"", b"\"h"]);
    }
}
