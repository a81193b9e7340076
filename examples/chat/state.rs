//! The users and the rooms, and which events each user receives. This file does no I/O and reads no clock: events are sent
//! through [`Client`], and the time is an argument, so that the rules can be tested.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::input::{RoomName, SessionKey, Text, UserName};
use crate::limits::{MAX_HISTORY_BYTES, MAX_HISTORY_MESSAGES, MAX_ROOMS, MAX_ROOMS_PER_USER, MAX_USERS};
use crate::protocol::{self, ChatMessage, Rejection};

/// Rooms that exist even when they are empty.
const PERMANENT_ROOMS: [&str; 3] = ["lobby", "campfire", "workshop"];

/// The connection of a user.
pub(crate) trait Client {
    /// Sends an event.
    fn send_event(&self, event: &str);
    /// Closes the connection, because the user has opened another one.
    fn disconnect_replaced(&self);
}

/// Identifies a user on one connection. IDs are not reused, so a late `remove_user` cannot remove somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UserId(u64);

struct User<C> {
    name: UserName,
    key: SessionKey,
    rooms: BTreeSet<RoomName>,
    client: C,
}

#[derive(Default)]
struct Room {
    is_permanent: bool,
    users: BTreeSet<UserId>,
    history: VecDeque<ChatMessage>,
    history_bytes: usize,
}

impl Room {
    /// Keeps a message for users who join later, and drops the oldest ones beyond the limits.
    fn add_to_history(&mut self, message: ChatMessage) {
        self.history_bytes += message.text.as_str().len();
        self.history.push_back(message);
        while self.history.len() > MAX_HISTORY_MESSAGES || self.history_bytes > MAX_HISTORY_BYTES {
            let Some(oldest) = self.history.pop_front() else { break };
            self.history_bytes -= oldest.text.as_str().len();
        }
    }
}

pub(crate) struct ChatState<C> {
    /// Identifies one run of the server, because the IDs of messages start again with each run.
    run: String,
    users: BTreeMap<UserId, User<C>>,
    rooms: BTreeMap<RoomName, Room>,
    last_user: u64,
    last_message: u64,
}

impl<C: Client> ChatState<C> {
    pub(crate) fn new() -> Self {
        let permanent = PERMANENT_ROOMS.iter().filter_map(|name| RoomName::parse(name).ok());
        Self {
            run: format!("{:016x}", rand::random::<u64>()),
            users: BTreeMap::new(),
            rooms: permanent.map(|name| (name, Room { is_permanent: true, ..Room::default() })).collect(),
            last_user: 0,
            last_message: 0,
        }
    }

    /// Adds a user. If the key is that of a present user, it is the same user on a new connection, and the old connection,
    /// which may be dead, is closed.
    pub(crate) fn enter(
        &mut self,
        name: UserName,
        key: SessionKey,
        client: C,
        now: u64,
    ) -> Result<UserId, Rejection> {
        let old = self.users.iter().find(|(_, user)| user.key == key).map(|(&id, _)| id);
        let is_taken = self.users.iter().any(|(&id, user)| Some(id) != old && user.name.is_like(&name));
        if is_taken {
            return Err(Rejection::NameTaken);
        }
        if let Some(old) = old.and_then(|old| self.remove_user(old, now)) {
            old.disconnect_replaced();
        }
        if self.users.len() >= MAX_USERS {
            return Err(Rejection::ChatFull);
        }
        let rooms = self.rooms.iter().map(|(name, room)| (name, room.users.len()));
        client.send_event(&protocol::welcome(&name, &self.run, rooms));
        self.last_user += 1;
        let id = UserId(self.last_user);
        self.users.insert(id, User { name, key, rooms: BTreeSet::new(), client });
        Ok(id)
    }

    /// Removes a user from the chat and its rooms, and returns the client.
    pub(crate) fn remove_user(&mut self, id: UserId, now: u64) -> Option<C> {
        let user = self.users.remove(&id)?;
        for room in &user.rooms {
            self.remove_from_room(id, &user.name, room, now);
        }
        Some(user.client)
    }

