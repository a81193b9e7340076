//! Long messages, which are compressed in steps while the front end does other work.

use std::collections::VecDeque;
use std::sync::Arc;

use super::compressor::Compressor;
use super::{Cache, Codec, thread_local};
use crate::protocol::OpCode;
use crate::protocol::framing::frame::{Frame, Payload};

/// How many bytes of a message a step compresses. Shorter messages are compressed at once.
const STEP: usize = 64 * 1024;

/// A message that is being compressed, and the frames that wait until it is sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    frame: Frame,
    /// How many bytes of the message are compressed.
    read: usize,
    compressed: Vec<u8>,
    /// A compressor of the thread. `None` if the connection has its own.
    shared: Option<Compressor>,
    waiting: VecDeque<Frame>,
}

/// What a step of compression has led to.
#[derive(Debug)]
pub(crate) enum Compressed {
    /// More steps follow.
    Part,
    /// The message is ready to be sent, and then the frames that have waited.
    Ready(Frame, VecDeque<Frame>),
}

impl Codec {
    /// Returns the frame as it can be sent now, compressed if that is quick. `None` if it must wait, because it or an earlier
    /// message is long. [`compress_part`](Self::compress_part) then continues.
    pub(crate) fn compress_or_wait(&mut self, frame: Frame) -> Option<Frame> {
        if let Some(outgoing) = &mut self.outgoing {
            // A Pong is not ordered, and the peer waits for it.
            if frame.opcode() == OpCode::Pong {
                return Some(frame);
            }
            outgoing.waiting.push_back(frame);
            return None;
        }
        if frame.as_slice().len() <= STEP || !self.compresses(&frame) || self.is_known(&frame) {
            return Some(self.compress(frame));
        }
        let shared = (!self.keeps_own).then(|| thread_local::take_compressor(self.key));
        let (compressed, waiting) = (Vec::new(), VecDeque::new());
        self.outgoing = Some(Box::new(Outgoing { frame, read: 0, compressed, shared, waiting }));
        None
    }

    /// Whether another connection has compressed the same payload.
    fn is_known(&self, frame: &Frame) -> bool {
        match frame.as_payload() {
            Payload::Shared(_, cache) => !self.keeps_own && cache.contains(self.key),
            _ => false,
        }
    }
}

impl Codec {
    /// Whether a message is being compressed.
    #[inline]
    pub(crate) fn is_compressing(&self) -> bool {
        self.outgoing.is_some()
    }

    /// The bytes of the messages that wait to be compressed or to be sent.
    pub(crate) fn waiting_len(&self) -> usize {
        let Some(outgoing) = &self.outgoing else { return 0 };
        let lengths = outgoing.waiting.iter().map(|frame| frame.as_slice().len());
        lengths.fold(outgoing.frame.as_slice().len(), usize::saturating_add)
    }

    /// Returns how much memory the messages that wait occupy, in bytes.
    pub(crate) fn held_by_outgoing(&self) -> usize {
        let compressed = self.outgoing.as_ref().map_or(0, |outgoing| outgoing.compressed.capacity());
        self.waiting_len().saturating_add(compressed)
    }

    /// Compresses the next part of a long message. `None` if there is none.
    pub(crate) fn compress_part(&mut self) -> Option<Compressed> {
        let mut outgoing = self.outgoing.take()?;
        let message = outgoing.frame.as_slice();
        let rest = message.get(outgoing.read..).unwrap_or_default();
        let (part, is_last) = rest.get(..STEP).map_or((rest, true), |part| (part, part.len() == rest.len()));
        // A message without context is sent as it is if compression does not make it smaller.
        let most = if self.keeps_own { usize::MAX } else { message.len() };
        let key = self.key;
        let compressor = match &mut outgoing.shared {
            Some(shared) => shared,
            None => self.compressor.get_or_insert_with(|| Box::new(Compressor::kept(key))),
        };
        outgoing.read = outgoing.read.saturating_add(part.len());
        let is_compressed = compressor.compress_part(part, is_last, &mut outgoing.compressed, most).is_some();
        if is_compressed && !is_last {
            self.outgoing = Some(outgoing);
            return Some(Compressed::Part);
        }
        Some(self.finish_outgoing(*outgoing, is_compressed))
    }

    fn finish_outgoing(&mut self, outgoing: Outgoing, is_compressed: bool) -> Compressed {
        let Outgoing { frame, compressed, shared, waiting, .. } = outgoing;
        match shared {
            Some(compressor) => thread_local::give_compressor(compressor),
            // This should be impossible. A new compressor refers to nothing that the peer has not received.
            None if !is_compressed => self.compressor = None,
            None => {}
        }
        let payload = match frame.as_payload() {
            Payload::Shared(_, cache) if !self.keeps_own => {
                let form = cache.insert(self.key, is_compressed.then(|| Arc::new(compressed)));
                form.map(|form| Payload::Shared(form, Cache::default()))
            }
            _ => is_compressed.then_some(Payload::Bytes(compressed)),
        };
        let frame = match payload {
            Some(payload) => frame.into_compressed(payload),
            None => frame,
        };
        Compressed::Ready(frame, waiting)
    }
}
