//! Bytes to frames and messages, however the stream is split (§5.2).

use super::assembler::Assembler;
use super::frame::{Frame, Payload, len64};
use super::header::{Header, MAX_HEADER, OpCode, Rules};
use super::mask::{self, Key};
use super::message_ref::{Content, MessageRef};
use super::partial_frame::{PartialFrame, PayloadSink};
#[cfg(feature = "reactor")]
use crate::message::Message;
use crate::protocol::{ProtocolError, Role, buffer_pool};

/// Decodes frames out of bytes that arrive in pieces of any size.
///
/// Between frames it takes no more memory than a pointer.
#[derive(Debug, Default)]
pub(crate) struct FrameDecoder(Option<Box<State>>);

/// How much of a frame has arrived.
#[derive(Debug)]
enum State {
    Header(PartialHeader),
    Payload(PartialFrame),
}

/// The first bytes of a header.
#[derive(Debug, Default)]
struct PartialHeader {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

/// What the decoder does with data frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataFrames {
    Keep,
    /// Discard their payloads: our Close was sent, and only control frames matter until the peer's arrives (§5.5.1).
    Discard,
}

/// What a buffer has become in which input was received.
#[cfg(feature = "reactor")]
#[derive(Debug)]
pub(crate) enum ReceivedBuffer {
    Message(Message),
    /// The memory of the payload in progress.
    Payload,
    /// Nothing: it contains other input, which must be decoded.
    Input(Vec<u8>),
}

