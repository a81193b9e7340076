//! The receiving side: bytes to frames, frames to messages (§5, §6.2), and the effects of control frames (§5.5).

use std::time::{Duration, Instant};

use super::manual::Received;
use super::timeouts::{AUTOMATIC_PING, note_input};
use super::{Core, Event, Phase};
use crate::close;
use crate::message::Message;
use crate::protocol::deflate::Codec;
use crate::protocol::framing::assembler::{self, Assembler, whole_message};
#[cfg(feature = "reactor")]
use crate::protocol::framing::decoder::ReceivedBuffer;
use crate::protocol::framing::decoder::{DataFrames, FrameDecoder};
use crate::protocol::framing::frame::{Frame, len64};
use crate::protocol::framing::header::{OpCode, Reserved, Rules};
use crate::protocol::framing::message_ref::MessageRef;
use crate::protocol::{Config, ProtocolError, Role};

/// How much of a message is decompressed when it arrives, if the front end continues in steps, in bytes.
pub(crate) const FIRST_STEP: usize = 64 * 1024;

/// What has been received of the frame and of the message in progress.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    decoder: FrameDecoder,
    message: Option<Box<Assembler>>,
    /// Whether a message is in progress on the wire. A front end may have withheld its frames from `message`.
    in_message: bool,
    /// Whether the front end has paused reading, so that the peer cannot be blamed for silence.
    pub(super) is_paused: bool,
    /// For how many milliseconds the peer was silent before the pause.
    pub(super) silence: u32,
    /// Whether Pings have been sent at intervals. The program does not expect the Pongs for them.
    pub(super) has_automatic_pings: bool,
    /// Which reserved bits have a meaning.
    pub(super) reserved: Reserved,
}

/// What a [`Receiver`] needs of its connection.
#[derive(Clone, Copy)]
struct Terms<'a> {
    role: Role,
    config: &'a Config,
    codec: Option<&'a Codec>,
}

impl Receiver {
    /// Returns how many bytes of the payload in progress are missing.
    #[inline]
    pub(super) fn missing(&self) -> u64 {
        self.decoder.missing()
    }

    /// Returns whether a part of a frame or of a message has arrived.
    #[cfg(feature = "reactor")]
    #[inline]
    pub(super) fn is_mid_message(&self) -> bool {
        self.awaits_rest() || self.message.is_some()
    }

    /// Returns whether the peer has not sent all of a message or frame. Earlier fragments stay until the last one is accepted.
    #[inline]
    pub(super) fn awaits_rest(&self) -> bool {
        self.in_message || self.decoder.is_mid_frame()
    }

