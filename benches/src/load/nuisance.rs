//! A connection that sends as much as the server takes, beside those that are measured.

use std::io::{self, ErrorKind};

use mio::event::Event;

use super::ring::append;
use super::stream::Stream;
use crate::Result;
use crate::spec::Nuisance;

/// The least that is sent again and again, in bytes.
const PIECE: usize = 64 * 1024;

/// The most that is written, and read, before the other connections are served, in bytes. This thread must not delay them.
const SHARE: usize = 64 * 1024;

/// The connection. What it receives is discarded.
pub(super) struct Disturber<S> {
    stream: S,
    /// The frames, and how many bytes of them have been sent.
    frames: Vec<u8>,
    sent: usize,
    /// The state that the last event reported.
    is_readable: bool,
    is_writable: bool,
}

impl<S: Stream> Disturber<S> {
    /// Creates the frames of a nuisance, or returns `None` for `Nuisance::None`.
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

    /// Whether there is more to do without another event.
    pub(super) fn has_work(&self) -> bool {
        self.is_readable || self.is_writable
    }

    /// Sends and reads its share.
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
                return Err("the server ended the connection of the nuisance".into());
            }
            self.is_readable = read.is_some();
        }
        Ok(())
    }
}

/// How much was done; `None` if there was nothing to be done.
fn done(result: io::Result<usize>) -> Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}
