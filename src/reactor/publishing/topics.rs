//! Topics, and the connections that subscribe to them.
//!
//! A subscription takes 16 bytes: the topic stores the slot of the connection, and the connection the topic, each with the place of
//! the other. Joining, leaving and the end of a connection therefore do not depend on the number of subscribers.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use slab::Slab;

use crate::reactor::api::factory::Factory;
use crate::reactor::common::Common;
use crate::reactor::entries::index;
use crate::reactor::queue::routing;

/// The number of a topic. It is reused when the topic has no subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::reactor) struct TopicId(u32);

/// The topics of a loop.
#[derive(Debug)]
pub(in crate::reactor) struct Topics {
    numbers: HashMap<Arc<str>, TopicId>,
    topics: Slab<Topic>,
    /// The topic that was found last. Consecutive publications are often for the same one.
    last_found: Cell<TopicId>,
    /// The subscriptions of the connections, by slot.
    by_slot: Vec<Vec<Subscription>>,
    /// What has happened to topics and must be passed to the factory.
    changes: Vec<TopicChange>,
    common: Common,
    max_per_connection: usize,
}

/// A topic with at least one subscriber.
#[derive(Debug)]
struct Topic {
    name: Arc<str>,
    members: Vec<Member>,
    count: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    slot: u32,
    /// The place in the subscriptions of the connection.
    place: u32,
}

#[derive(Debug, Clone, Copy)]
struct Subscription {
    topic: TopicId,
    /// The place in the members of the topic.
    place: u32,
}

/// The first connection has subscribed to a topic, or the last one has left it.
#[derive(Debug, Clone)]
pub(crate) enum TopicChange {
    Opened(Arc<str>),
    Closed(Arc<str>),
}

impl TopicChange {
    pub(crate) fn topic(&self) -> &Arc<str> {
        match self {
            Self::Opened(topic) | Self::Closed(topic) => topic,
        }
    }
}

/// Which limit does not allow a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::reactor) enum TopicLimit {
    Connection,
    Pool,
}

impl Topics {
    pub(in crate::reactor) fn new(common: Common, max_per_connection: usize) -> Self {
        Self {
            numbers: HashMap::new(),
            topics: Slab::new(),
            last_found: Cell::new(TopicId(0)),
            by_slot: Vec::new(),
            changes: Vec::new(),
            common,
            max_per_connection,
        }
    }

    /// Returns the number of a topic that has subscribers.
    pub(in crate::reactor) fn find(&self, name: &str) -> Option<TopicId> {
        let last = self.last_found.get();
        // The number may have become that of another topic.
        if self.topics.get(index(last.0)).is_some_and(|topic| *topic.name == *name) {
            return Some(last);
        }
        let found = self.numbers.get(name).copied()?;
        self.last_found.set(found);
        Some(found)
    }

