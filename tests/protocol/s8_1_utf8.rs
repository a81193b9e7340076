//! §8.1: text is UTF-8, and what is not fails the connection in the very read that shows it (F6).

use proptest::prelude::*;
use sockeye::protocol::{Config, ProtocolError, Role};

use sockeye_test_support::bytes::{self, CONTINUATION, LAST, TEXT, TEXT_START};
use sockeye_test_support::pair::{End, Seen};

/// A text of a client, in fragments that end at these offsets, as single bytes of the wire; with each the offset in
/// the text that it carries, if it is one of the payload.
fn stream(text: &[u8], cuts: &[usize]) -> Vec<(u8, Option<usize>)> {
    let mut ends: Vec<usize> = cuts.iter().copied().chain([text.len()]).collect();
    ends.sort_unstable();
    let (mut stream, mut start) = (Vec::new(), 0);
    for (i, end) in ends.iter().copied().enumerate() {
        let first = match (i, i + 1 == ends.len()) {
            (0, true) => TEXT,
            (0, false) => TEXT_START,
            (_, true) => LAST,
            (_, false) => CONTINUATION,
        };
        let header = bytes::header_from(Role::Client, first, (end - start) as u64);
        stream.extend(header.into_iter().map(|byte| (byte, None)));
        stream.extend(bytes::mask(&text[start..end]).zip(start..end).map(|(byte, at)| (byte, Some(at))));
        start = end;
    }
    stream
}

/// The offset of the byte that no continuation can mend; the end, if the text breaks off within a character.
fn hopeless(text: &[u8]) -> Option<usize> {
    let is_lost =
        |end: &usize| std::str::from_utf8(&text[..*end]).is_err_and(|err| err.error_len().is_some());
    (0..=text.len()).find(is_lost).map(|end| end - 1)
}

/// Feeds the stream in pieces of the given length, and checks what each of them leads to.
fn check(text: &[u8], cuts: &[usize], piece: usize) {
    let mut server = End::open(Role::Server, Config::default());
    let stream = stream(text, cuts);
    let valid = std::str::from_utf8(text).ok();
    let mut done = false;
    for (i, chunk) in stream.chunks(piece).enumerate() {
        let is_last = (i + 1) * piece >= stream.len();
        let bytes: Vec<u8> = chunk.iter().map(|(byte, _)| *byte).collect();
        let has_hopeless = chunk.iter().any(|(_, at)| at.is_some() && *at == hopeless(text));
        let expected = match valid {
            _ if done => vec![],
            Some(text) if is_last => vec![Seen::text(text)],
            None if has_hopeless || is_last => vec![Seen::Failed(ProtocolError::InvalidUtf8)],
            _ => vec![],
        };
        done |= !expected.is_empty();
        assert_eq!(server.feed(&bytes), expected, "{text:x?} at {cuts:?}, piece {i} of {piece} bytes");
    }
    if valid.is_none() {
        assert!(bytes::only(&server.out).is(bytes::CLOSE, &1007_u16.to_be_bytes()));
    }
}

/// Every split of a text into fragments, two at most, and into reads.
fn check_all(text: &[u8]) {
    for piece in [1, 2, 3, 7, usize::MAX >> 1] {
        check(text, &[], piece);
        for first in 0..=text.len() {
            check(text, &[first], piece);
            check(text, &[first, text.len() / 2], piece);
        }
    }
}

#[test]
fn f6_s8_1_valid_text_is_accepted_at_every_split() {
    check_all("\u{7f} \u{80} \u{7ff} \u{800} \u{ffff} \u{10000} \u{10ffff}".as_bytes());
}

#[test]
fn f6_s8_1_invalid_text_is_rejected_at_every_split() {
    let bad: [&[u8]; 9] = [
        b"lone \x80 continuation",
        b"overlong \xc0\xaf slash",
        b"overlong \xe0\x80\xaf slash",
        b"overlong \xf0\x80\x80\xaf",
        b"surrogate \xed\xa0\x80 half",
        b"beyond \xf4\x90\x80\x80 Unicode",
        b"never \xfe\xff valid",
        b"cut short \xe2\x82!",
        b"the end is missing \xf0\x9f\x90",
    ];
    bad.into_iter().for_each(check_all);
}

#[test]
fn f6_s8_1_binary_messages_are_not_checked() {
    let mut server = End::open(Role::Server, Config::default());
    let seen = server.feed(&bytes::frame_from(Role::Client, bytes::BINARY, b"\xff\xfe\x80"));
    assert_eq!(seen, [Seen::binary(b"\xff\xfe\x80")]);
}

#[test]
fn f6_s8_1_a_control_frame_can_separate_two_halves_of_a_character() {
    let mut server = End::open(Role::Server, Config::default());
    server.feed(&bytes::frame_from(Role::Client, TEXT_START, b"\xe2\x82"));
    server.feed(&bytes::frame_from(Role::Client, bytes::PING, b"\xff"));
    assert_eq!(server.feed(&bytes::frame_from(Role::Client, LAST, b"\xac")), [Seen::text("\u{20ac}")]);
}

#[test]
fn f6_s5_5_1_a_close_reason_must_be_utf8() {
    let mut server = End::open(Role::Server, Config::default());
    let seen = server.feed(&bytes::close_from(Role::Client, 1000, b"cut \xe2\x82"));
    assert_eq!(seen, [Seen::Failed(ProtocolError::InvalidUtf8)]);
    assert!(bytes::only(&server.out).is(bytes::CLOSE, &1007_u16.to_be_bytes()));
}

/// Text with a byte or two that may not belong there.
fn nearly_text() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    ("\\PC{0,12}", changes).prop_map(|(text, changes)| {
        let mut bytes = text.into_bytes();
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn f6_s8_1_validation_fails_at_the_same_byte_as_the_standard_library(
        text in nearly_text(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        piece in 1usize..20,
    ) {
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        check(&text, &cuts, piece);
    }
}
