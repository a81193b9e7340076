//! Messages read as a stream of bytes, by the front ends without handlers.

use std::io;

use crate::error::{Error, ErrorKind};
use crate::message::Message;

/// What is left of a message of which only a part has been read.
#[derive(Debug, Default)]
pub(crate) struct Leftover {
    bytes: Vec<u8>,
    /// How much of them has been read.
    given: usize,
}

impl From<Message> for Leftover {
    fn from(message: Message) -> Self {
        Self { bytes: message.into_data(), given: 0 }
    }
}

impl Leftover {
    pub(crate) fn is_empty(&self) -> bool {
        self.given == self.bytes.len()
    }

    /// Fills the buffer as far as there is something left; returns how many bytes those are.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let left = self.bytes.get(self.given..).unwrap_or_default();
        let len = left.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(left) {
            *to = *from;
        }
        self.given += len;
        len
    }

    /// Gives what is left as a message, if there is something: no byte is lost.
    #[cfg(any(feature = "futures", all(feature = "browser", any(target_family = "wasm", sockeye_docs))))]
    pub(crate) fn take(&mut self) -> Option<Message> {
        let Self { mut bytes, given } = std::mem::take(self);
        (given < bytes.len()).then(|| Message::Binary(bytes.split_off(given)))
    }
}

/// Makes an error one of the traits for bytes; what the system has said stays as it is.
pub(crate) fn into_io(err: Error) -> io::Error {
    match err.kind {
        ErrorKind::Io(err) => err,
        kind => io::Error::other(Error { kind, details: err.details }),
    }
}