    /// Returns the slots of the subscribers.
    pub(in crate::reactor) fn subscribers(&self, topic: TopicId) -> impl Iterator<Item = u32> + '_ {
        let members = self.topics.get(index(topic.0)).map_or(&[][..], |topic| topic.members.as_slice());
        members.iter().map(|member| member.slot)
    }

    /// Subscribes the connection in a slot to a topic. Returns the topic, or `None` if the connection subscribes to it already.
    pub(in crate::reactor) fn subscribe(
        &mut self,
        slot: u32,
        name: &Arc<str>,
    ) -> Result<Option<TopicId>, TopicLimit> {
        let known = self.find(name);
        if known.is_some_and(|topic| self.place_of(slot, topic).is_some()) {
            return Ok(None);
        }
        let own = self.by_slot.get(index(slot)).map_or(0, Vec::len);
        if own >= self.max_per_connection {
            return Err(TopicLimit::Connection);
        }
        let id = known.or_else(|| self.open(name)).ok_or(TopicLimit::Pool)?;
        if index(slot) >= self.by_slot.len() {
            self.by_slot.resize_with(index(slot) + 1, Vec::new);
        }
        let (Some(topic), Some(subscriptions)) =
            (self.topics.get_mut(index(id.0)), self.by_slot.get_mut(index(slot)))
        else {
            return Ok(None);
        };
        let place = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        subscriptions.push(Subscription { topic: id, place: place(topic.members.len()) });
        topic.members.push(Member { slot, place: place(subscriptions.len() - 1) });
        self.common.topics.add_subscription(&topic.count);
        Ok(Some(id))
    }

    /// Ends a subscription. Returns the topic, or `None` if the connection does not subscribe to it.
    pub(in crate::reactor) fn unsubscribe(&mut self, slot: u32, name: &str) -> Option<TopicId> {
        let topic = self.find(name)?;
        let place = self.place_of(slot, topic)?;
        self.leave(slot, place);
        Some(topic)
    }

    /// Ends all subscriptions of a connection. Returns the topics.
    pub(in crate::reactor) fn remove(&mut self, slot: u32) -> Vec<TopicId> {
        let mut left = Vec::new();
        while let Some(last) = self.by_slot.get(index(slot)).and_then(|own| own.last().copied()) {
            let own = self.by_slot.get(index(slot)).map_or(0, Vec::len);
            self.leave(slot, own - 1);
            left.push(last.topic);
        }
        if let Some(own) = self.by_slot.get_mut(index(slot)) {
            *own = Vec::new();
        }
        left
    }

    /// The number of subscriptions.
    #[cfg(test)]
    pub(in crate::reactor) fn subscriptions(&self) -> usize {
        self.by_slot.iter().map(Vec::len).sum()
    }

    /// Another loop of the pool has reported a change, because this loop is the home of the topic.
    pub(in crate::reactor) fn note(&mut self, change: TopicChange) {
        self.changes.push(change);
    }

    /// Whether the factory must be informed.
    #[inline]
    pub(in crate::reactor) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Informs the factory which topics have received their first subscriber, and which have lost their last one.
    #[inline]
    pub(in crate::reactor) fn report(&mut self, factory: &mut impl Factory) {
        if self.has_changes() {
            self.report_changes(factory);
        }
    }

    #[cold]
    fn report_changes(&mut self, factory: &mut impl Factory) {
        for change in self.changes.drain(..) {
            match change {
                TopicChange::Opened(topic) => factory.topic_opened(&topic),
                TopicChange::Closed(topic) => factory.topic_closed(&topic),
            }
        }
    }

    /// The place of a subscription in those of the connection. The shorter list is searched: that of the connection, or that of the topic.
    fn place_of(&self, slot: u32, topic: TopicId) -> Option<usize> {
        let own = self.by_slot.get(index(slot))?;
        let members = &self.topics.get(index(topic.0))?.members;
        if own.len() <= members.len() {
            return own.iter().position(|subscription| subscription.topic == topic);
        }
        members.iter().find(|member| member.slot == slot).map(|member| index(member.place))
    }

    /// Adds a topic. Returns `None` if there are too many.
    fn open(&mut self, name: &Arc<str>) -> Option<TopicId> {
        let Self { common, changes, .. } = self;
        let opened = || report(TopicChange::Opened(Arc::clone(name)), common, changes);
        let count = common.topics.join(name, common.loop_index(), opened)?;
        let number = self.topics.insert(Topic { name: Arc::clone(name), members: Vec::new(), count });
        let id = TopicId(u32::try_from(number).unwrap_or(u32::MAX));
        self.numbers.insert(Arc::clone(name), id);
        Some(id)
    }

    /// Removes a subscription from both lists. The last entry of each takes its place.
    fn leave(&mut self, slot: u32, own_place: usize) {
        let Some(own) = self.by_slot.get_mut(index(slot)) else { return };
        if own_place >= own.len() {
            return;
        }
        let Subscription { topic: id, place } = own.swap_remove(own_place);
        if let Some(moved) = own.get(own_place).copied()
            && let Some(member) = self.member(moved)
        {
            member.place = u32::try_from(own_place).unwrap_or(u32::MAX);
        }
        let Some(topic) = self.topics.get_mut(index(id.0)) else { return };
        topic.members.swap_remove(index(place));
        self.common.topics.remove_subscription(&topic.count);
        let is_closed = topic.members.is_empty();
        if let Some(moved) = topic.members.get(index(place)).copied()
            && let Some(own) = self.by_slot.get_mut(index(moved.slot))
            && let Some(subscription) = own.get_mut(index(moved.place))
        {
            subscription.place = place;
        }
        if is_closed {
            let Topic { name, .. } = self.topics.remove(index(id.0));
            self.numbers.remove(&name);
            let Self { common, changes, .. } = self;
            let closed = || report(TopicChange::Closed(Arc::clone(&name)), common, changes);
            common.topics.leave(&name, common.loop_index(), closed);
        } else if let Some(topic) = self.topics.get_mut(index(id.0))
            && topic.members.capacity() > 4 * topic.members.len().max(16)
        {
            topic.members.shrink_to(2 * topic.members.len());
        }
    }

    fn member(&mut self, subscription: Subscription) -> Option<&mut Member> {
        self.topics.get_mut(index(subscription.topic.0))?.members.get_mut(index(subscription.place))
    }
}

/// Reports a change. In a pool, those of a topic are always reported to the factory of the same worker, which may be another one.
fn report(change: TopicChange, common: &Common, changes: &mut Vec<TopicChange>) {
    match &common.membership {
        Some(own) => changes.extend(routing::report(own, change)),
        None => changes.push(change),
    }
}
