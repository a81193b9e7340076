//! D7, F12: messages in any order, cut in any way, with control frames between their fragments.

use proptest::prelude::*;
use proptest::sample::Index;
use sockeye::protocol::{Config, ProtocolError, Role, State};
use sockeye::{Deflate, Message};

use super::{COMPRESSED_TEXT, EAGER, RSV1, feed, open, with};
use sockeye_test_support::bytes::{self, CONTINUATION, LAST, PING, TEXT_START};
use sockeye_test_support::generate::{cuts, message, role, split};
use sockeye_test_support::pair::{Core, End, Pair, Seen};

/// Settings of either side; most of what they are about is agreed on in the handshake.
fn deflate() -> impl Strategy<Value = Deflate> {
    (any::<[bool; 2]>(), [9..=15_u8, 9..=15_u8], 1..=9_u8, 0..100_usize).prop_map(
        |([server, client], [server_bits, client_bits], level, threshold)| Deflate {
            server_no_context_takeover: server,
            client_no_context_takeover: client,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
            level,
            threshold,
            ..EAGER
        },
    )
}

/// Messages that resemble each other now and then.
fn messages() -> impl Strategy<Value = Vec<(Role, Message)>> {
    let repeated = (message(), 1..200_usize).prop_map(|(message, times)| match message {
        Message::Text(text) => Message::text(text.repeat(times)),
        Message::Binary(bytes) => Message::binary(bytes.repeat(times)),
    });
    prop::collection::vec((role(), prop_oneof![message(), repeated]), 0..12)
        .prop_map(|messages| messages.iter().chain(&messages).cloned().collect())
}

fn reports(messages: &[(Role, Message)], to: Role) -> Vec<Seen> {
    let received = messages.iter().filter(|(from, _)| *from != to);
    received.map(|(_, message)| Seen::Message(message.clone())).collect()
}