impl FrameDecoder {
    /// Takes a message off the front of `input`, if the next frame is a whole message of at most `most` bytes that has arrived
    /// completely. This is the first branch of decoding, between messages: nearly every frame is such a message.
    ///
    /// `None` means that [`next_frame`](Self::next_frame) must decide.
    ///
    /// This function and those that it calls are always inlined, because the result of each call would pass through memory.
    /// Without that, an echo of 20 bytes in the event loop takes about 60 instructions more (callgrind).
    #[inline(always)]
    pub(crate) fn whole_message<'a>(
        &self,
        input: &mut &'a mut [u8],
        role: Role,
        most: usize,
    ) -> Result<Option<MessageRef<'a>>, ProtocolError> {
        if self.0.is_some() {
            return Ok(None);
        }
        let Some((header, start)) = Header::parse_whole_message(input, role, len64(most)) else {
            return Ok(None);
        };
        let end = usize::try_from(header.len).unwrap_or(usize::MAX).saturating_add(start);
        if input.len() < end {
            return Ok(None);
        }
        let bytes = take_front(input, end).get_mut(start..).unwrap_or_default();
        Ok(Some(MessageRef(match (header.opcode, header.key) {
            (OpCode::Text, key) => Content::Text(text(bytes, key)?),
            (_, Some(key)) => Content::Masked(bytes, key),
            (_, None) => Content::Bytes(bytes),
        })))
    }

    /// Returns whether a part of a frame has arrived.
    #[inline]
    pub(crate) fn is_mid_frame(&self) -> bool {
        self.0.is_some()
    }

    /// Returns how much memory the frame in progress occupies, in bytes.
    #[cfg(feature = "reactor")]
    pub(crate) fn held(&self) -> usize {
        match self.0.as_deref() {
            Some(State::Payload(partial)) => partial.held(),
            Some(State::Header(_)) | None => 0,
        }
    }

    /// Drops what has arrived of a data frame, because no more messages are received. The rest of the frame is skipped.
    pub(crate) fn discard(&mut self) {
        if let Some(State::Payload(partial)) = self.0.as_deref_mut() {
            partial.discard();
        }
    }

    /// Returns how many bytes of the payload in progress are missing.
    #[inline]
    pub(crate) fn missing(&self) -> u64 {
        match self.0.as_deref() {
            Some(State::Payload(partial)) => partial.missing(),
            Some(State::Header(_)) | None => 0,
        }
    }

    /// Decodes the next frame, from what has arrived of it and from the front of `input`. Returns `None` if all of `input` has
    /// been consumed and the frame is not complete.
    ///
    /// `message` is the message in progress, if there is one.
    pub(crate) fn next_frame(
        &mut self,
        input: &mut &mut [u8],
        rules: &Rules,
        message: Option<&Assembler>,
        data: DataFrames,
    ) -> Result<Option<Frame>, ProtocolError> {
        if input.is_empty() {
            return Ok(None);
        }
        let header = match self.0.as_deref_mut() {
            Some(State::Payload(_)) => return self.continue_payload(|partial| push_front(partial, input)),
            Some(State::Header(partial)) => {
                let partial = std::mem::take(partial);
                self.0 = None;
                self.complete_header(partial, input, rules)?
            }
            None => match Header::parse(input, rules)? {
                Some((header, len)) => {
                    take_front(input, len);
                    Some(header)
                }
                None => self.complete_header(PartialHeader::default(), input, rules)?,
            },
        };
        let Some(header) = header else { return Ok(None) };
        self.begin(header, input, rules, message, data)
    }

    /// Completes a header with bytes of the input.
    fn complete_header(
        &mut self,
        mut partial: PartialHeader,
        input: &mut &mut [u8],
        rules: &Rules,
    ) -> Result<Option<Header>, ProtocolError> {
        while let Some(byte) = take_front(input, 1).first() {
            partial.push(*byte);
            if let Some((header, _)) = Header::parse(partial.as_slice(), rules)? {
                return Ok(Some(header));
            }
        }
        self.0 = Some(Box::new(State::Header(partial)));
        Ok(None)
    }

    /// Begins a frame whose header has been taken off the input.
    fn begin(
        &mut self,
        header: Header,
        input: &mut &mut [u8],
        rules: &Rules,
        message: Option<&Assembler>,
        data: DataFrames,
    ) -> Result<Option<Frame>, ProtocolError> {
        let is_kept = data == DataFrames::Keep || header.opcode.is_control();
        let sink = match is_kept {
            true => PayloadSink::new(&header, rules, message),
            false => PayloadSink::Discarded,
        };
        if is_kept && len64(input.len()) >= header.len {
            return whole_frame(&header, sink, input).map(Some);
        }
        let mut partial = PartialFrame::new(header, sink);
        push_front(&mut partial, input)?;
        if partial.missing() == 0 {
            return partial.finish().map(Some);
        }
        self.0 = Some(Box::new(State::Payload(partial)));
        Ok(None)
    }

    /// Adds to the payload in progress. Returns the frame if it is complete.
    fn continue_payload(
        &mut self,
        add: impl FnOnce(&mut PartialFrame) -> Result<(), ProtocolError>,
    ) -> Result<Option<Frame>, ProtocolError> {
        let Some(State::Payload(partial)) = self.0.as_deref_mut() else { return Ok(None) };
        let added = add(partial);
        if added.is_ok() && partial.missing() > 0 {
            return Ok(None);
        }
        match self.0.take().map(|state| *state) {
            Some(State::Payload(partial)) => added.and_then(|()| partial.finish().map(Some)),
            _ => Ok(None),
        }
    }

    /// Lends the memory in which the payload in progress continues, if that is at least a few kilobytes. A front end can read into it.
    pub(crate) fn lend(&mut self) -> Option<&mut [u8]> {
        match self.0.as_deref_mut() {
            Some(State::Payload(partial)) => partial.lend(),
            Some(State::Header(_)) | None => None,
        }
    }

    /// Adds what was written to the memory that was lent. Returns the frame if it is complete.
    pub(crate) fn add_lent(&mut self, len: usize) -> Result<Option<Frame>, ProtocolError> {
        self.continue_payload(|partial| partial.add_lent(len))
    }
}

#[cfg(feature = "reactor")]
impl FrameDecoder {
    /// Returns the header of the first frame and its own length, if `input` is a binary message in a single frame of at most `most`
    /// bytes, or its beginning.
    pub(crate) fn only_message(input: &[u8], role: Role, most: usize) -> Option<(Header, usize)> {
        let is_alone = |(header, start): &(Header, usize)| {
            header.opcode == OpCode::Binary && len64(input.len().saturating_sub(*start)) <= header.len
        };
        Header::parse_whole_message(input, role, len64(most)).filter(is_alone)
    }

