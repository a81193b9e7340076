//! Heads and frames through `std::io`, with the signatures that `ws` 0.9 has.
//!
//! The protocol core itself reads slices and appends to vectors.

use std::io::{Cursor, Write};

use crate::error::Result;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Frame, ProtocolError};

impl Request {
    /// Writes the head of the request.
    ///
    /// # Errors
    ///
    /// `Protocol` for a head that must not be sent, such as one with a line break in a header; `Io` if writing fails.
    pub fn format<W: Write>(&self, w: &mut W) -> Result<()> {
        let mut head = Vec::new();
        self.encode(&mut head)?;
        Ok(w.write_all(&head)?)
    }
}

impl Response {
    /// Writes the head of the response, and its body.
    ///
    /// # Errors
    ///
    /// `Protocol` for a head that must not be sent, such as one with a line break in a header; `Io` if writing fails.
    pub fn format<W: Write>(&self, w: &mut W) -> Result<()> {
        let mut head = Vec::new();
        self.encode(&mut head)?;
        Ok(w.write_all(&head)?)
    }
}

impl Frame {
    /// Reads a frame, masked or not, with a payload of up to `max_payload_length` bytes; `None` when it is not all there,
    /// and then the cursor has not moved.
    ///
    /// # Errors
    ///
    /// `Protocol` for a frame that breaks a rule of §5.2 or §5.5, `Capacity` for one that is too long.
    pub fn parse(cursor: &mut Cursor<Vec<u8>>, max_payload_length: u64) -> Result<Option<Self>> {
        let position = cursor.position();
        let start = usize::try_from(position).unwrap_or(usize::MAX);
        let rest = cursor.get_ref().get(start..).unwrap_or_default();
        let Some((frame, len)) = Self::parse_bytes(rest, max_payload_length)? else { return Ok(None) };
        cursor.set_position(position.saturating_add(len));
        Ok(Some(frame))
    }

    /// Writes the frame, masked if a key was set, which is used up by that.
    ///
    /// # Errors
    ///
    /// `Protocol` for a frame that must not be sent; `Io` if writing fails.
    pub fn format<W: Write>(&mut self, w: &mut W) -> Result<()> {
        if !self.is_sendable() {
            return Err(ProtocolError::UnsendableFrame.into());
        }
        let mut bytes = Vec::with_capacity(self.len());
        self.encode(&mut bytes);
        self.remove_mask();
        Ok(w.write_all(&bytes)?)
    }
}
