//! The input of a connection that has not been processed, and why.

use std::time::Instant;

use crate::protocol::manual::ManualConnection;
use crate::reactor::entries::index;

/// What a connection has to read.
#[derive(Debug, Default)]
pub(super) struct ReadSide {
    /// Input that exceeded the budget of a turn. It can be empty while a message is decompressed. Few connections have any, so it
    /// takes one pointer.
    unread: Option<Box<Box<[u8]>>>,
    /// The length of the message that is expected next, if it is long: that of the last one, which arrived alone.
    expected: u32,
    /// The handler has paused reading.
    pub(super) is_paused: bool,
    /// The socket may have more input, which was not read because of a pause or because much output is blocked.
    is_deferred: bool,
    /// The peer has ended its side, which was not processed for the same reason.
    has_ended: bool,
}

impl ReadSide {
    /// Whether input waits that was read before.
    pub(super) fn has_unread(&self) -> bool {
        self.unread.is_some()
    }

    /// Whether something that was read waits to be processed.
    pub(super) fn has_rest(&self, protocol: &ManualConnection) -> bool {
        self.has_unread() || protocol.steps().is_decompressing()
    }

    /// The handler pauses reading.
    pub(super) fn pause(&mut self, protocol: &mut ManualConnection, now: Instant) {
        self.is_paused = true;
        protocol.pause_reading(now);
    }

    /// The length of the input that waits, in bytes.
    pub(super) fn unread_len(&self) -> usize {
        self.unread.as_ref().map_or(0, |unread| unread.len())
    }

    /// Keeps input for the next turn.
    pub(super) fn keep(&mut self, input: impl Into<Box<[u8]>>) {
        self.unread = Some(Box::new(input.into()));
    }

    /// Takes the input that was kept.
    pub(super) fn take_unread(&mut self) -> Box<[u8]> {
        self.unread.take().map(|unread| *unread).unwrap_or_default()
    }

    /// Remembers the length of a message that has arrived without another one, if there was such a message.
    #[inline]
    pub(super) fn expect(&mut self, len: Option<usize>) {
        self.expected = len.and_then(|len| u32::try_from(len).ok()).unwrap_or(0);
    }

    /// Returns the length of the next message if it is expected to be long, or zero.
    #[inline]
    pub(super) fn expected(&self) -> usize {
        index(self.expected)
    }

    /// Postpones reading until the reason to wait is gone.
    pub(super) fn defer(&mut self, has_ended: bool) {
        self.is_deferred = true;
        self.note_end(has_ended);
    }

    pub(super) fn is_deferred(&self) -> bool {
        self.is_deferred
    }

    /// Ends the postponement. Returns whether there was one. A pause of the handler continues.
    pub(super) fn take_deferred(&mut self) -> bool {
        !self.is_paused && std::mem::take(&mut self.is_deferred)
    }

    /// Remembers that the peer has ended its side.
    pub(super) fn note_end(&mut self, has_ended: bool) {
        self.has_ended |= has_ended;
    }

    /// Returns whether the peer has ended its side, and forgets it.
    pub(super) fn take_end(&mut self) -> bool {
        std::mem::take(&mut self.has_ended)
    }
}
