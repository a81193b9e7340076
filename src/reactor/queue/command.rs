//! What a sender can ask for, and of whom.

use std::borrow::Cow;
use std::net::TcpStream;
use std::time::Instant;

use url::Url;

use crate::close::CloseCode;
use crate::message::Message;
use crate::protocol::{Frame, Upgrade};
use crate::reactor::api::util::{Timeout, Token};

/// Commands that the loop has taken out of a queue.
pub(crate) type Batch = Vec<QueuedCommand>;

/// One thing that a sender asks for.
#[derive(Debug)]
pub(crate) struct QueuedCommand {
    pub(crate) target: Target,
    pub(crate) command: Command,
}

/// Whom a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    All,
    /// The connection with this id, as long as it is in this slot.
    One {
        slot: u32,
        id: u32,
    },
}

/// What a command asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Message(Message),
    /// Anything else than a message that its handler is to see as such; boxed, since most commands are messages.
    Frame(Box<Frame>),
    Close(CloseCode, Cow<'static, str>),
    /// More was to be sent than may be queued: the connection fails.
    Overflow,
    /// To this URL, on this stream if there is one already.
    Connect(Box<Url>, Option<TcpStream>),
    Accept(TcpStream),
    /// A stream whose opening handshake has been made.
    AcceptUpgraded(TcpStream, Box<Upgrade>),
    Shutdown,
    /// At this time; `None` is beyond what the clock can say.
    Timeout(Option<Instant>, Token),
    Cancel(Timeout),
    Pause,
    Resume,
}

impl QueuedCommand {
    /// Whether it sends something to everyone.
    pub(crate) fn is_broadcast(&self) -> bool {
        self.target == Target::All && matches!(self.command, Command::Message(_) | Command::Frame(_))
    }
}

impl Command {
    /// The same command for one more connection, of those that can be for all.
    pub(crate) fn for_another(&self) -> Option<Self> {
        match self {
            Self::Close(code, reason) => Some(Self::Close(*code, reason.clone())),
            Self::Timeout(at, token) => Some(Self::Timeout(*at, *token)),
            Self::Pause => Some(Self::Pause),
            Self::Resume => Some(Self::Resume),
            Self::Message(_)
            | Self::Frame(_)
            | Self::Overflow
            | Self::Connect(..)
            | Self::Accept(_)
            | Self::AcceptUpgraded(..)
            | Self::Shutdown
            | Self::Cancel(_) => None,
        }
    }

    /// Returns whether a connection executes this command, as opposed to the loop.
    #[inline]
    pub(crate) fn is_for_connection(&self) -> bool {
        !matches!(self, Self::Connect(..) | Self::Accept(_) | Self::AcceptUpgraded(..) | Self::Shutdown)
    }

    /// How many bytes a queued command counts for the connection it is sent to.
    #[inline]
    pub(crate) fn buffered_len(&self) -> usize {
        match self {
            Self::Message(message) => message.len(),
            Self::Frame(frame) => frame.as_slice().len(),
            _ => 0,
        }
    }
}
