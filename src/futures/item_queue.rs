//! Items that were received and wait for the program.

use std::collections::VecDeque;

use crate::protocol::Event;
use crate::socket::session::Item;

/// The most items that wait. At most one of them is a message; the others are control frames.
const MAX_WAITING: usize = 16;

/// Items that wait for the program.
#[derive(Debug, Default)]
pub(super) struct ItemQueue(VecDeque<Item>);

impl ItemQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether more can be received: not before the program has received the message that waits.
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < MAX_WAITING && !self.0.iter().any(Item::is_data)
    }

    /// Appends an item if there is room. The Close of the peer always fits, because it comes once.
    pub(super) fn push(&mut self, item: Item) {
        if self.0.len() < MAX_WAITING || matches!(item.event(), Some(Event::Close(..))) {
            self.0.push_back(item);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        self.0.pop_front()
    }

    /// Returns the memory of an empty queue to the system, because the connection waits.
    pub(super) fn release(&mut self) {
        if self.0.is_empty() && self.0.capacity() > 0 {
            *self = Self::default();
        }
    }
}
