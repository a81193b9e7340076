//! Topics, and the connections that subscribe to them.
//!
//! A subscription takes 16 bytes: the topic stores the slot of the connection, and the connection the topic, each with the place of
//! the other. Joining, leaving and the end of a connection therefore do not depend on the number of subscribers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;

use crate::reactor::api::factory::Factory;
use crate::reactor::entries::index;

/// The number of a topic. It is reused when the topic has no subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::reactor) struct TopicId(u32);

/// The topics of a loop.
#[derive(Debug)]
pub(in crate::reactor) struct Topics {
    numbers: HashMap<Arc<str>, TopicId>,
    topics: Slab<Topic>,
    /// The subscriptions of the connections, by slot.
    by_slot: Vec<Vec<Subscription>>,
    /// What has happened to topics and must be passed to the factory.
    changes: Vec<TopicChange>,
    counts: Arc<SubscriberCounts>,
    max_topics: usize,
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
#[derive(Debug)]
enum TopicChange {
    Opened(Arc<str>),
    Closed(Arc<str>),
}

/// Which limit does not allow a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::reactor) enum TopicLimit {
    Connection,
    Loop,
}

/// How many connections subscribe to each topic. Senders on other threads read it.
#[derive(Debug, Default)]
pub(crate) struct SubscriberCounts {
    by_topic: Mutex<HashMap<Arc<str>, Arc<AtomicUsize>>>,
    all: AtomicUsize,
}

impl SubscriberCounts {
    /// Returns the number of subscribers of a topic.
    pub(crate) fn get(&self, topic: &str) -> usize {
        self.by_topic().get(topic).map_or(0, |count| count.load(Relaxed))
    }

    /// Returns the number of topics.
    pub(crate) fn topics(&self) -> usize {
        self.by_topic().len()
    }

    /// Returns the number of subscriptions to all topics.
    pub(crate) fn subscriptions(&self) -> usize {
        self.all.load(Relaxed)
    }

    fn insert(&self, topic: Arc<str>) -> Arc<AtomicUsize> {
        let count = Arc::new(AtomicUsize::new(0));
        self.by_topic().insert(topic, Arc::clone(&count));
        count
    }

    fn remove(&self, topic: &str) {
        self.by_topic().remove(topic);
    }

    fn by_topic(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<AtomicUsize>>> {
        self.by_topic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topics {
    pub(in crate::reactor) fn new(
        counts: Arc<SubscriberCounts>,
        max_topics: usize,
        max_per_connection: usize,
    ) -> Self {
        Self {
            numbers: HashMap::new(),
            topics: Slab::new(),
            by_slot: Vec::new(),
            changes: Vec::new(),
            counts,
            max_topics,
            max_per_connection,
        }
    }

    /// Returns the number of a topic that has subscribers.
    pub(in crate::reactor) fn find(&self, name: &str) -> Option<TopicId> {
        self.numbers.get(name).copied()
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
        if known.is_none() && self.topics.len() >= self.max_topics {
            return Err(TopicLimit::Loop);
        }
        let id = known.unwrap_or_else(|| self.open(name));
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
        topic.count.store(topic.members.len(), Relaxed);
        self.counts.all.fetch_add(1, Relaxed);
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

    /// Informs the factory which topics have received their first subscriber, and which have lost their last one.
    #[inline]
    pub(in crate::reactor) fn report(&mut self, factory: &mut impl Factory) {
        if !self.changes.is_empty() {
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

    /// The place of a subscription in those of the connection. A connection has few, so they are searched.
    fn place_of(&self, slot: u32, topic: TopicId) -> Option<usize> {
        self.by_slot.get(index(slot))?.iter().position(|subscription| subscription.topic == topic)
    }

    fn open(&mut self, name: &Arc<str>) -> TopicId {
        let count = self.counts.insert(Arc::clone(name));
        let number = self.topics.insert(Topic { name: Arc::clone(name), members: Vec::new(), count });
        let id = TopicId(u32::try_from(number).unwrap_or(u32::MAX));
        self.numbers.insert(Arc::clone(name), id);
        self.changes.push(TopicChange::Opened(Arc::clone(name)));
        id
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
        self.counts.all.fetch_sub(1, Relaxed);
        let Some(topic) = self.topics.get_mut(index(id.0)) else { return };
        topic.members.swap_remove(index(place));
        topic.count.store(topic.members.len(), Relaxed);
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
            self.counts.remove(&name);
            self.changes.push(TopicChange::Closed(name));
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
