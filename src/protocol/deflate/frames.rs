//! Frames that can be compressed, and frames that are (RFC 7692 §6.1).

use crate::protocol::OpCode;
use crate::protocol::framing::frame::{Frame, Payload};

impl Frame {
    /// Whether the frame is a whole message that may be compressed. Fragments are not: their message began without compression.
    pub(super) fn may_be_compressed(&self) -> bool {
        let header = self.header();
        let is_message = header.fin && matches!(header.opcode, OpCode::Text | OpCode::Binary);
        is_message && header.rsv == 0 && self.is_compressible()
    }

    /// Returns the frame with a compressed payload, which is marked by RSV1.
    pub(super) fn into_compressed(self, payload: Payload) -> Self {
        let mut compressed = Self::new(self.is_final(), self.opcode(), payload);
        compressed.set_rsv1(true);
        compressed
    }
}
