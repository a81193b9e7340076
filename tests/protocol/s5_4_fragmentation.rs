//! §5.4: messages in fragments.

use sockeye::protocol::{Config, ProtocolError, Role};

use crate::pair::{End, Pair, Seen};
use crate::wire::{self, BINARY_BEGINS, ENDS, GOES_ON, PING, PONG, TEXT, TEXT_BEGINS};

/// Feeds frames of the client to a server, each on its own; returns the reports, one list for each frame.
fn feed_each(server: &mut End, frames: &[(u8, &[u8])]) -> Vec<Vec<Seen>> {
    frames.iter().map(|(first, payload)| server.feed(&wire::frame(Role::Client, *first, payload))).collect()
}

#[test]
fn s5_4_fragments_become_one_message() {
    let mut server = End::open(Role::Server, Config::default());
    let seen = feed_each(&mut server, &[(TEXT_BEGINS, b"one "), (GOES_ON, b"two "), (ENDS, b"three")]);
    assert_eq!(seen, [vec![], vec![], vec![Seen::text("one two three")]]);
    let seen = feed_each(&mut server, &[(BINARY_BEGINS, &[1]), (ENDS, &[2])]);
    assert_eq!(seen, [vec![], vec![Seen::binary([1, 2])]]);
}

#[test]
fn s5_4_fragments_may_be_empty() {
    let mut server = End::open(Role::Server, Config::default());
    let seen = feed_each(&mut server, &[(TEXT_BEGINS, b""), (GOES_ON, b""), (ENDS, b"")]);
    assert_eq!(seen.concat(), [Seen::text("")]);
    let seen = feed_each(&mut server, &[(BINARY_BEGINS, b""), (GOES_ON, b"x"), (GOES_ON, b""), (ENDS, b"")]);
    assert_eq!(seen.concat(), [Seen::binary("x")]);
}

#[test]
fn f4_s5_4_control_frame_inside_fragments() {
    let mut server = End::open(Role::Server, Config::default());
    let frames: [(u8, &[u8]); 5] =
        [(TEXT_BEGINS, b"be"), (PING, b"now"), (GOES_ON, b"for"), (PONG, b"late"), (ENDS, b"e")];
    let seen = feed_each(&mut server, &frames).concat();
    let expected = [Seen::Ping(b"now".to_vec()), Seen::Pong(b"late".to_vec()), Seen::text("before")];
    assert_eq!(seen, expected);
    assert!(wire::only(&server.out).is(PONG, b"now"), "the Pong does not wait for the message");
}

#[test]
fn s5_4_close_inside_fragments_ends_the_message() {
    let mut server = End::open(Role::Server, Config::default());
    feed_each(&mut server, &[(TEXT_BEGINS, b"never whole")]);
    let seen = server.feed(&wire::close(Role::Client, 1000, b""));
    assert_eq!(seen, [Seen::close(sockeye::CloseCode::Normal, "")]);
    assert_eq!(feed_each(&mut server, &[(ENDS, b"!")]).concat(), []);
}

#[test]
fn f5_s5_4_a_continuation_with_nothing_to_continue_fails() {
    for first in [GOES_ON, ENDS] {
        let mut server = End::open(Role::Server, Config::default());
        let frames: [(u8, &[u8]); 4] = [(TEXT_BEGINS, b"a"), (ENDS, b"b"), (TEXT, b"c"), (first, b"d")];
        let seen = feed_each(&mut server, &frames);
        assert_eq!(seen[3], [Seen::Failed(ProtocolError::LoneContinuation)]);
        assert!(wire::only(&server.out).is(wire::CLOSE, &1002_u16.to_be_bytes()));
    }
}

#[test]
fn f5_s5_4_a_new_message_inside_another_one_fails() {
    for first in [TEXT, TEXT_BEGINS, wire::BINARY, BINARY_BEGINS] {
        let mut server = End::open(Role::Server, Config::default());
        let seen = feed_each(&mut server, &[(TEXT_BEGINS, b"a"), (PING, b""), (first, b"b")]);
        assert_eq!(seen[2], [Seen::Failed(ProtocolError::InterruptedMessage)]);
    }
}

#[test]
fn s5_4_what_is_sent_is_cut_at_the_fragment_size() {
    let mut server = End::open(Role::Server, Config { fragment_size: 4, ..Config::default() });
    server.send("salmon run");
    let frames = wire::frames(&server.take_out());
    let expected: [(u8, &[u8]); 3] = [(TEXT_BEGINS, b"salm"), (GOES_ON, b"on r"), (ENDS, b"un")];
    assert!(frames.iter().zip(expected).all(|(frame, (first, payload))| frame.is(first, payload)));
    assert_eq!(frames.len(), 3);

    server.send("salm");
    assert!(wire::only(&server.take_out()).is(TEXT, b"salm"));
    server.core.ping("longer than four", server.now, &mut server.out).unwrap();
    assert!(wire::only(&server.take_out()).is(PING, b"longer than four"), "control frames are never cut");
}

#[test]
fn s5_4_text_may_be_cut_within_a_character() {
    let text = "\u{1f41f} \u{20ac} \u{e9}";
    for fragment_size in 1..=text.len() {
        let config = Config { fragment_size, ..Config::default() };
        let mut pair = Pair::open_with(config.clone(), config);
        pair.client.send(text);
        pair.server.send(text);
        assert_eq!(pair.run(), (vec![Seen::text(text)], vec![Seen::text(text)]));
    }
}
