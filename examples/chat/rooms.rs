//! The state that all connections share: the users, the rooms and their histories. It is used behind a lock, because connections
//! may be on different threads. In a cluster, `cluster` replaces it.
//!
//! Each room is a topic, and so are [all users](ALL_USERS). The library knows the subscribers and delivers what is published, so
//! this file has no lists of receivers. The users of a room are in a list because the page shows their names.
//!
//! # Order
//!
//! The workers of a pool share the rooms behind a lock. Each change has a number: a message, and a user who joins or leaves. A method
//! numbers a change, stores it and publishes it under the same lock, so the order of the numbers is that of the history.
//!
//! It is not always the order of delivery. What a handler publishes leaves its worker at the end of the turn of its loop, so the
//! publications of two workers can arrive in the other order. [`Rooms::join`] sends the users and the history, and subscribes, under the
//! lock. A user thus misses nothing, but a publication of another worker can arrive after a history that contains it. The
//! page therefore sorts by number: it
//!
//! - inserts a message before those with higher numbers, and ignores one that it shows already,
//! - ignores a change of a list of users, or of a number of users, that is older than what it knows.
//!
//! With one worker, changes arrive in the order of their numbers, and each only once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use sockeye::{CloseCode, Publication, Sender};

use crate::input::{RoomName, SessionKey, Text, UserName};
use crate::limits::{MAX_HISTORY_BYTES, MAX_HISTORY_MESSAGES, MAX_ROOMS, MAX_ROOMS_PER_USER, MAX_USERS};
use crate::protocol::{self, Rejection};

/// Rooms that exist even when they are empty.
pub(crate) const PERMANENT_ROOMS: [&str; 3] = ["lobby", "campfire", "workshop"];
/// The topic of all users. The topic of a room begins with `#`.
pub(crate) const ALL_USERS: &str = "users";
/// A close code for private use (RFC 6455 §7.4.2). After it, the page does not reconnect by itself.
pub(crate) const REPLACED: u16 = 4001;

/// A user on one connection.
pub(crate) struct User {
    name: UserName,
    key: SessionKey,
    out: Sender,
}

type Result<T = ()> = std::result::Result<T, Rejection>;

/// Users are compared by identity: the same name and key can return on another connection.
impl PartialEq for User {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

#[derive(Default)]
struct Room {
    users: Vec<Arc<User>>,
    /// The events of the last messages, as they were published.
    history: VecDeque<String>,
    history_bytes: usize,
}

impl Room {
    /// Keeps a message for users who join later, and drops the oldest ones beyond the limits.
    fn add_to_history(&mut self, event: String) {
        self.history_bytes += event.len();
        self.history.push_back(event);
        while self.history.len() > MAX_HISTORY_MESSAGES || self.history_bytes > MAX_HISTORY_BYTES {
            let Some(oldest) = self.history.pop_front() else { break };
            self.history_bytes -= oldest.len();
        }
    }
}

pub(crate) struct Rooms {
    /// Identifies one run of the server, because the numbers of changes start again with each run.
    run: String,
    users: Vec<Arc<User>>,
    rooms: BTreeMap<RoomName, Room>,
    /// The number of the last change.
    last_change: u64,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        let permanent = PERMANENT_ROOMS.iter().filter_map(|name| RoomName::parse(name).ok());
        Self {
            run: format!("{:016x}", rand::random::<u64>()),
            users: Vec::new(),
            rooms: permanent.map(|name| (name, Room::default())).collect(),
            last_change: 0,
        }
    }

    /// Adds a user. If the key is that of a present user, it is the same user on a new connection, and the old connection,
    /// which may be dead, is closed.
    pub(crate) fn enter(&mut self, name: UserName, key: SessionKey, out: Sender) -> Result<Arc<User>> {
        if self.users.iter().any(|other| other.key != key && other.name.is_like(&name)) {
            return Err(Rejection::NAME_TAKEN);
        }
        if let Some(old) = self.users.iter().find(|other| other.key == key).cloned() {
            old.out.close_with_reason(CloseCode::from(REPLACED), "opened elsewhere")?;
            self.remove_user(&old);
        }
        if self.users.len() >= MAX_USERS {
            return Err(Rejection::CHAT_FULL);
        }
        let rooms = self.rooms.iter().map(|(name, room)| (name, room.users.len()));
        out.send(protocol::welcome(&name, &self.run, self.last_change, rooms))?;
        out.subscribe(ALL_USERS)?;
        let user = Arc::new(User { name, key, out });
        self.users.push(Arc::clone(&user));
        Ok(user)
    }

