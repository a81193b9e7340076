//! Long messages, which are compressed and decompressed in steps, so that the front end can do other work in between.
//!
//! While a message is being decompressed, `receive` returns `None` and leaves the input. While one is being compressed, what is
//! sent waits, except Pongs. The front end continues with both.

use std::time::Instant;

use super::Core;
use crate::message::Message;
use crate::protocol::ProtocolError;
use crate::protocol::deflate::Compressed;
use crate::protocol::framing::encoder::{Output, write_frame};

/// How much of a message each step decompresses, in bytes. The first step is shorter.
const STEP: usize = 256 * 1024;

/// Which messages are in progress.
#[derive(Clone, Copy)]
pub(crate) struct Steps<'c> {
    pub(super) core: &'c Core,
}

/// Continues with messages that are in progress.
pub(crate) struct StepsMut<'c> {
    pub(super) core: &'c mut Core,
}

impl Steps<'_> {
    /// Returns whether a message is being decompressed.
    #[inline]
    pub(crate) fn is_decompressing(self) -> bool {
        self.core.receiver.is_decompressing()
    }

    /// Returns whether a message is being compressed.
    #[inline]
    pub(crate) fn is_compressing(self) -> bool {
        self.core.codec.as_ref().is_some_and(|codec| codec.is_compressing())
    }

    /// The bytes of the message that is being compressed, and of those that wait for it.
    #[inline]
    pub(crate) fn waiting_len(self) -> usize {
        self.core.codec.as_ref().map_or(0, |codec| codec.waiting_len())
    }
}

impl StepsMut<'_> {
    /// Decompresses the next part of a message. Returns the message if it is complete.
    pub(crate) fn decompress(self, now: Instant) -> Result<Option<Message>, ProtocolError> {
        let Core { receiver, codec, config, .. } = &mut *self.core;
        let message = receiver.decompress(STEP, codec.as_deref_mut(), config);
        message.inspect_err(|_| self.core.fail_open(now))
    }

    /// Compresses the next part of a message. When it is complete, it is sent with what has waited.
    pub(crate) fn compress<O: Output>(self, now: Instant, out: &mut O) {
        let Self { core } = self;
        let Some(Compressed::Ready(frame, waiting)) =
            core.codec.as_mut().and_then(|codec| codec.compress_part())
        else {
            return;
        };
        write_frame(frame, core.role, core.config.fragment_size, out);
        for frame in waiting {
            // Nothing can follow a Close.
            if core.transmit(frame, now, out).is_err() {
                return;
            }
        }
    }

    /// Drops the message that is being compressed, and what waits for it.
    pub(crate) fn drop_waiting(self) {
        if let Some(codec) = &mut self.core.codec {
            codec.stop_sending();
        }
    }
}
