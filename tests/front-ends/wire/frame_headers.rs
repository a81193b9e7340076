//! F1 to F3: the header of a frame.

use sockeye_test_support::bytes::{
    BINARY, BINARY_START, CLOSE, CONTINUATION, LAST, PING, PONG, TEXT, TEXT_START, close_payload, frame,
    header, masked,
};
use sockeye_test_support::host::Host;
use sockeye_test_support::peer::Peer;
use sockeye_test_support::script::Script;

/// Opens a connection, sends bytes, and returns the first byte and the payload of the first frame that comes back.
fn reply_to(peer: &mut Peer, bytes: &[u8]) -> (u8, Vec<u8>) {
    peer.send(bytes);
    peer.frame()
}

/// The header of a client's frame with its masking key, and no payload.
fn only_header(first: u8, len: u64) -> Vec<u8> {
    [header(first, len, true).as_slice(), &[1, 2, 3, 4]].concat()
}

/// The same with the length in eight bytes, or in two, whether that is the shortest form or not.
fn in_eight_bytes(first: u8, len: u64) -> Vec<u8> {
    [&[first, 0xff][..], &len.to_be_bytes(), &[1, 2, 3, 4]].concat()
}

fn in_two_bytes(first: u8, len: u16) -> Vec<u8> {
    [&[first, 0xfe][..], &len.to_be_bytes(), &[1, 2, 3, 4]].concat()
}

#[test]
fn f1_lengths_up_to_the_limit_are_delivered() {
    let limit = 70_000;
    let server =
        Script::echo().settings(|it| (it.max_message_size, it.fragment_size) = (limit, usize::MAX)).serve();
    let mut peer = server.open();
    for len in [0, 1, 125, 126, 127, 65_535, 65_536, limit] {
        let payload = vec![b'x'; len];
        assert_eq!(reply_to(&mut peer, &masked(BINARY, &payload)), (BINARY, payload));
    }
    peer.close(1000);
}

#[test]
fn f1_a_message_received_in_many_reads_is_delivered() {
    let server = Script::echo().settings(|it| it.fragment_size = usize::MAX).serve();
    let mut peer = server.open();
    let payload: Vec<u8> = (0..=250).cycle().take(3_000_000).collect();
    let (first, echoed) = reply_to(&mut peer, &masked(BINARY, &payload));
    assert!(first == BINARY && echoed == payload);
    peer.close(1000);
}

#[test]
fn f1_invalid_lengths_are_rejected_by_the_header() {
    let limit = 70_000;
    let server = Script::echo().settings(|it| it.max_message_size = limit).serve();
    let too_long = [limit as u64 + 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 53, (1 << 63) - 1];
    let too_long = too_long.map(|len| (only_header(BINARY, len), 1009));
    let begun = [masked(BINARY_START, &vec![0; 40_000]), only_header(CONTINUATION, 30_001)].concat();
    let wrong = [
        (in_eight_bytes(BINARY, 1 << 63), 1002),
        (in_eight_bytes(BINARY, u64::MAX), 1002),
        (in_two_bytes(TEXT, 0), 1002),
        (in_two_bytes(TEXT, 125), 1002),
        (in_eight_bytes(TEXT, 0), 1002),
        (in_eight_bytes(TEXT, 125), 1002),
        (in_eight_bytes(TEXT, 65_535), 1002),
        (only_header(PING, 126), 1002),
        (only_header(CLOSE, 65_536), 1002),
        (begun, 1009),
    ];
    for (id, (bytes, code)) in (0..).zip(too_long.into_iter().chain(wrong)) {
        let mut peer = server.open();
        peer.send(&bytes);
        peer.expect_failure(code);
        let error = if code == 1009 { "Capacity" } else { "Protocol" };
        let story = format!("made, request GET /chat, open, error {error}, close 1006, lost");
        assert_eq!(server.journal.story_of_lost(id), story, "{bytes:?}");
    }
    server.wait_for_sockets(0);
    server.assert_idle();
}

#[test]
fn f1_fragments_have_a_separate_limit() {
    let server = Script::echo().settings(|it| it.max_fragment_size = 1000).serve();
    let mut peer = server.open();
    peer.send(&masked(BINARY_START, &[7; 1000]));
    assert_eq!(reply_to(&mut peer, &masked(LAST, &[7; 1000])), (BINARY, vec![7; 2000]));
    peer.send(&only_header(BINARY, 1001));
    peer.expect_failure(1009);
}

