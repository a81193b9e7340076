//! The codec.

use rand::RngExt;
use rand::rngs::StdRng;

use super::super::announcements::{Announcement, Announcements};
use super::super::broker::NodeId;
use super::super::envelope::{Body, Content, Envelope, EnvelopeError, Flags, Heartbeat, set_after_loss};
use crate::random_inputs::{self, bytes, choose};

/// The number of bytes of a message without its payload and its distance.
const HEADER: usize = 19;

fn number(rng: &mut StdRng) -> u64 {
    rng.random::<u64>() >> rng.random_range(0..64)
}

fn message(payload: &[u8]) -> Envelope<'_> {
    let body = Body::Message { flags: Flags::default(), except: None, content: Content::Binary(payload) };
    Envelope { node: NodeId::from_bytes([7; 8]), number: 300, previous: 299, body }
}

/// Passes an envelope of each kind to `check`.
fn with_each_kind(rng: &mut StdRng, mut check: impl FnMut(Envelope<'_>)) {
    let node = NodeId::from_bytes(rng.random());
    let number = number(rng).max(1);
    let previous = rng.random_range(0..number);
    let payload = bytes(rng, 0..40);
    let text: String = (0..rng.random_range(0..20)).map(|_| choose(rng, &['a', 'é', '語', '🐟'])).collect();
    let mut list = Vec::new();
    for _ in 0..rng.random_range(0..4) {
        let last = rng.random_range(0..=number);
        Announcements::push(&mut list, Announcement { channel: &text, last, is_lost: rng.random() }, number);
    }
    let flags = [Flags::COMPRESSIBLE, Flags::VOLATILE, Flags::TOTAL_ORDER, Flags::AFTER_LOSS]
        .into_iter()
        .fold(Flags::default(), |all, one| all | one.when(rng.random()));
    let except = rng.random::<bool>().then(|| rng.random());
    let heartbeat = Heartbeat {
        part: rng.random(),
        is_last: rng.random(),
        has_lost: rng.random(),
        announcements: Announcements::new(&list),
    };
    let [query, count] = [rng.random(), rng.random()];
    for body in [
        Body::Message { flags, except, content: Content::Text(&text) },
        Body::Message { flags, except, content: Content::Binary(&payload) },
        Body::Heartbeat(heartbeat),
        Body::Goodbye,
        Body::CountQuery { query, topic: &text },
        Body::CountAnswer { query, count },
    ] {
        check(Envelope { node, number, previous, body });
    }
}

#[test]
fn envelopes_are_decoded_as_they_were_encoded() {
    random_inputs::for_each(|rng| {
        with_each_kind(rng, |envelope| {
            assert_eq!(Envelope::decode(&envelope.encode()), Ok(envelope));
        });
    });
}

#[test]
fn announcements_are_decoded_as_they_were_encoded() {
    random_inputs::for_each(|rng| {
        let number = number(rng);
        let names: Vec<String> = (0..rng.random_range(0..5)).map(|index| "x".repeat(index * 70)).collect();
        let all: Vec<_> = names
            .iter()
            .map(|channel| Announcement {
                channel,
                last: rng.random_range(0..=number),
                is_lost: rng.random(),
            })
            .collect();
        let mut list = Vec::new();
        all.iter().for_each(|one| Announcements::push(&mut list, *one, number));
        assert_eq!(Announcements::new(&list).iter(number).collect::<Vec<_>>(), all);
    });
}

/// A shorter envelope is an error, or one with less payload, or a heartbeat with fewer announcements.
#[test]
fn truncated_envelopes_are_errors_or_shorter() {
    random_inputs::for_each(|rng| {
        with_each_kind(rng, |envelope| {
            let encoded = envelope.encode();
            for len in 0..encoded.len() {
                let Ok(decoded) = Envelope::decode(&encoded[..len]) else { continue };
                assert_eq!(decoded.encode(), encoded[..len]);
                match (decoded.body, envelope.body) {
                    (Body::Message { .. }, Body::Message { .. }) => {}
                    (Body::Heartbeat(_), Body::Heartbeat(_)) => {}
                    (Body::CountQuery { .. }, Body::CountQuery { .. }) => {}
                    other => panic!("{other:?}"),
                }
            }
        });
    });
}

#[test]
fn random_and_changed_bytes_are_decoded_or_refused() {
    let mut decoded = 0;
    random_inputs::for_each(|rng| {
        let mut random = bytes(rng, 0..60);
        if let Some(version) = random.first_mut() {
            *version = 1;
        }
        let _ = Envelope::decode(&random);
        let seed: u64 = rng.random();
        with_each_kind(rng, |envelope| {
            let mut encoded = envelope.encode();
            let at = usize::try_from(seed % 1000).unwrap() % encoded.len();
            encoded[at] ^= seed.to_be_bytes()[0];
            decoded += u32::from(Envelope::decode(&encoded).is_ok());
        });
    });
    assert!(decoded > 0);
}

#[test]
fn other_versions_and_kinds_are_refused() {
    let encoded = message(b"salmon").encode();
    for version in [0, 2, 255] {
        let mut other = encoded.clone();
        other[0] = version;
        assert_eq!(Envelope::decode(&other), Err(EnvelopeError::UnknownVersion));
    }
    for (at, value) in [(1, 5), (1, 255), (18, 64)] {
        let mut other = encoded.clone();
        other[at] = value;
        assert_eq!(Envelope::decode(&other), Err(EnvelopeError::Malformed), "{at}");
    }
    assert_eq!(Envelope::decode(&[]), Err(EnvelopeError::Malformed));
}

#[test]
fn numbers_that_contradict_each_other_are_refused() {
    let mut encoded = message(b"").encode();
    assert_eq!(encoded.len(), HEADER + 1);
    for distance in [0, 127] {
        encoded[HEADER] = distance;
        assert_eq!(Envelope::decode(&encoded).is_ok(), distance == 127);
    }
    // More than the number itself, and more than 64 bits.
    encoded[10..18].copy_from_slice(&100_u64.to_be_bytes());
    assert_eq!(Envelope::decode(&encoded), Err(EnvelopeError::Malformed));
    encoded.truncate(HEADER);
    encoded.extend([0xff; 9]);
    encoded.push(2);
    assert_eq!(Envelope::decode(&encoded), Err(EnvelopeError::Malformed));
}

#[test]
fn text_is_utf8() {
    let body = Body::Message { flags: Flags::default(), except: None, content: Content::Text("é") };
    let mut encoded = Envelope { body, ..message(b"") }.encode();
    encoded.pop();
    assert_eq!(Envelope::decode(&encoded), Err(EnvelopeError::Malformed));
}

#[test]
fn headers_are_short_and_messages_are_allocated_once() {
    let encoded = message(&[0; 1000]).encode();
    assert_eq!(encoded.len(), 1000 + HEADER + 1);
    assert!(encoded.capacity() <= 1000 + 40, "{}", encoded.capacity());
}

#[test]
fn a_loss_is_noted_in_an_encoded_message() {
    let mut encoded = message(b"salmon").encode();
    set_after_loss(&mut encoded);
    let Ok(Envelope { body: Body::Message { flags, content, .. }, .. }) = Envelope::decode(&encoded) else {
        panic!("{encoded:?}");
    };
    assert_eq!((flags, content), (Flags::AFTER_LOSS, Content::Binary(b"salmon")));
}
