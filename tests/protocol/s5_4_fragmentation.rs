//! §5.4: messages in fragments.

use sockeye::protocol::{Config, ProtocolError, Role};

use sockeye_test_support::bytes::{self, BINARY_START, CONTINUATION, LAST, PING, PONG, TEXT, TEXT_START};
use sockeye_test_support::pair::{End, Pair, Seen};

/// Feeds frames of the client to a server, each on its own; returns the reports, one list for each frame.
fn feed_each(server: &mut End, frames: &[(u8, &[u8])]) -> Vec<Vec<Seen>> {
    frames
        .iter()
        .map(|(first, payload)| server.feed(&bytes::frame_from(Role::Client, *first, payload)))
        .collect()
}

#[test]
fn s5_4_fragments_become_one_message() {
    let mut server = End::open(Role::Server, Config::default());
    let seen = feed_each(&mut server, &[(TEXT_START, b"one "), (CONTINUATION, b"two "), (LAST, b"three")]);
    assert_eq!(seen, [vec![], vec![], vec![Seen::text("one two three")]]);
    let seen = feed_each(&mut server, &[(BINARY_START, &[1]), (LAST, &[2])]);
    assert_eq!(seen, [vec![], vec![Seen::binary([1, 2])]]);
}

#[test]
fn s5_4_empty_fragments_are_accepted() {
    let mut server = End::open(Role::Server, Config::default());
    let seen = feed_each(&mut server, &[(TEXT_START, b""), (CONTINUATION, b""), (LAST, b"")]);
    assert_eq!(seen.concat(), [Seen::text("")]);
    let seen = feed_each(
        &mut server,
        &[(BINARY_START, b""), (CONTINUATION, b"x"), (CONTINUATION, b""), (LAST, b"")],
    );
    assert_eq!(seen.concat(), [Seen::binary("x")]);
}

#[test]
fn f4_s5_4_control_frames_between_fragments_are_processed_immediately() {
    let mut server = End::open(Role::Server, Config::default());
    let frames: [(u8, &[u8]); 5] =
        [(TEXT_START, b"be"), (PING, b"now"), (CONTINUATION, b"for"), (PONG, b"late"), (LAST, b"e")];
    let seen = feed_each(&mut server, &frames).concat();
    let expected = [Seen::Ping(b"now".to_vec()), Seen::Pong(b"late".to_vec()), Seen::text("before")];
    assert_eq!(seen, expected);
    assert!(bytes::only(&server.out).is(PONG, b"now"), "the Pong does not wait for the message");
}

#[test]
fn s5_4_a_close_between_fragments_discards_the_message() {
    let mut server = End::open(Role::Server, Config::default());
    feed_each(&mut server, &[(TEXT_START, b"never whole")]);
    let seen = server.feed(&bytes::close_from(Role::Client, 1000, b""));
    assert_eq!(seen, [Seen::close(sockeye::CloseCode::Normal, "")]);
    assert_eq!(feed_each(&mut server, &[(LAST, b"!")]).concat(), []);
}

#[test]
fn f5_s5_4_a_continuation_without_a_message_is_rejected() {
    for first in [CONTINUATION, LAST] {
        let mut server = End::open(Role::Server, Config::default());
        let frames: [(u8, &[u8]); 4] = [(TEXT_START, b"a"), (LAST, b"b"), (TEXT, b"c"), (first, b"d")];
        let seen = feed_each(&mut server, &frames);
        assert_eq!(seen[3], [Seen::Failed(ProtocolError::LoneContinuation)]);
        assert!(bytes::only(&server.out).is(bytes::CLOSE, &1002_u16.to_be_bytes()));
    }
}

#[test]
fn f5_s5_4_a_new_message_inside_another_one_is_rejected() {
    for first in [TEXT, TEXT_START, bytes::BINARY, BINARY_START] {
        let mut server = End::open(Role::Server, Config::default());
        let seen = feed_each(&mut server, &[(TEXT_START, b"a"), (PING, b""), (first, b"b")]);
        assert_eq!(seen[2], [Seen::Failed(ProtocolError::InterruptedMessage)]);
    }
}

#[test]
fn s5_4_sent_messages_are_split_at_the_fragment_size() {
    let mut server = End::open(Role::Server, Config { fragment_size: 4, ..Config::default() });
    server.send("salmon run");
    let frames = bytes::frames(&server.take_out());
    let expected: [(u8, &[u8]); 3] = [(TEXT_START, b"salm"), (CONTINUATION, b"on r"), (LAST, b"un")];
    assert!(frames.iter().zip(expected).all(|(frame, (first, payload))| frame.is(first, payload)));
    assert_eq!(frames.len(), 3);

    server.send("salm");
    assert!(bytes::only(&server.take_out()).is(TEXT, b"salm"));
    server.core.ping("longer than four", server.now, &mut server.out).unwrap();
    assert!(bytes::only(&server.take_out()).is(PING, b"longer than four"), "control frames are never cut");
}

#[test]
fn s5_4_text_can_be_split_within_a_character() {
    let text = "\u{1f41f} \u{20ac} \u{e9}";
    for fragment_size in 1..=text.len() {
        let config = Config { fragment_size, ..Config::default() };
        let mut pair = Pair::open_with(config.clone(), config);
        pair.client.send(text);
        pair.server.send(text);
        assert_eq!(pair.run(), (vec![Seen::text(text)], vec![Seen::text(text)]));
    }
}
