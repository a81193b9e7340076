//! What the peer sends: bytes to frames, frames to messages (§5, §6.2), and what a control frame brings about (§5.5).

use std::time::Instant;

use super::{Connection, Event, Phase};
use crate::close;
use crate::message::Message;
use crate::protocol::framing::assembler;
use crate::protocol::framing::assembler::{Assembler, whole_message};
use crate::protocol::framing::decoder::Keep;
use crate::protocol::framing::frame::{Frame, len64};
use crate::protocol::framing::header::{OpCode, Reserved, Rules};
use crate::protocol::{Answers, ProtocolError};

impl Connection {
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
        let message = self.receive_message(input, now, out)?;
        match (message, self.answers) {
            (Some(message), Answers::Automatic) => Ok(Some(Event::Message(message))),
            (Some(message), Answers::Manual) => Ok(Some(Event::Frame(Frame::from(message)))),
            (None, _) => self.receive_any(input, now, out),
        }
    }

    /// Takes bytes as [`receive`](Self::receive) does if the next thing is a message in a single frame, and all there; `None`
    /// says nothing. Whoever sends the answers, this is not a frame that is to be handed back.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    #[inline]
    pub(crate) fn receive_message(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Message>, ProtocolError> {
        if !self.is_between_messages() {
            return Ok(None);
        }
        let most = self.config.max_frame_size.min(self.config.max_message_size);
        let message = self.incoming.next_plain(input, self.role, most);
        let message = message.map_err(|err| self.failed(err, now, out))?;
        if message.is_some() {
            self.heard = now;
        }
        Ok(message)
    }

    /// Does what [`receive`](Self::receive) does, when [`receive_message`](Self::receive_message) has found nothing.
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
        if let Some(message) = self.receive_message(input, now, out)? {
            return Ok(Some(Frame::from(message)));
        }
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
        while let Some(frame) = self.next_frame(input)? {
            if !matches!(self.phase, Phase::CloseSent) || counts_after_close(&frame) {
                return Ok(Some(frame));
            }
        }
        Ok(None)
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
    pub(super) fn drop_message(&mut self) {
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
