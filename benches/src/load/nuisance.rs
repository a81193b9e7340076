//! An additional connection that sends as much as the server accepts. It is not measured.

use std::io::{self, ErrorKind};

use mio::event::Event;

use super::ring::append;
use super::stream::Stream;
use crate::Result;
use crate::spec::Nuisance;

/// The minimum length of the frames that are sent repeatedly, in bytes.
const PIECE: usize = 64 * 1024;

/// The maximum number of bytes that are written, and read, before the other connections are served. This thread must
/// not delay them.
const SHARE: usize = 64 * 1024;

/// The additional connection. It discards everything that it receives.
pub(super) struct Disturber<S> {
    stream: S,
    /// The frames, and the number of their bytes that have been sent.
    frames: Vec<u8>,
    sent: usize,
    /// The state according to the last events.
    is_readable: bool,
    is_writable: bool,
}

impl<S: Stream> Disturber<S> {
    /// Creates the connection and the frames of a nuisance. For `Nuisance::None`, there are no frames.
    pub(super) fn new(kind: Nuisance, stream: S) -> Self {
        let mut frame = Vec::new();
        match kind {
            Nuisance::None => {}
            Nuisance::Messages(size) => append(&mut frame, 0x82, &vec![b'a'; size], 1),
            Nuisance::Pings => append(&mut frame, 0x89, &[], 1),
            Nuisance::Texts => append(&mut frame, 0x81, &[b'a'; 20], 1),
        }
        let count = PIECE.div_ceil(frame.len().max(1));
        Self { stream, frames: frame.repeat(count), sent: 0, is_readable: false, is_writable: true }
    }

    pub(super) fn register(&mut self, poll: &mio::Poll, token: usize) -> Result<()> {
        Ok(self.stream.register(poll, token)?)
    }

    pub(super) fn hear(&mut self, event: &Event) {
        self.is_readable |= event.is_readable();
        self.is_writable |= event.is_writable();
    }

    /// Returns whether the connection can continue without another event.
    pub(super) fn has_work(&self) -> bool {
        self.is_readable || self.is_writable
    }

    /// Writes and reads up to `SHARE` bytes each.
    pub(super) fn go_on(&mut self, buffer: &mut [u8]) -> Result<()> {
        if self.is_writable {
            let end = self.frames.len().min(self.sent + SHARE);
            self.is_writable = match done(self.stream.write(&self.frames[self.sent..end]))? {
                Some(count) => {
                    self.sent = (self.sent + count) % self.frames.len();
                    true
                }
                None => false,
            };
        }
        if self.is_readable {
            let read = done(self.stream.read(&mut buffer[..SHARE]))?;
            if read == Some(0) {
                return Err("the server closed the connection of the nuisance".into());
            }
            self.is_readable = read.is_some();
        }
        Ok(())
    }
}

/// Returns the number of transferred bytes, or `None` if the call would have blocked.
fn done(result: io::Result<usize>) -> Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}
