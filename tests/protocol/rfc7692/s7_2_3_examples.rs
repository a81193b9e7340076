//! The examples of RFC 7692 §7.2.3, byte for byte.

use sockeye::protocol::Role;

use super::{ALONE, COMPRESSED_TEXT, EAGER, RSV1, feed, open, sent, with};
use sockeye_test_support::bytes::{self, LAST, TEXT_START};
use sockeye_test_support::pair::Seen;

const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

#[test]
fn d5_s7_2_3_1_a_message_in_one_block_is_received() {
    let mut client = open(Role::Client, with(EAGER));
    let whole = [0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(client.feed(&whole), [Seen::text("Hello")]);
    assert_eq!(
        bytes::frame_from(Role::Server, COMPRESSED_TEXT, &HELLO),
        whole,
        "the helpers of the tests agree"
    );
    for role in [Role::Client, Role::Server] {
        let mut end = open(role, with(EAGER));
        assert_eq!(feed(&mut end, COMPRESSED_TEXT, &HELLO), [Seen::text("Hello")]);
    }
}

#[test]
fn d5_s7_2_3_1_a_message_in_two_fragments_is_received() {
    let mut client = open(Role::Client, with(EAGER));
    assert_eq!(client.feed(&[0x41, 0x03, 0xf2, 0x48, 0xcd]), []);
    assert_eq!(client.feed(&[0x80, 0x04, 0xc9, 0xc9, 0x07, 0x00]), [Seen::text("Hello")]);
}

#[test]
fn d5_s7_2_3_2_a_message_that_refers_to_the_previous_one_is_received() {
    let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
    for role in [Role::Client, Role::Server] {
        let mut end = open(role, with(EAGER));
        for payload in [&HELLO[..], &again, &HELLO, &again] {
            assert_eq!(feed(&mut end, COMPRESSED_TEXT, payload), [Seen::text("Hello")]);
        }
    }
}

#[test]
fn d5_s7_2_3_3_a_block_without_compression_is_received() {
    let mut client = open(Role::Client, with(EAGER));
    let whole = [0xc1, 0x0b, 0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    assert_eq!(client.feed(&whole), [Seen::text("Hello")]);
}

#[test]
fn d5_s7_2_3_4_a_final_block_is_received() {
    let payload = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    for deflate in [EAGER, ALONE] {
        let mut end = open(Role::Server, with(deflate));
        assert_eq!(feed(&mut end, COMPRESSED_TEXT, &payload), [Seen::text("Hello")]);
        // It goes on, as often as one likes.
        assert_eq!(feed(&mut end, COMPRESSED_TEXT, &payload), [Seen::text("Hello")]);
        assert_eq!(feed(&mut end, COMPRESSED_TEXT, &HELLO), [Seen::text("Hello")]);
    }
}

#[test]
fn d5_s7_2_3_5_two_blocks_in_one_message_are_received() {
    let mut client = open(Role::Client, with(EAGER));
    let payload = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(feed(&mut client, COMPRESSED_TEXT, &payload), [Seen::text("Hello")]);
}

#[test]
fn d5_s7_2_3_6_an_empty_message_is_received() {
    for role in [Role::Client, Role::Server] {
        let mut end = open(role, with(EAGER));
        for _ in 0..3 {
            assert_eq!(feed(&mut end, COMPRESSED_TEXT, &[0x00]), [Seen::text("")]);
        }
        assert_eq!(feed(&mut end, COMPRESSED_TEXT, &HELLO), [Seen::text("Hello")]);
    }
}

#[test]
fn s7_2_1_messages_are_compressed_as_in_the_examples() {
    let mut server = open(Role::Server, with(EAGER));
    assert!(sent(&mut server, "Hello")[0].is(COMPRESSED_TEXT, &HELLO));
    assert!(sent(&mut server, "Hello")[0].is(COMPRESSED_TEXT, &[0xf2, 0x00, 0x11, 0x00, 0x00]));
    // An empty message needs no compression, and begins no context.
    assert!(sent(&mut server, "")[0].is(bytes::TEXT, b""));
}

#[test]
fn d5_a_final_block_is_received_in_any_position() {
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for deflate in [EAGER, ALONE] {
        let mut end = open(Role::Server, with(deflate));
        // Nothing behind it, the byte that the example adds, or another stream.
        let payloads = [
            (last.to_vec(), "Hello"),
            ([&last[..], &[0]].concat(), "Hello"),
            ([&last[..], &last].concat(), "HelloHello"),
            ([&last[..], &HELLO].concat(), "HelloHello"),
            ([&HELLO[..], &[0, 0, 0xff, 0xff], &last].concat(), "HelloHello"),
        ];
        for (payload, text) in payloads {
            assert_eq!(feed(&mut end, COMPRESSED_TEXT, &payload), [Seen::text(text)], "{payload:x?}");
            // The same cut behind every byte.
            for at in 0..=payload.len() {
                assert_eq!(feed(&mut end, TEXT_START | RSV1, &payload[..at]), []);
                assert_eq!(feed(&mut end, LAST, &payload[at..]), [Seen::text(text)], "{payload:x?} {at}");
            }
        }
        assert_eq!(feed(&mut end, COMPRESSED_TEXT, &HELLO), [Seen::text("Hello")]);
    }
}

#[test]
fn d5_a_message_is_received_with_and_without_the_deflate_tail() {
    let mut end = open(Role::Server, with(ALONE));
    // Without its last byte; without anything; with the tail that should have been left out.
    for (payload, text) in [
        (&HELLO[..6], "Hello"),
        (&[], ""),
        (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0, 0, 0, 0xff, 0xff], "Hello"),
    ] {
        assert_eq!(feed(&mut end, COMPRESSED_TEXT, payload), [Seen::text(text)], "{payload:x?}");
    }
    assert_eq!(feed(&mut end, COMPRESSED_TEXT, &HELLO), [Seen::text("Hello")]);
}
