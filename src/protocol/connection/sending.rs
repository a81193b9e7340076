//! The sending side: messages, control frames and single frames (§5.5, §6.1).

use std::time::Instant;

use super::Core;
use crate::close::{CloseCode, MAX_REASON};
use crate::protocol::ProtocolError;
use crate::protocol::framing::encoder::{Encode, Output, write_frame};
use crate::protocol::framing::frame::Frame;
use crate::protocol::framing::header::OpCode;

/// Pongs are sent at once while at most this many bytes of output are unsent. Together with the longest Pong that is less
/// than 1 KiB, and more than all that a few Pings with short payloads need.
const PONG_ROOM: usize = 256;

impl Core {
    /// Starts the closing handshake (§7.1.2). From then on nothing can be sent, and no message is received.
    pub(super) fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        check_close(code, reason)?;
        self.transmit(Frame::close(code, reason), now, out)
    }

    /// Sends a frame, or a message, which is a frame by itself. It is always inlined, for the reason of [`write_frame`].
    #[inline(always)]
    pub(super) fn transmit<O: Output>(
        &mut self,
        frame: impl Encode,
        now: Instant,
        out: &mut O,
    ) -> Result<(), ProtocolError> {
        if !frame.is_sendable() {
            return Err(ProtocolError::UnsendableFrame);
        }
        let opcode = frame.header().opcode;
        if !self.phase.can_send(opcode) {
            return Err(ProtocolError::NotOpen);
        }
        let (role, fragment_size) = (self.role, self.config.fragment_size);
        match &mut self.codec {
            Some(codec) if self.has_steps => match codec.compress_or_wait(frame.into()) {
                Some(frame) => write_frame(frame, role, fragment_size, out),
                None => return Ok(()),
            },
            Some(codec) => write_frame(codec.compress(frame.into()), role, fragment_size, out),
            None => write_frame(frame, role, fragment_size, out),
        }
        if opcode == OpCode::Close {
            self.close_is_sent(now);
        }
        Ok(())
    }

    /// Takes out the Pong that waits, if there is one and it can be sent.
    #[inline]
    pub(super) fn pending_pong(&mut self, unsent: usize) -> Option<Frame> {
        if unsent > PONG_ROOM {
            return None;
        }
        let payload = self.deadlines.take_pong()?;
        self.phase.can_send(OpCode::Pong).then(|| Frame::pong(payload))
    }

    /// Returns the Pong that replies to a Ping (§5.5.2), unless it must wait.
    pub(super) fn pong_for(&mut self, payload: Vec<u8>, unsent: usize) -> Option<Frame> {
        self.deadlines.set_pong(payload);
        self.pending_pong(unsent)
    }
}

/// Checks the code and the reason of a Close before it is sent (§5.5, §7.4).
pub(crate) fn check_close(code: CloseCode, reason: &str) -> Result<(), ProtocolError> {
    let has_no_code = matches!(code, CloseCode::Status | CloseCode::Empty);
    if !has_no_code && !code.is_sendable() {
        return Err(ProtocolError::UnsendableCloseCode);
    }
    // §5.5.1: the reason follows the code, so that there is none without a code.
    if reason.len() > MAX_REASON || (has_no_code && !reason.is_empty()) {
        return Err(ProtocolError::ReasonTooLong);
    }
    Ok(())
}
