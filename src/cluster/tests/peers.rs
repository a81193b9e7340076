//! Heartbeats: nodes that end, are killed or stopped, and connections that pass nothing on.

use std::time::Duration;

use super::super::envelope::Flags;
use super::super::events::{BrokerState, Missed};
use super::super::node::{Node, Outcome};
use super::super::options::Options;
use super::node::{SECOND, delivered, node, outputs, publish, world};
use super::world::id;
use crate::Message;

#[test]
fn a_node_that_ends_in_order_causes_no_gap() {
    let mut world = world(2);
    publish(&mut world, 0);
    world.nodes[0].node.stop(world.now);
    world.drive(0);
    world.transmit();
    world.kill(0);
    world.heal_and_check();
    assert_eq!((&*world.checker.gaps, delivered(&world, 1)), (&[][..], vec!["0/a/0"]));
    assert_eq!(world.nodes[1].node.peers.len(), (0, 1));
}

#[test]
fn the_end_of_a_node_reveals_what_was_lost_together_with_its_last_heartbeat() {
    let mut world = world(2);
    world.transmit();
    world.nodes[0].refuses = 1;
    publish(&mut world, 0);
    world.nodes[0].node.stop(world.now);
    world.drive(0);
    world.serve(0, 2);
    world.lose_delivery(1);
    world.transmit();
    let holes = [None, Some("a".to_owned())].map(|topic| (1, topic, Missed::Hole));
    assert!(holes.iter().all(|hole| world.checker.gaps.contains(hole)), "{:?}", world.checker.gaps);
    assert_eq!(world.checker.gaps.len(), 2);
}

#[test]
fn a_node_that_is_killed_is_reported_to_the_topics_to_which_it_has_published() {
    let mut world = world(3);
    world.open(2, "b");
    world.settle(SECOND);
    world.checker.gaps.clear();
    publish(&mut world, 0);
    world.settle(SECOND);
    world.kill(0);
    world.settle(8 * SECOND);
    assert_eq!(world.checker.gaps, []);
    world.settle(4 * SECOND);
    assert_eq!(world.checker.gaps, [1, 2].map(|node| (node, Some("a".to_owned()), Missed::NodeLost)));
}

/// A node is stopped by a signal for a long time, and continues.
#[test]
fn a_node_that_was_stopped_causes_no_duplicates_and_loses_nothing() {
    let mut world = world(2);
    publish(&mut world, 0);
    world.serve(0, 100);
    world.deliver(1, 100);
    world.nodes[0].is_paused = true;
    world.settle(30 * SECOND);
    let lost = (1, Some("a".to_owned()), Missed::NodeLost);
    assert_eq!(world.checker.gaps, std::slice::from_ref(&lost));
    publish(&mut world, 1);

    // Its connection has ended before the acknowledgement came, so it sends the message again.
    world.disconnect(0);
    world.resume(0);
    publish(&mut world, 0);
    world.heal_and_check();
    assert_eq!(delivered(&world, 1), ["0/a/0", "0/a/1"]);
    assert_eq!(world.nodes[1].node.stats().duplicates, 1);
    let reconnected = [None, Some("a".to_owned())].map(|topic| (0, topic, Missed::Reconnected));
    assert_eq!(world.checker.gaps[0], lost);
    assert!(reconnected.iter().all(|gap| world.checker.gaps.contains(gap)), "{:?}", world.checker.gaps);
    assert_eq!(world.checker.gaps.len(), 3);
}

/// What others have published waits in the connection.
#[test]
fn a_node_that_was_stopped_keeps_its_connection_and_its_peers() {
    let mut world = world(2);
    publish(&mut world, 0);
    world.settle(SECOND);
    world.nodes[1].is_paused = true;
    for _ in 0..30 {
        publish(&mut world, 0);
        world.settle(SECOND);
    }
    world.checker.gaps.clear();
    world.nodes[1].is_paused = false;
    world.advance(Duration::ZERO);
    world.heal_and_check();
    assert_eq!(world.checker.gaps, []);
    assert_eq!(delivered(&world, 1).len(), 31);
}

#[test]
fn a_connection_that_swallows_everything_is_replaced() {
    let (mut node, now) = node();
    node.up(now);
    let mut stale_after = None;
    for seconds in 1..=20_u32 {
        node.tick(now + seconds * SECOND);
        if outputs(&mut node).reconnects > 0 {
            assert_eq!(node.stats().state, BrokerState::Stale);
            stale_after.get_or_insert(seconds);
        }
    }
    assert_eq!(stale_after, Some(8));
    node.down(now);
    assert_eq!(
        (node.stats().state, node.next_deadline(), node.next_output()),
        (BrokerState::Down, None, None)
    );
}

#[test]
fn an_own_heartbeat_that_comes_back_keeps_the_connection() {
    let (mut node, mut now) = node();
    node.up(now);
    for _ in 0..30 {
        for (channel, envelope) in outputs(&mut node).published {
            node.received(&channel, &envelope, now);
        }
        now = node.next_deadline().unwrap();
        node.tick(now);
        assert_eq!(node.stats().state, BrokerState::Up);
    }
}

/// The server can process something of a lost connection after the first heartbeat of the next one.
#[test]
fn a_late_heartbeat_of_an_earlier_connection_is_ignored() {
    let (mut sender, now) = node();
    let publish_all = |sender: &mut Node| {
        assert_eq!(sender.publish(Some("a"), &Message::from("1"), Flags::default(), None), Outcome::Queued);
        sender.up(now);
        outputs(sender).published
    };
    let earlier = publish_all(&mut sender).pop().unwrap();
    let later = publish_all(&mut sender);
    let mut receiver = Node::new(id(1), Options::default(), now);
    receiver.up(now);
    receiver.subscribed(&["sockeye:all"]);
    for (channel, envelope) in later.iter().chain([&earlier]) {
        receiver.received(channel, envelope, now);
    }
    let beat = receiver.peers.get_or_insert(id(0)).unwrap().beat.unwrap();
    assert_eq!(beat.number, 2);
}
