//! Broken and hostile input on the channels of a node.

use std::time::Instant;

use rand::RngExt;
use rand::rngs::StdRng;

use super::super::announcements::{Announcement, Announcements};
use super::super::broker::NodeId;
use super::super::envelope::{Body, Content, Envelope, Flags, Heartbeat};
use super::super::events::{Event, Missed};
use super::super::node::Node;
use super::super::options::Options;
use super::super::peers::{MAX_LOST, MAX_PEERS};
use super::super::script::run_script;
use super::world::id;
use crate::random_inputs::{self, bytes, choose};

const CHANNELS: [&str; 6] =
    ["sockeye:all", "sockeye:t:a", "sockeye:t:b", "sockeye:n:0000000000000000", "", "é"];

/// A node that receives the topic "a".
fn node() -> (Node, Instant) {
    let now = Instant::now();
    let mut node = Node::new(id(0), Options::default(), now);
    node.open("a");
    node.up(now);
    node.subscribed(&["sockeye:all", "sockeye:t:a"]);
    while node.next_output().is_some() || node.next_event().is_some() {}
    (node, now)
}

fn message(node: NodeId, number: u64, previous: u64) -> Vec<u8> {
    let body = Body::Message { flags: Flags::default(), except: None, content: Content::Text("x") };
    Envelope { node, number, previous, body }.encode()
}

fn random_envelope(rng: &mut StdRng) -> Vec<u8> {
    let number = rng.random::<u64>() >> rng.random_range(0..64);
    let previous = rng.random_range(0..=number);
    let mut list = Vec::new();
    for channel in ["t:a", "t:b", "all", "", "é"] {
        let last = rng.random_range(0..=number);
        Announcements::push(&mut list, Announcement { channel, last, is_lost: rng.random() }, number);
    }
    let heartbeat = Heartbeat {
        part: choose(rng, &[0, 1, 2, u32::MAX]),
        is_last: rng.random(),
        has_lost: rng.random(),
        announcements: Announcements::new(&list),
    };
    let query = rng.random_range(0..3);
    let message =
        Body::Message { flags: Flags::AFTER_LOSS, except: Some(1), content: Content::Binary(&list) };
    let body = choose(
        rng,
        &[
            message,
            Body::Heartbeat(heartbeat),
            Body::Goodbye,
            Body::CountQuery { query, topic: "a" },
            Body::CountAnswer { query, count: number },
        ],
    );
    Envelope { node: id(rng.random_range(0..4)), number, previous, body }.encode()
}

#[test]
fn random_envelopes_on_random_channels_do_no_harm() {
    random_inputs::for_each(|rng| {
        let (mut node, now) = node();
        let _ = node.ask_count("a", now);
        // The other nodes of `random_envelope`, and those of random bytes that happen to be an envelope.
        let mut nodes = 3;
        for _ in 0..50 {
            let envelope = if rng.random() {
                random_envelope(rng)
            } else {
                let bytes = bytes(rng, 0..60);
                nodes += usize::from(Envelope::decode(&bytes).is_ok());
                bytes
            };
            node.received(choose(rng, &CHANNELS), &envelope, now);
            node.tick(now);
        }
        let known = node.subscriptions.get("sockeye:t:a").unwrap();
        assert!(known.ledger.len() <= nodes && node.peers.len().0 <= nodes);
        assert!(node.subscriptions.get("sockeye:t:b").is_none());
        assert!(node.stats().malformed > 0);
    });
}

#[test]
fn the_number_of_nodes_is_limited_and_messages_beyond_are_reported() {
    let (mut node, now) = node();
    for index in 1..=MAX_PEERS + 10 {
        node.received("sockeye:t:a", &message(id(index), 1, 0), now);
    }
    let events: Vec<_> = std::iter::from_fn(|| node.next_event()).collect();
    let (delivered, gaps): (Vec<_>, Vec<_>) =
        events.into_iter().partition(|event| matches!(event, Event::Deliver { .. }));
    assert_eq!((delivered.len(), gaps.len()), (MAX_PEERS, 10));
    assert_eq!(gaps[0], Event::Gap { topic: Some("a".into()), missed: Missed::Hole });
    assert_eq!(node.peers.len(), (MAX_PEERS, 0));
}

#[test]
fn the_number_of_nodes_that_have_ended_is_limited() {
    let (mut node, now) = node();
    for index in 1..=MAX_LOST + 10 {
        let goodbye = Envelope { node: id(index), number: 1, previous: 1, body: Body::Goodbye }.encode();
        node.received("sockeye:t:a", &message(id(index), 1, 0), now);
        node.received("sockeye:all", &goodbye, now);
    }
    assert_eq!(node.peers.len(), (0, MAX_LOST));
    assert_eq!(node.subscriptions.get("sockeye:t:a").unwrap().ledger.len(), 0);
}

#[test]
fn nothing_is_kept_for_channels_without_subscribers() {
    let (mut node, now) = node();
    for index in 1..100 {
        node.received(&format!("sockeye:t:{index}"), &message(id(index), 1, 0), now);
    }
    assert_eq!((node.peers.len(), node.next_event()), ((0, 0), None));
}

/// Another process that uses the same id, or a server that invents numbers.
#[test]
fn own_numbers_that_were_not_published_are_malformed() {
    let (mut node, now) = node();
    node.received("sockeye:t:a", &message(id(0), 1, 0), now);
    assert_eq!((node.stats().malformed, node.next_event()), (1, None));
}

#[test]
fn envelopes_on_channels_of_another_kind_are_malformed() {
    let (mut node, now) = node();
    let [goodbye, answer] = [Body::Goodbye, Body::CountAnswer { query: 1, count: 1 }]
        .map(|body| Envelope { node: id(1), number: 1, previous: 1, body }.encode());
    node.received("sockeye:t:a", &goodbye, now);
    node.received("sockeye:all", &answer, now);
    assert_eq!(node.stats().malformed, 2);
}

/// The fuzz target.
#[test]
fn random_scripts_find_no_invariant_that_does_not_hold() {
    random_inputs::for_each(|rng| {
        let mut script = vec![4, 0, 6, 0, 8, 4];
        for _ in 0..30 {
            script.extend([rng.random_range(0..12), rng.random()]);
            let envelope = random_envelope(rng);
            script.push(u8::try_from(envelope.len()).unwrap());
            script.extend(envelope);
        }
        run_script(&script);
    });
}