    /// Receives `head` and the first `len` bytes of a buffer, between messages. If these are a binary message in a single frame, or its
    /// beginning, and the buffer is not much longer than the message, it becomes the memory of the message. This is cheapest if the
    /// header of the frame is in `head` and nothing else.
    pub(crate) fn receive_buffer(
        &mut self,
        head: &[u8],
        mut buffer: Vec<u8>,
        len: usize,
        role: Role,
        most: usize,
    ) -> ReceivedBuffer {
        let capacity = buffer.capacity();
        let input = buffer.get_mut(..len).unwrap_or_default();
        let mut first = PartialHeader::default();
        head.iter().chain(&*input).take(MAX_HEADER).for_each(|byte| first.push(*byte));
        let Some((header, start)) = Header::parse_whole_message(first.as_slice(), role, len64(most))
            .filter(|(header, _)| {
                header.opcode == OpCode::Binary && buffer_pool::is_suitable(header.len, capacity)
            })
            .and_then(|(header, start)| Some((header, start.checked_sub(head.len())?)))
            .filter(|(header, start)| len64(len.saturating_sub(*start)) <= header.len)
        else {
            return ReceivedBuffer::Input(buffer);
        };
        mask::move_to_front(header.key, start, input);
        let arrived = len.saturating_sub(start);
        if len64(arrived) < header.len {
            self.0 = Some(Box::new(State::Payload(PartialFrame::begun(header, buffer, arrived))));
            return ReceivedBuffer::Payload;
        }
        buffer.truncate(arrived);
        ReceivedBuffer::Message(Message::Binary(buffer))
    }
}

/// Adds the front of the input to a payload, as much as is missing.
fn push_front(partial: &mut PartialFrame, input: &mut &mut [u8]) -> Result<(), ProtocolError> {
    let missing = usize::try_from(partial.missing()).unwrap_or(usize::MAX);
    partial.push(take_front(input, missing))
}

/// Takes a frame off the input that has arrived completely.
fn whole_frame(header: &Header, sink: PayloadSink, input: &mut &mut [u8]) -> Result<Frame, ProtocolError> {
    let bytes = take_front(input, usize::try_from(header.len).unwrap_or(usize::MAX));
    let payload = match sink {
        PayloadSink::Text(..) => Payload::text(buffer_pool::copy_text(text(bytes, header.key)?)),
        // Validated here as it would be if it arrived in pieces: a program never sees a frame with invalid text.
        PayloadSink::Fragment(_, mut utf8) => {
            let payload = unmasked_copy(bytes, header.key);
            utf8.feed(&payload, |_| {})?;
            Payload::Bytes(payload)
        }
        PayloadSink::Bytes(_) | PayloadSink::Discarded => Payload::Bytes(unmasked_copy(bytes, header.key)),
    };
    Ok(Frame::with_header(header, payload))
}

/// Unmasks and validates the payload of a whole text message. §8.1: text that is not UTF-8 fails the connection.
#[inline]
fn text(bytes: &mut [u8], key: Option<Key>) -> Result<&str, ProtocolError> {
    // Unmasked in place: only bytes that are known to be UTF-8 can be copied as text.
    if let Some(key) = key {
        mask::apply(key, 0, bytes);
    }
    simdutf8::basic::from_utf8(bytes).map_err(|_| ProtocolError::InvalidUtf8)
}

/// Copies and unmasks a payload, into a pooled buffer if there is one.
#[inline(always)]
pub(super) fn unmasked_copy(bytes: &[u8], key: Option<Key>) -> Vec<u8> {
    let Some(key) = key else { return buffer_pool::copy(bytes) };
    match buffer_pool::take_used(bytes.len()) {
        Some(mut copy) if copy.len() >= bytes.len() => {
            copy.truncate(bytes.len());
            mask::copy(key, bytes, &mut copy);
            copy
        }
        buffer => unmasked_blocks(bytes, key, buffer.unwrap_or_default()),
    }
}

/// Copies and unmasks a payload into a buffer of an earlier message, whose memory grows if it is too short.
#[inline(never)]
fn unmasked_blocks(bytes: &[u8], key: Key, mut copy: Vec<u8>) -> Vec<u8> {
    copy.clear();
    if copy.capacity() < bytes.len() {
        copy.reserve_exact(buffer_pool::capacity_for(bytes.len()));
    }
    mask::append(key, bytes, &mut copy);
    copy
}

impl PartialHeader {
    /// Adds a byte. There is always room: a header has at most 14 bytes.
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(usize::from(self.len)) {
            *place = byte;
            self.len = self.len.saturating_add(1);
        }
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&self.bytes)
    }
}

/// Splits up to `len` bytes off the front of the input.
#[inline]
fn take_front<'a>(input: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let all = std::mem::take(input);
    let (front, rest) = all.split_at_mut(len.min(all.len()));
    *input = rest;
    front
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
