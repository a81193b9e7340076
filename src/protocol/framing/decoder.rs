//! Bytes to frames and messages, however the stream is split (§5.2).

use super::assembler::Assembler;
use super::frame::{Frame, Payload, len64};
use super::header::{Header, MAX_HEADER, OpCode, Reserved, Rules};
use super::mask::{self, Key};
use super::message_ref::{Content, MessageRef};
use super::utf8::Utf8;
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

/// A frame whose header is complete and whose payload is not.
#[derive(Debug)]
struct PartialFrame {
    header: Header,
    received: u64,
    sink: PayloadSink,
}

/// Where a payload goes as it arrives, unmasked.
#[derive(Debug)]
enum PayloadSink {
    /// The whole text of a message: validated and stored as text.
    Text(String, Utf8),
    /// A fragment of a text: validated as it arrives and stored as bytes, since it may begin or end within a character.
    Fragment(Vec<u8>, Utf8),
    Bytes(Vec<u8>),
    Discarded,
}

/// What the decoder does with data frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataFrames {
    Keep,
    /// Discard their payloads: our Close was sent, and only control frames matter until the peer's arrives (§5.5.1).
    Discard,
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
            Some(State::Payload(partial)) => partial.sink.capacity(),
            Some(State::Header(_)) | None => 0,
        }
    }

    /// Drops what has arrived of a data frame, because no more messages are received. The rest of the frame is skipped.
    pub(crate) fn discard(&mut self) {
        if let Some(State::Payload(partial)) = self.0.as_deref_mut()
            && !partial.header.opcode.is_control()
        {
            partial.sink = PayloadSink::Discarded;
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
        let header = match self.0.take().map(|state| *state) {
            Some(State::Payload(partial)) => return self.fill(partial, input),
            Some(State::Header(partial)) => self.complete_header(partial, input, rules)?,
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
        self.fill(PartialFrame { header, received: 0, sink }, input)
    }

    fn fill(
        &mut self,
        mut partial: PartialFrame,
        input: &mut &mut [u8],
    ) -> Result<Option<Frame>, ProtocolError> {
        partial.push(take_front(input, usize::try_from(partial.missing()).unwrap_or(usize::MAX)))?;
        if partial.missing() > 0 {
            self.0 = Some(Box::new(State::Payload(partial)));
            return Ok(None);
        }
        partial.finish().map(Some)
    }
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

/// Copies and unmasks a payload. Both happen in one pass if a pooled buffer is long enough.
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

/// Copies and unmasks a payload block by block, so that each block is still in the fastest cache when it is unmasked.
#[inline(never)]
fn unmasked_blocks(bytes: &[u8], key: Key, mut copy: Vec<u8>) -> Vec<u8> {
    copy.clear();
    copy.reserve_exact(bytes.len());
    mask::append(key, bytes, &mut copy);
    copy
}

/// Whether no extension has changed the payload (§5.8). An extension of the program does not have to mark the frames that it
/// changes, so that any frame may be changed if there is one.
#[inline]
fn is_unchanged(header: &Header, rules: &Rules) -> bool {
    header.rsv == 0 && rules.reserved != Reserved::Any
}

impl PayloadSink {
    #[cfg(feature = "reactor")]
    fn capacity(&self) -> usize {
        match self {
            Self::Text(text, _) => text.capacity(),
            Self::Fragment(bytes, _) | Self::Bytes(bytes) => bytes.capacity(),
            Self::Discarded => 0,
        }
    }

    #[inline]
    fn new(header: &Header, rules: &Rules, message: Option<&Assembler>) -> Self {
        match header.opcode {
            _ if !is_unchanged(header, rules) => Self::Bytes(Vec::new()),
            OpCode::Text if header.fin => Self::Text(String::new(), Utf8::default()),
            OpCode::Text => Self::Fragment(Vec::new(), Utf8::default()),
            OpCode::Continue => match message.and_then(Assembler::utf8) {
                Some(utf8) => Self::Fragment(Vec::new(), utf8),
                None => Self::Bytes(Vec::new()),
            },
            _ => Self::Bytes(Vec::new()),
        }
    }
}

impl PartialFrame {
    #[inline]
    fn missing(&self) -> u64 {
        self.header.len.saturating_sub(self.received)
    }

    fn push(&mut self, piece: &mut [u8]) -> Result<(), ProtocolError> {
        if let Some(key) = self.header.key {
            mask::apply(key, self.received, piece);
        }
        self.received = self.received.saturating_add(len64(piece.len()));
        self.make_room(piece.len());
        match &mut self.sink {
            PayloadSink::Text(text, utf8) => utf8.feed(piece, |part| text.push_str(part)),
            PayloadSink::Fragment(bytes, utf8) => {
                bytes.extend_from_slice(piece);
                utf8.feed(piece, |_| {})
            }
            PayloadSink::Bytes(bytes) => {
                bytes.extend_from_slice(piece);
                Ok(())
            }
            PayloadSink::Discarded => Ok(()),
        }
    }

    /// Makes room for the next piece. Room grows to four times what has arrived, and never beyond the announced length: a
    /// peer cannot make us allocate by announcing. A pooled buffer may hold all of it, since it is allocated already.
    fn make_room(&mut self, piece: usize) {
        let total = usize::try_from(self.header.len).unwrap_or(usize::MAX);
        if let PayloadSink::Fragment(bytes, _) | PayloadSink::Bytes(bytes) = &mut self.sink
            && bytes.capacity() == 0
        {
            *bytes = buffer_pool::take(total).unwrap_or_default();
        }
        if let PayloadSink::Text(text, _) = &mut self.sink
            && text.capacity() == 0
        {
            *text = buffer_pool::take_text(total).unwrap_or_default();
        }
        let more = |len: usize, capacity: usize| {
            let needed = len.saturating_add(piece);
            let wanted = needed.saturating_mul(4).min(total);
            if capacity < needed { wanted.saturating_sub(len) } else { 0 }
        };
        match &mut self.sink {
            PayloadSink::Text(text, _) => text.reserve_exact(more(text.len(), text.capacity())),
            PayloadSink::Fragment(bytes, _) | PayloadSink::Bytes(bytes) => {
                bytes.reserve_exact(more(bytes.len(), bytes.capacity()));
            }
            PayloadSink::Discarded => {}
        }
    }

    fn finish(self) -> Result<Frame, ProtocolError> {
        let payload = match self.sink {
            PayloadSink::Text(text, utf8) => {
                utf8.finish()?;
                Payload::text(text)
            }
            PayloadSink::Fragment(bytes, _) | PayloadSink::Bytes(bytes) => Payload::Bytes(bytes),
            PayloadSink::Discarded => Payload::Bytes(Vec::new()),
        };
        Ok(Frame::with_header(&self.header, payload))
    }
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
mod tests {
    use super::*;

    #[test]
    fn s5_3_an_unmasked_copy_does_not_depend_on_its_reused_buffer() {
        let key = [1, 2, 3, 4];
        for len in [20, 1000, 10_000] {
            let mut masked = vec![7; len];
            mask::apply(key, 0, &mut masked);
            for used in [0, len - 1, len, len + 3] {
                let mut buffer = Vec::with_capacity(len + 4);
                buffer.resize(used, 9);
                buffer_pool::give(buffer);
                let copy = unmasked_copy(&masked, Some(key));
                assert_eq!(copy.capacity(), len + 4, "the buffer is used again");
                assert_eq!(copy, vec![7; len], "{len} bytes, of which {used} were there");
            }
        }
    }
}
