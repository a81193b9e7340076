//! Frames to messages (§5.4), within the limits of the configuration.

use super::frame::{Frame, Payload, len64};
use super::header::{OpCode, Room};
use super::utf8::Utf8;
use crate::message::Message;
use crate::protocol::deflate::Codec;
use crate::protocol::{Config, ProtocolError};

/// The most empty fragments of one message. Each costs the sender as little as one byte would, and costs us time.
const MAX_EMPTY_FRAGMENTS: usize = 1024;

/// A message of which some fragments have arrived.
#[derive(Debug)]
pub(crate) struct Assembler {
    content: Content,
    /// Whether the fragments are compressed (RFC 7692 §6.2).
    is_compressed: bool,
    /// How many bytes of the message have arrived, after decompression.
    received: usize,
    fragments: usize,
    empty: usize,
    /// A compressed fragment that is not decompressed yet.
    fragment: Option<Fragment>,
    /// Whether the last fragment has arrived.
    has_ended: bool,
}

/// A compressed fragment, and how much of it is decompressed.
#[derive(Debug)]
struct Fragment {
    payload: Vec<u8>,
    read: usize,
}

/// The message so far. An incomplete character at the end of a text is in the validator, not in the text.
#[derive(Debug)]
enum Content {
    Text(String, Utf8),
    Binary(Vec<u8>),
}

/// Makes a message of a single frame. Nothing is copied, and text that is known to be valid is not validated again.
#[inline]
pub(crate) fn whole_message(frame: Frame) -> Result<Message, ProtocolError> {
    match (frame.opcode(), frame.into_payload()) {
        (OpCode::Binary, Payload::Bytes(bytes)) => Ok(Message::Binary(bytes)),
        (OpCode::Text, Payload::Text(text, _)) => Ok(Message::Text(text)),
        (OpCode::Text, payload) => checked_text(payload.into_vec()).map(Message::Text),
        (_, payload) => Ok(Message::Binary(payload.into_vec())),
    }
}

/// §8.1: text that is not UTF-8 fails the connection.
fn checked_text(bytes: Vec<u8>) -> Result<String, ProtocolError> {
    // The fast validator and a copy are faster than the slower one that keeps the allocation, except for ASCII.
    if bytes.is_ascii() {
        return String::from_utf8(bytes).map_err(|_| ProtocolError::InvalidUtf8);
    }
    simdutf8::basic::from_utf8(&bytes).map(str::to_owned).map_err(|_| ProtocolError::InvalidUtf8)
}

/// Returns how much the message in progress, or the next one if there is none, may still grow on the wire: `headroom` bytes
/// more if it is compressed.
#[inline]
pub(crate) fn room(message: Option<&Assembler>, config: &Config, headroom: u64) -> Room {
    let headroom = if message.is_some_and(|message| message.is_compressed) { headroom } else { 0 };
    let (received, fragments, empty) =
        message.map_or((0, 0, 0), |message| (message.received, message.fragments, message.empty));
    Room {
        bytes: len64(config.max_message_size.saturating_sub(received)).saturating_add(headroom),
        fragments: max_fragments(config).saturating_sub(fragments),
        empty_fragments: MAX_EMPTY_FRAGMENTS.saturating_sub(empty),
    }
}

/// Fragments of less than 64 bytes each only cost time, but a short message may be split arbitrarily.
#[inline]
fn max_fragments(config: &Config) -> usize {
    config.max_fragments.unwrap_or((config.max_message_size / 64).max(65_536))
}

impl Assembler {
    /// Begins a message with its first fragment, whose RSV1 marks it as compressed (RFC 7692 §6).
    pub(crate) fn begin(
        frame: Frame,
        codec: Option<&mut Codec>,
        config: &Config,
    ) -> Result<Self, ProtocolError> {
        let content = match frame.opcode() {
            OpCode::Text => Content::Text(String::new(), Utf8::default()),
            _ => Content::Binary(Vec::new()),
        };
        let mut is_compressed = false;
        if let Some(codec) = codec.filter(|_| frame.has_rsv1()) {
            codec.begin();
            is_compressed = true;
        }
        let (received, fragments, empty) = (0, 0, 0);
        let mut assembler =
            Self { content, is_compressed, received, fragments, empty, fragment: None, has_ended: false };
        assembler.push(frame, config)?;
        Ok(assembler)
    }

    /// Adds a fragment, the first one included. A compressed one must then be [decompressed](Self::decompress).
    pub(crate) fn push(&mut self, frame: Frame, config: &Config) -> Result<(), ProtocolError> {
        self.count(frame.as_slice().is_empty(), config)?;
        self.has_ended = frame.is_final();
        let most = config.max_message_size;
        if self.is_compressed {
            // The message is at least as long as its compressed form if compression was worthwhile.
            self.reserve(frame.as_slice().len(), most);
            self.fragment = Some(Fragment { payload: frame.into_data(), read: 0 });
            return Ok(());
        }
        match &mut self.content {
            Content::Binary(bytes) if bytes.is_empty() && frame.as_slice().len() <= most => {
                self.received = frame.as_slice().len();
                *bytes = frame.into_data();
                Ok(())
            }
            _ => self.append(frame.as_slice(), most),
        }
    }

