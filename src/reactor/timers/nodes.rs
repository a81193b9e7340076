//! The nodes of the wheel: a vector with a free list, and the two chains that each node belongs to.
//!
//! This file knows nothing about time. An index that does not exist is ignored, so no call can panic.

use std::num::NonZeroU64;

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

/// A circular, doubly linked chain through nodes. A node that is alone in its chain is its own neighbor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chain {
    /// The nodes of one slot of the wheel. Free nodes use it for the free list.
    Slot,
    /// The timers of one owner, and the owner's anchor.
    Owner,
}

#[derive(Clone, Copy)]
struct Links {
    prev: u32,
    next: u32,
}

impl Links {
    const fn alone(index: u32) -> Self {
        Self { prev: index, next: index }
    }
}

/// The bits of a tag that contain the place of the node in the wheel.
const PLACE_BITS: u32 = 10;

struct Node<T> {
    deadline: u64,
    /// The serial number above the place in the wheel, so that both take eight bytes. Zero while the node is free.
    tag: u64,
    slot: Links,
    owner: Links,
    /// `None` in an anchor and in a free node.
    value: Option<T>,
}

impl<T> Node<T> {
    fn links(&mut self, chain: Chain) -> &mut Links {
        match chain {
            Chain::Slot => &mut self.slot,
            Chain::Owner => &mut self.owner,
        }
    }
}

/// The storage.
///
/// Invariants: a node is free exactly when its tag is zero; the free nodes, and only they, form the chain
/// that `free` points into; the last node of the vector is never free.
pub(super) struct Nodes<T> {
    nodes: Vec<Node<T>>,
    free: Option<u32>,
    last_serial: u64,
}

impl<T> Nodes<T> {
    /// Memory for this many nodes is never freed.
    const KEEP: usize = 64;

    pub(super) const fn new() -> Self {
        Self { nodes: Vec::new(), free: None, last_serial: 0 }
    }

    /// Whether there is no node.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Creates a node, alone in both of its chains. Returns `None` if 2^32 nodes exist already.
    pub(super) fn insert(&mut self, deadline: u64, value: Option<T>) -> Option<Key> {
        let index = self.free.map_or_else(|| u32::try_from(self.nodes.len()).ok(), Some)?;
        let serial = NonZeroU64::MIN.checked_add(self.last_serial)?;
        let tag = serial.get().checked_mul(1 << PLACE_BITS)?;
        let links = Links::alone(index);
        let node = Node { deadline, tag, slot: links, owner: links, value };
        if self.free.is_some() {
            self.free = self.leave(Chain::Slot, index);
            *self.nodes.get_mut(index as usize)? = node;
        } else {
            self.nodes.push(node);
        }
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
        node.slot = Links::alone(index);
        if let Some(head) = self.free {
            self.join(Chain::Slot, index, head);
        }
        self.free = Some(index);
        self.trim();
        value
    }

    /// Removes the free nodes at the end of the vector, and frees memory when three quarters of it are unused.
    fn trim(&mut self) {
        while self.nodes.last().is_some_and(|node| node.tag == 0) {
            // `insert` has returned this index, so it fits.
            let Ok(last) = u32::try_from(self.nodes.len() - 1) else { return };
            let next = self.leave(Chain::Slot, last);
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

    pub(super) fn deadline(&self, index: u32) -> Option<u64> {
        self.nodes.get(index as usize).map(|node| node.deadline)
    }

    /// Replaces the deadline of a node, and returns the one before.
    pub(super) fn set_deadline(&mut self, index: u32, deadline: u64) -> Option<u64> {
        self.nodes.get_mut(index as usize).map(|node| std::mem::replace(&mut node.deadline, deadline))
    }

    /// The place of a node in the wheel, as [`set_place`](Self::set_place) has stored it.
    pub(super) fn place(&self, index: u32) -> Option<usize> {
        let [low, high, ..] = self.nodes.get(index as usize)?.tag.to_le_bytes();
        Some(usize::from(u16::from_le_bytes([low, high])) % (1 << PLACE_BITS))
    }

    /// Stores the place of a node that is in use, a number of ten bits.
    pub(super) fn set_place(&mut self, index: u32, place: usize) {
        if let Some(node) = self.nodes.get_mut(index as usize) {
            node.tag = node.tag >> PLACE_BITS << PLACE_BITS | place as u64;
        }
    }

    /// The next node in a chain, which is `index` itself if it is alone.
    pub(super) fn next(&mut self, chain: Chain, index: u32) -> Option<u32> {
        self.nodes.get_mut(index as usize).map(|node| node.links(chain).next)
    }

    /// Adds a node before `head`, at the end of the chain that begins with `head`.
    pub(super) fn join(&mut self, chain: Chain, index: u32, head: u32) {
        let Some(node) = self.nodes.get_mut(head as usize) else { return };
        let tail = node.links(chain).prev;
        self.link(chain, tail, index);
        self.link(chain, index, head);
    }

    /// Removes a node from its chain, and returns the next node, or `None` if it was alone. Its links are stale until it
    /// joins another chain or is [isolated](Self::isolate).
    pub(super) fn leave(&mut self, chain: Chain, index: u32) -> Option<u32> {
        let Links { prev, next } = *self.nodes.get_mut(index as usize)?.links(chain);
        self.link(chain, prev, next);
        (next != index).then_some(next)
    }

    /// Makes a node a chain of its own, whatever chain it was in.
    pub(super) fn isolate(&mut self, chain: Chain, index: u32) {
        self.link(chain, index, index);
    }

    fn link(&mut self, chain: Chain, left: u32, right: u32) {
        if let Some(node) = self.nodes.get_mut(left as usize) {
            node.links(chain).next = right;
        }
        if let Some(node) = self.nodes.get_mut(right as usize) {
            node.links(chain).prev = left;
        }
    }
}

/// For the tests of the wheel.
#[cfg(test)]
impl<T> Nodes<T> {
    pub(super) const NODE: usize = size_of::<Node<T>>();

    /// The number of nodes that are in use or free.
    pub(super) const fn places(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn prev(&mut self, chain: Chain, index: u32) -> Option<u32> {
        self.nodes.get_mut(index as usize).map(|node| node.links(chain).prev)
    }

    pub(super) fn is_anchor(&self, index: u32) -> bool {
        let node = self.nodes.get(index as usize);
        node.is_some_and(|node| node.tag != 0 && node.value.is_none())
    }

    /// The length of the free list. Also checks its invariants.
    pub(super) fn free_places(&mut self) -> usize {
        let first = self.free;
        let mut count = 0;
        let mut at = first;
        while let Some(index) = at {
            assert_eq!(self.nodes[index as usize].tag, 0);
            count += 1;
            at = self.next(Chain::Slot, index).filter(|_| count <= self.nodes.len());
            if at == first {
                break;
            }
        }
        assert_eq!(count, self.nodes.iter().filter(|node| node.tag == 0).count());
        assert!(self.nodes.last().is_none_or(|node| node.tag != 0));
        count
    }

    pub(super) fn capacity(&self) -> usize {
        self.nodes.capacity()
    }
}
