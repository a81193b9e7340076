//! Who is there, in which rooms, and who hears what. No socket and no clock in here: people are reached through
//! [`Voice`], and the time is an argument. That is what makes the rules below easy to test.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::input::{Key, Name, RoomName, Text};
use crate::limits::{HISTORY_BYTES, HISTORY_MESSAGES, PEOPLE, ROOMS, ROOMS_EACH};
use crate::protocol::{self, Refusal, Said};

/// Rooms that stay when they are empty.
const STANDING_ROOMS: [&str; 3] = ["lobby", "campfire", "workshop"];

/// How to reach one person.
pub(crate) trait Voice {
    /// Tells them an event.
    fn tell(&self, event: &str);
    /// Ends their connection, since they came in on another one.
    fn taken_over(&self);
}

/// A person, as long as their connection lasts. Never used twice: a late farewell cannot hit somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PersonId(u64);

struct Person<V> {
    name: Name,
    key: Key,
    rooms: BTreeSet<RoomName>,
    voice: V,
}

#[derive(Default)]
struct Room {
    stays: bool,
    people: BTreeSet<PersonId>,
    history: VecDeque<Said>,
    history_bytes: usize,
}

impl Room {
    /// Keeps a message for those who come later, and forgets the oldest beyond the bounds.
    fn remember(&mut self, said: Said) {
        self.history_bytes += said.text.as_str().len();
        self.history.push_back(said);
        while self.history.len() > HISTORY_MESSAGES || self.history_bytes > HISTORY_BYTES {
            let Some(oldest) = self.history.pop_front() else { break };
            self.history_bytes -= oldest.text.as_str().len();
        }
    }
}

/// Everybody who is there, and all rooms.
pub(crate) struct Hall<V> {
    /// Tells one run of the program from another, since the numbers of the messages begin anew.
    run: String,
    people: BTreeMap<PersonId, Person<V>>,
    rooms: BTreeMap<RoomName, Room>,
    last_person: u64,
    last_message: u64,
}

impl<V: Voice> Hall<V> {
    pub(crate) fn new() -> Self {
        let standing = STANDING_ROOMS.iter().filter_map(|name| RoomName::parse(name).ok());
        Self {
            run: format!("{:016x}", rand::random::<u64>()),
            people: BTreeMap::new(),
            rooms: standing.map(|name| (name, Room { stays: true, ..Room::default() })).collect(),
            last_person: 0,
            last_message: 0,
        }
    }

    /// Lets somebody in. Who shows the key of somebody inside is that person on a new connection; the old one, which
    /// may be dead without knowing it, ends.
    pub(crate) fn enter(&mut self, name: Name, key: Key, voice: V, now: u64) -> Result<PersonId, Refusal> {
        let old = self.people.iter().find(|(_, person)| person.key == key).map(|(&id, _)| id);
        let taken = self.people.iter().any(|(&id, person)| Some(id) != old && person.name.is_like(&name));
        if taken {
            return Err(Refusal::NameTaken);
        }
        if let Some(old) = old.and_then(|old| self.depart(old, now)) {
            old.taken_over();
        }
        if self.people.len() >= PEOPLE {
            return Err(Refusal::HallFull);
        }
        let rooms = self.rooms.iter().map(|(room, inside)| (room, inside.people.len()));
        voice.tell(&protocol::welcome(&name, &self.run, rooms));
        self.last_person += 1;
        let id = PersonId(self.last_person);
        self.people.insert(id, Person { name, key, rooms: BTreeSet::new(), voice });
        Ok(id)
    }

    /// Takes somebody out of the hall and its rooms, and gives back how they were reached.
    pub(crate) fn depart(&mut self, id: PersonId, now: u64) -> Option<V> {
        let person = self.people.remove(&id)?;
        for room in &person.rooms {
            self.vacate(id, &person.name, room, now);
        }
        Some(person.voice)
    }

    /// Brings somebody into a room, which is made if it does not exist. Doing it again shows them the room again.
    pub(crate) fn join(&mut self, id: PersonId, room: &RoomName, now: u64) -> Result<(), Refusal> {
        let person = self.people.get_mut(&id).ok_or(Refusal::OutOfTurn)?;
        let is_new = !person.rooms.contains(room);
        if is_new && person.rooms.len() >= ROOMS_EACH {
            return Err(Refusal::EnoughRooms);
        }
        if !self.rooms.contains_key(room) && self.rooms.len() >= ROOMS {
            return Err(Refusal::NoMoreRooms);
        }
        person.rooms.insert(room.clone());
        let name = person.name.clone();
        self.rooms.entry(room.clone()).or_default().people.insert(id);
        self.show(id, room);
        if is_new {
            self.tell_room(room, Some(id), &protocol::came(room, &name, now));
            self.tell_count(room);
        }
        Ok(())
    }

    /// Takes somebody out of a room.
    pub(crate) fn leave(&mut self, id: PersonId, room: &RoomName, now: u64) -> Result<(), Refusal> {
        let person = self.people.get_mut(&id).ok_or(Refusal::OutOfTurn)?;
        if !person.rooms.remove(room) {
            return Err(Refusal::NotInRoom);
        }
        person.voice.tell(&protocol::left(room));
        let name = person.name.clone();
        self.vacate(id, &name, room, now);
        Ok(())
    }

    /// Says something to everybody in a room. The speaker hears it too, with their reference: that is the receipt.
    pub(crate) fn say(
        &mut self,
        id: PersonId,
        room: &RoomName,
        text: Text,
        reference: &str,
        now: u64,
    ) -> Result<(), Refusal> {
        let person = self.people.get(&id).ok_or(Refusal::OutOfTurn)?;
        let inside =
            self.rooms.get_mut(room).filter(|_| person.rooms.contains(room)).ok_or(Refusal::NotInRoom)?;
        self.last_message += 1;
        let said = Said { id: self.last_message, who: person.name.clone(), text, at: now };
        person.voice.tell(&said.event(room, Some(reference)));
        let event = said.event(room, None);
        inside.remember(said);
        self.tell_room(room, Some(id), &event);
        Ok(())
    }

    /// Shows somebody a room: who is in it, and what was said.
    fn show(&self, id: PersonId, room: &RoomName) {
        let (Some(person), Some(inside)) = (self.people.get(&id), self.rooms.get(room)) else { return };
        let names = inside.people.iter().filter_map(|id| self.people.get(id)).map(|person| &person.name);
        person.voice.tell(&protocol::joined(room, names, inside.history.iter()));
    }

    /// The room's side of leaving: the others hear of it, and a room that nobody needs any more goes.
    fn vacate(&mut self, id: PersonId, name: &Name, room: &RoomName, now: u64) {
        let Some(inside) = self.rooms.get_mut(room) else { return };
        inside.people.remove(&id);
        if inside.people.is_empty() && !inside.stays {
            self.rooms.remove(room);
        }
        self.tell_room(room, None, &protocol::went(room, name, now));
        self.tell_count(room);
    }

    fn tell_room(&self, room: &RoomName, except: Option<PersonId>, event: &str) {
        let inside = self.rooms.get(room).into_iter().flat_map(|inside| &inside.people);
        for person in inside.filter(|&&id| Some(id) != except).filter_map(|id| self.people.get(id)) {
            person.voice.tell(event);
        }
    }

    /// Everybody sees how many are in each room, also in those where they are not.
    fn tell_count(&self, room: &RoomName) {
        let event = match self.rooms.get(room) {
            Some(inside) => protocol::people(room, inside.people.len()),
            None => protocol::gone(room),
        };
        for person in self.people.values() {
            person.voice.tell(&event);
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
