//! The slots of the loop, and what they contain.

use slab::Slab;

use super::accepting::arrivals::Arrival;
use super::common::Common;
use super::connecting::attempt::ConnectAttempt;
use super::connection::Connection;
use super::queue::Target;
use super::system::System;

/// The number of slots whose addresses are reserved when the loop begins. The system provides the memory when they are used.
///
/// Allocators place this much in pages of its own, which can grow in place. A smaller slab would be copied each time it grows, and
/// the memory that it leaves would add half of its size to what a loop of 1,000 connections occupies.
const RESERVED: usize = 1024;

/// Identifies a connection: its slot, and a serial number, because slots are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ConnectionId {
    pub(super) slot: u32,
    pub(super) serial: u32,
}

impl ConnectionId {
    /// The id as the command queue writes it.
    pub(super) fn target(self) -> Target {
        Target::One { slot: self.slot, id: self.serial }
    }
}

/// What a slot contains.
#[derive(Debug)]
pub(super) enum Entry<H, S: System> {
    Arriving(Box<Arrival<S::Socket>>),
    Connecting(Box<ConnectAttempt<H, S>>),
    Connected(Connection<H, S>),
    /// The slot is empty while a connection attempt becomes a connection, or the reverse.
    Vacating,
}

/// All connections of a loop, and the sockets that become connections.
#[derive(Debug)]
pub(super) struct Entries<H, S: System> {
    slots: Slab<Entry<H, S>>,
    /// The number of entries that are clients which receive only a rejection.
    pub(super) rejected: usize,
}

impl<H, S: System> Entries<H, S> {
    pub(super) fn new() -> Self {
        Self { slots: Slab::with_capacity(RESERVED), rejected: 0 }
    }

    /// Returns the id of the next connection, which [`insert`](Self::insert) must follow.
    pub(super) fn next_id(&mut self, common: &Common) -> ConnectionId {
        ConnectionId { slot: self.next_slot(), serial: common.next_serial() }
    }

    /// Returns the id of the next arrival. Its serial number can also be that of the next connection, which is in another slot
    /// while the arrival exists.
    pub(super) fn arrival_id(&mut self, common: &Common) -> ConnectionId {
        ConnectionId { slot: self.next_slot(), serial: common.peek_serial() }
    }

    /// Returns the slot that the next connection receives.
    pub(super) fn next_slot(&mut self) -> u32 {
        // `slab` numbers the slots of fewer than 2^32 connections, which the memory limits first.
        u32::try_from(self.slots.vacant_entry().key()).unwrap_or(u32::MAX)
    }

    pub(super) fn insert(&mut self, entry: Entry<H, S>) {
        self.slots.insert(entry);
    }

    /// Returns the entry in a slot.
    #[inline]
    pub(super) fn in_slot(&mut self, slot: u32) -> Option<&mut Entry<H, S>> {
        self.slots.get_mut(index(slot))
    }

    /// Returns the entry with an id, if it still exists.
    #[inline]
    pub(super) fn get(&mut self, id: ConnectionId) -> Option<&mut Entry<H, S>> {
        self.in_slot(id.slot).filter(|entry| entry.id() == Some(id))
    }

    /// Returns the connection with an id.
    #[inline]
    pub(super) fn connected(&mut self, id: ConnectionId) -> Option<&mut Connection<H, S>> {
        match self.get(id)? {
            Entry::Connected(connection) => Some(connection),
            Entry::Arriving(_) | Entry::Connecting(_) | Entry::Vacating => None,
        }
    }

    /// Returns the connection attempt with an id.
    pub(super) fn connecting(&mut self, id: ConnectionId) -> Option<&mut ConnectAttempt<H, S>> {
        match self.get(id)? {
            Entry::Connecting(attempt) => Some(attempt),
            Entry::Arriving(_) | Entry::Connected(_) | Entry::Vacating => None,
        }
    }

    pub(super) fn remove(&mut self, slot: u32) -> Option<Entry<H, S>> {
        let slot = index(slot);
        self.slots.contains(slot).then(|| self.slots.remove(slot))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<H, S>> {
        self.slots.iter_mut().map(|(_, entry)| entry)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.slots.iter().filter_map(|(_, entry)| entry.id())
    }

    /// Returns the slots of connections and connection attempts. Arrivals receive nothing, because the connection that follows them
    /// must not receive what was sent before.
    pub(super) fn used_slots(&self) -> impl Iterator<Item = u32> + '_ {
        let used = self.slots.iter().filter(|(_, entry)| !matches!(entry, Entry::Arriving(_)));
        used.map(|(slot, _)| u32::try_from(slot).unwrap_or(u32::MAX))
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether another connection may be added. Rejected clients do not count, because otherwise a flood of them could
    /// lock out everyone.
    pub(super) fn has_room(&self, max_connections: usize) -> bool {
        self.slots.len() - self.rejected < max_connections
    }
}

impl<H, S: System> Entry<H, S> {
    pub(super) fn id(&self) -> Option<ConnectionId> {
        match self {
            Self::Arriving(arrival) => Some(arrival.id),
            Self::Connecting(attempt) => Some(attempt.id),
            Self::Connected(connection) => Some(connection.id()),
            Self::Vacating => None,
        }
    }
}

/// The slot as an index of the slab.
pub(super) fn index(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}
