//! Bytes to frames, however they are cut (§5.2).

use super::assembler::Assembler;
use super::frame::{Frame, Payload, len64};
use super::header::{Header, MAX_HEADER, OpCode, Plain, Reserved, Rules};
use super::mask::{self, Key};
use super::utf8::Utf8;
use crate::message::Message;
use crate::protocol::buffer_pool;
use crate::protocol::{ProtocolError, Role};

/// The part of a frame that has come so far, when the rest has not. Between frames it takes no more than a pointer.
#[derive(Debug, Default)]
pub(crate) struct Incoming(Option<Box<Part>>);

/// How far a frame has come.
#[derive(Debug)]
enum Part {
    Stub(Stub),
    Partial(Partial),
}

/// The beginning of a header.
#[derive(Debug, Default)]
struct Stub {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

/// A frame whose header is there, and not all of its payload.
#[derive(Debug)]
struct Partial {
    header: Header,
    received: u64,
    content: Content,
}

/// What has come of a payload, unmasked.
#[derive(Debug)]
enum Content {
    /// The whole text of a message: checked and kept as text at once.
    Text(String, Utf8),
    /// A fragment of text: checked as it arrives, kept as bytes, as it may begin or end within a character.
    Fragment(Vec<u8>, Utf8),
    Bytes(Vec<u8>),
    /// The payload is of no interest any more.
    Skipped,
}

/// What becomes of the payloads of data frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    All,
    /// Only those of control frames: our Close is out, the peer's is awaited, and Pings are answered until it is there
    /// (§5.5.1, §5.5.2).
    Control,
}

impl Incoming {
    /// Takes the next frame out of `input`; `None` when all of it is used up and the frame is not complete.
    #[inline]
    pub(crate) fn next(
        &mut self,
        input: &mut &mut [u8],
        rules: &Rules,
        message: Option<&Assembler>,
        keep: Keep,
    ) -> Result<Option<Frame>, ProtocolError> {
        let header = match self.0.take() {
            None => self.header(input, rules)?,
            Some(part) => match *part {
                Part::Stub(stub) => self.rest_of_header(stub, input, rules)?,
                Part::Partial(mut partial) => {
                    if keep == Keep::Control && !partial.header.opcode.is_control() {
                        partial.content = Content::Skipped;
                    }
                    return self.go_on(partial, input);
                }
            },
        };
        let Some(header) = header else { return Ok(None) };
        let is_kept = keep == Keep::All || header.opcode.is_control();
        let content = if is_kept { Content::begin(&header, rules, message) } else { Content::Skipped };
        if is_kept && len64(input.len()) >= header.len {
            return whole_frame(&header, content, input).map(Some);
        }
        self.go_on(Partial { header, received: 0, content }, input)
    }

    /// Takes the next frame out of `input`, as the message that it is, if it is a [plain](Plain) one of up to `most` bytes,
    /// and all there; `None` says only that [`next`](Self::next) is to be asked.
    #[inline]
    pub(crate) fn next_plain(
        &self,
        input: &mut &mut [u8],
        role: Role,
        most: usize,
    ) -> Result<Option<Message>, ProtocolError> {
        let Some(plain) = Plain::parse(input, role).filter(|plain| {
            self.0.is_none() && plain.len <= most && plain.len <= input.len().saturating_sub(plain.start)
        }) else {
            return Ok(None);
        };
        take_front(input, plain.start);
        let bytes = take_front(input, plain.len);
        Ok(Some(match plain.is_text {
            true => Message::Text(text(bytes, plain.key)?),
            false => Message::Binary(unmasked_copy(bytes, plain.key)),
        }))
    }

    /// How much of the payload in progress is still to come, in bytes.
    #[inline]
    pub(crate) fn missing(&self) -> u64 {
        match self.0.as_deref() {
            Some(Part::Partial(partial)) => partial.missing(),
            Some(Part::Stub(_)) | None => 0,
        }
    }

    /// Reads a header from the input.
    #[inline]
    fn header(&mut self, input: &mut &mut [u8], rules: &Rules) -> Result<Option<Header>, ProtocolError> {
        match Header::parse(input, rules)? {
            Some((header, len)) => {
                take_front(input, len);
                Ok(Some(header))
            }
            None if input.is_empty() => Ok(None),
            None => self.rest_of_header(Stub::default(), input, rules),
        }
    }

    /// Reads a header, from what is stashed of it and from the input.
    fn rest_of_header(
        &mut self,
        mut stub: Stub,
        input: &mut &mut [u8],
        rules: &Rules,
    ) -> Result<Option<Header>, ProtocolError> {
        while let Some(byte) = take_front(input, 1).first() {
            stub.push(*byte);
            if let Some((header, _)) = Header::parse(stub.as_slice(), rules)? {
                return Ok(Some(header));
            }
        }
        self.0 = Some(Box::new(Part::Stub(stub)));
        Ok(None)
    }

    fn go_on(&mut self, mut partial: Partial, input: &mut &mut [u8]) -> Result<Option<Frame>, ProtocolError> {
        partial.push(take_front(input, usize::try_from(partial.missing()).unwrap_or(usize::MAX)))?;
        if partial.missing() > 0 {
            self.0 = Some(Box::new(Part::Partial(partial)));
            return Ok(None);
        }
        partial.finish().map(Some)
    }
}