#[test]
fn f2_a_server_rejects_unmasked_frames() {
    let server = Script::echo().serve();
    for bytes in [frame(TEXT, b"hello"), frame(TEXT, b""), frame(PING, b""), frame(CLOSE, b"")] {
        let mut peer = server.open();
        peer.send(&bytes);
        peer.expect_failure(1002);
    }
    server.journal.wait_for("error Protocol", 4);
    assert_eq!(server.journal.count("message hello"), 0);
}

#[test]
fn f2_a_lenient_server_accepts_masked_and_unmasked_frames() {
    let server = Script::echo()
        .settings(|it| {
            *it = sockeye::Settings { close_timeout: it.close_timeout, ..sockeye::Settings::lenient() }
        })
        .serve();
    let mut peer = server.open();
    assert_eq!(reply_to(&mut peer, &frame(TEXT, b"bare")), (TEXT, b"bare".to_vec()));
    assert_eq!(reply_to(&mut peer, &masked(TEXT, b"masked")), (TEXT, b"masked".to_vec()));
    peer.close(1000);
}

#[test]
fn f2_a_client_rejects_masked_frames() {
    for bytes in [masked(TEXT, b"hello"), masked(PING, b""), masked(CLOSE, b"")] {
        let host = Host::new();
        let mut client = Script::new().connect(&host.url());
        let mut peer = host.open();
        peer.send(&bytes);
        let (first, _, payload) = peer.masked_frame();
        assert_eq!((first, payload), (CLOSE, close_payload(1002, "")));
        peer.rest();
        drop(peer);
        client.wait_for_end();
        let story = "made, build /chat, response 101, open, error Protocol, close 1006, lost";
        assert_eq!(client.journal.story(0), story);
    }
}

/// What the first byte of an empty frame does to a connection, as §5.2, §5.4 and §5.5 have it.
#[derive(Debug, PartialEq, Eq)]
enum Effect {
    Fails,
    Closes,
    Answers,
    Goes,
}

fn effect(first: u8, in_message: bool) -> Effect {
    let (is_final, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
    match opcode {
        _ if reserved != 0 => Effect::Fails,
        0 if in_message => Effect::Goes,
        1 | 2 if !in_message => Effect::Goes,
        8 if is_final => Effect::Closes,
        9 if is_final => Effect::Answers,
        10 if is_final => Effect::Goes,
        _ => Effect::Fails,
    }
}

/// The effect that is seen: the frame is followed by a Ping.
fn effect_seen((first, payload): (u8, Vec<u8>)) -> Effect {
    match (first, payload.as_slice()) {
        (CLOSE, payload) if payload == close_payload(1002, "") => Effect::Fails,
        (CLOSE, []) => Effect::Closes,
        (PONG, []) => Effect::Answers,
        (PONG, b"after") => Effect::Goes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn f3_a_server_handles_every_first_byte_as_the_rfc_requires() {
    let server = Script::new().serve();
    for first in 0..=u8::MAX {
        for in_message in [false, true] {
            let mut peer = server.open();
            let before = if in_message { masked(TEXT_START, b"") } else { Vec::new() };
            let seen = reply_to(&mut peer, &[before, masked(first, b""), masked(PING, b"after")].concat());
            assert_eq!(effect_seen(seen), effect(first, in_message), "{first:#x}, {in_message}");
        }
    }
    server.journal.wait_for("lost", 512);
}

#[test]
fn f3_a_client_handles_every_first_byte_as_the_rfc_requires() {
    let host = Host::new();
    // One loop with all the clients; the first keeps it alive.
    let mut client = Script::new().connect(&host.url());
    let _first = host.open();
    for first in 0..=u8::MAX {
        client.out.connect(host.url().parse().unwrap()).unwrap();
        let mut peer = host.open();
        peer.send(&[frame(first, b""), frame(PING, b"after")].concat());
        let (seen, _, payload) = peer.masked_frame();
        assert_eq!(effect_seen((seen, payload)), effect(first, false), "{first:#x}");
    }
    client.journal.wait_for("lost", 256);
    client.finish();
}
