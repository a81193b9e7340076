//! When a node subscribes, and what its subscribers learn.

use super::super::envelope::Flags;
use super::super::events::{Event, Missed};
use super::super::node::{Node, Outcome, ToBroker};
use super::super::options::Options;
use super::node::{SECOND, node, outputs};
use super::world::id;
use crate::Message;

fn events(node: &mut Node) -> Vec<Event> {
    std::iter::from_fn(|| node.next_event()).collect()
}

fn gap(topic: &str, missed: Missed) -> Event {
    Event::Gap { topic: Some(topic.into()), missed }
}

#[test]
fn a_topic_is_reported_as_joined_once_and_then_as_reconnected() {
    let (mut node, now) = node();
    node.open("a");
    assert_eq!(node.next_output(), None);
    for missed in [Missed::Joined, Missed::Reconnected, Missed::Reconnected] {
        node.up(now);
        assert_eq!(events(&mut node), []);
        node.subscribed(&["sockeye:t:a", "sockeye:t:unknown"]);
        assert_eq!(events(&mut node), [gap("a", missed)]);
        node.down(now);
        assert_eq!(events(&mut node), []);
    }
    assert_eq!((node.stats().gaps, node.stats().reconnects), (3, 2));
}

#[test]
fn a_topic_that_is_opened_again_within_a_second_stays_subscribed() {
    let (mut node, now) = node();
    node.up(now);
    node.open("a");
    node.subscribed(&["sockeye:t:a"]);
    outputs(&mut node);
    assert_eq!(events(&mut node), [gap("a", Missed::Joined)]);
    node.close("a", now);
    assert_eq!(node.next_deadline(), Some(now + SECOND));
    node.tick(now + SECOND / 2);
    node.open("a");
    node.tick(now + 3 * SECOND / 2);
    assert_eq!(outputs(&mut node).unsubscribed.len(), 0);
    assert_eq!(events(&mut node), []);

    node.close("a", now + 2 * SECOND);
    node.tick(now + 3 * SECOND);
    assert_eq!(outputs(&mut node).unsubscribed, ["sockeye:t:a"]);
    node.open("a");
    assert_eq!(outputs(&mut node).subscribed, [["sockeye:t:a"]]);
    node.subscribed(&["sockeye:t:a"]);
    assert_eq!(events(&mut node), [gap("a", Missed::Joined)]);
}

/// Otherwise its confirmation could be taken for that of a later subscription.
#[test]
fn a_subscription_ends_only_after_it_was_confirmed() {
    let (mut node, now) = node();
    node.up(now);
    node.open("a");
    node.close("a", now);
    node.tick(now + SECOND);
    assert_eq!(outputs(&mut node).unsubscribed.len(), 0);
    node.subscribed(&["sockeye:t:a"]);
    assert_eq!(outputs(&mut node).unsubscribed, ["sockeye:t:a"]);
    assert_eq!(events(&mut node), []);
}

#[test]
fn all_channels_are_subscribed_in_groups_before_messages_are_sent_again() {
    let (mut node, now) = node();
    (0..1000).for_each(|index| node.open(&index.to_string()));
    assert_eq!(node.publish(Some("a"), &Message::from("1"), Flags::default(), None), Outcome::Queued);
    node.up(now);
    let first = node.next_output();
    assert!(matches!(first, Some(ToBroker::Subscribe(group)) if group.len() == 512));
    let rest = outputs(&mut node);
    assert_eq!(rest.subscribed.iter().map(Vec::len).collect::<Vec<_>>(), [490]);
    let channels: Vec<_> = rest.published.iter().map(|(channel, _)| &**channel).collect();
    assert_eq!(channels, ["sockeye:t:a", "sockeye:all"]);
}

#[test]
fn only_what_is_not_acknowledged_is_sent_again() {
    let (mut node, now) = node();
    node.up(now);
    for text in ["1", "2", "3"] {
        assert_eq!(node.publish(Some("a"), &Message::from(text), Flags::default(), None), Outcome::Queued);
    }
    let sent = outputs(&mut node).published;
    // The heartbeat, and the first message.
    node.acknowledged(2);
    node.down(now);
    node.up(now);
    let again = outputs(&mut node).published;
    assert_eq!(again[..2], sent[2..]);
    assert_eq!(again.len(), 3);
    node.acknowledged(100);
    assert_eq!(node.outgoing.len().0, 0);
}

/// The server refuses a message that the broker has sent already, because it does not wait for answers.
#[test]
fn what_the_server_rejects_is_not_sent_again_and_is_reported_to_others() {
    let (mut node, now) = node();
    node.up(now);
    for text in ["1", "2"] {
        assert_eq!(node.publish(Some("a"), &Message::from(text), Flags::default(), None), Outcome::Queued);
    }
    let sent = outputs(&mut node).published;
    let mut other = Node::new(id(1), Options::default(), now);
    other.up(now);
    other.open("a");
    other.subscribed(&["sockeye:all", "sockeye:t:a"]);
    events(&mut other);
    // The heartbeat comes first, then the messages.
    node.rejected(2);
    node.acknowledged(3);
    for (channel, envelope) in [&sent[0], &sent[2]] {
        other.received(channel, envelope, now);
    }
    let reported = events(&mut other);
    assert!(
        matches!(&reported[..], [Event::Gap { missed: Missed::Hole, .. }, Event::Deliver { .. }]),
        "{reported:?}"
    );
    assert_eq!(node.stats().lost, 1);
    node.down(now);
    node.up(now);
    assert_eq!(outputs(&mut node).published.len(), 1, "only a heartbeat");
}
