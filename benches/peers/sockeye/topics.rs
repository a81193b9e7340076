//! Servers with topics.

use std::cell::Cell;
use std::rc::Rc;

use sockeye::{Handler, Handshake, Message, Publication, Sender, Settings};

use crate::Result;

/// The topic of all members.
const TOPIC: &str = "everyone";

/// The number of topics to which each connection of `subscriptions` subscribes.
const EACH: usize = 1000;

/// The load generator opens this many connections before it measures the memory for the first time.
const EARLY: usize = 64;

/// A subscriber that publishes every message to all, itself included.
pub(crate) struct Member {
    out: Sender,
}

impl Member {
    pub(crate) fn new(out: Sender) -> Self {
        Self { out }
    }
}

impl Handler for Member {
    fn on_open(&mut self, _: Handshake) -> sockeye::Result<()> {
        self.out.subscribe(TOPIC)
    }

    fn on_message(&mut self, message: Message) -> sockeye::Result<()> {
        self.out.publish_with(Publication::new(TOPIC, message).to_self())
    }

    fn wants_frames(&self) -> bool {
        false
    }
}

/// A connection that subscribes to consecutive topics.
struct Subscriber {
    out: Sender,
    /// How many connections have opened.
    opened: Rc<Cell<usize>>,
    topics: usize,
}

impl Handler for Subscriber {
    fn on_open(&mut self, _: Handshake) -> sockeye::Result<()> {
        let earlier = self.opened.replace(self.opened.get() + 1);
        let Some(number) = earlier.checked_sub(EARLY) else { return Ok(()) };
        (number * EACH..(number + 1) * EACH)
            .try_for_each(|topic| self.out.subscribe(name(topic % self.topics)))
    }
}

/// Returns a name of 16 bytes.
fn name(topic: usize) -> String {
    format!("topic/{topic:010}")
}

/// Listens with the number of topics that the third argument contains. All topics have the same number of subscribers.
pub(crate) fn listen(address: &str) -> Result<()> {
    let topics = std::env::args().nth(3).ok_or("the third argument is the number of topics")?.parse()?;
    let settings = Settings { max_topics_per_connection: EACH, max_topics: topics, ..crate::settings() };
    let opened = Rc::default();
    crate::listen(address, settings, move |out: Sender| Subscriber {
        out,
        opened: Rc::clone(&opened),
        topics,
    })
}
