//! `SharedMessage`: one message for many connections.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use crate::message::Message;
use crate::protocol::Frame;
use crate::reactor::memory::{MemoryBudget, SharedBytes};
use crate::reactor::publishing::encode_for_clients;

/// A message that is sent to several connections without a copy for each of them, with [`Sender::send_shared`].
///
/// It is encoded when a connection sends it for the first time, and compressed once for all connections with the same
/// parameters. The connections share the result. A clone is the same message.
///
/// [`Sender::broadcast`] and [`Sender::publish`] share their messages by themselves. Use this type when the program decides for
/// each connection whether it receives a message, or sends the same message again later.
///
/// [`Sender::send_shared`]: crate::Sender::send_shared
/// [`Sender::broadcast`]: crate::Sender::broadcast
/// [`Sender::publish`]: crate::Sender::publish
///
/// # Examples
///
/// ```
/// use sockeye::{Result, Sender, SharedMessage};
///
/// /// Shows a picture to the players that can see it.
/// fn show(picture: Vec<u8>, players: &[Sender]) -> Result<()> {
///     let message = SharedMessage::from(picture);
///     players.iter().try_for_each(|player| player.send_shared(&message))
/// }
/// ```
#[derive(Clone)]
pub struct SharedMessage(Arc<Content>);

struct Content {
    frame: Frame,
    /// What a server without compression sends, and the longest payload of its frames.
    encoded: OnceLock<(usize, Arc<Vec<u8>>)>,
    /// The same while connections have not sent it. It counts as memory of their loop.
    in_use: Mutex<Weak<SharedBytes>>,
}

impl SharedMessage {
    /// Returns the payload.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(sockeye::SharedMessage::from("salmon").as_bytes(), b"salmon");
    /// ```
    pub fn as_bytes(&self) -> &[u8] {
        self.0.frame.as_slice()
    }

    /// Creates a message from a frame whose payload is shared.
    pub(crate) fn from_frame(frame: Frame) -> Self {
        Self(Arc::new(Content { frame, encoded: OnceLock::new(), in_use: Mutex::default() }))
    }

    /// Returns the message as a frame. Its payload is shared.
    pub(crate) fn frame(&self) -> &Frame {
        &self.0.frame
    }

    /// Returns what a server without compression sends. `None` if another loop has encoded the message with other fragments.
    pub(crate) fn encoded(&self, fragment_size: usize, memory: &MemoryBudget) -> Option<Arc<SharedBytes>> {
        let (used_size, encoded) = self
            .0
            .encoded
            .get_or_init(|| (fragment_size, Arc::new(encode_for_clients([&self.0.frame], fragment_size))));
        if *used_size != fragment_size {
            return None;
        }
        let mut in_use = self.0.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = in_use.upgrade().filter(|bytes| bytes.counts_in(memory)) {
            return Some(bytes);
        }
        let bytes = memory.share(Arc::clone(encoded));
        *in_use = Arc::downgrade(&bytes);
        Some(bytes)
    }
}

impl<M: Into<Message>> From<M> for SharedMessage {
    fn from(message: M) -> Self {
        Self::from_frame(Frame::shared(message.into()))
    }
}

impl fmt::Debug for SharedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedMessage").field(&self.0.frame).finish()
    }
}
