//! The nodes of the timers that handlers set: a vector with a free list, and the two chains that each node belongs to.
//!
//! This file knows nothing about time. An index that does not exist is ignored, so no call can panic.

use std::num::NonZeroU64;

use super::links::{Links, Ring};
use super::wheel::{Nodes, PLACE_BITS, place_of, with_place};
use crate::reactor::api::util::Timeout;

/// Identifies one node: its index in the vector, and its serial number.
///
/// Serial numbers have 54 bits and are never reused, so a key never matches a later node with the same index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(super) index: u32,
    serial: NonZeroU64,
}

impl Key {
    /// Converts the key into the form that handlers receive.
    pub(crate) fn into_timeout(self) -> Timeout {
        Timeout { place: self.index, serial: self.serial.get() }
    }

    /// Reverses [`into_timeout`](Self::into_timeout).
    pub(crate) fn from_timeout(timeout: &Timeout) -> Option<Self> {
        NonZeroU64::new(timeout.serial).map(|serial| Self { index: timeout.place, serial })
    }
}

struct Node<T> {
    deadline: u64,
    /// The serial number above the place in the wheel, so that both take eight bytes. Zero while the node is free.
    tag: u64,
    /// The nodes of one slot of the wheel. Free nodes use it for the free list.
    slot: Links,
    /// The timers of one owner, and the owner's anchor.
    owner: Links,
    /// `None` in an anchor and in a free node.
    value: Option<T>,
}

/// The storage.
///
/// Invariants: a node is free exactly when its tag is zero; the free nodes except the spare one, and only they, form the chain
/// that `free` points into; the last node of the vector is only free if it is the spare one.
pub(super) struct TimerNodes<T> {
    nodes: Vec<Node<T>>,
    free: Option<u32>,
    /// A free node in no chain: a handler that sets a timeout and cancels the one before uses the same two nodes again and again.
    spare: Option<u32>,
    /// The number of nodes that are not free.
    used: usize,
    last_serial: u64,
}

/// The nodes as the rings of their owners.
pub(super) struct Owners<'n, T>(&'n mut TimerNodes<T>);

impl<T> TimerNodes<T> {
    /// Memory for this many nodes is never freed.
    const KEEP: usize = 64;

    pub(super) const fn new() -> Self {
        Self { nodes: Vec::new(), free: None, spare: None, used: 0, last_serial: 0 }
    }

    /// Whether all nodes are free.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Creates a node, alone in both of its chains. Returns `None` if 2^32 nodes exist already.
    pub(super) fn insert(&mut self, deadline: u64, value: Option<T>) -> Option<Key> {
        let reused = self.spare.or(self.free);
        let index = reused.map_or_else(|| u32::try_from(self.nodes.len()).ok(), Some)?;
        let serial = NonZeroU64::MIN.checked_add(self.last_serial)?;
        let tag = serial.get().checked_mul(1 << PLACE_BITS)?;
        let links = Links::alone(index);
        let node = Node { deadline, tag, slot: links, owner: links, value };
        if reused.is_none() {
            self.nodes.push(node);
        } else {
            if self.spare.take().is_none() {
                self.free = self.leave(index);
            }
            *self.nodes.get_mut(index as usize)? = node;
        }
        self.used += 1;
        self.last_serial = serial.get();
        Some(Key { index, serial })
    }

