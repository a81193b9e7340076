//! The commands of senders, and their targets.

use std::borrow::Cow;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use url::Url;

use crate::close::CloseCode;
use crate::message::Message;
use crate::protocol::{Frame, Role, Upgrade};
use crate::reactor::api::drain::Drain;
use crate::reactor::api::handshake::Handshake;
use crate::reactor::api::shared_message::SharedMessage;
use crate::reactor::api::util::{Timeout, Token};

/// Commands that the loop has taken out of a queue.
pub(crate) type Batch = Vec<QueuedCommand>;

/// A command and the connections that it is for.
#[derive(Debug)]
pub(crate) struct QueuedCommand {
    pub(crate) target: Target,
    pub(crate) command: Command,
}

/// The connections that a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    All,
    /// The connection with this id, if it is still in this slot.
    One {
        slot: u32,
        id: u32,
    },
}

/// A command of a sender.
#[derive(Debug)]
pub(crate) enum Command {
    Message(Message),
    /// A control frame, or a message with options. Boxed, because most commands are messages.
    Frame(Box<Frame>),
    Close(CloseCode, Cow<'static, str>),
    /// The output would exceed the limit, so the connection fails.
    Overflow,
    /// Boxed, so that other commands stay small.
    NewConnection(Box<NewConnection>),
    Shutdown,
    /// The loop closes its connections one after the other, and ends. Boxed, so that other commands stay small.
    Drain(Box<Drain>),
    /// The loop drains, and it is the turn of this connection.
    EndConnection,
    /// A timeout that fires at this time. `None` means that the time cannot be represented.
    Timeout(Option<Instant>, Token),
    Cancel(Timeout),
    Pause,
    Resume,
    /// Boxed, so that other commands stay small.
    Boxed(Box<BoxedCommand>),
}

/// A command that is rare or large. It is boxed, because each kind of command makes messages cost more instructions.
#[derive(Debug)]
pub(crate) enum BoxedCommand {
    Subscribe(Arc<str>),
    Unsubscribe(Arc<str>),
    /// The loop executes it.
    Publish(QueuedPublication),
    Shared(SharedMessage),
}

/// A message for the subscribers of a topic.
#[derive(Debug)]
pub(crate) struct QueuedPublication {
    pub(crate) topic: Arc<str>,
    pub(crate) frame: Frame,
    /// The slot and the id of the connection that does not receive it.
    pub(crate) except: Option<(u32, u32)>,
    pub(crate) is_volatile: bool,
}

/// A connection that the loop creates or takes over.
#[derive(Debug)]
pub(crate) enum NewConnection {
    /// Connects to a URL, over the stream if there is one.
    Connect(Url, Option<TcpStream>),
    Accept(TcpStream),
    /// A server's stream whose request was accepted elsewhere.
    AcceptUpgraded(TcpStream, Upgrade),
    /// A stream whose opening handshake was performed elsewhere, in either role.
    AfterHandshake(TcpStream, Established),
}

/// A connection whose opening handshake was performed elsewhere.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) role: Role,
    pub(crate) shake: Handshake,
    /// Bytes that were read after the handshake.
    pub(crate) read_ahead: Vec<u8>,
}

impl Command {
    /// Clones the command for one more connection, if it is one that can be for all.
    pub(crate) fn for_another(&self) -> Option<Self> {
        match self {
            Self::Close(code, reason) => Some(Self::Close(*code, reason.clone())),
            Self::Timeout(at, token) => Some(Self::Timeout(*at, *token)),
            Self::Pause => Some(Self::Pause),
            Self::Resume => Some(Self::Resume),
            Self::Boxed(command) => command.for_another().map(|command| Self::Boxed(Box::new(command))),
            Self::Message(_)
            | Self::Frame(_)
            | Self::Overflow
            | Self::NewConnection(_)
            | Self::Shutdown
            | Self::Drain(_)
            | Self::EndConnection
            | Self::Cancel(_) => None,
        }
    }

    /// Returns whether a connection executes this command, as opposed to the loop.
    #[inline]
    pub(crate) fn is_for_connection(&self) -> bool {
        !matches!(self, Self::NewConnection(_) | Self::Boxed(_) | Self::Shutdown | Self::Drain(_))
    }

    /// Returns the number of bytes that the command adds to the queued output of its connection.
    #[inline]
    pub(crate) fn buffered_len(&self) -> usize {
        match self {
            Self::Message(message) => message.len(),
            Self::Frame(frame) => frame.as_slice().len(),
            Self::Boxed(command) => command.payload_len(),
            _ => 0,
        }
    }
}

impl BoxedCommand {
    /// Returns whether the loop executes this command, also one of a connection's sender.
    pub(crate) fn is_for_loop(&self) -> bool {
        matches!(self, Self::Publish(_))
    }

    /// Clones the command for one more connection.
    pub(crate) fn for_another(&self) -> Option<Self> {
        match self {
            Self::Subscribe(topic) => Some(Self::Subscribe(Arc::clone(topic))),
            Self::Unsubscribe(topic) => Some(Self::Unsubscribe(Arc::clone(topic))),
            Self::Publish(_) | Self::Shared(_) => None,
        }
    }

    /// Returns the message that a connection sends.
    pub(crate) fn shared(&self) -> Option<&SharedMessage> {
        match self {
            Self::Shared(message) => Some(message),
            _ => None,
        }
    }

    /// Returns the number of bytes that are sent.
    fn payload_len(&self) -> usize {
        match self {
            Self::Publish(publication) => publication.frame.as_slice().len(),
            Self::Shared(message) => message.as_bytes().len(),
            Self::Subscribe(_) | Self::Unsubscribe(_) => 0,
        }
    }
}