    /// Removes a user from the chat and its rooms.
    pub(crate) fn remove_user(&mut self, user: &Arc<User>) {
        self.users.retain(|other| other != user);
        for room in self.rooms.keys().cloned().collect::<Vec<_>>() {
            // Fails for the rooms that the user has not joined.
            let _ = self.leave(user, &room);
        }
    }

    /// Adds a user to a room, which is created if it does not exist. For a user who is in the room already, this sends its
    /// users and its history again.
    pub(crate) fn join(&mut self, user: &Arc<User>, name: &RoomName) -> Result {
        // A user who has been replaced can still send requests.
        if !self.users.contains(user) {
            return Err(Rejection::OUT_OF_ORDER);
        }
        let is_new = !self.rooms.get(name).is_some_and(|room| room.users.contains(user));
        if is_new
            && self.rooms.values().filter(|room| room.users.contains(user)).count() >= MAX_ROOMS_PER_USER
        {
            return Err(Rejection::TOO_MANY_ROOMS_OF_USER);
        }
        if !self.rooms.contains_key(name) && self.rooms.len() >= MAX_ROOMS {
            return Err(Rejection::TOO_MANY_ROOMS);
        }
        let room = self.rooms.entry(name.clone()).or_default();
        if is_new {
            room.users.push(Arc::clone(user));
            self.last_change += 1;
        }
        let (id, names) = (self.last_change, room.users.iter().map(|user| user.name.as_str()));
        user.out.send(protocol::joined(name, id, names, room.history.iter().map(String::as_str)))?;
        if is_new {
            user.out.subscribe(name.topic())?;
            let event = protocol::presence("user-joined", name, id, user.name.as_str());
            user.out.publish(name.topic(), event.to_string())?;
            self.publish_user_count(user, name)?;
        }
        Ok(())
    }

    /// Removes a user from a room, and the room if it is empty.
    pub(crate) fn leave(&mut self, user: &Arc<User>, name: &RoomName) -> Result {
        let room = self.rooms.get_mut(name).filter(|room| room.users.contains(user));
        let room = room.ok_or(Rejection::NOT_IN_ROOM)?;
        room.users.retain(|other| other != user);
        if room.users.is_empty() && !PERMANENT_ROOMS.contains(&name.as_str()) {
            self.rooms.remove(name);
        }
        self.last_change += 1;
        user.out.unsubscribe(name.topic())?;
        user.out.send(protocol::left(name))?;
        let event = protocol::presence("user-left", name, self.last_change, user.name.as_str());
        user.out.publish(name.topic(), event.to_string())?;
        self.publish_user_count(user, name)
    }

    /// Publishes a message to all users in a room. The sender receives it as well: this is the receipt.
    pub(crate) fn send(&mut self, user: &Arc<User>, name: &RoomName, text: &Text, reference: &str) -> Result {
        let room = self.rooms.get_mut(name).filter(|room| room.users.contains(user));
        let room = room.ok_or(Rejection::NOT_IN_ROOM)?;
        self.last_change += 1;
        let event = protocol::message(name, self.last_change, &user.name, text, reference);
        room.add_to_history(event.clone());
        Ok(user.out.publish_with(Publication::new(name.topic(), event).to_self())?)
    }

    /// Publishes the number of users in a room, which the last change has changed, to all users, including those in other rooms.
    fn publish_user_count(&self, user: &User, name: &RoomName) -> Result {
        let event = protocol::room(name, self.last_change, self.rooms.get(name).map(|room| room.users.len()));
        Ok(user.out.publish_with(Publication::new(ALL_USERS, event).to_self())?)
    }
}

#[cfg(test)]
#[path = "rooms_tests.rs"]
mod tests;