/// A frame that lies in the input as a whole: unmasked and taken out.
#[inline]
fn whole_frame(header: &Header, content: Content, input: &mut &mut [u8]) -> Result<Frame, ProtocolError> {
    let bytes = take_front(input, usize::try_from(header.len).unwrap_or(usize::MAX));
    let payload = match content {
        Content::Text(..) => Payload::text(text(bytes, header.key)?),
        // Checked here as it would be were it cut: nobody is to see the frame if its text is bad.
        Content::Fragment(_, mut utf8) => {
            let payload = unmasked_copy(bytes, header.key);
            utf8.feed(&payload, |_| {})?;
            Payload::Bytes(payload)
        }
        Content::Bytes(_) | Content::Skipped => Payload::Bytes(unmasked_copy(bytes, header.key)),
    };
    Ok(Frame::with_header(header, payload))
}

/// The payload of a whole text message. §8.1: one that is not UTF-8 fails the connection.
#[inline]
fn text(bytes: &mut [u8], key: Option<Key>) -> Result<String, ProtocolError> {
    // Unmasked in place: a text may be copied as such only once it is known to be one.
    if let Some(key) = key {
        mask::apply(key, 0, bytes);
    }
    let text = simdutf8::basic::from_utf8(bytes).map_err(|_| ProtocolError::InvalidUtf8)?;
    Ok(buffer_pool::copy_text(text))
}

/// Copies and unmasks a payload: at once where a buffer has bytes already, and where not, block by block, so that each is
/// still in the fastest cache when it is unmasked.
#[inline]
fn unmasked_copy(bytes: &[u8], key: Option<Key>) -> Vec<u8> {
    /// A multiple of the length of a key.
    const BLOCK: usize = 4 * 1024;
    let Some(key) = key else { return buffer_pool::copy(bytes) };
    let mut copy = buffer_pool::take_used(bytes.len()).unwrap_or_else(|| Vec::with_capacity(bytes.len()));
    if copy.len() >= bytes.len() {
        copy.truncate(bytes.len());
        mask::copy(key, bytes, &mut copy);
        return copy;
    }
    copy.clear();
    for block in bytes.chunks(BLOCK) {
        let start = copy.len();
        copy.extend_from_slice(block);
        mask::apply(key, 0, copy.get_mut(start..).unwrap_or_default());
    }
    copy
}

/// Whether the payload is what the message has, and not what an extension has made of it (§5.8). An extension of the
/// program need not mark what it has changed: it alone knows.
#[inline]
fn is_plain(header: &Header, rules: &Rules) -> bool {
    header.rsv == 0 && rules.reserved != Reserved::Any
}

impl Content {
    #[inline]
    fn begin(header: &Header, rules: &Rules, message: Option<&Assembler>) -> Self {
        match header.opcode {
            _ if !is_plain(header, rules) => Self::Bytes(Vec::new()),
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

impl Partial {
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
        match &mut self.content {
            Content::Text(text, utf8) => utf8.feed(piece, |part| text.push_str(part)),
            Content::Fragment(bytes, utf8) => {
                bytes.extend_from_slice(piece);
                utf8.feed(piece, |_| {})
            }
            Content::Bytes(bytes) => {
                bytes.extend_from_slice(piece);
                Ok(())
            }
            Content::Skipped => Ok(()),
        }
    }

    /// Grows with what has come: to four times as much, which is no memory of the machine before it is written to, and
    /// never beyond the length of the payload. A spare buffer for all of it takes no memory that is not taken already.
    fn make_room(&mut self, piece: usize) {
        let total = usize::try_from(self.header.len).unwrap_or(usize::MAX);
        if let Content::Fragment(bytes, _) | Content::Bytes(bytes) = &mut self.content
            && bytes.capacity() == 0
        {
            *bytes = buffer_pool::take(total).unwrap_or_default();
        }
        if let Content::Text(text, _) = &mut self.content
            && text.capacity() == 0
        {
            *text = buffer_pool::take_text(total).unwrap_or_default();
        }
        let more = |len: usize, capacity: usize| {
            let needed = len.saturating_add(piece);
            let wanted = needed.saturating_mul(4).min(total);
            if capacity < needed { wanted.saturating_sub(len) } else { 0 }
        };
        match &mut self.content {
            Content::Text(text, _) => text.reserve_exact(more(text.len(), text.capacity())),
            Content::Fragment(bytes, _) | Content::Bytes(bytes) => {
                bytes.reserve_exact(more(bytes.len(), bytes.capacity()));
            }
            Content::Skipped => {}
        }
    }

    fn finish(self) -> Result<Frame, ProtocolError> {
        let payload = match self.content {
            Content::Text(text, utf8) => {
                utf8.finish()?;
                Payload::text(text)
            }
            Content::Fragment(bytes, _) | Content::Bytes(bytes) => Payload::Bytes(bytes),
            Content::Skipped => Payload::Bytes(Vec::new()),
        };
        Ok(Frame::with_header(&self.header, payload))
    }
}

impl Stub {
    /// A header is complete with its fourteenth byte at the latest: there is always room.
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
    fn s5_3_a_copy_is_the_same_whatever_was_in_its_buffer() {
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