    /// Decompresses the next part of the fragment, `step` bytes or a few more. Returns whether the fragment is decompressed.
    pub(crate) fn decompress(
        &mut self,
        step: usize,
        codec: Option<&mut Codec>,
        config: &Config,
    ) -> Result<bool, ProtocolError> {
        let (Some(mut fragment), Some(codec)) = (self.fragment.take(), codec) else { return Ok(true) };
        let most = config.max_message_size;
        let room = most.saturating_sub(self.received);
        let rest = fragment.payload.get(fragment.read..).unwrap_or_default();
        let step = codec.inflate(rest, step, room, &mut |part| self.append(part, most))?;
        fragment.read = fragment.read.saturating_add(step.read);
        if !step.is_last {
            self.fragment = Some(fragment);
        }
        Ok(step.is_last)
    }

    /// Whether a fragment is not decompressed yet.
    #[inline]
    pub(crate) fn is_decompressing(&self) -> bool {
        self.fragment.is_some()
    }

    /// Whether the last fragment has arrived.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Returns how much memory the message occupies, in bytes.
    #[cfg(feature = "reactor")]
    pub(crate) fn capacity(&self) -> usize {
        let message = match &self.content {
            Content::Text(text, _) => text.capacity(),
            Content::Binary(bytes) => bytes.capacity(),
        };
        let fragment = self.fragment.as_ref().map_or(0, |fragment| fragment.payload.capacity());
        message.saturating_add(fragment)
    }

    /// Appends a part of the message, which may have `most` bytes in all.
    fn append(&mut self, part: &[u8], most: usize) -> Result<(), ProtocolError> {
        let received = self.received.saturating_add(part.len());
        if received > most {
            return Err(ProtocolError::MessageTooLong);
        }
        self.reserve(part.len(), most);
        self.received = received;
        match &mut self.content {
            Content::Text(text, utf8) => utf8.feed(part, |part| text.push_str(part)),
            Content::Binary(bytes) => {
                bytes.extend_from_slice(part);
                Ok(())
            }
        }
    }

    /// Makes room for more bytes that have arrived. The capacity doubles, up to the length of the longest message.
    fn reserve(&mut self, more: usize, most: usize) {
        let needed = self.received.saturating_add(more).min(most);
        let grown = |capacity: usize| {
            if needed <= capacity { capacity } else { capacity.saturating_mul(2).clamp(needed, most) }
        };
        match &mut self.content {
            Content::Text(text, _) => {
                text.reserve_exact(grown(text.capacity()).saturating_sub(text.len()));
            }
            Content::Binary(bytes) => {
                bytes.reserve_exact(grown(bytes.capacity()).saturating_sub(bytes.len()));
            }
        }
    }

    /// Ends the message.
    pub(crate) fn finish(
        mut self,
        codec: Option<&mut Codec>,
        config: &Config,
    ) -> Result<Message, ProtocolError> {
        if let Some(codec) = codec.filter(|_| self.is_compressed) {
            codec.finish(&mut |part| self.append(part, config.max_message_size))?;
        }
        match self.content {
            Content::Text(text, utf8) => utf8.finish().map(|()| Message::Text(text)),
            Content::Binary(bytes) => Ok(Message::Binary(bytes)),
        }
    }

    /// Returns the state of the validator, so that the next fragment can be validated while it arrives. `None` for binary
    /// messages, and for compressed text.
    pub(crate) fn utf8(&self) -> Option<Utf8> {
        match &self.content {
            Content::Text(_, utf8) if !self.is_compressed => Some(*utf8),
            Content::Text(..) | Content::Binary(_) => None,
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
    fn m4_the_number_of_fragments_is_limited() {
        let config = Config::default();
        let first = Frame::message(b"x".to_vec(), OpCode::Binary, false);
        let mut assembler = Assembler::begin(first, None, &config).unwrap();
        assert_eq!(push_many(&mut assembler, b"x", &config), config.max_message_size / 64);
    }

    #[test]
    fn m5_the_number_of_empty_fragments_is_limited() {
        let config = Config::default();
        let first = Frame::message(Vec::new(), OpCode::Text, false);
        let mut assembler = Assembler::begin(first, None, &config).unwrap();
        assert_eq!(push_many(&mut assembler, b"", &config), MAX_EMPTY_FRAGMENTS);
    }

    #[test]
    fn m5_fragments_use_no_memory_beyond_their_payload() {
        let config = Config::default();
        let first = Frame::message(vec![0; 1000], OpCode::Binary, false);
        let mut assembler = Assembler::begin(first, None, &config).unwrap();
        for _ in 0..60_000 {
            assembler.push(Frame::message(b"x".to_vec(), OpCode::Continue, false), &config).unwrap();
        }
        let Content::Binary(bytes) = &assembler.content else { unreachable!("it began as binary") };
        assert!(bytes.capacity() <= 2 * bytes.len() + 64, "{} for {}", bytes.capacity(), bytes.len());
    }

    #[test]
    fn m3_the_message_size_limit_is_inclusive() {
        let config = Config { max_message_size: 10, ..Config::default() };
        let first = Frame::message(vec![0; 6], OpCode::Binary, false);
        let mut assembler = Assembler::begin(first, None, &config).unwrap();
        assert!(assembler.push(Frame::message(vec![0; 4], OpCode::Continue, false), &config).is_ok());
        let more = assembler.push(Frame::message(vec![0; 1], OpCode::Continue, false), &config);
        assert_eq!(more, Err(ProtocolError::MessageTooLong));
    }
}