    /// Adds a user to a room, which is created if it does not exist. For a user who is in the room already, this sends its
    /// users and its history again.
    pub(crate) fn join(&mut self, id: UserId, room: &RoomName, now: u64) -> Result<(), Rejection> {
        let user = self.users.get_mut(&id).ok_or(Rejection::OutOfOrder)?;
        let is_new = !user.rooms.contains(room);
        if is_new && user.rooms.len() >= MAX_ROOMS_PER_USER {
            return Err(Rejection::TooManyRoomsOfUser);
        }
        if !self.rooms.contains_key(room) && self.rooms.len() >= MAX_ROOMS {
            return Err(Rejection::TooManyRooms);
        }
        user.rooms.insert(room.clone());
        let name = user.name.clone();
        self.rooms.entry(room.clone()).or_default().users.insert(id);
        self.send_room(id, room);
        if is_new {
            self.send_to_room(room, Some(id), &protocol::user_joined(room, &name, now));
            self.send_user_count(room);
        }
        Ok(())
    }

    /// Removes a user from a room.
    pub(crate) fn leave(&mut self, id: UserId, room: &RoomName, now: u64) -> Result<(), Rejection> {
        let user = self.users.get_mut(&id).ok_or(Rejection::OutOfOrder)?;
        if !user.rooms.remove(room) {
            return Err(Rejection::NotInRoom);
        }
        user.client.send_event(&protocol::left(room));
        let name = user.name.clone();
        self.remove_from_room(id, &name, room, now);
        Ok(())
    }

    /// Sends a message to all users in a room. The sender receives it with the reference of the request, as a receipt.
    pub(crate) fn send(
        &mut self,
        id: UserId,
        room: &RoomName,
        text: Text,
        reference: &str,
        now: u64,
    ) -> Result<(), Rejection> {
        let user = self.users.get(&id).ok_or(Rejection::OutOfOrder)?;
        let joined = self.rooms.get_mut(room).filter(|_| user.rooms.contains(room));
        let joined = joined.ok_or(Rejection::NotInRoom)?;
        self.last_message += 1;
        let message = ChatMessage { id: self.last_message, from: user.name.clone(), text, time: now };
        user.client.send_event(&message.event(room, Some(reference)));
        let event = message.event(room, None);
        joined.add_to_history(message);
        self.send_to_room(room, Some(id), &event);
        Ok(())
    }

    /// Sends the users and the history of a room to one user.
    fn send_room(&self, id: UserId, room: &RoomName) {
        let (Some(user), Some(joined)) = (self.users.get(&id), self.rooms.get(room)) else { return };
        let names = joined.users.iter().filter_map(|id| self.users.get(id)).map(|user| &user.name);
        user.client.send_event(&protocol::joined(room, names, joined.history.iter()));
    }

    /// Removes a user who has left from the room, and the room if it is empty.
    fn remove_from_room(&mut self, id: UserId, name: &UserName, room: &RoomName, now: u64) {
        let Some(left) = self.rooms.get_mut(room) else { return };
        left.users.remove(&id);
        if left.users.is_empty() && !left.is_permanent {
            self.rooms.remove(room);
        }
        self.send_to_room(room, None, &protocol::user_left(room, name, now));
        self.send_user_count(room);
    }

    fn send_to_room(&self, room: &RoomName, except: Option<UserId>, event: &str) {
        let users = self.rooms.get(room).into_iter().flat_map(|room| &room.users);
        for user in users.filter(|&&id| Some(id) != except).filter_map(|id| self.users.get(id)) {
            user.client.send_event(event);
        }
    }

    /// Sends the number of users in a room to all users, including those in other rooms.
    fn send_user_count(&self, name: &RoomName) {
        let event = match self.rooms.get(name) {
            Some(room) => protocol::room(name, room.users.len()),
            None => protocol::room_removed(name),
        };
        for user in self.users.values() {
            user.client.send_event(&event);
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
