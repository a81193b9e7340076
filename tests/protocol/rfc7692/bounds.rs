//! D1, D3: what a compressed message may cost. What memory it takes is measured in `tests/front-ends/deflate`.

use sockeye::protocol::{Config, ProtocolError, Role};

use super::{COMPRESSED_BINARY, COMPRESSED_TEXT, EAGER, EMPTY_BLOCK, RSV1, feed, noise, open, sent, with};
use sockeye_test_support::bytes::{self, BINARY_START, CONTINUATION, LAST};
use sockeye_test_support::pair::{End, Seen};

fn limited(max_message_size: usize) -> End {
    open(Role::Server, Config { max_message_size, ..with(EAGER) })
}

/// A compressed message of zeros.
fn zeros(len: usize) -> Vec<u8> {
    let mut frames = sent(&mut open(Role::Client, with(EAGER)), vec![0; len]);
    frames.remove(0).payload
}

fn is_too_long(end: &mut End, seen: &[Seen]) -> bool {
    let rx =
        bytes::frames(&end.take_out()).pop().is_some_and(|frame| frame.payload == 1009_u16.to_be_bytes());
    rx && seen == [Seen::Failed(ProtocolError::MessageTooLong)]
}

#[test]
fn d1_m3_the_message_size_limit_applies_to_the_inflated_message() {
    let mut end = limited(100_000);
    assert_eq!(feed(&mut end, COMPRESSED_BINARY, &zeros(100_000)), [Seen::binary(vec![0; 100_000])]);
    let seen = feed(&mut end, COMPRESSED_BINARY, &zeros(100_001));
    assert!(is_too_long(&mut end, &seen));
}

#[test]
fn d1_the_inflated_size_includes_all_fragments() {
    let mut end = limited(100_000);
    let part = [&zeros(30_000)[..], &EMPTY_BLOCK[1..]].concat();
    assert_eq!(feed(&mut end, BINARY_START | RSV1, &part), []);
    assert_eq!(feed(&mut end, CONTINUATION, &part), []);
    assert_eq!(feed(&mut end, CONTINUATION, &part), []);
    let seen = feed(&mut end, CONTINUATION, &part);
    assert!(is_too_long(&mut end, &seen), "before the message ends");
}

#[test]
fn d1_an_incompressible_message_can_be_as_long_as_the_limit() {
    for len in [10, 100, 1000, 100_000, 300_000] {
        let message = noise(len);
        let whole = sent(&mut open(Role::Client, with(EAGER)), message.clone()).remove(0).payload;
        assert!(whole.len() > len);
        let mut fresh = limited(len);
        assert_eq!(feed(&mut fresh, COMPRESSED_BINARY, &whole), [Seen::binary(message.clone())]);
        let (first, second) = whole.split_at(whole.len() / 2);
        assert_eq!(feed(&mut fresh, BINARY_START, &[]), [], "no compression, no allowance");
        assert_eq!(feed(&mut fresh, LAST, &[]), [Seen::binary([])]);
        let mut fresh = limited(len);
        assert_eq!(feed(&mut fresh, BINARY_START | RSV1, first), []);
        assert_eq!(feed(&mut fresh, LAST, second), [Seen::binary(message)]);
    }
}

#[test]
fn d1_f1_a_compressed_length_over_the_limit_is_rejected_by_the_header() {
    let refused = |first: u8, len: u64| {
        let mut end = limited(1 << 20);
        let seen = end.feed(&bytes::header_from(Role::Client, first, len));
        !seen.is_empty() && is_too_long(&mut end, &seen)
    };
    let allowance = (1 << 20) / 8 + 64;
    assert!(
        !refused(COMPRESSED_TEXT, (1 << 20) + allowance)
            && refused(COMPRESSED_TEXT, (1 << 20) + allowance + 1)
    );
    assert!(!refused(bytes::TEXT, 1 << 20) && refused(bytes::TEXT, (1 << 20) + 1));
}

#[test]
fn d1_a_large_compressed_bomb_is_rejected_early() {
    // Half of the limit out of nearly nothing, and then more bytes than there is room for: they are not looked at.
    let limit = 4 << 20;
    let bomb = [&zeros(limit / 2)[..], &EMPTY_BLOCK[1..], &vec![0xff; limit - 10_000]].concat();
    let mut end = limited(limit);
    let seen = feed(&mut end, COMPRESSED_BINARY, &bomb);
    assert!(is_too_long(&mut end, &seen));
}

#[test]
fn d3_the_number_of_empty_deflate_blocks_is_limited() {
    for deflate in [EAGER, super::ALONE] {
        let mut end = open(Role::Server, with(deflate));
        let few = [&EMPTY_BLOCK.repeat(10_000)[..], &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]].concat();
        assert_eq!(feed(&mut end, COMPRESSED_TEXT, &few), [Seen::text("Hello")]);
        let seen = feed(&mut end, COMPRESSED_TEXT, &EMPTY_BLOCK.repeat(40_000));
        assert_eq!(seen, [Seen::Failed(ProtocolError::WastefulDeflate)]);
        assert_eq!(bytes::only(&end.take_out()).payload, 1008_u16.to_be_bytes());
    }
}

#[test]
fn d3_the_limit_of_empty_deflate_blocks_includes_all_fragments() {
    let mut end = open(Role::Server, with(EAGER));
    assert_eq!(feed(&mut end, BINARY_START | RSV1, &EMPTY_BLOCK.repeat(1000)), []);
    let seen = (0..1000)
        .map(|_| feed(&mut end, CONTINUATION, &EMPTY_BLOCK.repeat(1000)))
        .position(|seen| !seen.is_empty());
    assert_eq!(seen, Some(12), "64 KiB in fragments of 5,000 bytes");
}

#[test]
fn d3_a_sender_that_flushes_after_every_byte_is_accepted() {
    let flushed = |byte: &u8| [0, 1, 0, 0xfe, 0xff, *byte];
    let text = b"abcdefghij".repeat(5000);
    let payload: Vec<u8> = text.iter().flat_map(flushed).chain([0]).collect();
    let mut end = open(Role::Server, with(EAGER));
    assert_eq!(feed(&mut end, COMPRESSED_BINARY, &payload), [Seen::binary(text)]);
}
