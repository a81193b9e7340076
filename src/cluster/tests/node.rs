//! Single behaviors of nodes.

use std::time::{Duration, Instant};

use super::super::envelope::{Body, Envelope, Flags};
use super::super::events::{Event, Missed};
use super::super::node::{Node, Outcome, ToBroker};
use super::super::options::Options;
use super::world::{World, id};
use crate::Message;

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// What a broker would have been asked for.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    pub(super) subscribed: Vec<Vec<String>>,
    pub(super) unsubscribed: Vec<String>,
    pub(super) published: Vec<(String, Vec<u8>)>,
    pub(super) reconnects: u32,
}

pub(super) fn outputs(node: &mut Node) -> Outputs {
    let mut all = Outputs::default();
    while let Some(output) = node.next_output() {
        match output {
            ToBroker::Subscribe(channels) => {
                all.subscribed.push(channels.iter().map(|channel| channel.to_string()).collect());
            }
            ToBroker::Unsubscribe(channels) => {
                all.unsubscribed.extend(channels.iter().map(|channel| channel.to_string()));
            }
            ToBroker::Publish { channel, envelope } => {
                all.published.push((channel.to_owned(), envelope.to_vec()));
            }
            ToBroker::Reconnect => all.reconnects += 1,
        }
    }
    all
}

pub(super) fn node() -> (Node, Instant) {
    let now = Instant::now();
    (Node::new(id(0), Options::default(), now), now)
}

/// Nodes that are connected and receive the topic "a".
pub(super) fn world(nodes: usize) -> World {
    let mut world = World::new(nodes, Options::default());
    (0..nodes).for_each(|index| world.open(index, "a"));
    world.settle(5 * SECOND);
    world.checker.gaps.clear();
    world
}

pub(super) fn publish(world: &mut World, index: usize) {
    assert_eq!(world.publish(index, Some("a"), Flags::default()), Outcome::Queued);
}

/// The texts that a node has received.
pub(super) fn delivered(world: &World, index: usize) -> Vec<&str> {
    world.checker.delivered.iter().filter(|(node, _)| *node == index).map(|(_, text)| &**text).collect()
}

#[test]
fn own_messages_come_back_only_in_total_order() {
    let mut world = world(2);
    publish(&mut world, 0);
    assert_eq!(world.publish(0, Some("a"), Flags::TOTAL_ORDER), Outcome::Queued);
    assert!(delivered(&world, 0).is_empty());
    world.settle(SECOND);
    assert_eq!(delivered(&world, 0), ["0/a/1"]);
    assert_eq!(delivered(&world, 1), ["0/a/0", "0/a/1"]);
}

#[test]
fn a_full_queue_loses_messages_and_refuses_total_order() {
    let now = Instant::now();
    let options = Options { max_unacknowledged: 1, ..Options::default() };
    let mut node = Node::new(id(0), options, now);
    let mut publish = |flags| node.publish(Some("a"), &Message::from("x"), flags, None);
    assert_eq!(publish(Flags::default()), Outcome::Queued);
    assert_eq!(publish(Flags::TOTAL_ORDER), Outcome::Refused);
    assert_eq!(publish(Flags::default()), Outcome::Lost);
    assert_eq!((node.outgoing.number(), node.stats().lost), (2, 1));

    let options = Options { max_unacknowledged_bytes: 1000, ..Options::default() };
    let mut node = Node::new(id(0), options, now);
    let message = Message::from(vec![0; 500]);
    assert_eq!(node.publish(None, &message, Flags::default(), None), Outcome::Queued);
    assert_eq!(node.publish(None, &message, Flags::default(), None), Outcome::Lost);
}

#[test]
fn a_loss_of_the_last_message_is_reported_with_the_next_heartbeat() {
    let mut world = world(2);
    world.nodes[0].refuses = 1;
    publish(&mut world, 0);
    world.settle(3 * SECOND);
    assert_eq!(world.checker.gaps, [(1, Some("a".to_owned()), Missed::Hole)]);
    world.heal_and_check();
    assert_eq!(world.checker.gaps.len(), 1);
}

#[test]
fn topics_are_forgotten_after_some_heartbeats_and_begin_again() {
    let mut world = world(2);
    publish(&mut world, 0);
    world.settle(SECOND);
    assert_eq!(world.nodes[0].node.outgoing.len().1, 1);
    world.settle(10 * SECOND);
    assert_eq!(world.nodes[0].node.outgoing.len(), (0, 0));
    publish(&mut world, 0);
    world.heal_and_check();
    assert_eq!((&*world.checker.gaps, delivered(&world, 1)), (&[][..], vec!["0/a/0", "0/a/1"]));
}

/// Their last numbers are needed for the first heartbeat of the next connection.
#[test]
fn topics_are_not_forgotten_before_the_broker_has_acknowledged_a_heartbeat() {
    let (mut node, mut now) = node();
    assert_eq!(node.publish(Some("a"), &Message::from("1"), Flags::default(), None), Outcome::Queued);
    node.up(now);
    for _ in 0..10 {
        now = node.next_deadline().unwrap();
        node.tick(now);
        outputs(&mut node);
    }
    assert_eq!(node.outgoing.len().1, 1);
    node.acknowledged(2);
    node.tick(node.next_deadline().unwrap());
    assert_eq!(node.outgoing.len().1, 0);
}