/// What an end reports and sends, and its state, after it was fed these bytes.
fn fed<C: Core>(mut end: End<C>, pieces: Vec<&[u8]>) -> (Vec<Seen>, Vec<u8>, State) {
    let seen = pieces.into_iter().flat_map(|piece| end.feed(piece)).collect();
    (seen, end.take_out(), end.state())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn d7_each_end_receives_the_messages_of_the_other(
        client in deflate(),
        server in deflate(),
        messages in messages(),
        fragment_size in 1..5000_usize,
    ) {
        let config = |deflate| Config { fragment_size, ..with(deflate) };
        let mut pair = Pair::open_with(config(client), config(server));
        for (from, message) in &messages {
            let end = if *from == Role::Client { &mut pair.client } else { &mut pair.server };
            end.send(message.clone());
        }
        prop_assert_eq!(pair.run(), (reports(&messages, Role::Client), reports(&messages, Role::Server)));
    }

    #[test]
    fn f12_any_split_gives_the_same_events(
        messages in messages(),
        ends in cuts(),
        damage in prop::option::of((any::<Index>(), any::<u8>())),
        is_manual: bool,
        fragment_size in 1..300_usize,
    ) {
        let mut sender = open(Role::Client, Config { fragment_size, ..with(EAGER) });
        for (_, message) in messages {
            sender.send(message);
        }
        let mut bytes = sender.take_out();
        if let Some((at, byte)) = damage.filter(|_| !bytes.is_empty()) {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let observed = |pieces: Vec<&[u8]>| {
            let end = open(Role::Server, Config { max_message_size: 20_000, ..with(EAGER) });
            if is_manual { fed(end.into_manual(), pieces) } else { fed(end, pieces) }
        };
        let whole = observed(vec![&bytes]);
        prop_assert_eq!(&observed(split(&bytes, &ends)), &whole);
        prop_assert_eq!(&observed(bytes.chunks(1).collect()), &whole);
    }
}

#[test]
fn d7_control_frames_between_compressed_fragments_are_received() {
    let mut end = open(Role::Server, with(EAGER));
    for _ in 0..2 {
        assert_eq!(feed(&mut end, TEXT_START | RSV1, &[0xf2, 0x48]), []);
        assert_eq!(feed(&mut end, PING, b"?"), [Seen::Ping(b"?".to_vec())]);
        assert_eq!(feed(&mut end, CONTINUATION, &[0xcd, 0xc9]), []);
        // What we send meanwhile has a context of its own.
        end.send("Hello, hello, hello");
        assert_eq!(feed(&mut end, PING, b"!"), [Seen::Ping(b"!".to_vec())]);
        assert_eq!(feed(&mut end, LAST, &[0xc9, 0x07, 0x00]), [Seen::text("Hello")]);
    }
    assert_eq!(feed(&mut end, COMPRESSED_TEXT, &[0xf2, 0x00, 0x11, 0x00, 0x00]), [Seen::text("Hello")]);
}

#[test]
fn d7_uncompressed_messages_do_not_change_the_context() {
    let mut end = open(Role::Server, with(EAGER));
    assert_eq!(
        feed(&mut end, COMPRESSED_TEXT, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
        [Seen::text("Hello")]
    );
    assert_eq!(feed(&mut end, bytes::TEXT, b"plain"), [Seen::text("plain")]);
    assert_eq!(feed(&mut end, TEXT_START, b"plain "), []);
    assert_eq!(feed(&mut end, LAST, b"too"), [Seen::text("plain too")]);
    assert_eq!(feed(&mut end, COMPRESSED_TEXT, &[0xf2, 0x00, 0x11, 0x00, 0x00]), [Seen::text("Hello")]);
}

#[test]
fn s8_1_inflated_text_is_checked_as_it_arrives() {
    let text = "\u{1f41f}\u{fffd}".repeat(50);
    let mut sender = open(Role::Client, Config { fragment_size: 7, ..with(EAGER) });
    let (good, mut bad) = (text.clone().into_bytes(), text.clone().into_bytes());
    bad[20] = 0xff;
    let frames = |sender: &mut sockeye_test_support::pair::End, bytes: &[u8]| {
        sender.send(bytes.to_vec());
        bytes::frames(&sender.take_out())
    };
    let mut end = open(Role::Server, with(EAGER));
    let good = frames(&mut sender, &good);
    let first = TEXT_START | RSV1;
    let seen: Vec<Seen> = good
        .iter()
        .enumerate()
        .flat_map(|(at, frame)| feed(&mut end, if at == 0 { first } else { frame.first }, &frame.payload))
        .collect();
    assert_eq!(seen, [Seen::text(&text)]);

    let mut end = open(Role::Server, with(EAGER));
    let noise = [bad, super::noise(2000)].concat();
    let mut sender = open(Role::Client, Config { fragment_size: 100, ..with(EAGER) });
    let bad = frames(&mut sender, &noise);
    assert!(bad.len() > 10);
    let failed = bad.iter().enumerate().position(|(at, frame)| {
        !feed(&mut end, if at == 0 { first } else { frame.first }, &frame.payload).is_empty()
    });
    assert!(failed.is_some_and(|at| at < 10), "long before the message is complete: {failed:?}");
    assert_eq!(bytes::only(&end.take_out()).payload, 1007_u16.to_be_bytes());
}

#[test]
fn d7_malformed_deflate_data_fails_only_its_connection() {
    for role in [Role::Client, Role::Server] {
        let mut other = open(role, with(super::ALONE));
        let _ = feed(&mut other, TEXT_START | RSV1, &[0xf2, 0x48, 0xcd]);
        let mut end = open(role, with(EAGER));
        // A block of the type that does not exist; a stored block whose length does not fit; a distance too far.
        for (payload, in_two) in
            [(&[0x07_u8, 0, 0][..], false), (&[0, 1, 0, 0, 0], true), (&[0xf2, 0, 0x11, 0], false)]
        {
            let seen = if in_two {
                feed(&mut end, TEXT_START | RSV1, &payload[..2]);
                feed(&mut end, LAST, &payload[2..])
            } else {
                feed(&mut end, COMPRESSED_TEXT, payload)
            };
            assert_eq!(seen, [Seen::Failed(ProtocolError::MalformedDeflate)], "{payload:x?}");
            assert_eq!(end.state(), State::Closing);
            assert_eq!(bytes::only(&end.take_out()).payload, 1002_u16.to_be_bytes());
            end = open(role, with(EAGER));
        }
        assert_eq!(feed(&mut other, LAST, &[0xc9, 0xc9, 0x07, 0x00]), [Seen::text("Hello")]);
    }
}

proptest! {
    #[test]
    fn d7_random_payloads_are_handled_without_a_panic(payloads in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 1..6), keeps: bool) {
        let mut end = open(Role::Server, with(if keeps { EAGER } else { super::ALONE }));
        let mut in_message = false;
        for (is_final, payload) in payloads {
            let first = match (in_message, is_final) {
                (false, true) => super::COMPRESSED_BINARY,
                (false, false) => bytes::BINARY_START | RSV1,
                (true, true) => LAST,
                (true, false) => CONTINUATION,
            };
            in_message = !is_final;
            let _ = feed(&mut end, first, &payload);
        }
    }
}
