//! F4 to F6, F12: fragments, control frames between them, text, and how all of it is cut.

use sockeye_test_support::bytes::{
    BINARY_START, CLOSE, CONTINUATION, LAST, PING, PONG, TEXT, TEXT_START, close_payload, masked,
    masked_close,
};
use sockeye_test_support::peer::Peer;
use sockeye_test_support::running::Running;
use sockeye_test_support::script::Script;

const OPENED: &str = "made, request GET /chat, open";

/// Sends frames that fail the connection, and checks the code and the calls of the handler.
fn fails(server: &Running, id: u32, frames: &[Vec<u8>], code: u16, received: &str) {
    let mut peer = server.open();
    peer.send(&frames.concat());
    peer.expect_failure(code);
    assert_eq!(server.journal.story_of_lost(id), format!("{OPENED}, {received}, lost"), "{frames:?}");
}

#[test]
fn f4_long_or_fragmented_control_frames_are_rejected() {
    let server = Script::new().serve();
    let broken = [
        vec![masked(PING, &[0; 126])],
        vec![masked(PONG, &[0; 126])],
        vec![masked(CLOSE, &close_payload(1000, &"x".repeat(124)))],
        vec![masked(0x09, b"")],
        vec![masked(0x0a, b"")],
        vec![masked(0x08, b"")],
    ];
    for (id, frames) in (0..).zip(broken) {
        fails(&server, id, &frames, 1002, "error Protocol, close 1006");
    }
}

#[test]
fn f4_control_frames_between_fragments_do_not_change_the_message() {
    let server = Script::echo().serve();
    let mut peer = server.open();
    let longest = [9; 125];
    peer.send(
        &[
            masked(TEXT_START, "w\u{fc}".as_bytes()),
            masked(PING, &longest),
            masked(CONTINUATION, b"r"),
            masked(PONG, b"nobody asked"),
            masked(PING, b""),
            masked(LAST, b"ste"),
        ]
        .concat(),
    );
    assert_eq!(peer.frame(), (PONG, longest.to_vec()));
    assert_eq!(peer.frame(), (PONG, Vec::new()));
    assert_eq!(peer.frame(), (TEXT, "w\u{fc}rste".as_bytes().to_vec()));
    peer.send(&[masked(TEXT_START, b"never finished"), masked_close(1000, "")].concat());
    peer.expect_failure(1000);
    assert_eq!(server.journal.story_of_lost(0), format!("{OPENED}, message w\u{fc}rste, close 1000, lost"));
}

#[test]
fn f5_fragments_out_of_order_are_rejected() {
    let server = Script::new().serve();
    let broken = [
        vec![masked(LAST, b"x")],
        vec![masked(CONTINUATION, b"x")],
        vec![masked(TEXT_START, b"x"), masked(TEXT, b"y")],
        vec![masked(TEXT_START, b"x"), masked(BINARY_START, b"y")],
        vec![masked(BINARY_START, b"x"), masked(CONTINUATION, b"y"), masked(TEXT_START, b"z")],
        vec![masked(TEXT_START, b"x"), masked(LAST, b"y"), masked(LAST, b"z")],
    ];
    for (id, frames) in (0..).zip(broken) {
        let is_whole_before = frames.len() == 3 && frames[1] == masked(LAST, b"y");
        let message = if is_whole_before { "message xy, " } else { "" };
        fails(&server, id, &frames, 1002, &format!("{message}error Protocol, close 1006"));
    }
}

