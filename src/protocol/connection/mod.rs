//! The state machine of a connection: CONNECTING, OPEN, CLOSING, CLOSED (§4, §5.5, §7).
//!
//! `opening` holds what happens before a connection is open, `closing` what happens once it is to end, and `sending`
//! all that the caller may ask for.

mod closing;
mod opening;
mod sending;

#[cfg(any(feature = "reactor", all(feature = "browser", any(target_family = "wasm", sockeye_docs))))]
pub(crate) use self::sending::check_close;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use self::closing::Drain;
use self::opening::Opening;
use super::assembler::{self, Assembler, whole_message};
use super::deflate::Codec;
use super::frame::{Frame, len64};
use super::handshake::{Request, Response};
use super::header::{OpCode, Reserved, Rules};
use super::incoming::{Incoming, Keep};
use super::{Answers, Config, ProtocolError, Role};
use crate::close::{self, CloseCode};
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

    /// Returns how much of the payload in progress has not come yet, in bytes, so that a front end can read more at
    /// once.
    #[inline]
    pub fn missing(&self) -> u64 {
        self.incoming.missing()
    }

    /// Takes bytes that came from the peer, off the front of `input`, up to the next event.
    ///
    /// To be called until it returns `None`: then all of `input` is used up, except while the front end owes the answer
    /// to a request. Text is unmasked where it lies in `input`. `now` is any clock that never goes back.
    ///
    /// # Errors
    ///
    /// The rule that the peer broke. The connection is failed by then (§7.1.7): what is to be sent is in `out`, and
    /// everything that still comes is discarded. With [`Answers::Manual`] the front end owes the Close frame, which
    /// [`Connection::failure`] makes.
    #[inline]
    pub fn receive(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, ProtocolError> {
        if self.answers == Answers::Manual
            && self.is_between_messages()
            && let Some(frame) = self.next_plain(input).map_err(|err| self.failed(err, now, out))?
        {
            self.heard = now;
            return Ok(Some(Event::Frame(frame)));
        }
        self.receive_any(input, now, out)
    }

    /// Does what [`receive`](Self::receive) does, whatever comes.
    fn receive_any(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, ProtocolError> {
        if !input.is_empty() {
            self.heard = now;
        }
        let received = match self.phase {
            Phase::Open | Phase::CloseSent => self.receive_frames(input, now, out),
            Phase::Opening(_) => self.receive_head(input),
            Phase::Answering { .. } => Ok(None),
            Phase::CloseReceived | Phase::Failed | Phase::Draining(_) | Phase::Closed => {
                self.discard(input);
                Ok(None)
            }
        };
        received.map_err(|err| self.failed(err, now, out))
    }

    /// Takes bytes as [`receive`](Self::receive) does, up to the next frame, whoever sends the answers. It is to be handed
    /// to [`accept`](Self::accept), as one that came as [`Event::Frame`].
    ///
    /// For front ends whose program may want to look at frames. Only of use once the connection is open: within the
    /// opening handshake nothing is taken.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn receive_frame(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Frame>, ProtocolError> {
        if !input.is_empty() {
            self.heard = now;
        }
        let received = match self.phase {
            Phase::Open | Phase::CloseSent => self.next_counting_frame(input),
            Phase::Opening(_) | Phase::Answering { .. } => Ok(None),
            Phase::CloseReceived | Phase::Failed | Phase::Draining(_) | Phase::Closed => {
                self.discard(input);
                Ok(None)
            }
        };
        received.map_err(|err| self.failed(err, now, out))
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

    /// Takes a frame back that came as [`Event::Frame`], and acts on it; a frame that is not handed back has not been.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    #[inline]
    pub fn accept(
        &mut self,
        frame: Frame,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, ProtocolError> {
        let is_message = matches!(frame.opcode(), OpCode::Text | OpCode::Binary) && frame.is_final();
        if is_message && self.is_between_messages() {
            let message = whole_message(frame).map_err(|err| self.failed(err, now, out))?;
            return Ok(Some(Event::Message(message)));
        }
        self.accept_any(frame, now, out)
    }

    fn accept_any(
        &mut self,
        frame: Frame,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, ProtocolError> {
        let accepted = match self.phase {
            Phase::Open => self.take_frame(frame, now, out),
            Phase::CloseSent if counts_after_close(&frame) => self.take_frame(frame, now, out),
            _ => Ok(None),
        };
        accepted.map_err(|err| self.failed(err, now, out))
    }

    #[inline]
    fn receive_frames(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, ProtocolError> {
        while let Some(frame) = self.next_counting_frame(input)? {
            if self.answers == Answers::Manual {
                return Ok(Some(Event::Frame(frame)));
            }
            let event = self.take_frame(frame, now, out)?;
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// The next frame that anyone is to hear of.
    #[inline]
    fn next_counting_frame(&mut self, input: &mut &mut [u8]) -> Result<Option<Frame>, ProtocolError> {
        if self.is_between_messages()
            && let Some(frame) = self.next_plain(input)?
        {
            return Ok(Some(frame));
        }
        while let Some(frame) = self.next_frame(input)? {
            if !matches!(self.phase, Phase::CloseSent) || counts_after_close(&frame) {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// The next frame, if it is a message as most are; `None` says nothing.
    #[inline]
    fn next_plain(&mut self, input: &mut &mut [u8]) -> Result<Option<Frame>, ProtocolError> {
        let most = self.config.max_frame_size.min(self.config.max_message_size);
        self.incoming.next_plain(input, self.role, most)
    }

    /// Whether the connection is open, no extension has been agreed on, and no message is in progress, so that a message
    /// in a single frame is complete in itself.
    #[inline]
    fn is_between_messages(&self) -> bool {
        matches!(self.phase, Phase::Open)
            && self.reserved == Reserved::None
            && self.codec.is_none()
            && !self.in_message
            && self.message.is_none()
    }

    #[inline]
    fn next_frame(&mut self, input: &mut &mut [u8]) -> Result<Option<Frame>, ProtocolError> {
        let keep = if matches!(self.phase, Phase::CloseSent) { Keep::Control } else { Keep::All };
        let mut frame = self.incoming.next(input, &self.rules(), self.message.as_deref(), keep)?;
        if let Some(frame) = frame.as_mut().filter(|frame| !frame.is_control()) {
            self.in_message = !frame.is_final();
            if self.codec.is_some() {
                frame.understand_compression();
            }
        }
        Ok(frame)
    }

    #[inline]
    fn rules(&self) -> Rules {
        let slack = self.codec.as_ref().map_or(0, |codec| len64(codec.slack(self.config.max_message_size)));
        Rules {
            role: self.role,
            masking_strict: self.config.masking_strict,
            reserved: self.reserved,
            in_message: self.in_message,
            max_frame: len64(self.config.max_frame_size),
            room: assembler::room(self.message.as_deref(), &self.config, slack),
            slack,
        }
    }

    #[inline]
    fn take_frame(
        &mut self,
        frame: Frame,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, ProtocolError> {
        match frame.opcode() {
            OpCode::Text | OpCode::Binary => self.begin_message(frame),
            OpCode::Continue => self.continue_message(frame),
            OpCode::Ping => self.take_ping(frame.into_data(), now, out),
            OpCode::Pong => Ok(Some(Event::Pong(frame.into_data()))),
            OpCode::Close => self.take_close(&frame, now, out),
            OpCode::Bad => Err(ProtocolError::ReservedOpCode),
        }
    }

    #[inline]
    fn begin_message(&mut self, frame: Frame) -> Result<Option<Event>, ProtocolError> {
        if self.message.is_some() {
            return Err(ProtocolError::InterruptedMessage);
        }
        let (is_final, is_compressed) = (frame.is_final(), frame.has_rsv1() && self.codec.is_some());
        if is_final && !is_compressed {
            return whole_message(frame).map(|message| Some(Event::Message(message)));
        }
        let message = Assembler::begin(frame, self.codec.as_deref_mut(), &self.config)?;
        if is_final {
            return self.end_message(message);
        }
        self.message = Some(Box::new(message));
        Ok(None)
    }

    fn continue_message(&mut self, frame: Frame) -> Result<Option<Event>, ProtocolError> {
        let is_final = frame.is_final();
        let message = self.message.as_mut().ok_or(ProtocolError::LoneContinuation)?;
        message.push(frame, self.codec.as_deref_mut(), &self.config)?;
        if !is_final {
            return Ok(None);
        }
        let message = self.message.take().ok_or(ProtocolError::LoneContinuation)?;
        self.end_message(*message)
    }

    fn end_message(&mut self, message: Assembler) -> Result<Option<Event>, ProtocolError> {
        let message = message.finish(self.codec.as_deref_mut(), &self.config)?;
        Ok(Some(Event::Message(message)))
    }

    /// No message is taken any more.
    fn drop_message(&mut self) {
        self.message = None;
        if let Some(codec) = &mut self.codec {
            codec.stop_receiving();
        }
    }

    /// §5.5.2: a Ping MUST be answered with a Pong, as soon as is practical.
    fn take_ping(
        &mut self,
        payload: Vec<u8>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, ProtocolError> {
        if self.answers == Answers::Automatic
            && let Some(pong) = self.answer(payload.clone())
        {
            self.send_frame(pong, now, out)?;
        }
        Ok(Some(Event::Ping(payload)))
    }

    fn take_close(
        &mut self,
        frame: &Frame,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, ProtocolError> {
        let (code, reason) = close::parse_payload(frame.as_slice())?;
        let event = Event::Close(code, reason.to_owned());
        self.drop_message();
        if matches!(self.phase, Phase::CloseSent) {
            self.drain(false, now);
            return Ok(Some(event));
        }
        self.phase = Phase::CloseReceived;
        self.mark = now.checked_add(self.config.close_timeout);
        if self.answers == Answers::Automatic {
            self.send_frame(Frame::close(code, ""), now, out)?;
        }
        Ok(Some(event))
    }
}

/// After our Close no data is taken any more, whenever it was sent; the peer's Close is awaited (§5.5.1, §7.1.4), and
/// until it comes a Ping MUST be answered (§5.5.2).
fn counts_after_close(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Close | OpCode::Ping)
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
