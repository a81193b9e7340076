//! Extensions of the program (§9).

use super::handshake::Extension;
use super::{Frame, ProtocolError};

/// An extension of the program's own (§5.8, §9): what it is called in the opening handshake, and what it does to frames.
///
/// `blocking::Builder` and `futures::Builder` take what makes one, for each connection. Once both ends have agreed on it,
/// data frames go through it, in both directions, whole or as the fragments that the program sends; their reserved bits are
/// its to use. Control frames do not. It excludes permessage-deflate, which is then neither offered nor accepted.
///
/// # Examples
///
/// One that reverses the bytes of long frames, and says so with RSV2.
///
/// ```
/// use sockeye::Frame;
/// use sockeye::protocol::handshake::Extension;
/// use sockeye::protocol::{FrameExtension, ProtocolError};
///
/// struct Reverse;
///
/// impl FrameExtension for Reverse {
///     fn offer(&self) -> Extension {
///         Extension { name: "x-reverse".into(), params: Vec::new() }
///     }
///
///     fn encode(&mut self, frame: &mut Frame) -> Result<(), ProtocolError> {
///         if frame.payload().len() > 10 {
///             frame.payload_mut().reverse();
///             frame.set_rsv2(true);
///         }
///         Ok(())
///     }
///
///     fn decode(&mut self, frame: &mut Frame) -> Result<(), ProtocolError> {
///         if frame.has_rsv2() {
///             frame.payload_mut().reverse();
///             frame.set_rsv2(false);
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait FrameExtension: Send {
    /// Returns what a client offers. A server knows its own by the name.
    fn offer(&self) -> Extension;

    /// Returns what a server answers to an offer of a client; `None` to decline it, and then the next one is tried. By
    /// default the name alone, whatever the parameters.
    fn answer(&mut self, offer: &Extension) -> Option<Extension> {
        Some(Extension { name: offer.name.clone(), params: Vec::new() })
    }

    /// Tells a client what the server has answered. By default all is well.
    ///
    /// # Errors
    ///
    /// Why the answer is no good; the connection is failed.
    fn agree(&mut self, answer: &Extension) -> Result<(), ProtocolError> {
        let _ = answer;
        Ok(())
    }

    /// Changes a data frame that is to be sent.
    ///
    /// # Errors
    ///
    /// Why it cannot be sent; the program hears of it, and the connection goes on.
    fn encode(&mut self, frame: &mut Frame) -> Result<(), ProtocolError>;

    /// Changes a data frame that has come, before anything else is done with it. What it makes of the frame is checked and
    /// limited as if it had come like that; that the frame does not grow out of bounds here is its own business.
    ///
    /// # Errors
    ///
    /// The rule that the frame breaks, [`ProtocolError::ReservedBits`] for one; the connection is failed.
    fn decode(&mut self, frame: &mut Frame) -> Result<(), ProtocolError>;
}