#[test]
fn long_heartbeats_have_parts_and_count_when_all_have_arrived() {
    let (mut node, now) = node();
    for index in 0..1000 {
        let topic = format!("{index}{}", "x".repeat(250));
        assert_eq!(node.publish(Some(&topic), &Message::from("1"), Flags::default(), None), Outcome::Queued);
    }
    node.up(now);
    let parts: Vec<_> =
        outputs(&mut node).published.into_iter().filter(|(channel, _)| channel == "sockeye:all").collect();
    assert!(parts.len() > 3 && parts.iter().all(|(_, part)| part.len() <= 64 * 1024 + 40), "{}", parts.len());
    let mut announced = 0;
    for (_, part) in &parts {
        let Ok(Envelope { number, body: Body::Heartbeat(heartbeat), .. }) = Envelope::decode(part) else {
            panic!("{part:?}");
        };
        announced += heartbeat.announcements.iter(number).count();
    }
    assert_eq!(announced, 1000);

    for missing in [Some(0), Some(1), Some(parts.len() - 1), None] {
        let mut receiver = Node::new(id(1), Options::default(), now);
        for (_, (channel, part)) in parts.iter().enumerate().filter(|(index, _)| Some(*index) != missing) {
            receiver.received(channel, part, now);
        }
        let beat = receiver.peers.get_or_insert(id(0)).unwrap().beat;
        assert_eq!(beat.map(|beat| beat.number), missing.is_none().then_some(1000));
    }
}

#[test]
fn other_nodes_are_asked_how_many_subscribers_a_topic_has() {
    let mut world = world(4);
    world.close(3, "a");
    let deadline = world.now + 3 * SECOND;
    let query = world.nodes[0].node.ask_count("a", deadline).unwrap();
    world.drive(0);
    world.settle(SECOND);
    assert_eq!(world.checker.counted, [Event::Counted { query, count: 2, answered: 3, nodes: 3 }]);

    // One does not answer in time.
    world.checker.counted.clear();
    world.nodes[1].is_paused = true;
    let deadline = world.now + 3 * SECOND;
    let query = world.nodes[0].node.ask_count("a", deadline).unwrap();
    world.drive(0);
    world.settle(2 * SECOND);
    assert_eq!(world.checker.counted, []);
    world.settle(2 * SECOND);
    assert_eq!(world.checker.counted, [Event::Counted { query, count: 1, answered: 2, nodes: 3 }]);
}

#[test]
fn a_node_alone_counts_nothing_elsewhere_and_questions_are_limited() {
    let mut world = World::new(1, Options::default());
    let now = world.now;
    let query = world.nodes[0].node.ask_count("a", now).unwrap();
    world.drive(0);
    assert_eq!(world.checker.counted, [Event::Counted { query, count: 0, answered: 0, nodes: 0 }]);

    let mut world = self::world(2);
    let deadline = world.now + SECOND;
    let asked = (0..1000).filter(|_| world.nodes[0].node.ask_count("a", deadline).is_some()).count();
    assert_eq!(asked, 256);
    world.nodes[0].node.tick(deadline);
    world.drive(0);
    assert_eq!(world.checker.counted.len(), 256);
}

/// Returns what the broker accepts if it refuses the first publication.
fn refuse_first(node: &mut Node) -> Vec<(String, Vec<u8>)> {
    assert!(matches!(node.next_output(), Some(ToBroker::Subscribe(_))));
    assert!(matches!(node.next_output(), Some(ToBroker::Publish { channel: "sockeye:t:a", .. })));
    node.refused();
    outputs(node).published
}

/// The node connects, and its subscription to "a" becomes effective.
fn connect(node: &mut Node, expected: Missed, now: Instant) {
    node.up(now);
    node.subscribed(&["sockeye:t:a"]);
    assert_eq!(node.next_event(), Some(Event::Gap { topic: Some("a".into()), missed: expected }));
}

/// The heartbeat was encoded before the broker refused the message, and nothing has arrived with whose number the receiver could compare
/// it since its subscription became effective.
#[test]
fn a_heartbeat_reveals_a_message_that_was_refused_while_both_were_queued() {
    for has_received in [false, true] {
        let (mut sender, now) = node();
        let mut receiver = Node::new(id(1), Options::default(), now);
        receiver.open("a");
        connect(&mut receiver, Missed::Joined, now);
        if has_received {
            publish_one(&mut sender);
            sender.up(now);
            outputs(&mut sender).published.iter().for_each(|(channel, envelope)| {
                receiver.received(channel, envelope, now);
            });
            assert!(matches!(receiver.next_event(), Some(Event::Deliver { .. })));
            sender.acknowledged(2);
            sender.down(now);
        }
        receiver.down(now);
        connect(&mut receiver, Missed::Reconnected, now);

        publish_one(&mut sender);
        sender.up(now);
        let heartbeat = refuse_first(&mut sender);
        assert_eq!(heartbeat.len(), 1);
        receiver.received("sockeye:all", &heartbeat[0].1, now);
        let hole = Event::Gap { topic: Some("a".into()), missed: Missed::Hole };
        assert_eq!(receiver.next_event(), Some(hole));
        assert_eq!(receiver.next_event(), None);
    }
}

fn publish_one(node: &mut Node) {
    assert_eq!(node.publish(Some("a"), &Message::from("x"), Flags::default(), None), Outcome::Queued);
}
