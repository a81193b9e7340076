//! The form of what nodes publish to the channels of the broker.
//!
//! ```text
//! version (1) | kind (1) | node (8) | number (8) | flags (1) | distance (1 to 10) | body
//! ```
//!
//! Integers are big-endian. The distance is that from `number` down to `previous`, seven bits per byte, the lowest ones first.

use std::ops::BitOr;

use super::announcements::Announcements;
use super::broker::NodeId;
use super::bytes::{MAX_VARINT, Reader, put_varint};
use crate::message::Message;

const VERSION: u8 = 1;
const FLAGS_AT: usize = 18;
/// The longest header, with the value that identifies an excepted connection.
const MAX_HEADER: usize = FLAGS_AT + 1 + MAX_VARINT + 8;

/// What a node publishes to a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    pub(super) node: NodeId,
    /// The number of the message. Otherwise, that of the node's last message to any channel.
    pub(super) number: u64,
    /// Of a message: the node has published nothing else to this channel since the message with this number. A smaller number is that of
    /// an earlier message to the channel, or one up to which heartbeats have announced everything.
    ///
    /// Of a heartbeat: the number up to which earlier heartbeats have announced everything that this one does not list.
    pub(super) previous: u64,
    pub(super) body: Body<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body<'a> {
    Message {
        flags: Flags,
        except: Option<u64>,
        content: Content<'a>,
    },
    Heartbeat(Heartbeat<'a>),
    /// The node ends. A complete heartbeat comes before.
    Goodbye,
    CountQuery {
        query: u64,
        topic: &'a str,
    },
    CountAnswer {
        query: u64,
        count: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

/// A part of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heartbeat<'a> {
    /// The place of this part, from 0.
    pub(super) part: u32,
    pub(super) is_last: bool,
    /// Whether messages were lost that no part marks. They can belong to any channel, listed or not.
    pub(super) has_lost: bool,
    pub(super) announcements: Announcements<'a>,
}

/// Properties of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags(u8);

impl Flags {
    pub(crate) const COMPRESSIBLE: Self = Self(1);
    pub(crate) const VOLATILE: Self = Self(2);
    /// All nodes deliver the message when it comes from the broker, the publishing one included.
    pub(crate) const TOTAL_ORDER: Self = Self(4);
    /// The node could not send its previous message to the channel.
    pub(super) const AFTER_LOSS: Self = Self(8);
    const TEXT: Self = Self(16);
    const HAS_EXCEPT: Self = Self(32);
    const ENCODING: Self = Self(16 | 32);

    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns these flags if `condition` holds, and none otherwise.
    pub(super) const fn when(self, condition: bool) -> Self {
        if condition { self } else { Self(0) }
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl<'a> From<&'a Message> for Content<'a> {
    fn from(message: &'a Message) -> Self {
        match message {
            Message::Text(text) => Self::Text(text),
            Message::Binary(bytes) => Self::Binary(bytes),
        }
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Why an envelope cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EnvelopeError {
    UnknownVersion,
    Malformed,
}

const MESSAGE: u8 = 0;
const HEARTBEAT: u8 = 1;
const GOODBYE: u8 = 2;
const COUNT_QUERY: u8 = 3;
const COUNT_ANSWER: u8 = 4;

const IS_LAST: u8 = 1;
const HAS_LOST: u8 = 2;

impl<'a> Envelope<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        match bytes.first() {
            Some(&VERSION) => decode(Reader(bytes)).ok_or(EnvelopeError::Malformed),
            Some(_) => Err(EnvelopeError::UnknownVersion),
            None => Err(EnvelopeError::Malformed),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAX_HEADER + self.body.len());
        out.extend([VERSION, self.body.kind()]);
        out.extend(self.node.to_bytes());
        out.extend(self.number.to_be_bytes());
        out.push(self.body.flags());
        put_varint(&mut out, self.number.saturating_sub(self.previous));
        match self.body {
            Body::Message { except, content, .. } => {
                out.extend(except.map(u64::to_be_bytes).into_iter().flatten());
                out.extend_from_slice(content.as_bytes());
            }
            Body::Heartbeat(Heartbeat { part, announcements, .. }) => {
                out.extend(part.to_be_bytes());
                out.extend_from_slice(announcements.as_bytes());
            }
            Body::Goodbye => {}
            Body::CountQuery { query, topic } => {
                out.extend(query.to_be_bytes());
                out.extend_from_slice(topic.as_bytes());
            }
            Body::CountAnswer { query, count } => {
                out.extend(query.to_be_bytes());
                out.extend(count.to_be_bytes());
            }
        }
        out
    }
}

/// Notes in an encoded message that the node could not send the previous one.
pub(super) fn set_after_loss(message: &mut [u8]) {
    set_flags(message, Flags::AFTER_LOSS.0);
}

/// Notes in a part of an encoded heartbeat that messages were lost that no part marks.
pub(super) fn set_has_lost(heartbeat: &mut [u8]) {
    set_flags(heartbeat, HAS_LOST);
}

fn set_flags(envelope: &mut [u8], added: u8) {
    if let Some(flags) = envelope.get_mut(FLAGS_AT) {
        *flags |= added;
    }
}

fn decode(mut reader: Reader<'_>) -> Option<Envelope<'_>> {
    let [_version, kind] = reader.array()?;
    let node = NodeId::from_bytes(reader.array()?);
    let number = reader.number()?;
    let [flags] = reader.array()?;
    let previous = number.checked_sub(reader.varint()?)?;
    let body = match kind {
        // The first message has the number 1.
        MESSAGE if previous < number => decode_message(Flags(flags), reader)?,
        HEARTBEAT if flags & !(IS_LAST | HAS_LOST) == 0 => {
            let part = u32::from_be_bytes(reader.array()?);
            let announcements = Announcements::decode(reader.0, number)?;
            let (is_last, has_lost) = (flags & IS_LAST != 0, flags & HAS_LOST != 0);
            Body::Heartbeat(Heartbeat { part, is_last, has_lost, announcements })
        }
        GOODBYE if flags == 0 => reader.end(Body::Goodbye)?,
        COUNT_QUERY if flags == 0 => {
            Body::CountQuery { query: reader.number()?, topic: std::str::from_utf8(reader.0).ok()? }
        }
        COUNT_ANSWER if flags == 0 => {
            let body = Body::CountAnswer { query: reader.number()?, count: reader.number()? };
            reader.end(body)?
        }
        _ => return None,
    };
    Some(Envelope { node, number, previous, body })
}

fn decode_message(flags: Flags, mut reader: Reader<'_>) -> Option<Body<'_>> {
    const ALL: u8 = 63;
    if flags.0 > ALL {
        return None;
    }
    let except = if flags.contains(Flags::HAS_EXCEPT) { Some(reader.number()?) } else { None };
    let content = match flags.contains(Flags::TEXT) {
        true => Content::Text(simdutf8::basic::from_utf8(reader.0).ok()?),
        false => Content::Binary(reader.0),
    };
    Some(Body::Message { flags: flags.without(Flags::ENCODING), except, content })
}

impl Body<'_> {
    const fn kind(&self) -> u8 {
        match self {
            Self::Message { .. } => MESSAGE,
            Self::Heartbeat(_) => HEARTBEAT,
            Self::Goodbye => GOODBYE,
            Self::CountQuery { .. } => COUNT_QUERY,
            Self::CountAnswer { .. } => COUNT_ANSWER,
        }
    }

    fn flags(&self) -> u8 {
        match self {
            Self::Message { flags, except, content } => {
                let text = Flags::TEXT.when(matches!(content, Content::Text(_)));
                (flags.without(Flags::ENCODING) | text | Flags::HAS_EXCEPT.when(except.is_some())).0
            }
            Self::Heartbeat(Heartbeat { is_last, has_lost, .. }) => {
                u8::from(*is_last) * IS_LAST + u8::from(*has_lost) * HAS_LOST
            }
            _ => 0,
        }
    }

    /// The number of bytes that follow the header, at least.
    const fn len(&self) -> usize {
        match self {
            Self::Message { content: Content::Text(text), .. } => text.len(),
            Self::Message { content: Content::Binary(bytes), .. } => bytes.len(),
            Self::Heartbeat(heartbeat) => heartbeat.announcements.len(),
            Self::CountQuery { topic, .. } => topic.len(),
            Self::Goodbye | Self::CountAnswer { .. } => 8,
        }
    }
}

impl<'a> Content<'a> {
    pub(super) const fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}
