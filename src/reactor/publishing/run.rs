//! Messages with the same receivers, encoded once.

use std::cell::OnceCell;
use std::sync::Arc;

use super::encodings;
use crate::protocol::{Frame, Role, SharedMessage, write_frame};
use crate::reactor::entries::ConnectionId;
use crate::reactor::loop_state::LoopState;
use crate::reactor::memory::SharedBytes;
use crate::reactor::monitoring::is_message;
use crate::reactor::queue::Command;
use crate::reactor::system::System;
use crate::reactor::write_queue::WriteQueue;

/// Frames of at most this many bytes are copied for each receiver. To share them would need about as much memory.
pub(in crate::reactor) const COPY_UP_TO: usize = 256;

/// The most bytes of a run, unless it is a single message.
const MAX_BYTES: usize = 256 * 1024;

/// Messages of at least this length may be compressed in steps, in bytes.
const LONG: usize = 64 * 1024;

/// Consecutive commands with the same receivers.
#[derive(Debug)]
pub(in crate::reactor) struct Run {
    pub(super) commands: Vec<Published>,
    /// The bytes of all payloads.
    pub(super) bytes: usize,
    /// Whether the commands are data frames, which a receiver can receive together.
    is_joinable: bool,
    /// Whether a receiver does not receive all of it.
    has_exceptions: bool,
    /// How many messages the commands contain.
    messages: u64,
    /// The frames of all commands together, once a connection has needed them.
    joined: OnceCell<EncodedFrames>,
    /// How many connections have not received the run.
    receivers: usize,
}

/// A command that several connections receive.
#[derive(Debug)]
pub(in crate::reactor) struct Published {
    pub(in crate::reactor) content: Content,
    /// The connection that does not receive it.
    pub(in crate::reactor) except: Option<ConnectionId>,
    /// Whether connections with unsent output do not receive it.
    pub(in crate::reactor) is_volatile: bool,
}

#[derive(Debug)]
pub(in crate::reactor) enum Content {
    Frame(SharedFrame),
    Other(Command),
}

/// A frame that several connections receive.
#[derive(Debug)]
pub(in crate::reactor) struct SharedFrame {
    pub(in crate::reactor) frame: Frame,
    /// What other loops send as well. Short frames are copied for each receiver, so loops do not share them.
    message: Option<SharedMessage>,
    encoded: OnceCell<EncodedFrames>,
}

/// What a server without compression sends, once for all receivers.
#[derive(Debug, Clone)]
pub(in crate::reactor) struct EncodedFrames(Arc<SharedBytes>);

impl Run {
    pub(super) fn new(receivers: usize) -> Self {
        let (commands, joined) = (Vec::new(), OnceCell::new());
        Self { commands, bytes: 0, is_joinable: true, has_exceptions: false, messages: 0, joined, receivers }
    }

    /// Whether a command of this length can be added.
    #[inline]
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.bytes.saturating_add(len) <= MAX_BYTES
    }

    pub(super) fn push(&mut self, command: Published) {
        self.bytes += command.len();
        self.is_joinable &= command.is_data() && !command.is_volatile;
        self.has_exceptions |= command.except.is_some();
        self.messages += u64::from(command.content.frame().is_some_and(is_message));
        self.commands.push(command);
    }

    /// One more connection has received the run. Returns whether all have.
    #[inline]
    pub(super) fn is_received(&mut self) -> bool {
        self.receivers -= 1;
        self.receivers == 0
    }

    /// The bytes of all payloads.
    #[inline]
    pub(in crate::reactor) fn len(&self) -> usize {
        self.bytes
    }

    /// The number of messages.
    #[inline]
    pub(in crate::reactor) fn messages(&self) -> u64 {
        self.messages
    }

    /// The number of volatile publications for a connection, which it does not receive while it has unsent output.
    pub(in crate::reactor) fn left_out(&self, id: ConnectionId) -> u64 {
        let volatile =
            self.commands.iter().filter(|command| command.is_volatile && command.except != Some(id));
        volatile.count() as u64
    }

    /// Whether a message may be so long that it is compressed in steps.
    #[inline]
    pub(super) fn is_long(&self) -> bool {
        self.bytes >= LONG
    }

    /// Returns the commands that a connection receives.
    pub(in crate::reactor) fn commands_for(
        &self,
        id: ConnectionId,
        has_unsent: bool,
    ) -> impl Iterator<Item = &Content> {
        let is_for =
            move |command: &&Published| command.except != Some(id) && !(command.is_volatile && has_unsent);
        self.commands.iter().filter(is_for).map(|command| &command.content)
    }

    /// Returns what a server without compression sends to a connection. `None` if that is more than data frames, or not all of
    /// them.
    #[inline]
    pub(in crate::reactor) fn joined<S: System>(
        &self,
        id: ConnectionId,
        state: &LoopState<S>,
    ) -> Option<&EncodedFrames> {
        if !self.is_joinable || self.has_exceptions && self.excludes(id) {
            return None;
        }
        Some(self.joined.get_or_init(|| match self.commands.as_slice() {
            [Published { content: Content::Frame(only), .. }] => only.encoded(state),
            commands => EncodedFrames::new(commands.iter().filter_map(|one| one.content.frame()), state),
        }))
    }

    /// Whether a connection does not receive one of the commands.
    fn excludes(&self, id: ConnectionId) -> bool {
        self.commands.iter().any(|command| command.except == Some(id))
    }
}

