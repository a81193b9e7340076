//! What was received, and waits for the program.

use std::collections::VecDeque;

use crate::error::{Error, ErrorKind, Result};
use crate::message::Message;

/// Messages that wait, and how many may.
#[derive(Debug)]
pub(super) struct Inbox {
    messages: VecDeque<Message>,
    /// How much they are together, in bytes.
    bytes: usize,
    max_bytes: usize,
    max_messages: usize,
}

impl Inbox {
    pub(super) fn new(max_bytes: usize, max_messages: usize) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, max_bytes, max_messages }
    }

    /// Takes a message in. Into an empty inbox each one fits: how long it may be is another limit.
    pub(super) fn push(&mut self, message: Message) -> Result<()> {
        let bytes = self.bytes.saturating_add(message.len());
        let is_full = bytes > self.max_bytes || self.messages.len() >= self.max_messages;
        if is_full && !self.is_empty() {
            return Err(Error::new(ErrorKind::Capacity, "more was received than may wait for the program"));
        }
        self.bytes = bytes;
        self.messages.push_back(message);
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes = self.bytes.saturating_sub(message.len());
        Some(message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}
