//! A frame whose payload has not arrived completely, and the memory of its payload.

use super::assembler::Assembler;
use super::frame::{Frame, Payload, len64};
use super::header::{Header, OpCode, Reserved, Rules};
use super::mask;
use super::utf8::Utf8;
use crate::protocol::{ProtocolError, buffer_pool};

/// The least memory that is lent for a read, in bytes. To copy less is cheaper than to read it separately. The streams of fuzz targets
/// are short.
const LEND_FROM: usize = if cfg!(fuzzing) { 16 } else { 4 * 1024 };

/// A payload is unmasked, validated and copied in blocks of this length, each of which stays in the fastest cache meanwhile. It is a
/// multiple of the length of a key.
const BLOCK: usize = 4 * 1024;

/// A frame whose header is complete and whose payload is not.
#[derive(Debug)]
pub(super) struct PartialFrame {
    header: Header,
    received: u64,
    sink: PayloadSink,
}

/// Where a payload goes as it arrives, unmasked.
#[derive(Debug)]
pub(super) enum PayloadSink {
    /// The whole text of a message: validated and stored as text.
    Text(String, Utf8),
    /// A fragment of a text: validated as it arrives and stored as bytes, since it may begin or end within a character.
    Fragment(PayloadMemory, Utf8),
    Bytes(PayloadMemory),
    Discarded,
}

/// The part of a payload that has arrived.
#[derive(Debug, Default)]
pub(super) struct PayloadMemory {
    /// Initialized memory. What is in it beyond `len` has no meaning.
    memory: Vec<u8>,
    /// How many bytes of the payload have arrived.
    len: usize,
}

impl PayloadSink {
    #[inline]
    pub(super) fn new(header: &Header, rules: &Rules, message: Option<&Assembler>) -> Self {
        let memory = PayloadMemory::default();
        match header.opcode {
            _ if !is_unchanged(header, rules) => Self::Bytes(memory),
            OpCode::Text if header.fin => Self::Text(String::new(), Utf8::default()),
            OpCode::Text => Self::Fragment(memory, Utf8::default()),
            OpCode::Continue => match message.and_then(Assembler::utf8) {
                Some(utf8) => Self::Fragment(memory, utf8),
                None => Self::Bytes(memory),
            },
            _ => Self::Bytes(memory),
        }
    }

    #[cfg(feature = "reactor")]
    fn capacity(&self) -> usize {
        match self {
            Self::Text(text, _) => text.capacity(),
            Self::Fragment(bytes, _) | Self::Bytes(bytes) => bytes.memory.capacity(),
            Self::Discarded => 0,
        }
    }
}

/// Whether no extension has changed the payload (§5.8). An extension of the program does not have to mark the frames that it
/// changes, so that any frame may be changed if there is one.
#[inline]
fn is_unchanged(header: &Header, rules: &Rules) -> bool {
    header.rsv == 0 && rules.reserved != Reserved::Any
}

impl PartialFrame {
    /// Begins a frame of which only the header has arrived.
    pub(super) fn new(header: Header, sink: PayloadSink) -> Self {
        Self { header, received: 0, sink }
    }

    /// Continues a binary frame. What has arrived of its payload is the first `len` bytes of its memory, unmasked.
    #[cfg(feature = "reactor")]
    pub(super) fn begun(header: Header, memory: Vec<u8>, len: usize) -> Self {
        Self { header, received: len64(len), sink: PayloadSink::Bytes(PayloadMemory { memory, len }) }
    }

    /// Returns how many bytes of the payload are missing.
    #[inline]
    pub(super) fn missing(&self) -> u64 {
        self.header.len.saturating_sub(self.received)
    }

    /// Returns how much memory the payload occupies, in bytes.
    #[cfg(feature = "reactor")]
    pub(super) fn held(&self) -> usize {
        self.sink.capacity()
    }

    /// Drops what has arrived of a data frame, because no more messages are received.
    pub(super) fn discard(&mut self) {
        if !self.header.opcode.is_control() {
            self.sink = PayloadSink::Discarded;
        }
    }

    /// Adds a masked piece of the payload, which is unmasked in place. It must not be longer than what is missing.
    pub(super) fn push(&mut self, piece: &mut [u8]) -> Result<(), ProtocolError> {
        self.make_room(piece.len());
        piece.chunks_mut(BLOCK).try_for_each(|block| self.push_block(block))
    }

    fn push_block(&mut self, block: &mut [u8]) -> Result<(), ProtocolError> {
        if let Some(key) = self.header.key {
            mask::apply(key, self.received, block);
        }
        self.received = self.received.saturating_add(len64(block.len()));
        match &mut self.sink {
            PayloadSink::Text(text, utf8) => utf8.feed(block, |part| text.push_str(part)),
            PayloadSink::Fragment(bytes, utf8) => {
                bytes.append(block);
                utf8.feed(block, |_| {})
            }
            PayloadSink::Bytes(bytes) => {
                bytes.append(block);
                Ok(())
            }
            PayloadSink::Discarded => Ok(()),
        }
    }