    /// Returns whether a fragment is not decompressed yet. What follows it waits.
    #[inline]
    pub(super) fn is_decompressing(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.is_decompressing())
    }

    /// Returns how much memory the unfinished message occupies, in bytes.
    #[cfg(feature = "reactor")]
    pub(super) fn held(&self, codec: Option<&Codec>) -> usize {
        let message = self.message.as_ref().map_or(0, |message| message.capacity());
        let inflater = codec.map_or(0, Codec::held_by_message);
        self.decoder.held().saturating_add(message).saturating_add(inflater)
    }

    /// The front end pauses reading, after this much silence of the peer.
    pub(super) fn pause(&mut self, silence: Duration) {
        if !std::mem::replace(&mut self.is_paused, true) {
            self.silence = u32::try_from(silence.as_millis()).unwrap_or(u32::MAX);
        }
    }

    /// Takes a message off the input, if the next frame is one by itself that no extension has changed.
    #[inline(always)]
    fn whole_message<'a>(
        &self,
        input: &mut &'a mut [u8],
        role: Role,
        config: &Config,
    ) -> Result<Option<MessageRef<'a>>, ProtocolError> {
        if self.in_message || self.message.is_some() || self.reserved == Reserved::Any {
            return Ok(None);
        }
        self.decoder.whole_message(input, role, config.max_frame_size.min(config.max_message_size))
    }

    /// Lends the memory in which the payload in progress continues.
    pub(super) fn lend(&mut self) -> Option<&mut [u8]> {
        self.decoder.lend()
    }

    /// Adds what was written to the memory that was lent. Returns the frame if it is complete.
    pub(super) fn receive_lent(
        &mut self,
        len: usize,
        has_codec: bool,
    ) -> Result<Option<Frame>, ProtocolError> {
        let mut frame = self.decoder.add_lent(len)?;
        // Fuzz targets also lend the memory of control frames, which are too short otherwise.
        if let Some(frame) = frame.as_mut().filter(|frame| !frame.is_control()) {
            self.note_data(frame, has_codec);
        }
        Ok(frame)
    }

    /// Whether a whole message can follow that no extension has changed.
    #[cfg(feature = "reactor")]
    fn is_between_messages(&self) -> bool {
        !self.is_mid_message() && self.reserved != Reserved::Any
    }

    /// Returns the length of the payload if the input is a binary message in a single frame, or its beginning.
    #[cfg(feature = "reactor")]
    pub(super) fn only_message(&self, input: &[u8], role: Role, config: &Config) -> Option<usize> {
        let most = config.max_frame_size.min(config.max_message_size);
        let (header, _) = FrameDecoder::only_message(input, role, most)?;
        if self.is_between_messages() { usize::try_from(header.len).ok() } else { None }
    }

    /// Receives `head` and the beginning of a buffer that may become the memory of a message.
    #[cfg(feature = "reactor")]
    pub(super) fn receive_buffer(
        &mut self,
        head: &[u8],
        buffer: Vec<u8>,
        len: usize,
        role: Role,
        config: &Config,
    ) -> ReceivedBuffer {
        if !self.is_between_messages() {
            return ReceivedBuffer::Input(buffer);
        }
        let most = config.max_frame_size.min(config.max_message_size);
        self.decoder.receive_buffer(head, buffer, len, role, most)
    }

    /// Decodes the next frame.
    fn next_frame(
        &mut self,
        input: &mut &mut [u8],
        terms: Terms<'_>,
        data: DataFrames,
    ) -> Result<Option<Frame>, ProtocolError> {
        let rules = self.rules(terms);
        let mut frame = self.decoder.next_frame(input, &rules, self.message.as_deref(), data)?;
        if let Some(frame) = frame.as_mut().filter(|frame| !frame.is_control()) {
            self.note_data(frame, terms.codec.is_some());
        }
        Ok(frame)
    }

    /// A data frame is complete.
    fn note_data(&mut self, frame: &mut Frame, has_codec: bool) {
        self.in_message = !frame.is_final();
        if has_codec {
            frame.understand_compression();
        }
    }

    fn rules(&self, Terms { role, config, codec }: Terms<'_>) -> Rules {
        let headroom = codec.map_or(0, |codec| len64(codec.headroom(config.max_message_size)));
        Rules {
            role,
            masking_strict: config.masking_strict,
            reserved: self.reserved,
            in_message: self.in_message,
            max_frame: len64(config.max_frame_size),
            room: assembler::room(self.message.as_deref(), config, headroom),
            headroom,
        }
    }

    /// Adds a data frame to its message; returns the message if it is complete.
    #[inline]
    fn assemble(
        &mut self,
        frame: Frame,
        mut codec: Option<&mut Codec>,
        config: &Config,
        step: usize,
    ) -> Result<Option<Message>, ProtocolError> {
        let is_final = frame.is_final();
        match (&mut self.message, frame.opcode()) {
            (Some(message), OpCode::Continue) => message.push(frame, config)?,
            (None, OpCode::Continue) => return Err(ProtocolError::LoneContinuation),
            (Some(_), _) => return Err(ProtocolError::InterruptedMessage),
            (None, _) if is_final && (codec.is_none() || !frame.has_rsv1()) => {
                return whole_message(frame).map(Some);
            }
            (None, _) => {
                let message = Assembler::begin(frame, codec.as_deref_mut(), config)?;
                self.message = Some(Box::new(message));
            }
        }
        self.decompress(step, codec, config)
    }

    /// Decompresses the fragment that has arrived last, or a part of it. Returns the message if it is complete.
    pub(super) fn decompress(
        &mut self,
        step: usize,
        mut codec: Option<&mut Codec>,
        config: &Config,
    ) -> Result<Option<Message>, ProtocolError> {
        let Some(message) = &mut self.message else { return Ok(None) };
        if !message.decompress(step, codec.as_deref_mut(), config)? {
            return Ok(None);
        }
        let complete = self.message.take_if(|message| message.has_ended());
        complete.map(|message| message.finish(codec, config)).transpose()
    }
}

