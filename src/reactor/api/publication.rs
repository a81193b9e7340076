//! `Publication`: a message for the subscribers of a topic, with options.

use std::sync::Arc;

use super::sender::{Sender, connection_of};
use crate::error::{Error, ErrorKind, Result};
use crate::message::Message;
use crate::protocol::Frame;
use crate::reactor::queue::QueuedPublication;

/// The longest name of a topic, in bytes.
const MAX_TOPIC: usize = 256;

/// A message for the subscribers of a topic, for [`Sender::publish_with`].
///
/// # Examples
///
/// ```
/// use sockeye::{Publication, Result, Sender};
///
/// /// Shows a position to all players, the own one included. Players that are behind skip it.
/// fn show_position(out: &Sender, position: Vec<u8>) -> Result<()> {
///     out.publish_with(Publication::new("positions", position).to_self().volatile())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Publication {
    topic: Arc<str>,
    message: Message,
    except: Except,
    is_volatile: bool,
    is_compressible: bool,
    is_local: bool,
}

/// The connection that does not receive a publication.
#[derive(Debug, Clone)]
enum Except {
    Publisher,
    Nobody,
    Connection(Sender),
}

impl Publication {
    /// Creates a publication that all subscribers receive, except the connection that publishes it.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn new(topic: impl AsRef<str>, message: impl Into<Message>) -> Self {
        Self {
            topic: topic.as_ref().into(),
            message: message.into(),
            except: Except::Publisher,
            is_volatile: false,
            is_compressible: true,
            is_local: false,
        }
    }

    /// The connection that publishes it receives it as well, if it subscribes to the topic.
    ///
    /// See the [example](Self#examples) of this type.
    #[must_use]
    pub fn to_self(mut self) -> Self {
        if matches!(self.except, Except::Publisher) {
            self.except = Except::Nobody;
        }
        self
    }

    /// A connection does not receive it, in place of the one that publishes it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Publication, Result, Sender};
    ///
    /// /// Informs the others that the program has removed a player.
    /// fn removed(all: &Sender, player: &Sender) -> Result<()> {
    ///     all.publish_with(Publication::new("game", "a player was removed").except(player))
    /// }
    /// ```
    #[must_use]
    pub fn except(mut self, connection: &Sender) -> Self {
        self.except = Except::Connection(connection.clone());
        self
    }

    /// Connections do not receive it whose earlier output the system has not accepted. Use this for data that the next message
    /// replaces.
    ///
    /// See the [example](Self#examples) of this type.
    #[must_use]
    pub fn volatile(mut self) -> Self {
        self.is_volatile = true;
        self
    }

    /// The message is not compressed, for the reasons of [`Sender::send_uncompressed`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Publication, Result, Sender};
    ///
    /// fn publish_picture(out: &Sender, jpeg: Vec<u8>) -> Result<()> {
    ///     out.publish_with(Publication::new("pictures", jpeg).uncompressed())
    /// }
    /// ```
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        self.is_compressible = false;
        self
    }

    /// The message only reaches the subscribers of this process, not those of other nodes in a cluster.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Publication, Result, Sender};
    ///
    /// /// A notice about this node, which does not concern the clients of other nodes.
    /// fn announce_restart(all: &Sender) -> Result<()> {
    ///     all.publish_with(Publication::new("notices", "this server restarts in a minute").local())
    /// }
    /// ```
    #[must_use]
    pub fn local(mut self) -> Self {
        self.is_local = true;
        self
    }

    pub(super) fn is_local(&self) -> bool {
        self.is_local
    }

    /// Returns the publication as the loops receive it from a sender.
    #[inline]
    pub(super) fn into_queued(self, sender: &Sender) -> Result<QueuedPublication> {
        let Self { topic, message, except, is_volatile, is_compressible, is_local: _ } = self;
        check_len(&topic)?;
        let mut frame = Frame::shared(message);
        frame.set_compressible(is_compressible);
        let except = match &except {
            Except::Publisher => connection_of(sender),
            Except::Nobody => None,
            Except::Connection(except) => connection_of(except),
        };
        Ok(QueuedPublication { topic, frame, message: None, except, is_volatile })
    }
}

/// Returns the name of a topic as commands contain it.
pub(super) fn check_topic(topic: &str) -> Result<Arc<str>> {
    check_len(topic)?;
    Ok(topic.into())
}

fn check_len(topic: &str) -> Result<()> {
    if topic.len() > MAX_TOPIC {
        let details = format!("the name of a topic has {} bytes, more than {MAX_TOPIC}", topic.len());
        return Err(Error::new(ErrorKind::Capacity, details));
    }
    Ok(())
}
