//! What a node publishes to its own users, and to those of other nodes.

use sockeye::cluster::BrokerState;
use sockeye::{Publication, Sender};

use super::database::Change;
use crate::input::RoomName;
use crate::protocol;
use crate::rooms::{ALL_USERS, PERMANENT_ROOMS};

pub(super) struct Publisher {
    /// Publishes to all connections of this node.
    all: Sender,
    /// What the pages show.
    is_reachable: bool,
}

impl Publisher {
    pub(super) fn new(all: Sender) -> Self {
        Self { all, is_reachable: true }
    }

    /// Publishes a message to the users of all nodes.
    pub(super) fn message(&self, room: &RoomName, event: String) {
        self.publish(Publication::new(room.topic(), event));
    }

    /// Publishes a message that Redis has not stored to the users of this node.
    pub(super) fn unnumbered_message(&self, room: &RoomName, event: String) {
        self.publish(Publication::new(room.topic(), event).local());
    }

    /// Publishes who has joined or left on any node. Each node informs its own users.
    pub(super) fn change(&self, change: &Change) {
        let Change { kind, room, user, number, users, last_message } = change;
        let mut presence = protocol::presence(kind, room, *number, user);
        // A node can fail after it has stored a message, and before it has published it. Then its users leave, so that the pages notice.
        presence["last"] = (*last_message).into();
        self.publish(Publication::new(room.topic(), presence.to_string()).local());
        let exists = *users > 0 || PERMANENT_ROOMS.contains(&room.as_str());
        let count = protocol::room(room, *number, exists.then_some(*users));
        self.publish(Publication::new(ALL_USERS, count).local());
    }

    /// Returns whether the users of this node reach those of the others.
    pub(super) fn is_reachable(&self) -> bool {
        self.is_reachable
    }

    /// Informs the users of this node when the others become unreachable, or reachable again. The library has its own connections to Redis.
    pub(super) fn reachability(&mut self, is_database_up: bool) {
        let broker = self.all.health().broker;
        let is_reachable = is_database_up && broker.is_none_or(|state| state == BrokerState::Up);
        if is_reachable != self.is_reachable {
            self.is_reachable = is_reachable;
            self.publish(Publication::new(ALL_USERS, protocol::servers(is_reachable)).local());
        }
    }

    fn publish(&self, publication: Publication) {
        // Fails if the event loops have ended.
        if let Err(error) = self.all.publish_with(publication) {
            log::debug!("cannot publish: {error}");
        }
    }
}
