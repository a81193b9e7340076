//! Messages and control frames while the connection is open.

use std::thread;

use sockeye::{CloseCode, Deflate, Message};

use super::{End, Received, Terms, for_all_ends, for_all_pairs};
use sockeye_test_support::bytes::{CLOSE, CONTINUATION, LAST, PING, PONG, TEXT, TEXT_START};

/// The lengths at which a header changes its form (§5.2), and what no buffer holds.
const LENGTHS: [usize; 10] = [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 300_000, 3 << 20];

#[cfg(feature = "permessage-deflate")]
pub(crate) fn deflate(terms: Terms) -> Option<Deflate> {
    terms.compresses.then(|| Deflate { threshold: 0, ..Deflate::default() })
}

#[cfg(not(feature = "permessage-deflate"))]
pub(crate) fn deflate(_: Terms) -> Option<Deflate> {
    None
}

fn messages() -> impl Iterator<Item = Message> {
    LENGTHS.into_iter().flat_map(|len| {
        let text: String = "lach\u{df}e ".chars().cycle().take(len).collect();
        let bytes: Vec<u8> = (0..=250).cycle().take(len).collect();
        [Message::text(text), Message::binary(bytes)]
    })
}

/// Sends a message on a thread of its own, since the system may not buffer all of it.
fn pass(message: &Message, from: &mut dyn End, to: &mut dyn End) {
    thread::scope(|scope| {
        scope.spawn(|| from.send(message.clone()));
        assert!(to.receive() == Received::Message(message.clone()), "{} bytes", message.len());
    });
}

fn go_and_return(terms: Terms) {
    let messages: Vec<Message> = messages().collect();
    for_all_pairs(terms, |client, server| {
        for message in &messages {
            pass(message, client, server);
            pass(message, server, client);
        }
    });
}

#[test]
fn s5_2_messages_of_all_sizes_are_exchanged() {
    go_and_return(Terms::default());
}

#[test]
fn rfc7692_compressed_messages_of_all_sizes_are_exchanged() {
    go_and_return(Terms { compresses: true, ..Terms::default() });
}

#[test]
fn s5_4_many_messages_keep_their_order() {
    for_all_pairs(Terms::default(), |client, server| {
        for at in 0..500 {
            client.send(Message::text(at.to_string()));
        }
        for at in 0..500 {
            assert_eq!(server.receive(), Received::Message(Message::text(at.to_string())));
        }
    });
}

#[test]
fn s5_4_a_ping_between_fragments_does_not_change_the_message() {
    for_all_ends(Terms::default(), |mut end, mut peer| {
        // Cut within a character.
        peer.send_frame(TEXT_START, b"sal\xc3");
        peer.send_frame(PING, b"still there?");
        peer.send_frame(CONTINUATION, b"");
        peer.send_frame(LAST, b"\xb6mon");
        assert_eq!(end.receive(), Received::Message("sal\u{f6}mon".into()));
        assert_eq!(peer.frame(), (PONG, b"still there?".to_vec()));
    });
}

#[test]
fn s5_2_frames_that_arrive_byte_by_byte() {
    for_all_ends(Terms::default(), |mut end, mut peer| {
        let bytes = [peer.encode(TEXT, "gr\u{fc}\u{df}e".as_bytes()), peer.encode(TEXT, b"")].concat();
        for byte in bytes {
            peer.send(&[byte]);
        }
        assert_eq!(end.receive(), Received::Message("gr\u{fc}\u{df}e".into()));
        assert_eq!(end.receive(), Received::Message("".into()));
    });
}

#[test]
fn s7_4_1_every_violation_has_its_close_code() {
    let terms = Terms { max_message_size: 1000, ..Terms::default() };
    let cases: [(u8, Vec<u8>, CloseCode); 6] = [
        (0xc1, b"x".to_vec(), CloseCode::Protocol),
        (0x83, b"x".to_vec(), CloseCode::Protocol),
        (PING, vec![0; 126], CloseCode::Protocol),
        (LAST, b"x".to_vec(), CloseCode::Protocol),
        (TEXT, b"\xff".to_vec(), CloseCode::Invalid),
        (TEXT, vec![b'x'; 1001], CloseCode::Size),
    ];
    for (first, payload, code) in cases {
        for_all_ends(terms, |mut end, mut peer| {
            peer.send_frame(TEXT, b"good");
            peer.send_frame(first, &payload);
            assert_eq!(end.receive(), Received::Message("good".into()));
            let received = thread::scope(|scope| {
                let received = scope.spawn(|| end.receive());
                assert_eq!(peer.frame(), (CLOSE, u16::from(code).to_be_bytes().to_vec()), "{first:x}");
                // An end that has failed the connection waits for the peer to end TCP.
                peer.end_writing();
                received.join().unwrap()
            });
            assert_eq!(received, Received::Lost);
        });
    }
}
