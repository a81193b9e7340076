//! Long messages, which are compressed and decompressed in steps, so that the front end can do other work in between.
//!
//! While a message is being decompressed, `receive` returns `None` and leaves the input. While one is being compressed, what is
//! sent waits, except Pongs. The front end continues with both.

use std::time::Instant;

use super::Core;
#[cfg(any(feature = "blocking", feature = "futures"))]
use super::Event;
#[cfg(any(feature = "reactor", feature = "futures"))]
use crate::message::Message;
use crate::protocol::ProtocolError;
#[cfg(feature = "reactor")]
use crate::protocol::deflate::Compressed;
#[cfg(feature = "reactor")]
use crate::protocol::framing::encoder::{Output, write_frame};
#[cfg(any(feature = "blocking", feature = "futures"))]
use crate::protocol::framing::frame::Frame;

/// How much of a message each step decompresses, in bytes. The first step is shorter.
#[cfg(any(feature = "reactor", feature = "futures"))]
const STEP: usize = 256 * 1024;

/// Which messages are in progress.
#[cfg(any(feature = "reactor", feature = "futures"))]
#[derive(Clone, Copy)]
pub(crate) struct Steps<'c> {
    pub(super) core: &'c Core,
}

/// Continues with messages that are in progress.
pub(crate) struct StepsMut<'c> {
    pub(super) core: &'c mut Core,
}

#[cfg(any(feature = "reactor", feature = "futures"))]
impl Steps<'_> {
    /// Returns whether a message is being decompressed.
    #[inline]
    pub(crate) fn is_decompressing(self) -> bool {
        self.core.receiver.is_decompressing()
    }

    /// Returns whether a message is being compressed.
    #[cfg(feature = "reactor")]
    #[inline]
    pub(crate) fn is_compressing(self) -> bool {
        self.core.codec.as_ref().is_some_and(|codec| codec.is_compressing())
    }

    /// The bytes of the message that is being compressed, and of those that wait for it.
    #[cfg(feature = "reactor")]
    #[inline]
    pub(crate) fn waiting_len(self) -> usize {
        self.core.codec.as_ref().map_or(0, |codec| codec.waiting_len())
    }
}

impl StepsMut<'_> {
    /// Acts on a frame. Of a compressed message, it decompresses at most `step` bytes.
    #[cfg(any(feature = "blocking", feature = "futures"))]
    pub(crate) fn accept(
        self,
        frame: Frame,
        step: usize,
        now: Instant,
    ) -> Result<Option<Event>, ProtocolError> {
        self.core.accept(frame, step, now)
    }

    /// Decompresses the next part of a message. Returns the message if it is complete.
    #[cfg(any(feature = "reactor", feature = "futures"))]
    pub(crate) fn decompress(self, now: Instant) -> Result<Option<Message>, ProtocolError> {
        let Core { receiver, codec, config, .. } = &mut *self.core;
        let message = receiver.decompress(STEP, codec.as_deref_mut(), config);
        message.inspect_err(|_| self.core.fail_open(now))
    }

    /// Compresses the next part of a message. When it is complete, it is sent with what has waited.
    #[cfg(feature = "reactor")]
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
    #[cfg(feature = "reactor")]
    pub(crate) fn drop_waiting(self) {
        if let Some(codec) = &mut self.core.codec {
            codec.stop_sending();
        }
    }
}
