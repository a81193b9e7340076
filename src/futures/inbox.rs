//! What was received, and waits for the program.

use std::collections::VecDeque;

use crate::protocol::Event;
use crate::socket::session::Item;

/// Most items that wait. Only control frames come to so many: there is one message at most.
const MAX_WAITING: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Inbox(VecDeque<Item>);

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether more is to be received: not before the program has taken the message that waits.
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < MAX_WAITING && !self.0.iter().any(Item::is_data)
    }

    /// Puts something behind the rest, as long as it fits. The Close of the peer always does: there is one.
    pub(super) fn push(&mut self, item: Item) {
        if self.0.len() < MAX_WAITING || matches!(item.event(), Some(Event::Close(..))) {
            self.0.push_back(item);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        self.0.pop_front()
    }
}