impl Core {
    /// Takes a message off the input, if the next frame is one by itself. This is the first branch of receiving.
    #[inline(always)]
    pub(super) fn whole_message<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        now: Instant,
    ) -> Result<Option<MessageRef<'a>>, ProtocolError> {
        if !matches!(self.phase, Phase::Open) {
            return Ok(None);
        }
        let message = self.receiver.whole_message(input, self.role, &self.config)?;
        if message.is_some() {
            note_input(self, now);
        }
        Ok(message)
    }

    /// Takes the next event off the input, or the next frame that must be accepted.
    pub(super) fn receive_next(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Received>, ProtocolError> {
        // Every read ends with a call that finds the input used up.
        if input.is_empty() || self.receiver.is_decompressing() {
            return Ok(None);
        }
        let received = match self.phase {
            Phase::Opening(_) => self.receive_head(input, now).map(|event| event.map(Received::Event)),
            Phase::Answering { .. } => Ok(None),
            Phase::Open => self.measured_frame(input, now).map(|frame| frame.map(Received::Frame)),
            Phase::CloseSent { .. } => self.next_frame(input).map(|frame| frame.map(Received::Frame)),
            Phase::CloseReceived | Phase::Failed | Phase::Draining(_) | Phase::Closed => {
                self.phase.discard(input);
                Ok(None)
            }
        };
        received.inspect_err(|err| self.fail(*err, now, out))
    }

    /// Decodes the next frame of an open connection, and records the progress of the message.
    fn measured_frame(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
    ) -> Result<Option<Frame>, ProtocolError> {
        note_input(self, now);
        let before = input.len();
        let frame = self.next_frame(input)?;
        let is_control = frame.as_ref().is_some_and(Frame::is_control);
        self.measure_message(before.saturating_sub(input.len()), is_control, now);
        Ok(frame)
    }

    fn next_frame(&mut self, input: &mut &mut [u8]) -> Result<Option<Frame>, ProtocolError> {
        let is_closing = matches!(self.phase, Phase::CloseSent { .. });
        let data = if is_closing { DataFrames::Discard } else { DataFrames::Keep };
        let terms = Terms { role: self.role, config: &self.config, codec: self.codec.as_deref() };
        loop {
            match self.receiver.next_frame(input, terms, data)? {
                Some(frame) if is_closing && !counts_after_close(&frame) => {}
                Some(frame) if self.receiver.has_automatic_pings && is_automatic_pong(&frame) => {}
                frame => return Ok(frame),
            }
        }
    }

    /// Acts on a frame, except that no reply is sent. At most `step` bytes are decompressed.
    #[inline]
    pub(super) fn accept(
        &mut self,
        frame: Frame,
        step: usize,
        now: Instant,
    ) -> Result<Option<Event>, ProtocolError> {
        let accepted = match self.phase {
            Phase::Open => self.act_on(frame, step, now),
            Phase::CloseSent { .. } if counts_after_close(&frame) => self.act_on(frame, step, now),
            _ => Ok(None),
        };
        accepted.inspect_err(|_| self.fail_open(now))
    }

    #[inline]
    fn act_on(&mut self, frame: Frame, step: usize, now: Instant) -> Result<Option<Event>, ProtocolError> {
        match frame.opcode() {
            OpCode::Continue | OpCode::Text | OpCode::Binary => {
                let message = self.receiver.assemble(frame, self.codec.as_deref_mut(), &self.config, step)?;
                Ok(message.map(Event::Message))
            }
            OpCode::Ping => Ok(Some(Event::Ping(frame.into_data()))),
            OpCode::Pong => Ok(Some(Event::Pong(frame.into_data()))),
            OpCode::Close => self.receive_close(&frame, now).map(Some),
            OpCode::Bad => Err(ProtocolError::ReservedOpCode),
        }
    }

    fn receive_close(&mut self, frame: &Frame, now: Instant) -> Result<Event, ProtocolError> {
        let (code, reason) = close::parse_payload(frame.as_slice())?;
        let event = Event::Close(code, reason.to_owned());
        self.drop_message();
        if matches!(self.phase, Phase::CloseSent { .. }) {
            self.drain(false, now);
        } else {
            self.phase = Phase::CloseReceived;
            self.deadlines.begin_closing(&self.config, now);
        }
        Ok(event)
    }

    /// Sends the reply that an event requires.
    pub(super) fn reply(&mut self, event: &Event, now: Instant, out: &mut Vec<u8>) {
        let reply = match event {
            // §5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response".
            Event::Ping(payload) => self.pong_for(payload.clone(), out.len()),
            // §5.5.1: "If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint
            // MUST send a Close frame in response."
            Event::Close(code, _) => self.phase.close_reply(*code),
            _ => None,
        };
        if let Some(reply) = reply {
            // It cannot fail: the reply is valid, and the phase allows it.
            let _ = self.transmit(reply, now, out);
        }
    }

    /// Drops the message in progress: no more messages are received.
    pub(super) fn drop_message(&mut self) {
        self.receiver.message = None;
        self.receiver.decoder.discard();
        self.deadlines.message_ends();
        if let Some(codec) = &mut self.codec {
            codec.stop_receiving();
        }
    }
}

/// Whether a frame is the Pong for a Ping that was sent at an interval.
fn is_automatic_pong(frame: &Frame) -> bool {
    frame.opcode() == OpCode::Pong && frame.as_slice() == AUTOMATIC_PING
}

/// After our Close, data is ignored and the peer's Close is awaited (§5.5.1, §7.1.4). Until it arrives, Pings must be answered
/// (§5.5.2).
fn counts_after_close(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Close | OpCode::Ping)
}
