//! Messages that Redis has to store.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::database::{Database, Result};
use super::link::Link;
use super::publisher::Publisher;
use crate::input::{RoomName, SessionKey};
use crate::protocol;

/// Messages that wait for Redis. Later ones are rejected.
const MAX_UNSENT: usize = 1_000;

pub(super) struct Unsent {
    pub(super) key: SessionKey,
    pub(super) reference: String,
    pub(super) room: RoomName,
    /// The event without a number and a time.
    pub(super) message: Value,
}

impl Unsent {
    /// Stores the message. Returns its event.
    pub(super) fn store(&self, database: &mut Database) -> Result<String> {
        database.send(&self.key, &self.reference, &self.room, &self.message)
    }

    /// Returns the event for the users of this node.
    pub(super) fn unnumbered(&self) -> String {
        let mut event = self.message.clone();
        event["time"] = json!(protocol::unix_millis());
        event.to_string()
    }
}

/// The messages of the users of this node, in order, while Redis is not reachable.
#[derive(Default)]
pub(super) struct UnsentQueue(VecDeque<Unsent>);

impl UnsentQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX_UNSENT
    }

    pub(super) fn push(&mut self, unsent: Unsent) {
        self.0.push_back(unsent);
    }

    /// Stores and publishes the messages, until one fails.
    pub(super) fn store(&mut self, link: &mut Link, publisher: &Publisher) {
        while let Some(unsent) = self.0.front() {
            let Ok(event) = link.execute(|database| unsent.store(database)) else { return };
            publisher.message(&unsent.room, event);
            self.0.pop_front();
        }
    }
}