#[test]
fn f6_invalid_text_is_rejected_in_the_read_that_contains_it() {
    let server = Script::new().serve();
    let not_all_there = |first, payload: &[u8]| {
        let whole = masked(first, &[payload, &[b'x'; 100]].concat());
        whole[..whole.len() - 100].to_vec()
    };
    let broken = [
        vec![masked(TEXT, b"\xff")],
        vec![masked(TEXT, b"cut \xe2\x82")],
        vec![masked(TEXT, b"surrogate \xed\xa0\x80")],
        vec![masked(TEXT, b"overlong \xc0\x80")],
        vec![not_all_there(TEXT, b"hello \xff")],
        vec![not_all_there(TEXT_START, b"\xf4\x90")],
        vec![masked(TEXT_START, b"\xe2\x82"), not_all_there(CONTINUATION, b"\x41")],
        vec![
            masked(TEXT_START, b"\xe2"),
            masked(PING, b""),
            masked(CONTINUATION, b""),
            masked(LAST, b"\x82"),
        ],
        vec![masked(CLOSE, &[0x03, 0xe8, 0xff])],
        vec![masked(CLOSE, &[0x03, 0xe8, 0xe2, 0x82])],
    ];
    for (id, frames) in (0..).zip(broken) {
        let mut peer = server.open();
        peer.send(&frames.concat());
        if frames.contains(&masked(PING, b"")) {
            assert_eq!(peer.frame().0, PONG);
        }
        peer.expect_failure(1007);
        let story = format!("{OPENED}, error Encoding, close 1006, lost");
        assert_eq!(server.journal.story_of_lost(id), story, "{frames:?}");
    }
}

#[test]
fn f6_characters_can_be_split_anywhere() {
    let text = "a\u{e9}\u{20ac}\u{1f41f}\u{10ffff}z";
    let server = Script::echo().serve();
    let mut peer = server.open();
    for at in 0..=text.len() {
        let (first, second) = text.as_bytes().split_at(at);
        peer.send(&[masked(TEXT_START, first), masked(LAST, second)].concat());
        assert_eq!(peer.frame(), (TEXT, text.as_bytes().to_vec()));
        // The same cut, of the frame and not of the message.
        let whole = masked(TEXT, text.as_bytes());
        let (first, second) = whole.split_at(at + 6);
        peer.send(first);
        peer.send(second);
        assert_eq!(peer.frame(), (TEXT, text.as_bytes().to_vec()));
    }
    peer.close(1000);
}

#[test]
fn m4_the_number_of_fragments_is_limited() {
    let server = Script::new().settings(|it| it.max_message_size = 1024).serve();
    let empty = masked(CONTINUATION, b"");
    let begin = masked(TEXT_START, b"");
    fails(&server, 0, &[begin, empty.repeat(2000)], 1008, "error Capacity, close 1006");
}

/// One of everything, and an end; what comes after that is never looked at.
fn conversation() -> Vec<u8> {
    [
        masked(TEXT, "caf\u{e9}".as_bytes()),
        masked(PING, b"1"),
        masked(BINARY_START, &[1; 200]),
        masked(PING, b"2"),
        masked(CONTINUATION, &[2; 300]),
        masked(PONG, b"3"),
        masked(LAST, b""),
        masked(TEXT_START, b"\xe2"),
        masked(LAST, b"\x82\xac"),
        masked_close(4000, "enough"),
        masked(TEXT, b"too late"),
    ]
    .concat()
}

fn say(server: &Running, pieces: &[&[u8]]) -> Vec<u8> {
    let mut peer: Peer = server.open();
    for piece in pieces {
        peer.send(*piece);
    }
    peer.rest().0
}

#[test]
fn f12_any_split_gives_the_same_events_and_the_same_output() {
    let server = Script::new().serve();
    let all = conversation();
    let output = say(&server, &[&all]);
    let story = server.journal.story_of_lost(0);
    let frames = server.journal.full_story(0).matches("frame").count();
    assert!(story.ends_with("close 4000 enough, lost"), "{story}");
    let mut state = 0x1234_5678_u32;
    for id in 1..=40 {
        let mut rest = all.as_slice();
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // One byte at a time, then larger and larger pieces.
            let most = if id == 1 { 1 } else { id as usize * 4 };
            let (piece, others) = rest.split_at((1 + state as usize / 65_536 % most).min(rest.len()));
            pieces.push(piece);
            rest = others;
        }
        assert_eq!(say(&server, &pieces), output, "{id}");
        assert_eq!(server.journal.story_of_lost(id), story, "{id}");
        assert_eq!(server.journal.full_story(id).matches("frame").count(), frames);
    }
}
