//! Messages that were received and wait for the program.

use std::collections::VecDeque;

use crate::message::Message;
use crate::socket::{Error, Result};

/// Messages that wait for the program, and their limits.
#[derive(Debug)]
pub(super) struct MessageQueue {
    messages: VecDeque<Message>,
    /// The length of all messages, in bytes.
    bytes: usize,
    max_bytes: usize,
    max_messages: usize,
}

impl MessageQueue {
    pub(super) fn new(max_bytes: usize, max_messages: usize) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, max_bytes, max_messages }
    }

    /// Appends a message. One message always fits, because `max_message_size` limits its length.
    pub(super) fn push(&mut self, message: Message) -> Result<()> {
        let bytes = self.bytes.saturating_add(message.len());
        let is_full = bytes > self.max_bytes || self.messages.len() >= self.max_messages;
        if is_full && !self.is_empty() {
            return Err(Error::Overflow);
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