    /// Lends the memory in which the payload continues, initialized. `None` if the next piece should be [pushed](Self::push): little
    /// is missing, or there is little memory for it. Text that is not split is stored as text, which has no memory to lend.
    pub(super) fn lend(&mut self) -> Option<&mut [u8]> {
        let total = usize::try_from(self.header.len).unwrap_or(usize::MAX);
        match &mut self.sink {
            PayloadSink::Fragment(bytes, _) | PayloadSink::Bytes(bytes) => bytes.lend(total),
            PayloadSink::Text(..) | PayloadSink::Discarded => None,
        }
    }

    /// Adds what was written to the beginning of the memory that was [lent](Self::lend), and unmasks it.
    pub(super) fn add_lent(&mut self, len: usize) -> Result<(), ProtocolError> {
        let (bytes, mut utf8) = match &mut self.sink {
            PayloadSink::Fragment(bytes, utf8) => (bytes, Some(utf8)),
            PayloadSink::Bytes(bytes) => (bytes, None),
            PayloadSink::Text(..) | PayloadSink::Discarded => return Ok(()),
        };
        for block in bytes.add(len).chunks_mut(BLOCK) {
            if let Some(key) = self.header.key {
                mask::apply(key, self.received, block);
            }
            self.received = self.received.saturating_add(len64(block.len()));
            if let Some(utf8) = &mut utf8 {
                utf8.feed(block, |_| {})?;
            }
        }
        Ok(())
    }

    /// Makes room for the next piece.
    fn make_room(&mut self, piece: usize) {
        let total = usize::try_from(self.header.len).unwrap_or(usize::MAX);
        match &mut self.sink {
            PayloadSink::Text(text, _) => {
                if text.capacity() == 0 {
                    *text = buffer_pool::take_text(total).unwrap_or_default();
                }
                let needed = text.len().saturating_add(piece);
                if text.capacity() < needed {
                    text.reserve_exact(capacity(needed, total).saturating_sub(text.len()));
                }
            }
            PayloadSink::Fragment(bytes, _) | PayloadSink::Bytes(bytes) => bytes.make_room(piece, total),
            PayloadSink::Discarded => {}
        }
    }

    /// Returns the frame. Its payload must have arrived completely.
    pub(super) fn finish(self) -> Result<Frame, ProtocolError> {
        let payload = match self.sink {
            PayloadSink::Text(text, utf8) => {
                utf8.finish()?;
                Payload::text(text)
            }
            PayloadSink::Fragment(bytes, _) | PayloadSink::Bytes(bytes) => Payload::Bytes(bytes.into_vec()),
            PayloadSink::Discarded => Payload::Bytes(Vec::new()),
        };
        Ok(Frame::with_header(&self.header, payload))
    }
}

impl PayloadMemory {
    /// Appends a piece, for which there is [room](Self::make_room).
    fn append(&mut self, piece: &[u8]) {
        let initialized = self.memory.get_mut(self.len..).unwrap_or_default();
        let (known, beyond) = piece.split_at(piece.len().min(initialized.len()));
        initialized.get_mut(..known.len()).unwrap_or_default().copy_from_slice(known);
        self.memory.extend_from_slice(beyond);
        self.len = self.len.saturating_add(piece.len());
    }

    /// Makes room for a piece of a payload of `total` bytes. A pooled buffer may hold all of it, since it is allocated already.
    fn make_room(&mut self, piece: usize, total: usize) {
        if self.memory.capacity() == 0 {
            self.memory = buffer_pool::take_used(total).unwrap_or_default();
        }
        let needed = self.len.saturating_add(piece);
        if self.memory.capacity() < needed {
            self.grow(capacity(needed, total));
        }
    }

    /// Lends initialized memory behind what has arrived of a payload of `total` bytes.
    fn lend(&mut self, total: usize) -> Option<&mut [u8]> {
        if total.saturating_sub(self.len) < LEND_FROM {
            return None;
        }
        if self.memory.capacity().saturating_sub(self.len) < LEND_FROM {
            self.grow(capacity(self.len, total));
        }
        let end = self.memory.capacity().min(total);
        if end.saturating_sub(self.len) < LEND_FROM {
            return None;
        }
        if self.memory.len() < end {
            self.memory.resize(end, 0);
        }
        self.memory.get_mut(self.len..end)
    }

    /// Adds what was written to the memory that was lent, and returns it.
    fn add(&mut self, len: usize) -> &mut [u8] {
        let start = self.len;
        self.len = start.saturating_add(len).min(self.memory.len());
        self.memory.get_mut(start..self.len).unwrap_or_default()
    }

    /// Enlarges the memory to `wanted` bytes. What has no meaning is not moved.
    fn grow(&mut self, wanted: usize) {
        self.memory.truncate(self.len);
        self.memory.reserve_exact(wanted.saturating_sub(self.memory.len()));
    }

    fn into_vec(mut self) -> Vec<u8> {
        self.memory.truncate(self.len);
        self.memory
    }
}

/// Returns how much memory a payload of `total` bytes may occupy of which `needed` have arrived: four times as much, and never
/// more than its length and room for a header. A peer cannot make us allocate by announcing.
fn capacity(needed: usize, total: usize) -> usize {
    let wanted = needed.saturating_mul(4);
    if wanted < total { wanted } else { buffer_pool::capacity_for(total) }
}