    /// Frees a node that has left its chains, and returns its value.
    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let node = self.nodes.get_mut(index as usize)?;
        if std::mem::take(&mut node.tag) == 0 {
            return None;
        }
        let value = node.value.take();
        self.used -= 1;
        match self.spare {
            None if self.used > 0 => self.spare = Some(index),
            _ => self.free(index),
        }
        value
    }

    /// Adds a node to those that are free.
    fn free(&mut self, index: u32) {
        for index in [Some(index), self.spare.take()].into_iter().flatten() {
            self.isolate(index);
            if let Some(head) = self.free {
                self.join(index, head);
            }
            self.free = Some(index);
        }
        self.trim();
    }

    /// Removes the free nodes at the end of the vector, and frees memory when three quarters of it are unused.
    fn trim(&mut self) {
        while self.nodes.last().is_some_and(|node| node.tag == 0) {
            // `insert` has returned this index, so it fits.
            let Ok(last) = u32::try_from(self.nodes.len() - 1) else { return };
            let next = self.leave(last);
            if self.free == Some(last) {
                self.free = next;
            }
            self.nodes.pop();
        }
        let capacity = self.nodes.capacity();
        if capacity > Self::KEEP && self.nodes.len() < capacity / 4 {
            self.nodes.shrink_to((self.nodes.len() * 2).max(Self::KEEP));
        }
    }

    /// The index of a node, if it still exists.
    pub(super) fn find(&self, key: Key) -> Option<u32> {
        let node = self.nodes.get(key.index as usize)?;
        (node.tag >> PLACE_BITS == key.serial.get()).then_some(key.index)
    }

    /// The index of a node, if it is an anchor, which has no value.
    pub(super) fn find_anchor(&self, key: Key) -> Option<u32> {
        let index = self.find(key)?;
        self.nodes.get(index as usize)?.value.is_none().then_some(index)
    }

    /// Replaces the deadline of a node, and returns the one before.
    pub(super) fn set_deadline(&mut self, index: u32, deadline: u64) -> Option<u64> {
        self.nodes.get_mut(index as usize).map(|node| std::mem::replace(&mut node.deadline, deadline))
    }

    pub(super) fn owners(&mut self) -> Owners<'_, T> {
        Owners(self)
    }
}

impl<T> Ring for TimerNodes<T> {
    #[inline]
    fn links(&mut self, index: u32) -> Option<&mut Links> {
        self.nodes.get_mut(index as usize).map(|node| &mut node.slot)
    }
}

impl<T> Nodes for TimerNodes<T> {
    #[inline]
    fn deadline(&self, index: u32) -> Option<u64> {
        self.nodes.get(index as usize).map(|node| node.deadline)
    }

    #[inline]
    fn place(&self, index: u32) -> Option<usize> {
        self.nodes.get(index as usize).map(|node| place_of(node.tag))
    }

    #[inline]
    fn set_place(&mut self, index: u32, place: usize) {
        if let Some(node) = self.nodes.get_mut(index as usize) {
            node.tag = with_place(node.tag, place);
        }
    }
}

impl<T> Ring for Owners<'_, T> {
    #[inline]
    fn links(&mut self, index: u32) -> Option<&mut Links> {
        self.0.nodes.get_mut(index as usize).map(|node| &mut node.owner)
    }
}

/// For the tests of the wheel.
#[cfg(test)]
impl<T> TimerNodes<T> {
    pub(super) const NODE: usize = size_of::<Node<T>>();

    /// The number of nodes that are in use or free.
    pub(super) const fn places(&self) -> usize {
        self.nodes.len()
    }

    /// The timer of the same owner before this one, or the anchor.
    pub(super) fn prev(&self, index: u32) -> Option<u32> {
        self.nodes.get(index as usize).map(|node| node.owner.prev)
    }

    pub(super) fn is_anchor(&self, index: u32) -> bool {
        let node = self.nodes.get(index as usize);
        node.is_some_and(|node| node.tag != 0 && node.value.is_none())
    }

    /// The length of the free list. Also checks its invariants.
    pub(super) fn free_places(&mut self) -> usize {
        let first = self.free;
        let spare = usize::from(self.spare.is_some());
        let mut count = 0;
        let mut at = first;
        while let Some(index) = at {
            assert_eq!(self.nodes[index as usize].tag, 0);
            count += 1;
            at = self.next(index).filter(|_| count <= self.nodes.len());
            if at == first {
                break;
            }
        }
        count += spare;
        assert_eq!(count, self.nodes.iter().filter(|node| node.tag == 0).count());
        assert_eq!(self.used, self.nodes.len() - count);
        let has_free_end = self.nodes.last().is_some_and(|node| node.tag == 0);
        assert!(!has_free_end || self.spare.is_some_and(|index| index as usize == self.nodes.len() - 1));
        count
    }

    pub(super) fn capacity(&self) -> usize {
        self.nodes.capacity()
    }
}
