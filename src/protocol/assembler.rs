//! Frames to messages (§5.4), within the limits.

use super::frame::{Frame, Payload, len64};
use super::header::{OpCode, Room};
use super::utf8::Utf8;
use super::{Config, ProtocolError};
use crate::message::Message;

/// The most empty fragments of one message; each costs its sender as much as a byte, and us some time.
const MAX_EMPTY_FRAGMENTS: usize = 1024;

/// A message of which some fragments have come.
#[derive(Debug)]
pub(crate) struct Assembler {
    content: Content,
    /// Bytes of payload that have come.
    received: usize,
    fragments: usize,
    empty: usize,
}

/// What has come so far; of text, what is whole, with the beginning of a character in the checker.
#[derive(Debug)]
enum Content {
    Text(String, Utf8),
    Binary(Vec<u8>),
}

/// A message out of a single frame: nothing is copied, and text that is known to be text is not checked again.
pub(crate) fn whole_message(frame: Frame) -> Result<Message, ProtocolError> {
    match (frame.opcode(), frame.into_payload()) {
        (OpCode::Text, Payload::Text(text, _)) => Ok(Message::Text(text)),
        (OpCode::Text, payload) => checked_text(payload.into_vec()).map(Message::Text),
        (_, payload) => Ok(Message::Binary(payload.into_vec())),
    }
}

/// §8.1: text that is not UTF-8 fails the connection.
fn checked_text(bytes: Vec<u8>) -> Result<String, ProtocolError> {
    // A fast check and a copy beat the slower check that would take the bytes over, except for short or plain text.
    if bytes.is_ascii() {
        return String::from_utf8(bytes).map_err(|_| ProtocolError::InvalidUtf8);
    }
    simdutf8::basic::from_utf8(&bytes).map(str::to_owned).map_err(|_| ProtocolError::InvalidUtf8)
}

/// What the message in progress, or the next one if there is none, may still take.
pub(crate) fn room(message: Option<&Assembler>, config: &Config) -> Room {
    let (received, fragments, empty) =
        message.map_or((0, 0, 0), |message| (message.received, message.fragments, message.empty));
    Room {
        bytes: len64(config.max_message_size.saturating_sub(received)),
        fragments: max_fragments(config).saturating_sub(fragments),
        empty_fragments: MAX_EMPTY_FRAGMENTS.saturating_sub(empty),
    }
}

/// Fragments of less than 64 bytes each are slow to no purpose, but a small message may be cut as one likes.
fn max_fragments(config: &Config) -> usize {
    config.max_fragments.unwrap_or((config.max_message_size / 64).max(65_536))
}

impl Assembler {
    /// Begins a message with its first fragment.
    pub(crate) fn begin(frame: Frame, config: &Config) -> Result<Self, ProtocolError> {
        let content = match frame.opcode() {
            OpCode::Text => Content::Text(String::new(), Utf8::default()),
            _ => Content::Binary(Vec::new()),
        };
        let mut assembler = Self { content, received: 0, fragments: 0, empty: 0 };
        assembler.push(frame, config)?;
        Ok(assembler)
    }

    /// Adds a fragment, the first one included.
    pub(crate) fn push(&mut self, frame: Frame, config: &Config) -> Result<(), ProtocolError> {
        self.count(frame.as_slice().is_empty(), config)?;
        self.received = self.received.saturating_add(frame.as_slice().len());
        if self.received > config.max_message_size {
            return Err(ProtocolError::MessageTooLong);
        }
        match &mut self.content {
            Content::Text(text, utf8) => utf8.feed(frame.as_slice(), |part| text.push_str(part)),
            Content::Binary(bytes) if bytes.is_empty() => {
                *bytes = frame.into_data();
                Ok(())
            }
            Content::Binary(bytes) => {
                bytes.extend_from_slice(frame.as_slice());
                Ok(())
            }
        }
    }

    /// Ends the message.
    pub(crate) fn finish(self) -> Result<Message, ProtocolError> {
        match self.content {
            Content::Text(text, utf8) => utf8.finish().map(|()| Message::Text(text)),
            Content::Binary(bytes) => Ok(Message::Binary(bytes)),
        }
    }

    /// Where the text stands, for who checks the next fragment while it is arriving; `None` for bytes.
    pub(crate) fn utf8(&self) -> Option<Utf8> {
        match &self.content {
            Content::Text(_, utf8) => Some(*utf8),
            Content::Binary(_) => None,
        }
    }

    fn count(&mut self, is_empty: bool, config: &Config) -> Result<(), ProtocolError> {
        self.fragments = self.fragments.saturating_add(1);
        self.empty = self.empty.saturating_add(usize::from(is_empty));
        if self.fragments > max_fragments(config) || self.empty > MAX_EMPTY_FRAGMENTS {
            return Err(ProtocolError::TooManyFragments);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push_many(assembler: &mut Assembler, payload: &[u8], config: &Config) -> usize {
        (1..)
            .find(|_| {
                let frame = Frame::message(payload.to_vec(), OpCode::Continue, false);
                assembler.push(frame, config) == Err(ProtocolError::TooManyFragments)
            })
            .unwrap_or(0)
    }

    #[test]
    fn m4_fragments_are_counted() {
        let config = Config::default();
        let first = Frame::message(b"x".to_vec(), OpCode::Binary, false);
        let mut assembler = Assembler::begin(first, &config).unwrap();
        assert_eq!(push_many(&mut assembler, b"x", &config), config.max_message_size / 64);
    }

    #[test]
    fn m5_empty_fragments_are_counted() {
        let config = Config::default();
        let first = Frame::message(Vec::new(), OpCode::Text, false);
        let mut assembler = Assembler::begin(first, &config).unwrap();
        assert_eq!(push_many(&mut assembler, b"", &config), MAX_EMPTY_FRAGMENTS);
    }

    #[test]
    fn m5_a_fragment_costs_nothing_beside_its_payload() {
        let config = Config::default();
        let first = Frame::message(vec![0; 1000], OpCode::Binary, false);
        let mut assembler = Assembler::begin(first, &config).unwrap();
        for _ in 0..60_000 {
            assembler.push(Frame::message(b"x".to_vec(), OpCode::Continue, false), &config).unwrap();
        }
        let Content::Binary(bytes) = &assembler.content else { unreachable!("it began as binary") };
        assert!(bytes.capacity() <= 2 * bytes.len() + 64, "{} for {}", bytes.capacity(), bytes.len());
    }

    #[test]
    fn m3_the_limit_is_inclusive() {
        let config = Config { max_message_size: 10, ..Config::default() };
        let first = Frame::message(vec![0; 6], OpCode::Binary, false);
        let mut assembler = Assembler::begin(first, &config).unwrap();
        assert!(assembler.push(Frame::message(vec![0; 4], OpCode::Continue, false), &config).is_ok());
        let more = assembler.push(Frame::message(vec![0; 1], OpCode::Continue, false), &config);
        assert_eq!(more, Err(ProtocolError::MessageTooLong));
    }
}
