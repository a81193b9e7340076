//! Frames that all connections receive, encoded once.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::protocol::{Frame, Role, write_frame};
use crate::reactor::loop_state::LoopState;
use crate::reactor::memory::SharedBytes;
use crate::reactor::queue::Command;
use crate::reactor::system::System;
use crate::reactor::write_queue::WriteQueue;

/// Frames of at most this many bytes are copied for each receiver. To share them would need about as much memory.
const COPY_UP_TO: usize = 256;

/// A frame that all connections receive.
#[derive(Debug)]
pub(in crate::reactor) struct BroadcastFrame {
    pub(in crate::reactor) frame: Frame,
    encoded: OnceCell<EncodedFrames>,
}

/// What a server without compression sends, once for all receivers.
#[derive(Debug)]
pub(in crate::reactor) struct EncodedFrames(Arc<SharedBytes>);

impl BroadcastFrame {
    /// Returns the frame of a command, or the command if it does not send a frame.
    pub(super) fn new(command: Command) -> Result<Self, Command> {
        let frame = match command {
            Command::Message(message) => Frame::shared(message),
            Command::Frame(frame) => *frame,
            other => return Err(other),
        };
        Ok(Self { frame, encoded: OnceCell::new() })
    }

    /// Returns what a server without compression sends.
    pub(in crate::reactor) fn encoded<S: System>(&self, state: &LoopState<S>) -> &EncodedFrames {
        self.encoded.get_or_init(|| EncodedFrames::new([&self.frame], state))
    }
}

impl EncodedFrames {
    pub(super) fn new<'f, S: System>(
        frames: impl IntoIterator<Item = &'f Frame>,
        state: &LoopState<S>,
    ) -> Self {
        let mut encoded = Vec::new();
        for frame in frames {
            write_frame(frame.clone(), Role::Server, state.config.fragment_size, &mut encoded);
        }
        encoded.shrink_to_fit();
        Self(state.memory.share(encoded))
    }

    /// Appends the frames to the output of a connection.
    pub(in crate::reactor) fn append_to(&self, queue: &mut WriteQueue) {
        if self.0.len() <= COPY_UP_TO {
            queue.append_copy(&self.0);
        } else {
            queue.append_shared(&self.0);
        }
    }
}
