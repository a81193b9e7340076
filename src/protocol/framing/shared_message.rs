//! `SharedMessage`: one message for many connections.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::frame::Frame;
use crate::message::Message;

/// A message that is sent to several connections without a copy for each of them: with [`Sender::send_shared`] of the event loop, or
/// with the methods `send_shared` and `queue_shared` of the blocking and async sockets.
///
/// The payload is compressed once for all connections with the same parameters. Connections of servers share its bytes while
/// they wait to be written. Clients cannot, because each of their frames has its own mask (RFC 6455 §5.3). A clone is the same
/// message.
///
/// Short messages are copied, because that is cheaper: those of up to 256 bytes in the event loop, and those of less than 4 KiB in
/// the other sockets.
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
#[cfg_attr(feature = "reactor", doc = "```")]
#[cfg_attr(not(feature = "reactor"), doc = "```ignore (needs the event loop)")]
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
    #[cfg_attr(
        not(feature = "reactor"),
        allow(dead_code, reason = "only the event loop attaches something")
    )]
    attached: OnceLock<Box<dyn Any + Send + Sync>>,
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
        Self(Arc::new(Content { frame, attached: OnceLock::new() }))
    }

    /// Returns the message as a frame. Its payload is shared.
    #[cfg(any(feature = "reactor", feature = "blocking", feature = "futures"))]
    pub(crate) fn frame(&self) -> &Frame {
        &self.0.frame
    }

    /// Returns what a front end keeps with the message. All calls have the same type.
    #[cfg(feature = "reactor")]
    pub(crate) fn attached<T: Any + Send + Sync + Default>(&self) -> Option<&T> {
        self.0.attached.get_or_init(|| Box::new(T::default())).downcast_ref()
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
