//! D6, K3: the handshake negotiates, in both roles, and both sides then follow the result.

use sockeye::protocol::manual::Received;
use sockeye::protocol::{Config, Event, ProtocolError, Role, State};
use sockeye::{Deflate, Frame, Message, OpCode, Response};

use super::{ALONE, COMPRESSED_BINARY, COMPRESSED_TEXT, EAGER, RSV1, client, feed, open, sent, server, with};
use sockeye_test_support::bytes::{self, BINARY, CONTINUATION, LAST, PING, TEXT, TEXT_START};
use sockeye_test_support::pair::{End, Pair, Seen, request};

#[test]
fn d6_an_offer_is_accepted_or_declined() {
    let declined = |offer: &str| server(with(EAGER), offer).1.is_none();
    assert!(!declined("permessage-deflate"));
    assert!(declined("permessage-deflate; server_max_window_bits=8") && declined("permessage-bzip2"));
    let (mut end, answer) =
        server(with(EAGER), "permessage-deflate; x, permessage-deflate; client_max_window_bits=\"9\"");
    assert_eq!(answer.as_deref(), Some("permessage-deflate; client_max_window_bits=9"));
    assert!(sent(&mut end, "salmon salmon salmon")[0].first == COMPRESSED_TEXT);
}

#[test]
fn d6_messages_are_not_compressed_without_the_setting_or_the_offer() {
    let (mut unwilling, answer) = server(Config::default(), "permessage-deflate");
    assert_eq!(answer, None);
    let mut unasked = Pair::open_with(Config::default(), with(EAGER)).server;
    let mut declined = Pair::open_with(with(EAGER), Config::default()).client;
    for end in [&mut unwilling, &mut unasked, &mut declined] {
        assert!(sent(end, "salmon salmon salmon")[0].is(TEXT, b"salmon salmon salmon"));
        // §6: without compression RSV1 has no meaning (F3).
        assert_eq!(feed(end, COMPRESSED_TEXT, &[0]), [Seen::Failed(ProtocolError::ReservedBits)]);
    }
}

#[test]
fn k3_a_mismatched_extension_response_fails_the_handshake() {
    for answer in [
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=1000000000000000000000",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; x",
        "permessage-deflate, permessage-deflate",
    ] {
        let (end, seen) = client(with(EAGER), answer);
        assert_eq!(seen, [Seen::Failed(ProtocolError::ExtensionMismatch)], "{answer}");
        assert_eq!(end.state(), State::Closed);
    }
    let (_, seen) = client(with(ALONE), "permessage-deflate");
    assert_eq!(seen, [Seen::Failed(ProtocolError::ExtensionMismatch)], "a reset was asked for");
    let (_, seen) = client(Config::default(), "permessage-deflate");
    assert_eq!(seen, [Seen::Failed(ProtocolError::UnsolicitedExtension)]);
    let (_, seen) = client(with(EAGER), "permessage-bzip2");
    assert_eq!(seen, [Seen::Failed(ProtocolError::UnsolicitedExtension)]);
}

