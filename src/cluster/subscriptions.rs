//! The channels to which the node subscribes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::events::{Events, Missed};
use super::incoming::{Era, Ledger};

/// How long a subscription continues without local subscribers.
const LINGER: Duration = Duration::from_secs(1);

/// The number of channels in one command at most.
const MAX_GROUP: usize = 512;

/// What the broker must do with subscriptions.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Subscribe(Vec<Arc<str>>),
    Unsubscribe(Vec<Arc<str>>),
}

/// The channels of topics with local subscribers, and that of all nodes.
#[derive(Debug)]
pub(super) struct Subscriptions {
    channels: HashMap<Arc<str>, Subscription>,
    /// The channel of this node. Nothing that arrives there is numbered.
    own: Arc<str>,
    /// The channels without local subscribers, and when their subscriptions end. Some may have subscribers again.
    closing: VecDeque<(Instant, Arc<str>)>,
    commands: VecDeque<Command>,
    is_connected: bool,
    era: Era,
}

#[derive(Debug)]
pub(super) struct Subscription {
    /// `None` for the channel of all nodes.
    pub(super) topic: Option<Arc<str>>,
    usage: Usage,
    phase: Phase,
    /// Whether the local subscribers know that the node receives the topic.
    has_joined: bool,
    pub(super) ledger: Ledger,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    /// There are local subscribers.
    Open,
    /// There are none, and the subscription ends at this time.
    Closing(Instant),
    /// It ends as soon as it is effective. If it were ended before, the confirmation could be taken for that of the next subscription
    /// to the channel.
    Ending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The broker is not connected.
    Disconnected,
    Requested,
    Effective,
}

impl Subscriptions {
    /// Returns the subscriptions to the channel of all nodes, and to that of this node.
    pub(super) fn new(cluster: &Arc<str>, own: &Arc<str>) -> Self {
        let mut new = Self {
            channels: HashMap::new(),
            own: Arc::clone(own),
            closing: VecDeque::new(),
            commands: VecDeque::new(),
            is_connected: false,
            era: 0,
        };
        new.insert(cluster, None);
        new
    }

    pub(super) fn era(&self) -> Era {
        self.era
    }

    /// A topic has its first local subscriber.
    pub(super) fn open(&mut self, channel: &str, topic: &str) {
        if let Some(known) = self.channels.get_mut(channel) {
            known.usage = Usage::Open;
            known.has_joined = known.phase == Phase::Effective;
            return;
        }
        let channel: Arc<str> = channel.into();
        self.insert(&channel, Some(topic.into()));
        if self.is_connected {
            self.subscribe(channel);
        }
    }

    fn insert(&mut self, channel: &Arc<str>, topic: Option<Arc<str>>) {
        let phase = if self.is_connected { Phase::Requested } else { Phase::Disconnected };
        let ledger = Ledger::default();
        let subscription = Subscription { topic, usage: Usage::Open, phase, has_joined: false, ledger };
        self.channels.insert(Arc::clone(channel), subscription);
    }

    /// A topic has lost its last local subscriber.
    pub(super) fn close(&mut self, channel: &str, now: Instant) {
        let Some((name, _)) = self.channels.get_key_value(channel) else { return };
        let (name, end) = (Arc::clone(name), now + LINGER);
        self.closing.push_back((end, Arc::clone(&name)));
        if let Some(closed) = self.channels.get_mut(&name) {
            closed.usage = Usage::Closing(end);
        }
    }

    /// Ends the subscriptions whose time is over.
    pub(super) fn tick(&mut self, now: Instant) {
        while let Some((end, channel)) = self.next_closing(now) {
            let Some(closed) = self.channels.get_mut(&channel) else { continue };
            if closed.usage != Usage::Closing(end) {
                continue;
            }
            match closed.phase {
                Phase::Requested => closed.usage = Usage::Ending,
                phase => {
                    self.channels.remove(&channel);
                    if phase == Phase::Effective {
                        self.unsubscribe(channel);
                    }
                }
            }
        }
    }

    fn next_closing(&mut self, now: Instant) -> Option<(Instant, Arc<str>)> {
        self.closing.front().filter(|(end, _)| *end <= now)?;
        self.closing.pop_front()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.closing.front().map(|(end, _)| *end)
    }

    /// The broker is connected, and has no subscriptions.
    pub(super) fn connect(&mut self) {
        self.is_connected = true;
        let cluster = self.channels.iter().filter(|(_, known)| known.topic.is_none());
        let topics = self.channels.iter().filter(|(_, known)| known.topic.is_some());
        let mut all: Vec<_> = cluster.chain(topics).map(|(channel, _)| Arc::clone(channel)).collect();
        all.insert(0, Arc::clone(&self.own));
        self.commands.extend(all.chunks(MAX_GROUP).map(|group| Command::Subscribe(group.to_vec())));
        self.channels.values_mut().for_each(|known| known.phase = Phase::Requested);
    }

    /// The broker has lost its connection.
    pub(super) fn disconnect(&mut self) {
        self.is_connected = false;
        self.commands.clear();
        self.channels.retain(|_, known| known.usage != Usage::Ending);
        for known in self.channels.values_mut() {
            known.phase = Phase::Disconnected;
            known.ledger.suspend();
        }
    }

    /// Subscriptions have become effective. Their local subscribers have missed what was published before.
    pub(super) fn confirm(&mut self, channels: &[&str], events: &mut Events) {
        self.era += 1;
        for channel in channels {
            let Some((name, known)) = self.channels.get_key_value(*channel) else { continue };
            if known.usage == Usage::Ending {
                let name = Arc::clone(name);
                self.channels.remove(&name);
                self.unsubscribe(name);
            } else if let Some(known) = self.channels.get_mut(*channel) {
                known.confirm(self.era, events);
            }
        }
    }

    pub(super) fn get(&self, channel: &str) -> Option<&Subscription> {
        self.channels.get(channel)
    }

    pub(super) fn get_mut(&mut self, channel: &str) -> Option<&mut Subscription> {
        self.channels.get_mut(channel)
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Subscription> {
        self.channels.values_mut()
    }

    pub(super) fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    fn subscribe(&mut self, channel: Arc<str>) {
        match self.commands.back_mut() {
            Some(Command::Subscribe(group)) if group.len() < MAX_GROUP => group.push(channel),
            _ => self.commands.push_back(Command::Subscribe(vec![channel])),
        }
    }

    fn unsubscribe(&mut self, channel: Arc<str>) {
        match self.commands.back_mut() {
            Some(Command::Unsubscribe(group)) if group.len() < MAX_GROUP => group.push(channel),
            _ => self.commands.push_back(Command::Unsubscribe(vec![channel])),
        }
    }
}

impl Subscription {
    fn confirm(&mut self, era: Era, events: &mut Events) {
        if self.phase != Phase::Requested {
            return;
        }
        self.phase = Phase::Effective;
        self.ledger.begin(era);
        self.report(if self.has_joined { Missed::Reconnected } else { Missed::Joined }, events);
        self.has_joined = true;
    }

    /// Reports to the local subscribers, if there are any, that messages are missing.
    pub(super) fn report(&self, missed: Missed, events: &mut Events) {
        if self.is_open() {
            events.report_gap(self.topic.as_ref(), missed);
        }
    }

    /// Whether there are local subscribers.
    pub(super) fn is_open(&self) -> bool {
        self.usage == Usage::Open
    }
}
