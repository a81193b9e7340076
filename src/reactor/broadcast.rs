//! Messages that all connections receive.

use std::cell::OnceCell;
use std::sync::Arc;

use super::loop_state::LoopState;
use super::memory::SharedBytes;
use super::queue::Command;
use super::system::System;
use super::write_queue::WriteQueue;
use crate::protocol::{Frame, Role, write_frame};

/// The most bytes of consecutive broadcasts that are joined for all connections.
const MAX_JOINED: usize = 256 * 1024;

/// Frames of at most this many bytes are copied for each receiver. To share them would need about as much memory.
const COPY_UP_TO: usize = 256;

/// One or several frames that all connections receive.
#[derive(Debug)]
pub(super) struct Broadcast {
    pub(super) frames: Vec<BroadcastFrame>,
    /// The length of all payloads, in bytes.
    pub(super) len: usize,
    /// All frames together, once a connection has needed them.
    joined: OnceCell<EncodedFrames>,
}

/// One of several frames that all connections receive.
#[derive(Debug)]
pub(super) struct BroadcastFrame {
    pub(super) frame: Frame,
    encoded: OnceCell<EncodedFrames>,
}

/// What a server without compression sends, once for all receivers.
#[derive(Debug)]
pub(super) struct EncodedFrames(Arc<SharedBytes>);

impl Broadcast {
    pub(super) fn new(commands: impl Iterator<Item = Command>) -> Self {
        let frames = commands.filter_map(into_frame);
        let frames: Vec<_> = frames.map(|frame| BroadcastFrame { frame, encoded: OnceCell::new() }).collect();
        let len = frames.iter().map(|one| one.frame.as_slice().len()).sum();
        Self { frames, len, joined: OnceCell::new() }
    }

    /// Returns what a server without compression sends for all frames. `None` if that is too much, or if a handler must see
    /// some of the frames.
    pub(super) fn joined<S: System>(&self, state: &LoopState<S>) -> Option<&EncodedFrames> {
        let is_short = self.frames.len() == 1 || self.len <= MAX_JOINED;
        if !is_short || self.frames.iter().any(|one| one.frame.is_control()) {
            return None;
        }
        Some(self.joined.get_or_init(|| EncodedFrames::new(self.frames.iter().map(|one| &one.frame), state)))
    }
}

impl BroadcastFrame {
    /// Returns what a server without compression sends.
    pub(super) fn encoded<S: System>(&self, state: &LoopState<S>) -> &EncodedFrames {
        self.encoded.get_or_init(|| EncodedFrames::new([&self.frame], state))
    }
}

impl EncodedFrames {
    fn new<'f, S: System>(frames: impl IntoIterator<Item = &'f Frame>, state: &LoopState<S>) -> Self {
        let mut encoded = Vec::new();
        for frame in frames {
            write_frame(frame.clone(), Role::Server, state.config.fragment_size, &mut encoded);
        }
        encoded.shrink_to_fit();
        Self(state.memory.share(encoded))
    }

    /// Appends the frames to the output of a connection.
    pub(super) fn append_to(&self, queue: &mut WriteQueue) {
        if self.0.len() <= COPY_UP_TO {
            queue.append_copy(&self.0);
        } else {
            queue.append_shared(&self.0);
        }
    }
}

fn into_frame(command: Command) -> Option<Frame> {
    match command {
        Command::Message(message) => Some(Frame::shared(message)),
        Command::Frame(frame) => Some(*frame),
        _ => None,
    }
}
