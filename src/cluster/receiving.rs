//! What a node does with what arrives on its channels.

use std::time::Instant;

use super::broker::NodeId;
use super::envelope::{Body, Content, Envelope, Flags, Heartbeat};
use super::events::{BrokerState, Event, Events, Missed};
use super::incoming::Arrival;
use super::node::Node;
use super::peers::Peer;
use super::subscriptions::Subscriptions;
use crate::Message;

impl Node {
    /// Something has arrived on a channel.
    pub(crate) fn received(&mut self, channel: &str, bytes: &[u8], now: Instant) {
        self.liveness.advance(now);
        let is_accepted = match Envelope::decode(bytes) {
            Ok(envelope) if envelope.node == self.id => self.receive_own(channel, &envelope, now),
            Ok(envelope) => self.receive(channel, &envelope),
            Err(_) => false,
        };
        self.events.counters.malformed += u64::from(!is_accepted);
    }

    /// Returns whether the envelope belongs to the channel.
    fn receive(&mut self, channel: &str, envelope: &Envelope<'_>) -> bool {
        let &Envelope { node, number, body, .. } = envelope;
        let is_cluster = *channel == *self.channels.cluster;
        if !is_cluster && *channel != *self.channels.own && self.subscriptions.get(channel).is_none() {
            // It was sent before the subscription ended.
            return true;
        }
        let Some(peer) = self.peers.get_or_insert(node) else {
            self.report_hole(channel);
            return true;
        };
        peer.note(number, self.liveness.now());
        match body {
            Body::Message { flags, content, .. } => self.receive_message(channel, envelope, flags, content),
            Body::Heartbeat(heartbeat) if is_cluster => self.receive_heartbeat(envelope, heartbeat),
            Body::Goodbye if is_cluster => self.receive_goodbye(node, number),
            Body::CountQuery { query, topic } if is_cluster => {
                self.events.push(Event::CountAsked { node, query, topic: topic.into() });
            }
            Body::CountAnswer { query, count } if *channel == *self.channels.own => {
                self.queries.answer(query, node, count, &mut self.events);
            }
            _ => return false,
        }
        true
    }

    /// What cannot be checked counts as missing.
    fn report_hole(&mut self, channel: &str) {
        if let Some(known) = self.subscriptions.get(channel) {
            known.report(Missed::Hole, &mut self.events);
        }
    }

    fn receive_message(
        &mut self,
        channel: &str,
        envelope: &Envelope<'_>,
        flags: Flags,
        content: Content<'_>,
    ) {
        let &Envelope { node, number, previous, .. } = envelope;
        let era = self.subscriptions.era();
        let Some(peer) = self.peers.get_or_insert(node) else { return };
        let Some(known) = self.subscriptions.get_mut(channel) else { return };
        let after_loss = flags.contains(Flags::AFTER_LOSS);
        match known.ledger.receive((node, peer), number, previous, after_loss, era) {
            Arrival::Duplicate => {
                self.events.counters.duplicates += 1;
                return;
            }
            Arrival::AfterHole => known.report(Missed::Hole, &mut self.events),
            Arrival::InOrder => {}
        }
        self.deliver(channel, flags, None, content);
    }

    fn deliver(&mut self, channel: &str, flags: Flags, except: Option<u64>, content: Content<'_>) {
        let Some(known) = self.subscriptions.get(channel).filter(|known| known.is_open()) else { return };
        let message = match content {
            Content::Text(text) => Message::from(text),
            Content::Binary(bytes) => Message::from(bytes),
        };
        self.events.push(Event::Deliver { topic: known.topic.clone(), message, flags, except });
    }

    fn receive_heartbeat(&mut self, envelope: &Envelope<'_>, heartbeat: Heartbeat<'_>) {
        let &Envelope { node, number, previous: floor, .. } = envelope;
        let Heartbeat { part, is_last, has_lost, announcements } = heartbeat;
        let era = self.subscriptions.era();
        let Some(peer) = self.peers.get_or_insert(node) else { return };
        if peer.is_outdated(number) {
            return;
        }
        if part == 0 {
            Self::check_all(&mut self.subscriptions, &mut self.events, (node, peer), floor, has_lost);
        }
        for announced in announcements.iter(number) {
            let channel = self.channels.with_prefix(announced.channel);
            let Some(known) = self.subscriptions.get(channel) else { continue };
            let (last, is_lost) = (announced.last, announced.is_lost || has_lost);
            if known.ledger.misses_beyond((node, peer), (floor, has_lost), last, is_lost) {
                known.report(Missed::Hole, &mut self.events);
            }
        }
        peer.complete_part(number, part, is_last, era);
    }

    /// Reports a hole to each topic that misses messages up to `number`, whichever topics they belong to.
    fn check_all(
        subscriptions: &mut Subscriptions,
        events: &mut Events,
        peer: (NodeId, &Peer),
        number: u64,
        is_lost: bool,
    ) {
        let is_known = peer.1.beat.is_some_and(|beat| number <= beat.number);
        if is_known && !is_lost {
            return;
        }
        for known in subscriptions.all_mut() {
            if known.ledger.misses(peer, number, is_lost) {
                known.report(Missed::Hole, events);
            }
        }
    }

    fn receive_goodbye(&mut self, node: NodeId, number: u64) {
        let Some(peer) = self.peers.get_or_insert(node) else { return };
        // The last heartbeat has announced everything, if it has arrived.
        Self::check_all(&mut self.subscriptions, &mut self.events, (node, peer), number, false);
        self.subscriptions.all_mut().for_each(|known| {
            known.ledger.remove(node);
        });
        self.peers.remove(node);
        self.queries.remove(node, &mut self.events);
    }

    /// Nothing has arrived from a node for a long time.
    pub(super) fn lose(&mut self, node: NodeId) {
        for known in self.subscriptions.all_mut() {
            if known.ledger.remove(node) && known.ledger.is_effective() {
                known.report(Missed::NodeLost, &mut self.events);
            }
        }
        self.peers.remove(node);
        self.queries.remove(node, &mut self.events);
    }

    /// Something that this node has published has come back.
    fn receive_own(&mut self, channel: &str, envelope: &Envelope<'_>, now: Instant) -> bool {
        let &Envelope { number, body, .. } = envelope;
        if number > self.outgoing.number() {
            return false;
        }
        match body {
            Body::Message { flags, except, content } => {
                self.give_up_before(number);
                if flags.contains(Flags::TOTAL_ORDER) && self.returning.take(number) {
                    self.deliver(channel, flags, except, content);
                }
            }
            Body::Heartbeat(_) => {
                self.give_up_before(number.saturating_add(1));
                self.liveness.note_return();
                if let Some(sent) = self.broker.heartbeat_sent.take() {
                    self.broker.round_trip = now.saturating_duration_since(sent);
                }
                if self.broker.state == BrokerState::Stale {
                    self.broker.state = BrokerState::Up;
                }
            }
            Body::Goodbye | Body::CountQuery { .. } => {}
            Body::CountAnswer { .. } => return false,
        }
        true
    }

    /// Own messages before this number do not come back any more.
    fn give_up_before(&mut self, number: u64) {
        while let Some(expected) = self.returning.pop_before(number) {
            let Some(known) = self.subscriptions.get(&expected.channel) else { continue };
            if known.ledger.is_effective_since(expected.era) {
                known.report(Missed::Hole, &mut self.events);
            }
        }
    }
}
