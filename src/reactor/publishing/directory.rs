//! The topics of all loops of a pool: how many connections subscribe to each, and which loops must receive a publication.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::cluster::Hub;
use crate::reactor::queue::loop_set::LoopSet;

/// What the loops of a pool know about each other's topics. Senders on other threads read it. A loop alone has one for itself.
///
/// A loop is interested in a topic while one of its connections subscribes to it, and already while a subscription is queued:
/// whoever publishes after a call of `subscribe` must reach the new subscriber.
#[derive(Debug)]
pub(crate) struct TopicDirectory {
    topics: Mutex<Topics>,
    /// The number of subscriptions to all topics.
    subscriptions: AtomicUsize,
    loops: usize,
    max_topics: usize,
    /// The node of the process, which receives topics from others.
    node: OnceLock<Arc<Hub>>,
}

#[derive(Debug, Default)]
struct Topics {
    by_name: HashMap<Arc<str>, Topic>,
    /// How many of them have subscribers.
    open: usize,
}

#[derive(Debug)]
struct Topic {
    /// The number of subscribers. The loops change it without the lock.
    count: Arc<AtomicUsize>,
    /// How many loops have subscribers.
    loops: usize,
    /// For each loop, the number of queued subscriptions, plus one if it has subscribers.
    interest: Box<[u32]>,
}

/// A subscription that is queued for a loop. The loop is interested in the topic until the value is dropped.
#[derive(Debug)]
pub(crate) struct Announcement {
    directory: Arc<TopicDirectory>,
    name: Arc<str>,
    of_loop: usize,
}

impl Announcement {
    pub(crate) fn new(directory: &Arc<TopicDirectory>, name: &Arc<str>, of_loop: usize) -> Self {
        directory.lock().get_or_insert(name, directory.loops).add_interest(of_loop);
        Self { directory: Arc::clone(directory), name: Arc::clone(name), of_loop }
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.directory.lock().remove_interest(&self.name, self.of_loop);
    }
}

impl TopicDirectory {
    pub(crate) fn new(loops: usize, max_topics: usize) -> Self {
        Self {
            topics: Mutex::default(),
            subscriptions: AtomicUsize::new(0),
            loops,
            max_topics,
            node: OnceLock::new(),
        }
    }

    /// Returns an empty directory of a pool with the same limit.
    pub(crate) fn for_loops(&self, loops: usize) -> Self {
        Self::new(loops, self.max_topics)
    }

    /// Informs the node of a cluster which topics have subscribers, from now on.
    pub(crate) fn join_cluster(&self, node: Arc<Hub>) {
        let _ = self.node.set(node);
    }

    /// Returns the number of subscribers of a topic.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.lock().by_name.get(name).map_or(0, |topic| topic.count.load(Relaxed))
    }

    /// Returns the number of topics that have subscribers.
    pub(crate) fn topics(&self) -> usize {
        self.lock().open
    }

    /// Returns the number of subscriptions to all topics.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions.load(Relaxed)
    }

    /// Returns the loops that must receive a publication.
    pub(crate) fn interested(&self, name: &str) -> LoopSet {
        let topics = self.lock();
        let interest = topics.by_name.get(name).map_or(&[][..], |topic| &topic.interest);
        interest.iter().enumerate().filter(|(_, reasons)| **reasons > 0).map(|(index, _)| index).collect()
    }

    /// A connection has subscribed to a topic.
    pub(super) fn add_subscription(&self, count: &AtomicUsize) {
        count.fetch_add(1, Relaxed);
        self.subscriptions.fetch_add(1, Relaxed);
    }

    /// A subscription has ended.
    pub(super) fn remove_subscription(&self, count: &AtomicUsize) {
        count.fetch_sub(1, Relaxed);
        self.subscriptions.fetch_sub(1, Relaxed);
    }

    /// A loop gets its first subscriber of a topic. Returns the number of subscribers in all loops, or `None` if there are too many
    /// topics. Calls `on_first` if no other loop has subscribers, before another loop can join or leave.
    pub(super) fn join(
        &self,
        name: &Arc<str>,
        of_loop: usize,
        on_first: impl FnOnce(),
    ) -> Option<Arc<AtomicUsize>> {
        let mut topics = self.lock();
        let is_open = topics.by_name.get(name).is_some_and(|topic| topic.loops > 0);
        if !is_open && topics.open >= self.max_topics {
            return None;
        }
        topics.open += usize::from(!is_open);
        let topic = topics.get_or_insert(name, self.loops);
        topic.loops += 1;
        topic.add_interest(of_loop);
        let count = Arc::clone(&topic.count);
        if !is_open {
            self.node.get().into_iter().for_each(|node| node.open(name));
            on_first();
        }
        Some(count)
    }

    /// A loop has lost its last subscriber of a topic. Calls `on_last` if no other loop has subscribers, before another loop can join.
    pub(super) fn leave(&self, name: &str, of_loop: usize, on_last: impl FnOnce()) {
        let mut topics = self.lock();
        let Some(topic) = topics.by_name.get_mut(name) else { return };
        topic.loops -= 1;
        let is_last = topic.loops == 0;
        topics.open -= usize::from(is_last);
        topics.remove_interest(name, of_loop);
        if is_last {
            self.node.get().into_iter().for_each(|node| node.close(name));
            on_last();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topics {
    fn get_or_insert(&mut self, name: &Arc<str>, loops: usize) -> &mut Topic {
        self.by_name.entry(Arc::clone(name)).or_insert_with(|| Topic {
            count: Arc::default(),
            loops: 0,
            interest: vec![0; loops].into(),
        })
    }

    /// Removes a reason for the interest of a loop, and the topic with the last reason.
    fn remove_interest(&mut self, name: &str, of_loop: usize) {
        let Some(topic) = self.by_name.get_mut(name) else { return };
        if let Some(reasons) = topic.interest.get_mut(of_loop) {
            *reasons = reasons.saturating_sub(1);
        }
        if topic.interest.iter().all(|reasons| *reasons == 0) {
            self.by_name.remove(name);
        }
    }
}

impl Topic {
    fn add_interest(&mut self, of_loop: usize) {
        if let Some(reasons) = self.interest.get_mut(of_loop) {
            *reasons += 1;
        }
    }
}
