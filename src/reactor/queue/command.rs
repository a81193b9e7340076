//! The commands of senders, and their targets.

use std::borrow::Cow;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use url::Url;

use crate::close::CloseCode;
use crate::cluster::Missed;
use crate::connecting::reconnect::Reconnect;
use crate::message::Message;
use crate::protocol::{Frame, Role, SharedMessage, Upgrade};
use crate::reactor::accepting::addresses::AddressPlace;
use crate::reactor::api::drain::Drain;
use crate::reactor::api::handshake::Handshake;
use crate::reactor::api::util::{Timeout, Token};
use crate::reactor::publishing::COPY_UP_TO;
use crate::reactor::publishing::directory::Announcement;
use crate::reactor::publishing::topics::TopicChange;
use crate::reactor::queue::peers::LoopPlace;
use crate::reactor::scheduling::Schedule;

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
    NewConnection(Box<ConnectionRequest>),
    Shutdown,
    /// The loop closes its connections one after the other, and ends. Boxed, so that other commands stay small.
    Drain(Box<Drain>),
    /// The loop drains, and it is the turn of this connection.
    EndConnection,
    /// A timeout that fires at this time. `None` means that the time cannot be represented.
    Timeout(Option<Instant>, Token),
    Pause,
    Resume,
    Shared(Arc<SharedCommand>),
}

/// A command behind a pointer, because each kind of [`Command`] makes messages cost more instructions. Several loops can share it.
#[derive(Debug)]
pub(crate) enum SharedCommand {
    /// In a pool, a queued subscription is announced to publishers.
    Subscribe(Arc<str>, Option<Announcement>),
    Unsubscribe(Arc<str>),
    /// The loop executes it.
    Publish(QueuedPublication),
    Message(SharedMessage),
    /// Another loop of the pool has opened or closed a topic. The home of the topic reports it.
    TopicChanged(TopicChange),
    /// Messages of other nodes may be missing: of a topic or, without a topic, broadcasts.
    Gap(Option<Arc<str>>, Missed),
    /// The connection has the response that its handler has deferred.
    Answer,
    /// The loop calls a function later.
    Schedule(Schedule),
    /// The loop cancels or postpones a timeout.
    ChangeTimeout(Timeout, TimeoutChange),
}

/// What a sender asks for a timeout that is set.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TimeoutChange {
    Cancel,
    /// It fires at this time. `None` means that the time cannot be represented.
    Postpone(Option<Instant>),
}

impl From<SharedCommand> for Command {
    fn from(command: SharedCommand) -> Self {
        Self::Shared(Arc::new(command))
    }
}

/// A message for the subscribers of a topic.
#[derive(Debug)]
pub(crate) struct QueuedPublication {
    pub(crate) topic: Arc<str>,
    pub(crate) frame: Frame,
    /// What the loops encode together, if several have subscribers.
    pub(crate) message: Option<SharedMessage>,
    /// The slot and the id of the connection that does not receive it.
    pub(crate) except: Option<(u32, u32)>,
    pub(crate) is_volatile: bool,
}

/// The request for a connection.
#[derive(Debug)]
pub(crate) struct ConnectionRequest {
    pub(crate) new: NewConnection,
    /// The place of the connection in the pool, if it counts as one of its loop's already.
    pub(crate) place: Option<LoopPlace>,
}

/// A connection that the loop creates or takes over.
#[derive(Debug)]
pub(crate) enum NewConnection {
    Connect(Url, ConnectMode),
    Accept(TcpStream),
    /// An accepted connection that the acceptor of the pool has assigned to this loop.
    Assigned(Assigned),
    /// A server's stream whose request was accepted elsewhere.
    AcceptUpgraded(TcpStream, Upgrade),
    /// A stream whose opening handshake was performed elsewhere, in either role.
    AfterHandshake(TcpStream, Established),
}

/// How a client connects.
#[derive(Debug)]
pub(crate) enum ConnectMode {
    Once,
    /// The stream is connected already.
    Over(TcpStream),
    /// The client connects again when the connection is lost.
    Again(Reconnect),
}

impl From<NewConnection> for ConnectionRequest {
    fn from(new: NewConnection) -> Self {
        Self { new, place: None }
    }
}

/// A connection that the acceptor of the pool has assigned to a loop.
#[derive(Debug)]
pub(crate) struct Assigned {
    pub(crate) stream: AcceptedStream,
    /// The addresses of the peer and of the local end.
    pub(crate) addresses: Option<(SocketAddr, SocketAddr)>,
    /// When the opening handshake has begun.
    pub(crate) since: Instant,
    /// Its place among the connections of its address, if these are limited.
    pub(crate) address: Option<AddressPlace>,
}

