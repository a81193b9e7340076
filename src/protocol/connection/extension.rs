//! The extension of a program (§9) while the connection lasts: its negotiation, and the frames that pass through it.

use super::manual::ManualConnection;
use crate::protocol::handshake::{Extension, Request, Response};
use crate::protocol::{Frame, FrameExtension, OpCode, ProtocolError};

/// The status that opens a connection (§4.2.2).
const SWITCHING_PROTOCOLS: u16 = 101;

/// Owns the extension of the program, if there is one. It is dropped when the ends do not agree on it.
#[derive(Default)]
pub(crate) struct ProgramExtension(Option<Box<dyn FrameExtension>>);

impl ProgramExtension {
    pub(crate) fn new(extension: Option<Box<dyn FrameExtension>>) -> Self {
        Self(extension)
    }

    /// Adds the offer to the request of a client.
    pub(crate) fn offer(&self, request: &mut Request) {
        if let Some(extension) = &self.0 {
            request.add_extension(&extension.offer().to_string());
        }
    }

    /// Adds the answer of a server to a response that opens the connection. §9.1: of the offers that the server accepts, the
    /// first one counts.
    pub(crate) fn answer(&mut self, request: &Request, response: &mut Response) {
        if response.status() != SWITCHING_PROTOCOLS {
            return;
        }
        let Some(mut extension) = self.0.take() else { return };
        let name = extension.offer().name;
        let offers = Extension::parse_all(request.fields()).unwrap_or_default();
        let mut offers = offers.iter().filter(|offer| offer.name == name);
        if let Some(answer) = offers.find_map(|offer| extension.answer(offer)) {
            response.add_extension(&answer.to_string());
            self.0 = Some(extension);
        }
    }

    /// Passes the answer of the server to the extension of a client.
    pub(crate) fn agree(&mut self, response: &Response) -> Result<(), ProtocolError> {
        let Some(mut extension) = self.0.take() else { return Ok(()) };
        let name = extension.offer().name;
        let answers = Extension::parse_all(response.fields())?;
        if let Some(answer) = answers.iter().find(|answer| answer.name == name) {
            extension.agree(answer)?;
            self.0 = Some(extension);
        }
        Ok(())
    }

    /// Changes a data frame that is about to be sent, if the connection can send it.
    pub(crate) fn encode(
        &mut self,
        frame: &mut Frame,
        connection: &ManualConnection,
    ) -> Result<(), ProtocolError> {
        match &mut self.0 {
            Some(extension) if is_data(frame) && connection.can_send(frame.opcode()) => {
                extension.encode(frame)
            }
            _ => Ok(()),
        }
    }

    /// Changes a data frame that was received.
    pub(crate) fn decode(&mut self, frame: &mut Frame) -> Result<(), ProtocolError> {
        match &mut self.0 {
            Some(extension) if is_data(frame) => extension.decode(frame),
            _ => Ok(()),
        }
    }
}

/// Extensions do not change control frames.
fn is_data(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Continue | OpCode::Text | OpCode::Binary)
}