impl Published {
    /// A command for all receivers.
    pub(in crate::reactor) fn new(command: Command) -> Self {
        let content = match command {
            Command::Message(message) => Content::Frame(SharedFrame::new(Frame::shared(message), None)),
            Command::Frame(frame) => Content::Frame(SharedFrame::new(*frame, None)),
            other => Content::Other(other),
        };
        Self { content, except: None, is_volatile: false }
    }

    /// The number of bytes of the payload.
    pub(super) fn len(&self) -> usize {
        self.content.frame().map_or(0, |frame| frame.as_slice().len())
    }

    /// A message for all receivers, perhaps also those of other loops.
    pub(in crate::reactor) fn shared(message: SharedMessage) -> Self {
        let frame = SharedFrame::new(message.frame().clone(), Some(message));
        Self { content: Content::Frame(frame), except: None, is_volatile: false }
    }

    fn is_data(&self) -> bool {
        self.content.frame().is_some_and(|frame| !frame.is_control())
    }
}

impl Content {
    fn frame(&self) -> Option<&Frame> {
        match self {
            Self::Frame(shared) => Some(&shared.frame),
            Self::Other(_) => None,
        }
    }
}

impl SharedFrame {
    pub(in crate::reactor) fn new(frame: Frame, message: Option<SharedMessage>) -> Self {
        Self { frame, message, encoded: OnceCell::new() }
    }

    /// Returns what a server without compression sends.
    pub(in crate::reactor) fn encoded<S: System>(&self, state: &LoopState<S>) -> EncodedFrames {
        self.encoded.get_or_init(|| self.encode(state)).clone()
    }

    /// Encodes the frame, unless another loop has done it.
    fn encode<S: System>(&self, state: &LoopState<S>) -> EncodedFrames {
        let encoded = self.message.as_ref().and_then(|message| EncodedFrames::of(message, state));
        match encoded {
            Some(EncodedFrames(bytes)) => EncodedFrames(Arc::new(SharedBytes::clone(&bytes))),
            None => EncodedFrames::new([&self.frame], state),
        }
    }
}

impl EncodedFrames {
    fn new<'f, S: System>(frames: impl IntoIterator<Item = &'f Frame>, state: &LoopState<S>) -> Self {
        Self(state.memory.share(encode_for_clients(frames, state.config.fragment_size)))
    }

    /// Returns the frames of a message. `None` if another loop has encoded it with other fragments.
    pub(in crate::reactor) fn of<S: System>(message: &SharedMessage, state: &LoopState<S>) -> Option<Self> {
        encodings::encoded(message, state.config.fragment_size, &state.memory).map(Self)
    }

    /// Appends the frames to the output of a connection.
    #[inline]
    pub(in crate::reactor) fn append_to(&self, queue: &mut WriteQueue) {
        if self.0.len() <= COPY_UP_TO {
            queue.append_copy(&self.0);
        } else {
            queue.append_shared(&self.0);
        }
    }
}

/// Encodes frames as a server without compression sends them.
pub(in crate::reactor) fn encode_for_clients<'f>(
    frames: impl IntoIterator<Item = &'f Frame>,
    fragment_size: usize,
) -> Vec<u8> {
    let mut encoded = Vec::new();
    for frame in frames {
        write_frame(frame.clone(), Role::Server, fragment_size, &mut encoded);
    }
    encoded.shrink_to_fit();
    encoded
}