/// A stream that was accepted.
#[derive(Debug)]
pub(crate) enum AcceptedStream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
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
            Self::Shared(command) => SharedCommand::for_another(command).map(Self::Shared),
            Self::Message(_)
            | Self::Frame(_)
            | Self::Overflow
            | Self::NewConnection(_)
            | Self::Shutdown
            | Self::Drain(_)
            | Self::EndConnection => None,
        }
    }

    /// Prepares the command for several loops of the pool, which encode a long message together.
    pub(super) fn into_shared(self) -> Self {
        match self {
            Self::Message(message) if message.len() > COPY_UP_TO => {
                SharedCommand::Message(message.into()).into()
            }
            Self::Message(message) => Self::Frame(Box::new(Frame::shared(message))),
            Self::Frame(frame) if frame.as_slice().len() > COPY_UP_TO && !frame.is_control() => {
                SharedCommand::Message(SharedMessage::from_frame(*frame)).into()
            }
            Self::Shared(mut command) => {
                if let Some(SharedCommand::Publish(publication)) = Arc::get_mut(&mut command)
                    && publication.frame.as_slice().len() > COPY_UP_TO
                {
                    publication.message = Some(SharedMessage::from_frame(publication.frame.clone()));
                }
                Self::Shared(command)
            }
            other => other,
        }
    }

    /// Clones the command for another loop of the pool, after [`into_shared`](Self::into_shared).
    pub(super) fn for_peer(&self) -> Option<Self> {
        match self {
            Self::Frame(frame) => Some(Self::Frame(frame.clone())),
            Self::Shutdown => Some(Self::Shutdown),
            Self::Drain(drain) => Some(Self::Drain(drain.clone())),
            Self::Shared(command) => SharedCommand::for_peer(command).map(Self::Shared),
            other => other.for_another(),
        }
    }

    /// Returns whether a connection executes this command, as opposed to the loop.
    #[inline]
    pub(crate) fn is_for_connection(&self) -> bool {
        !matches!(self, Self::NewConnection(_) | Self::Shared(_) | Self::Shutdown | Self::Drain(_))
    }

    /// Returns whether this is a subscription, or its end.
    #[inline]
    pub(crate) fn changes_subscription(&self) -> bool {
        matches!(self, Self::Shared(command) if matches!(**command, SharedCommand::Subscribe(..) | SharedCommand::Unsubscribe(_)))
    }

    /// Returns the number of bytes that the command adds to the queued output of its connection.
    #[inline]
    pub(crate) fn buffered_len(&self) -> usize {
        match self {
            Self::Message(message) => message.len(),
            Self::Frame(frame) => frame.as_slice().len(),
            Self::Shared(command) => command.payload_len(),
            _ => 0,
        }
    }
}

impl SharedCommand {
    /// Returns whether the loop executes this command, also one of a connection's sender.
    pub(crate) fn is_for_loop(&self) -> bool {
        matches!(self, Self::Publish(_) | Self::Schedule(_) | Self::ChangeTimeout(..))
    }

    /// Clones the command for one more connection.
    fn for_another(command: &Arc<Self>) -> Option<Arc<Self>> {
        match &**command {
            Self::Subscribe(topic, _) => Some(Arc::new(Self::Subscribe(Arc::clone(topic), None))),
            Self::Unsubscribe(_) | Self::Gap(..) => Some(Arc::clone(command)),
            Self::Publish(_)
            | Self::Message(_)
            | Self::TopicChanged(_)
            | Self::Answer
            | Self::Schedule(_)
            | Self::ChangeTimeout(..) => None,
        }
    }

    /// Clones the command for another loop.
    fn for_peer(command: &Arc<Self>) -> Option<Arc<Self>> {
        match &**command {
            Self::Publish(_) | Self::Message(_) => Some(Arc::clone(command)),
            // Each loop announces its own subscription.
            _ => Self::for_another(command),
        }
    }

    /// Announces a subscription to publishers.
    pub(super) fn announce(&mut self, announce: impl FnOnce(&Arc<str>) -> Announcement) {
        if let Self::Subscribe(topic, announcement) = self {
            *announcement = Some(announce(topic));
        }
    }

    /// Returns the topic whose subscribers receive the command.
    pub(super) fn topic(&self) -> Option<&str> {
        match self {
            Self::Publish(publication) => Some(&publication.topic),
            Self::Gap(topic, _) => topic.as_deref(),
            _ => None,
        }
    }

    /// Returns whether a connection executes the command when it is open.
    pub(crate) fn waits_for_open(&self) -> bool {
        matches!(self, Self::Message(_) | Self::Gap(..))
    }

    /// Returns the message that a connection sends.
    pub(crate) fn shared(&self) -> Option<&SharedMessage> {
        match self {
            Self::Message(message) => Some(message),
            _ => None,
        }
    }

    /// Returns the number of bytes that are sent.
    fn payload_len(&self) -> usize {
        match self {
            Self::Publish(publication) => publication.frame.as_slice().len(),
            Self::Message(message) => message.as_bytes().len(),
            Self::Subscribe(..)
            | Self::Unsubscribe(_)
            | Self::TopicChanged(_)
            | Self::Gap(..)
            | Self::Answer
            | Self::Schedule(_)
            | Self::ChangeTimeout(..) => 0,
        }
    }
}
