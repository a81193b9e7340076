//! What the caller sends: messages, control frames, whole frames (§5.5, §6.1).

use std::time::Instant;

use super::{Connection, Phase, Pongs};
use crate::close::{CloseCode, MAX_REASON};
use crate::message::Message;
use crate::protocol::ProtocolError;
use crate::protocol::framing::encoder::{Output, write_frame, write_message};
use crate::protocol::framing::frame::Frame;
use crate::protocol::framing::header::OpCode;

impl Connection {
    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NotOpen`] before the connection is open, and after a Close was sent; nothing is written then.
    #[inline]
    pub fn send<O: Output>(
        &mut self,
        message: impl Into<Message>,
        now: Instant,
        out: &mut O,
    ) -> Result<(), ProtocolError> {
        let message = message.into();
        if !matches!(self.phase, Phase::Open) || self.codec.is_some() {
            return self.send_frame(Frame::from(message), now, out);
        }
        write_message(message, self.role, self.config.fragment_size, out);
        Ok(())
    }

    /// Whether this is an open server's end whose messages are sent as they are, without masking and compression.
    #[cfg(feature = "reactor")]
    pub(crate) fn is_plain_server(&self) -> bool {
        self.role == crate::protocol::Role::Server
            && matches!(self.phase, Phase::Open)
            && self.codec.is_none()
    }

    /// Sends a Ping, with up to 125 bytes that the peer will return (§5.5.2).
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NotOpen`] unless the connection is open, [`ProtocolError::UnsendableFrame`] for a longer payload.
    pub fn ping(
        &mut self,
        payload: impl Into<Vec<u8>>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        self.send_frame(Frame::ping(payload.into()), now, out)
    }

    /// Sends a Pong that nobody asked for, with up to 125 bytes (§5.5.3).
    ///
    /// # Errors
    ///
    /// As [`ping`](Self::ping).
    pub fn pong(
        &mut self,
        payload: impl Into<Vec<u8>>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        self.send_frame(Frame::pong(payload.into()), now, out)
    }

    /// Starts the closing handshake (§7.1.2). From then on nothing can be sent, and no message is received.
    ///
    /// [`CloseCode::Status`] sends a Close frame without a code.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NotOpen`] unless the connection is open, [`ProtocolError::UnsendableCloseCode`] for a code that
    /// may not be sent, [`ProtocolError::ReasonTooLong`] for a reason of more than 123 bytes.
    pub fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        check_close(code, reason)?;
        self.send_frame(Frame::close(code, reason), now, out)
    }

    /// Sends a frame as it is, except that it is masked as the role wants, and cut if it is longer than
    /// [`Config::fragment_size`](crate::protocol::Config::fragment_size). Who sends fragments sees to their order.
    ///
    /// A frame that is a whole message is compressed first, if permessage-deflate has been agreed on, and the frame
    /// [may be](Frame::is_compressible).
    ///
    /// A Close frame starts the closing handshake, or answers the peer's.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NotOpen`] unless [`can_send`](Self::can_send) says that the frame may be sent,
    /// [`ProtocolError::UnsendableFrame`] for a frame that the RFC forbids. Nothing is written then.
    #[inline]
    pub fn send_frame<O: Output>(
        &mut self,
        frame: Frame,
        now: Instant,
        out: &mut O,
    ) -> Result<(), ProtocolError> {
        if !frame.is_sendable() {
            return Err(ProtocolError::UnsendableFrame);
        }
        if !self.can_send(frame.opcode()) {
            return Err(ProtocolError::NotOpen);
        }
        let is_close = frame.opcode() == OpCode::Close;
        let frame = match &mut self.codec {
            Some(codec) => codec.compress(frame),
            None => frame,
        };
        write_frame(frame, self.role, self.config.fragment_size, out);
        if is_close {
            self.close_is_sent(now);
        }
        Ok(())
    }

    /// Returns whether a frame of this kind may be sent now: any until our Close is out, also by who owes that Close, so
    /// that what was meant for the peer goes before it; then only the answers to Pings (§5.5.1, §5.5.2).
    #[inline]
    pub fn can_send(&self, opcode: OpCode) -> bool {
        matches!(self.phase, Phase::Open) || self.can_send_while_closing(opcode)
    }

    fn can_send_while_closing(&self, opcode: OpCode) -> bool {
        match self.phase {
            Phase::CloseReceived | Phase::Failed => true,
            Phase::CloseSent => opcode == OpCode::Pong,
            _ => false,
        }
    }

    /// Makes the Pong that answers a Ping; `None` while Pongs are held back, and then it is owed.
    pub fn answer(&mut self, payload: Vec<u8>) -> Option<Frame> {
        match &mut self.pongs {
            Pongs::Sent => Some(Frame::pong(payload)),
            // §5.5.3: of several Pings that wait for their answer, the latest may be answered alone.
            Pongs::Held(owed) => {
                **owed = Some(payload);
                None
            }
        }
    }

    /// Holds back the answers to Pings, because output does not move; only the latest is kept.
    pub fn hold_pongs(&mut self) {
        if matches!(self.pongs, Pongs::Sent) {
            self.pongs = Pongs::Held(Box::default());
        }
    }

    /// Ends [`hold_pongs`](Self::hold_pongs); returns the Pong that is owed, and now to be sent.
    pub fn release_pongs(&mut self) -> Option<Frame> {
        let Pongs::Held(owed) = std::mem::replace(&mut self.pongs, Pongs::Sent) else { return None };
        owed.filter(|_| self.can_send(OpCode::Pong)).map(Frame::pong)
    }
}

/// Checks what a Close frame of ours is to carry (§5.5, §7.4).
pub(crate) fn check_close(code: CloseCode, reason: &str) -> Result<(), ProtocolError> {
    let has_no_code = matches!(code, CloseCode::Status | CloseCode::Empty);
    if !has_no_code && !code.is_sendable() {
        return Err(ProtocolError::UnsendableCloseCode);
    }
    // Without a code there is no place for a reason (§5.5.1).
    if reason.len() > MAX_REASON || (has_no_code && !reason.is_empty()) {
        return Err(ProtocolError::ReasonTooLong);
    }
    Ok(())
}
