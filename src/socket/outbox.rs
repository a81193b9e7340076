//! The messages that a client that connects again has accepted, and that no connection has received yet.

use std::collections::VecDeque;

use super::{Error, Result};
use crate::message::Message;

/// What an empty message counts, in bytes. Without it, any number of empty messages would fit.
const OVERHEAD: usize = size_of::<Message>();

/// Messages that wait for a connection, in their order.
#[derive(Debug)]
pub(crate) struct Outbox {
    messages: VecDeque<Message>,
    /// The sum of the payloads, in bytes.
    len: usize,
    /// The most that payloads and overhead can add up to, in bytes.
    pub(crate) max: usize,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { messages: VecDeque::new(), len: 0, max: 1024 * 1024 }
    }
}

impl Outbox {
    /// Appends a message. A message that does not fit is returned with the error.
    pub(crate) fn push(&mut self, message: Message) -> Result<()> {
        let used = self.len.saturating_add(self.messages.len().saturating_mul(OVERHEAD));
        if used.saturating_add(message.len()).saturating_add(OVERHEAD) > self.max {
            return Err(Error::Full(message));
        }
        self.append(message);
        Ok(())
    }

    /// Appends a message, whether it fits or not.
    pub(crate) fn append(&mut self, message: Message) {
        self.len = self.len.saturating_add(message.len());
        self.messages.push_back(message);
    }

    /// Puts back a message that [`pop`](Self::pop) has returned, because the connection did not accept it.
    pub(crate) fn put_back(&mut self, message: Message) {
        self.len = self.len.saturating_add(message.len());
        self.messages.push_front(message);
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.len = self.len.saturating_sub(message.len());
        Some(message)
    }

    /// Returns the sum of the payloads, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether no message waits.
    #[cfg(feature = "blocking")]
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Returns the number of messages.
    #[cfg(feature = "futures")]
    pub(crate) fn count(&self) -> usize {
        self.messages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_in_their_order_also_when_one_is_put_back() {
        let mut outbox = Outbox::default();
        for text in ["a", "bc", "d"] {
            assert!(outbox.push(text.into()).is_ok());
        }
        assert_eq!(outbox.len(), 4);
        let first = outbox.pop();
        assert_eq!((first.clone(), outbox.len()), (Some("a".into()), 3));
        outbox.put_back(first.unwrap_or_else(|| "lost".into()));
        assert_eq!(outbox.len(), 4);
        let rest: Vec<_> = std::iter::from_fn(|| outbox.pop()).collect();
        assert_eq!(rest, [Message::from("a"), "bc".into(), "d".into()]);
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn a_full_queue_returns_the_message() {
        let mut outbox = Outbox { max: 3 * OVERHEAD + 10, ..Outbox::default() };
        assert!(outbox.push("12345".into()).is_ok());
        assert!(
            matches!(outbox.push(vec![7; 100].into()), Err(Error::Full(message)) if message.len() == 100)
        );
        assert!(outbox.push("12345".into()).is_ok());
        assert!(matches!(outbox.push("6".into()), Err(Error::Full(message)) if message == "6".into()));
        assert_eq!(outbox.len(), 10);
        assert!(outbox.push("".into()).is_ok());
        outbox.pop();
        assert!(outbox.push("6".into()).is_ok());
    }

    #[test]
    fn empty_messages_are_bounded_too() {
        let mut outbox = Outbox { max: 10 * OVERHEAD, ..Outbox::default() };
        let accepted = (0..100).filter(|_| outbox.push("".into()).is_ok()).count();
        assert_eq!(accepted, 10);
    }
}