#[test]
fn d6_a_client_limited_to_a_window_of_8_bits_sends_uncompressed_messages() {
    let (mut end, seen) = client(with(EAGER), "permessage-deflate; client_max_window_bits=8");
    assert_eq!(seen, [Seen::Response(101)]);
    assert!(sent(&mut end, "salmon salmon salmon")[0].is(TEXT, b"salmon salmon salmon"));
    assert_eq!(
        feed(&mut end, COMPRESSED_TEXT, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
        [Seen::text("Hello")]
    );
}

#[test]
fn client_and_server_agree_for_all_combinations_of_settings() {
    for client_bits in [9, 12, 15] {
        for server_bits in [9, 13, 15] {
            for flags in 0..16 {
                let flag = |bit: u8| flags & bit != 0;
                let wanted = |server, client| Deflate {
                    server_no_context_takeover: server,
                    client_no_context_takeover: client,
                    server_max_window_bits: server_bits,
                    client_max_window_bits: client_bits,
                    ..EAGER
                };
                let (client, server) = (wanted(flag(1), flag(2)), wanted(flag(4), flag(8)));
                let mut pair = Pair::open_with(with(client), with(server));
                for _ in 0..3 {
                    let text = "over and over ".repeat(300);
                    pair.client.send(text.as_str());
                    pair.server.send(text.as_str());
                    let expected = vec![Seen::text(&text)];
                    assert!(pair.client.out.len() < 300 && pair.server.out.len() < 300);
                    assert_eq!(pair.run(), (expected.clone(), expected));
                }
            }
        }
    }
}

#[test]
fn d7_s7_1_1_messages_are_independent_without_context_takeover() {
    for role in [Role::Client, Role::Server] {
        let mut end = open(role, with(ALONE));
        let first = sent(&mut end, "salmon and trout, salmon and trout");
        let second = sent(&mut end, "salmon and trout, salmon and trout");
        assert_eq!(first[0].payload, second[0].payload);
        // A reference to the message before is one to nowhere.
        feed(&mut end, COMPRESSED_TEXT, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        let seen = feed(&mut end, COMPRESSED_TEXT, &[0xf2, 0x00, 0x11, 0x00, 0x00]);
        assert_eq!(seen, [Seen::Failed(ProtocolError::MalformedDeflate)]);
        assert_eq!(bytes::frames(&end.take_out()).last().unwrap().payload, 1002_u16.to_be_bytes());
    }
}

#[test]
fn f3_rsv1_is_accepted_only_on_the_first_frame_of_a_message() {
    for (first, in_message) in [
        (PING | RSV1, false),
        (CONTINUATION | RSV1, true),
        (LAST | RSV1, true),
        (TEXT | 0x20, false),
        (TEXT | 0x50, false),
    ] {
        let mut end = open(Role::Server, with(EAGER));
        if in_message {
            feed(&mut end, TEXT_START | RSV1, &[0xf2]);
        }
        assert_eq!(feed(&mut end, first, &[0]), [Seen::Failed(ProtocolError::ReservedBits)], "{first:#x}");
    }
}

#[test]
fn small_and_incompressible_messages_and_fragments_are_not_compressed() {
    let mut end = open(Role::Server, with(Deflate { threshold: 10, ..EAGER }));
    assert!(sent(&mut end, "aaaaaaaaa")[0].is(TEXT, b"aaaaaaaaa"));
    assert!(sent(&mut end, "aaaaaaaaaa")[0].first == COMPRESSED_TEXT);
    let mut frame = Frame::from(Message::text("aaaaaaaaaaaaaaaaaaaa"));
    assert!(frame.is_compressible());
    frame.set_compressible(false);
    end.core.send_frame(frame, end.now, &mut end.out).unwrap();
    assert!(bytes::only(&end.take_out()).is(TEXT, b"aaaaaaaaaaaaaaaaaaaa"));
    // Fragments that the program makes, and bits that it sets, are its own affair.
    let fragment = Frame::message(vec![b'a'; 20], OpCode::Text, false);
    end.core.send_frame(fragment, end.now, &mut end.out).unwrap();
    assert!(bytes::only(&end.take_out()).is(TEXT_START, &[b'a'; 20]));
}

#[test]
fn s6_1_an_incompressible_message_is_sent_uncompressed_without_a_context() {
    let noise = super::noise(3000);
    let mut end = open(Role::Server, with(ALONE));
    assert!(sent(&mut end, noise.clone())[0].is(BINARY, &noise));
    // With a context the peer must have seen it.
    let mut end = open(Role::Server, with(EAGER));
    assert!(sent(&mut end, noise.clone())[0].first == COMPRESSED_BINARY);
    assert!(sent(&mut end, noise)[0].payload.len() < 100);
}

#[test]
fn s6_1_only_the_first_fragment_of_a_compressed_message_has_rsv1() {
    let config = Config { fragment_size: 10, ..with(ALONE) };
    let text = String::from_utf8_lossy(&super::noise(200)).into_owned();
    let mut end = open(Role::Server, config);
    let frames = sent(&mut end, text.repeat(3).as_str());
    assert!(frames.len() > 3);
    assert_eq!(frames[0].first, TEXT_START | RSV1);
    assert!(frames[1..frames.len() - 1].iter().all(|frame| frame.first == CONTINUATION));
    assert_eq!(frames[frames.len() - 1].first, LAST);
    let mut peer = open(Role::Client, with(EAGER));
    for frame in &frames[..frames.len() - 1] {
        assert_eq!(feed(&mut peer, frame.first, &frame.payload), []);
    }
    assert_eq!(feed(&mut peer, LAST, &frames[frames.len() - 1].payload), [Seen::text(&text.repeat(3))]);
}

/// A server whose program answers a request by itself.
fn answering(config: Config, offers: &[&str], answers: &[&str]) -> (End, Result<(), ProtocolError>) {
    let mut asking = request();
    for offer in offers {
        asking.add_extension(offer);
    }
    let mut client = End::asking(Config::default(), asking);
    let mut server = End::server(config);
    let (mut head, now) = (client.take_out(), server.now);
    let event = server.core.receive(&mut head.as_mut_slice(), now, &mut server.out);
    let Ok(Some(Event::Request(request))) = event else { panic!("it is a request") };
    let mut response = Response::from_request(&request).unwrap();
    for answer in answers {
        response.add_extension(answer);
    }
    let result = server.core.respond(&request, &mut response, now, &mut server.out);
    server.take_out();
    (server, result)
}

#[test]
fn d6_the_program_can_choose_the_accepted_parameters() {
    let offers =
        ["permessage-deflate; server_max_window_bits=10; client_max_window_bits", "permessage-deflate"];
    let (mut end, result) =
        answering(with(EAGER), &offers, &["permessage-deflate; server_max_window_bits=9"]);
    assert_eq!(result, Ok(()));
    assert_eq!(sent(&mut end, "salmon salmon salmon")[0].first, COMPRESSED_TEXT);
    let (_, result) =
        answering(with(EAGER), &offers[..1], &["permessage-deflate; server_max_window_bits=11"]);
    assert_eq!(result, Err(ProtocolError::ExtensionMismatch));
}

#[test]
fn s9_1_other_extensions_are_left_to_the_program() {
    let (end, result) = answering(with(EAGER), &["permessage-deflate", "x-mark"], &["x-mark"]);
    let mut end = end.into_manual();
    assert_eq!(result, Ok(()));
    // The other bits pass, and compression works beside them.
    assert_eq!(
        feed(&mut end, BINARY | 0x20, b"marked"),
        [Seen::Frame(OpCode::Binary, true, b"marked".to_vec()), Seen::binary(b"marked")]
    );
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(
        feed(&mut end, COMPRESSED_TEXT, &hello),
        [Seen::Frame(OpCode::Text, true, hello.to_vec()), Seen::text("Hello")]
    );
    assert_eq!(sent(&mut end, "salmon salmon salmon")[0].first, COMPRESSED_TEXT);
    // Without the setting, permessage-deflate too is the program's own.
    let (mut end, result) = answering(Config::default(), &["permessage-deflate"], &["permessage-deflate"]);
    assert_eq!(result, Ok(()));
    let mut frame = Frame::message(b"packed".to_vec(), OpCode::Binary, true);
    frame.set_rsv1(true);
    end.core.send_frame(frame, end.now, &mut end.out).unwrap();
    assert!(bytes::only(&end.take_out()).is(COMPRESSED_BINARY, b"packed"));
}

#[test]
fn manual_the_program_receives_compressed_frames() {
    let mut end = open(Role::Server, with(EAGER)).into_manual();
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let mut bytes = bytes::frame_from(Role::Client, COMPRESSED_TEXT, &hello);
    let received = end.core.receive(&mut bytes.as_mut_slice(), end.now, &mut end.out).unwrap();
    let Some(Received::Frame(frame)) = received else { panic!("{received:?}") };
    assert!(frame.has_rsv1() && !frame.has_foreign_bits());
    assert_eq!(frame.payload(), &hello);
    let event = end.core.accept(frame, end.now).unwrap();
    assert!(matches!(event, Some(Event::Message(Message::Text(text))) if text == "Hello"));
    let mut own = Frame::message(Vec::new(), OpCode::Text, true);
    assert!(own.set_rsv1(true).has_foreign_bits(), "this one was not negotiated");
}
