//! Own messages in the order of the broker, which are delivered when they come back.

use std::collections::VecDeque;
use std::sync::Arc;

use super::incoming::Era;

/// The messages that have not come back, in order.
#[derive(Debug, Default)]
pub(super) struct Returning(VecDeque<Expected>);

#[derive(Debug)]
pub(super) struct Expected {
    number: u64,
    pub(super) channel: Arc<str>,
    /// When it was published.
    pub(super) era: Era,
}

impl Returning {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn expect(&mut self, number: u64, channel: Arc<str>, era: Era) {
        self.0.push_back(Expected { number, channel, era });
    }

    /// Removes a message that does not come back, because something that was published later has come back.
    pub(super) fn pop_before(&mut self, number: u64) -> Option<Expected> {
        self.0.front().filter(|expected| expected.number < number)?;
        self.0.pop_front()
    }

    /// Removes the message with this number, which has come back. Returns whether it was expected.
    pub(super) fn take(&mut self, number: u64) -> bool {
        let is_expected = self.0.front().is_some_and(|expected| expected.number == number);
        if is_expected {
            self.0.pop_front();
        }
        is_expected
    }
}
