//! Payloads that a front end reads into their own memory, so that they are not copied.

use std::time::Instant;

use super::{Core, Phase};
use crate::protocol::ProtocolError;
#[cfg(feature = "reactor")]
use crate::protocol::Role;
#[cfg(feature = "reactor")]
use crate::protocol::framing::decoder::ReceivedBuffer;
use crate::protocol::framing::frame::Frame;
#[cfg(feature = "reactor")]
use crate::protocol::framing::frame::len64;
#[cfg(feature = "reactor")]
use crate::protocol::framing::header::{Header, OpCode};

impl Core {
    /// Lends the memory of the payload in progress.
    pub(super) fn lend(&mut self) -> Option<&mut [u8]> {
        if matches!(self.phase, Phase::Open) { self.receiver.lend() } else { None }
    }

    /// Receives what was written to the memory that was lent. Returns the frame if it is complete.
    pub(super) fn receive_lent(&mut self, len: usize, now: Instant) -> Result<Option<Frame>, ProtocolError> {
        if !matches!(self.phase, Phase::Open) {
            return Ok(None);
        }
        self.deadlines.heard = now;
        let received = self.receiver.receive_lent(len, self.codec.is_some());
        let frame = received.inspect_err(|_| self.fail_open(now))?;
        self.measure_message(len, false, now);
        Ok(frame)
    }

    /// Returns the length of the payload if the next input is a message of its own for which
    /// [`receive_buffer`](Self::receive_buffer) is worthwhile, or the beginning of one.
    #[cfg(feature = "reactor")]
    pub(super) fn only_message(&self, input: &[u8]) -> Option<usize> {
        matches!(self.phase, Phase::Open)
            .then(|| self.receiver.only_message(input, self.role, &self.config))
            .flatten()
    }

    /// Returns the length of the header of a message with a payload of this length, as the peer sends it.
    #[cfg(feature = "reactor")]
    pub(super) fn header_len(&self, len: usize) -> usize {
        let key = (self.role == Role::Server).then_some([0; 4]);
        Header { fin: true, rsv: 0, opcode: OpCode::Binary, key, len: len64(len) }.encoded_len()
    }

    /// Receives `head` and the beginning of a buffer that may become the memory of a message.
    #[cfg(feature = "reactor")]
    pub(super) fn receive_buffer(
        &mut self,
        head: &[u8],
        buffer: Vec<u8>,
        len: usize,
        now: Instant,
    ) -> ReceivedBuffer {
        if !matches!(self.phase, Phase::Open) {
            return ReceivedBuffer::Input(buffer);
        }
        let received = self.receiver.receive_buffer(head, buffer, len, self.role, &self.config);
        if !matches!(received, ReceivedBuffer::Input(_)) {
            self.deadlines.heard = now;
        }
        if matches!(received, ReceivedBuffer::Payload) {
            self.measure_message(head.len().saturating_add(len), false, now);
        }
        received
    }
}
