//! The state machine of a connection: CONNECTING, OPEN, CLOSING, CLOSED (§4, §5.5, §7).
//!
//! `opening` holds what happens before a connection is open, `receiving` what the peer may send, `sending` what the caller
//! may, and `closing` what happens once the connection is to end.

mod closing;
mod opening;
mod receiving;
mod sending;

#[cfg(any(feature = "reactor", all(feature = "browser", any(target_family = "wasm", sockeye_docs))))]
pub(crate) use self::sending::check_close;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use self::closing::Drain;
use self::opening::Opening;
use super::deflate::Codec;
use super::framing::assembler::Assembler;
use super::framing::decoder::Incoming;
use super::framing::frame::Frame;
use super::framing::header::Reserved;
use super::handshake::{Request, Response};
use super::{Answers, Config, Role};
use crate::close::CloseCode;
use crate::message::Message;

/// One end of a WebSocket connection, from the opening handshake to the end, without any I/O.
///
/// See the [module](super) for how it is driven.
pub struct Connection {
    config: Arc<Config>,
    role: Role,
    phase: Phase,
    reserved: Reserved,
    /// Compression, if that was agreed on.
    codec: Option<Box<Codec>>,
    /// Whether a message is in progress on the wire, which a front end may have hidden from the assembler.
    in_message: bool,
    incoming: Incoming,
    message: Option<Box<Assembler>>,
    /// When the peer was last heard.
    heard: Instant,
    /// While open, when the last Ping went out; in every other phase, when that phase must have ended.
    mark: Option<Instant>,
    pongs: Pongs,
    answers: Answers,
}

/// Where a connection stands; [`State`] is what the RFC calls it.
#[derive(Debug)]
enum Phase {
    /// The head of the peer is awaited, the request by a server, the response by a client.
    Opening(Box<Opening>),
    /// A server has the request, and the front end owes the response.
    Answering {
        /// Whether the method is `HEAD`, to which no body is an answer.
        head_only: bool,
    },
    Open,
    /// Our Close is out, the peer's is awaited.
    CloseSent,
    /// The peer's Close is here, and the front end owes ours.
    CloseReceived,
    /// The peer broke the protocol, and the front end owes the Close that says so.
    Failed,
    /// Both Closes are done with: what is left is to end TCP (§7.1.1).
    Draining(Drain),
    Closed,
}

/// Whether Pings are answered at once.
#[derive(Debug)]
enum Pongs {
    Sent,
    /// Output does not move: the answer to the latest Ping waits (§5.5.3). Few connections are here at a time, and each
    /// would have room for it.
    Held(Box<Option<Vec<u8>>>),
}

/// The states of a connection (§4.1, §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The opening handshake is not complete.
    Connecting,
    /// Messages flow.
    Open,
    /// A Close frame was sent, or received, or the connection is being failed.
    Closing,
    /// Nothing is awaited any more: TCP may be closed.
    Closed,
}

/// What a connection has received. Heads, which come once, are boxed; frames and messages come by the million.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A server got a request, and owes an answer: [`Connection::respond`] or [`Connection::refuse`].
    Request(Box<Request>),
    /// A client got the response that opens the connection; it has been checked.
    Response {
        /// The request, as it was sent.
        request: Box<Request>,
        /// The response.
        response: Box<Response>,
    },
    /// A client got a response that does not open the connection, such as a redirect; the connection is closed.
    Rejected(Box<Response>),
    /// A frame came, and is to be handed back to [`Connection::accept`]; with [`Answers::Manual`] only.
    Frame(Frame),
    /// A whole message came.
    Message(Message),
    /// A Ping came. With [`Answers::Manual`] the front end sends what [`Connection::answer`] returns.
    Ping(Vec<u8>),
    /// A Pong came.
    Pong(Vec<u8>),
    /// The peer's Close came: its code ([`CloseCode::Status`] for none) and its reason. With [`Answers::Manual`] the
    /// front end sends what [`Connection::close_reply`] returns.
    Close(CloseCode, String),
}

impl Connection {
    fn new(config: Arc<Config>, role: Role, opening: Opening, now: Instant) -> Self {
        let mark = now.checked_add(config.handshake_timeout);
        let answers = config.answers;
        Self {
            config,
            role,
            phase: Phase::Opening(Box::new(opening)),
            reserved: Reserved::None,
            codec: None,
            in_message: false,
            incoming: Incoming::default(),
            message: None,
            heard: now,
            mark,
            pongs: Pongs::Sent,
            answers,
        }
    }

    /// Returns which end this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns the state of the connection.
    #[inline]
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Opening(_) | Phase::Answering { .. } => State::Connecting,
            Phase::Open => State::Open,
            Phase::CloseSent | Phase::CloseReceived | Phase::Failed | Phase::Draining(_) => State::Closing,
            Phase::Closed => State::Closed,
        }
    }

    /// Whether an extension of the program has been agreed on, so that reserved bits are its own.
    #[cfg(any(feature = "blocking", feature = "futures"))]
    pub(crate) fn is_extended(&self) -> bool {
        self.reserved == Reserved::Any
    }

    /// Changes who sends the frames that answer the peer; at first it is who [`Config::answers`] says.
    pub fn set_answers(&mut self, answers: Answers) {
        self.answers = answers;
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role)
            .field("phase", &self.phase)
            .field("reserved", &self.reserved)
            .finish_non_exhaustive()
    }
}
