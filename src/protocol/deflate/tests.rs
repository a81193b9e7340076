//! What is shared between connections, and what is not.

use std::sync::Arc;

use super::*;
use crate::message::Message;

fn codec(own: Deflate) -> Codec {
    Codec::new(Role::Server, &own, &Params::default())
}

fn small() -> Deflate {
    Deflate { threshold: 1, ..Deflate::default() }
}

fn payload_of(frame: &Frame) -> *const Vec<u8> {
    match frame.as_payload() {
        Payload::Shared(bytes, _) => Arc::as_ptr(bytes),
        _ => panic!("a payload of its own"),
    }
}

#[test]
fn m11_a_broadcast_is_compressed_once_for_each_setting() {
    let frame = Frame::shared(Message::text("salmon ".repeat(1000)));
    let high = Deflate { level: 9, ..small() };
    let sent: Vec<Frame> =
        [small(), small(), high, high].map(|own| codec(own).compress(frame.clone())).into_iter().collect();
    assert!(sent.iter().all(|frame| frame.has_rsv1() && frame.as_slice().len() < 200));
    assert_eq!(payload_of(&sent[0]), payload_of(&sent[1]));
    assert_eq!(payload_of(&sent[2]), payload_of(&sent[3]));
    assert_ne!(payload_of(&sent[0]), payload_of(&sent[2]));
}

#[test]
fn m11_a_changed_frame_does_not_use_the_shared_compressed_payload() {
    let frame = Frame::shared(Message::text("salmon ".repeat(1000)));
    let first = codec(small()).compress(frame.clone());
    let mut changed = frame.clone();
    changed.payload_mut().truncate(700);
    let changed = codec(small()).compress(changed);
    assert!(changed.has_rsv1());
    assert_ne!(changed.payload(), first.payload());
}

#[test]
fn an_incompressible_shared_message_is_sent_uncompressed() {
    let frame = Frame::shared(Message::binary(noise(2000)));
    for _ in 0..2 {
        let sent = codec(small()).compress(frame.clone());
        assert!(!sent.has_rsv1());
        assert_eq!(payload_of(&sent), payload_of(&frame));
    }
}

#[test]
fn d9_a_connection_without_contexts_holds_no_codecs_between_messages() {
    let mut codec = codec(small());
    let sent = codec.compress(Frame::from(Message::text("salmon ".repeat(1000))));
    codec.begin();
    let mut text = Vec::new();
    let mut sink = |part: &[u8]| {
        text.extend_from_slice(part);
        Ok(())
    };
    codec.inflate(sent.payload(), usize::MAX, 10_000, &mut sink).unwrap();
    assert!(codec.inflater.is_some(), "it is lent until the message is complete");
    codec.finish(&mut sink).unwrap();
    assert!(codec.keeps_theirs && codec.inflater.is_some(), "the client was not asked to reset");
    assert_eq!(text, "salmon ".repeat(1000).as_bytes());

    let answer = Extension::parse_list(b"permessage-deflate; client_no_context_takeover").unwrap();
    let reset = negotiation::check(Role::Server, &small(), &answer, &answer[0]).unwrap();
    let mut codec = Codec::new(Role::Server, &small(), &reset);
    codec.begin();
    codec.inflate(sent.payload(), usize::MAX, 10_000, &mut |_| Ok(())).unwrap();
    codec.finish(&mut |_| Ok(())).unwrap();
    assert!(codec.inflater.is_none() && codec.compressor.is_none());
}

#[test]
fn windows_are_allocated_on_first_use() {
    let keeps = Deflate { server_no_context_takeover: false, ..small() };
    let mut codec = codec(keeps);
    assert!(codec.inflater.is_none() && codec.compressor.is_none());
    let _ = codec.compress(Frame::from(Message::text("small ".repeat(100))));
    assert!(codec.inflater.is_none() && codec.compressor.is_some());
}

#[test]
fn d7_a_shared_codec_is_reset_after_an_incomplete_message() {
    let key = Key { window_bits: 15, level: 6 };
    let message = "a message that refers to itself, to itself, to itself".repeat(3);
    let fresh = thread_local::take_compressor(key).compress(message.as_bytes(), usize::MAX).unwrap();

    let mut left = thread_local::take_compressor(key);
    assert_eq!(left.compress(&noise(100_000), 10), None, "it gives up when that is of no use");
    thread_local::give_compressor(left);
    let again = thread_local::take_compressor(key).compress(message.as_bytes(), usize::MAX).unwrap();
    assert_eq!(again, fresh);

    let mut inflater = thread_local::take_inflater();
    inflater.inflate(&fresh[..10], usize::MAX, 1000, &mut |_| Ok(())).unwrap();
    thread_local::give_inflater(inflater);
    let mut inflater = thread_local::take_inflater();
    // A block of the type that does not exist.
    assert!(inflater.inflate(&[0x07; 10], usize::MAX, 1000, &mut |_| Ok(())).is_err());
    thread_local::give_inflater(inflater);
    let (mut inflater, mut text) = (thread_local::take_inflater(), Vec::new());
    let mut sink = |part: &[u8]| {
        text.extend_from_slice(part);
        Ok(())
    };
    inflater.inflate(&fresh, usize::MAX, 1000, &mut sink).unwrap();
    inflater.finish(&mut sink).unwrap();
    assert_eq!(text, message.as_bytes());
}

#[test]
fn d9_a_thread_keeps_at_most_four_codecs_of_each_kind() {
    for level in 1..=9 {
        thread_local::give_compressor(thread_local::take_compressor(Key { window_bits: 9, level }));
    }
    let lent: Vec<_> = (0..9).map(|_| thread_local::take_inflater()).collect();
    lent.into_iter().for_each(thread_local::give_inflater);
    assert_eq!(thread_local::kept(), (4, 4));
}

#[test]
fn d6_a_client_limited_to_a_window_of_8_bits_does_not_compress() {
    let eight = negotiation::check(
        Role::Client,
        &Deflate::default(),
        &Extension::parse_list(b"permessage-deflate; client_max_window_bits").unwrap(),
        &Extension::parse_list(b"permessage-deflate; client_max_window_bits=8").unwrap()[0],
    );
    let mut codec = Codec::new(Role::Client, &small(), &eight.unwrap());
    let sent = codec.compress(Frame::from(Message::text("salmon ".repeat(1000))));
    assert!(!sent.has_rsv1(), "what cannot be compressed within the window is sent as it is");
}

#[test]
fn codecs_and_frames_are_send() {
    fn is_send<T: Send>() {}
    is_send::<Codec>();
    is_send::<Frame>();
}

/// Bytes that cannot be compressed, always the same.
pub(super) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(len).collect()
}
