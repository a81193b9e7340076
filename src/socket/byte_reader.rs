//! Messages read as a stream of bytes, by the front ends without handlers.

use std::io;

use crate::error::{Error, ErrorKind};
use crate::message::Message;

/// What is left of a message of which only a part has been read.
#[derive(Debug)]
pub(crate) struct Leftover {
    message: Message,
    /// How many of its bytes have been read.
    given: usize,
}

impl Default for Leftover {
    fn default() -> Self {
        Message::binary(Vec::new()).into()
    }
}

impl From<Message> for Leftover {
    fn from(message: Message) -> Self {
        Self { message, given: 0 }
    }
}

impl Leftover {
    pub(crate) fn is_empty(&self) -> bool {
        self.given == self.message.len()
    }

    /// Fills the buffer as far as there is something left; returns how many bytes those are.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let left = self.message.as_bytes().get(self.given..).unwrap_or_default();
        let len = left.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(left) {
            *to = *from;
        }
        self.given += len;
        len
    }

    /// Gives what is left as a message, if there is something: no byte is lost. What is left of a text is text, unless it
    /// begins in the middle of a character.
    pub(crate) fn take(&mut self) -> Option<Message> {
        if self.is_empty() {
            return None;
        }
        let Self { message, given } = std::mem::take(self);
        Some(match message {
            Message::Text(mut text) if text.is_char_boundary(given) => Message::Text(text.split_off(given)),
            message => Message::Binary(message.into_data().split_off(given)),
        })
    }
}

/// Makes an error one of the traits for bytes; what the system has said stays as it is.
pub(crate) fn into_io(err: Error) -> io::Error {
    match err.kind {
        ErrorKind::Io(err) => err,
        kind => io::Error::other(Error { kind, details: err.details }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_of(message: impl Into<Message>, given: usize) -> Option<Message> {
        let mut left = Leftover::from(message.into());
        assert_eq!(left.read(&mut vec![0; given]), given);
        let message = left.take();
        assert!(left.is_empty() && left.take().is_none());
        message
    }

    #[test]
    fn what_is_left_is_a_message_of_the_same_type() {
        assert_eq!(left_of("salmon", 3), Some("mon".into()));
        assert_eq!(left_of(&b"salmon"[..], 3), Some(b"mon"[..].into()));
        assert_eq!(left_of("salmon", 0), Some("salmon".into()));
        assert_eq!(left_of("salmon", 6), None);
        assert_eq!(left_of("", 0), None);
    }

    #[test]
    fn a_text_that_is_cut_in_a_character_is_binary() {
        assert_eq!(left_of("lösö", 2), Some("lösö".as_bytes()[2..].into()));
        assert_eq!(left_of("lösö", 3), Some("sö".into()));
    }
}
