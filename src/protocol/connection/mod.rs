//! The state machine of a connection: CONNECTING, OPEN, CLOSING, CLOSED (§4, §5.5, §7).
//!
//! `automatic` and [`manual`] contain the two types of connections: those that reply by themselves, and those whose front end
//! sends the replies. Both own a [`Core`]: `opening` contains its opening handshake, `receiving` the receiving side, `sending` the
//! sending side, `closing` the end of a connection, and `timeouts` everything that depends on time. `steps` compresses and
//! decompresses long messages in steps. `lending` lends the memory of payloads to front ends. `extension` runs an extension of the program.

mod automatic;
mod closing;
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) mod extension;
mod lending;
pub mod manual;
mod opening;
mod receiving;
mod sending;
#[cfg(any(feature = "reactor", feature = "blocking", feature = "futures"))]
mod steps;
mod timeouts;

#[cfg(any(
    feature = "reactor",
    feature = "blocking",
    feature = "futures",
    all(feature = "browser", any(target_family = "wasm", sockeye_docs))
))]
pub(crate) use self::sending::check_close;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

pub use self::automatic::Connection;
use self::closing::Drain;
use self::opening::Opening;
use self::receiving::Receiver;
use self::timeouts::{Deadlines, Pinged};
use super::deflate::Codec;
use super::framing::frame::Frame;
use super::framing::header::OpCode;
use super::handshake::{Request, Response};
use super::{Config, ProtocolError, Role};
use crate::close::CloseCode;
use crate::message::Message;

/// The state machine that both types of connections own: everything except who sends the replies.
struct Core {
    config: Arc<Config>,
    role: Role,
    phase: Phase,
    /// Compression, if both ends agreed on it. Both directions use it.
    codec: Option<Box<Codec>>,
    receiver: Receiver,
    deadlines: Deadlines,
    pinged: Pinged,
    /// Whether long messages are compressed and decompressed in steps, which the front end continues.
    has_steps: bool,
}

/// The phase of a connection. [`State`] is its name in the RFC.
#[derive(Debug)]
enum Phase {
    /// Waiting for the peer's head: a server for the request, a client for the response.
    Opening(Box<Opening>),
    /// A server has received the request, and the front end owes the response.
    Answering {
        /// Whether the method is `HEAD`. Responses to it have no body.
        head_only: bool,
    },
    Open,
    /// Our Close was sent, and the peer's has not arrived.
    CloseSent {
        /// Whether everything up to our Close has been written.
        is_flushed: bool,
    },
    /// The peer's Close has arrived, and ours has not been sent.
    CloseReceived,
    /// The peer broke the protocol, and the Close that fails the connection has not been sent.
    Failed,
    /// Both Close frames are done. TCP must still be closed (§7.1.1).
    Draining(Drain),
    Closed,
}

/// The state of a connection (§4.1, §7.1).
///
/// See the example of the module [`protocol`](crate::protocol).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The opening handshake is not complete.
    Connecting,
    /// Messages can be sent and received.
    Open,
    /// A Close frame was sent or received, or the connection is being failed.
    Closing,
    /// Nothing more is expected: the socket can be closed.
    Closed,
}

/// Something that a connection has received.
///
/// See the example of the module [`protocol`](crate::protocol).
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A server received a request. It must be answered with [`Connection::respond`] or [`Connection::refuse`].
    Request(Box<Request>),
    /// A client received the response that opens the connection. It has been validated.
    Response {
        /// The request, as it was sent.
        request: Box<Request>,
        /// The response.
        response: Box<Response>,
    },
    /// A client received a response that does not open the connection, such as a redirect. The connection is closed.
    Rejected(Box<Response>),
    /// A complete message.
    Message(Message),
    /// A Ping. [`Connection`] has replied to it; a front end with a [`ManualConnection`](manual::ManualConnection) must reply.
    Ping(Vec<u8>),
    /// A Pong.
    Pong(Vec<u8>),
    /// The peer's Close: its code ([`CloseCode::Status`] if it has none) and its reason. [`Connection`] has replied to it; a
    /// front end with a [`ManualConnection`](manual::ManualConnection) must reply.
    Close(CloseCode, String),
}

impl Core {
    fn new(config: Arc<Config>, role: Role, phase: Phase, now: Instant) -> Self {
        Self {
            deadlines: Deadlines::new(&config, now),
            config,
            role,
            phase,
            codec: None,
            receiver: Receiver::default(),
            pinged: Pinged::default(),
            has_steps: false,
        }
    }
}

impl Phase {
    /// Returns the name of the phase in the RFC.
    #[inline]
    fn state(&self) -> State {
        match self {
            Self::Opening(_) | Self::Answering { .. } => State::Connecting,
            Self::Open => State::Open,
            Self::CloseSent { .. } | Self::CloseReceived | Self::Failed | Self::Draining(_) => State::Closing,
            Self::Closed => State::Closed,
        }
    }

    /// Returns whether a frame with this opcode can be sent in this phase (§5.5.1, §5.5.2).
    #[inline]
    fn can_send(&self, opcode: OpCode) -> bool {
        match self {
            Self::Open | Self::CloseReceived | Self::Failed => true,
            Self::CloseSent { .. } => opcode == OpCode::Pong,
            _ => false,
        }
    }

    /// Returns the Close that replies to the peer's, if it has not been sent. It has the same code (§5.5.1).
    fn close_reply(&self, code: CloseCode) -> Option<Frame> {
        matches!(self, Self::CloseReceived).then(|| Frame::close(code, ""))
    }

    /// Returns the Close that fails the connection, if it has not been sent (§7.1.7).
    fn failure(&self, err: ProtocolError) -> Option<Frame> {
        matches!(self, Self::Failed).then(|| Frame::close(err.close_code(), ""))
    }
}

impl State {
    /// Returns whether the closing handshake has begun or is over.
    ///
    /// See the example of [`Connection::role`].
    pub fn is_ending(self) -> bool {
        matches!(self, Self::Closing | Self::Closed)
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("role", &self.role)
            .field("phase", &self.phase)
            .field("reserved", &self.receiver.reserved)
            .finish_non_exhaustive()
    }
}
