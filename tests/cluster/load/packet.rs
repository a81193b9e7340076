//! What nodes and clients send to each other: publications are binary messages, everything else is text.

use std::time::{SystemTime, UNIX_EPOCH};

use sockeye::cluster::Missed;
use sockeye_test_support::misbehavior::Dice;

use crate::ledger::PUBLISHERS;

/// The length of a publication, except for the gaps that a handler appends.
const LEN: usize = HEAD + 8 + BODY;

/// The bytes before the checksum.
const HEAD: usize = 16;

const BODY: usize = 100;

/// A publication without its body, which follows from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) publisher: u16,
    pub(crate) topic: u16,
    pub(crate) number: u32,
    /// When it was published, in microseconds of the system's clock.
    pub(crate) time: u64,
}

impl Packet {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.extend(self.publisher.to_le_bytes());
        bytes.extend(self.topic.to_le_bytes());
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.time.to_le_bytes());
        let mut dice = Dice(1 + u64::from(self.number) + u64::from(self.topic) * 1_000_003);
        let body: Vec<u8> = (0..BODY).map(|_| dice.roll(256).to_le_bytes()[0]).collect();
        bytes.extend(checksum(&[&bytes, &body]).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    /// Returns the publication, and the gaps that were appended. `None` if the bytes are not those that were published.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (packet, gaps) = bytes.split_at_checked(LEN)?;
        let (head, rest) = packet.split_at(HEAD);
        let (sum, body) = rest.split_at(8);
        let packet = Self {
            publisher: u16::from_le_bytes(head[..2].try_into().ok()?),
            topic: u16::from_le_bytes(head[2..4].try_into().ok()?),
            number: u32::from_le_bytes(head[4..8].try_into().ok()?),
            time: u64::from_le_bytes(head[8..].try_into().ok()?),
        };
        let is_intact =
            checksum(&[head, body]).to_le_bytes() == sum && usize::from(packet.publisher) < PUBLISHERS;
        is_intact.then_some((packet, gaps))
    }

    /// Returns the topic of an encoded publication.
    pub(crate) fn topic_of(bytes: &[u8]) -> Option<u16> {
        bytes.get(2..4).and_then(|topic| topic.try_into().ok()).map(u16::from_le_bytes)
    }
}

/// FNV-1a.
fn checksum(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The time in microseconds. All processes have the same clock.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_micros()).unwrap()
}

/// The kinds of gaps, each a byte.
pub(crate) const JOINED: u8 = 0;
pub(crate) const NODE_LOST: u8 = 1;
pub(crate) const OTHER: u8 = 2;

/// The byte for a gap.
pub(crate) fn kind(missed: Missed) -> u8 {
    match missed {
        Missed::Joined => JOINED,
        Missed::NodeLost => NODE_LOST,
        _ => OTHER,
    }
}
