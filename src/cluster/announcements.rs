//! The list in a heartbeat.

use super::bytes::{Reader, put_varint};

/// The last number of a node on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announcement<'a> {
    /// The name of the channel without the prefix.
    pub(super) channel: &'a str,
    pub(super) last: u64,
    /// Whether the node could not send the message with this number, or some before it.
    pub(super) is_lost: bool,
}

/// The encoded announcements of a part of a heartbeat: for each one a byte, the distance from the number of the heartbeat, the length of
/// the name, and the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announcements<'a>(&'a [u8]);

impl<'a> Announcements<'a> {
    /// Wraps what [`push`](Self::push) has written for the same `number`.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn push(out: &mut Vec<u8>, announcement: Announcement<'_>, number: u64) {
        out.push(announcement.is_lost.into());
        put_varint(out, number.saturating_sub(announcement.last));
        put_varint(out, u64::try_from(announcement.channel.len()).unwrap_or(u64::MAX));
        out.extend_from_slice(announcement.channel.as_bytes());
    }

    /// Checks that all can be decoded.
    pub(super) fn decode(bytes: &'a [u8], number: u64) -> Option<Self> {
        let mut reader = Reader(bytes);
        while !reader.0.is_empty() {
            Self::next(&mut reader, number)?;
        }
        Some(Self(bytes))
    }

    pub(super) const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    pub(super) const fn len(self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(self, number: u64) -> impl Iterator<Item = Announcement<'a>> {
        let mut reader = Reader(self.0);
        std::iter::from_fn(move || Self::next(&mut reader, number))
    }

    fn next(reader: &mut Reader<'a>, number: u64) -> Option<Announcement<'a>> {
        let [is_lost @ (0 | 1)] = reader.array()? else { return None };
        let last = number.checked_sub(reader.varint()?)?;
        let len = usize::try_from(reader.varint()?).ok()?;
        let channel = std::str::from_utf8(reader.take(len)?).ok()?;
        Some(Announcement { channel, last, is_lost: is_lost == 1 })
    }
}
