//! A small extension (§9). Both endpoints agree on a number, which changes the bytes of data frames. RSV2 is set in
//! them.

use sockeye::Frame;
use sockeye::protocol::handshake::Extension;
use sockeye::protocol::{FrameExtension, ProtocolError};

/// The number of one endpoint. After the agreement, both endpoints use the number of the client.
#[derive(Debug, Clone, Copy)]
pub struct Flip(pub u8);

impl Flip {
    fn apply(self, frame: &mut Frame) {
        frame.payload_mut().iter_mut().for_each(|byte| *byte ^= self.0);
    }
}

impl FrameExtension for Flip {
    fn offer(&self) -> Extension {
        Extension { name: "x-flip".into(), params: vec![("by".into(), Some(self.0.to_string()))] }
    }

    fn answer(&mut self, offer: &Extension) -> Option<Extension> {
        self.0 = offer.params.first()?.1.as_ref()?.parse().ok()?;
        Some(self.offer())
    }

    fn agree(&mut self, answer: &Extension) -> Result<(), ProtocolError> {
        if *answer == self.offer() { Ok(()) } else { Err(ProtocolError::ExtensionMismatch) }
    }

    fn encode(&mut self, frame: &mut Frame) -> Result<(), ProtocolError> {
        self.apply(frame);
        frame.set_rsv2(true);
        Ok(())
    }

    fn decode(&mut self, frame: &mut Frame) -> Result<(), ProtocolError> {
        if !frame.has_rsv2() || frame.has_rsv1() || frame.has_rsv3() {
            return Err(ProtocolError::ReservedBits);
        }
        self.apply(frame);
        frame.set_rsv2(false);
        Ok(())
    }
}
