//! Messages that all connections receive.

use super::loop_state::LoopState;
use super::queue::Command;
use super::system::System;
use super::write_queue::WriteQueue;
use crate::protocol::{Frame, Output as _, Role, write_frame};

/// The most bytes of consecutive broadcasts that are encoded once for all connections.
const MAX_ENCODED: usize = 256 * 1024;

/// One or several frames that all connections receive.
#[derive(Debug)]
pub(super) struct Broadcast {
    pub(super) frames: Vec<Frame>,
    /// The length of all payloads, in bytes.
    pub(super) len: usize,
    /// What a server without compression sends for the frames. `None` if that is much, or if some payloads are sent without
    /// being copied.
    pub(super) encoded: Option<Vec<u8>>,
}

impl Broadcast {
    /// Encodes the frames of the commands.
    pub(super) fn new<S: System>(commands: impl Iterator<Item = Command>, state: &LoopState<S>) -> Self {
        let frames: Vec<Frame> = commands.filter_map(into_frame).collect();
        let len: usize = frames.iter().map(|frame| frame.as_slice().len()).sum();
        let is_copied =
            |frame: &Frame| !frame.is_control() && frame.as_slice().len() < WriteQueue::KEEPS_FROM;
        let is_encoded = len <= MAX_ENCODED && frames.iter().all(is_copied);
        let encoded = is_encoded.then(|| {
            let mut encoded = Vec::new();
            for frame in &frames {
                write_frame(frame.clone(), Role::Server, state.config.fragment_size, &mut encoded);
            }
            encoded
        });
        Self { frames, len, encoded }
    }
}

fn into_frame(command: Command) -> Option<Frame> {
    match command {
        Command::Message(message) => Some(Frame::shared(message)),
        Command::Frame(frame) => Some(*frame),
        _ => None,
    }
}
