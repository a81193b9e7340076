//! Extensions of the program (§9).

use super::handshake::Extension;
use super::{Frame, ProtocolError};

/// An extension that the program implements (§5.8, §9): its negotiation, and what it does to frames.
///
/// `blocking::Builder` and `futures::Builder` take a function that creates the extension of each connection. Once both ends
/// have agreed on it, data frames pass through it in both directions, and it can use their reserved bits. Fragments pass one
/// by one. Control frames do not pass through it. An extension excludes permessage-deflate, which is then neither offered nor
/// accepted.
///
/// # Examples
///
/// This extension reverses the bytes of long frames, and marks these with RSV2.
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
    /// Returns the offer of a client. A server recognizes offers by the name.
    ///
    /// See the [example](Self#examples) of this trait.
    fn offer(&self) -> Extension;

    /// Returns the answer of a server to an offer, or `None` to decline it and to try the next one.
    ///
    /// By default the answer is the name without parameters.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Frame;
    /// use sockeye::protocol::handshake::Extension;
    /// use sockeye::protocol::{FrameExtension, ProtocolError};
    ///
    /// /// Sends frames in one of two alphabets, which the client chooses.
    /// #[derive(Default)]
    /// struct Alphabet {
    ///     is_upper: bool,
    /// }
    ///
    /// impl FrameExtension for Alphabet {
    ///     fn offer(&self) -> Extension {
    ///         Extension { name: "x-alphabet".into(), params: vec![("upper".into(), None)] }
    ///     }
    ///
    ///     fn answer(&mut self, offer: &Extension) -> Option<Extension> {
    ///         self.is_upper = offer.params.iter().any(|(name, _)| name == "upper");
    ///         Some(offer.clone())
    ///     }
    ///
    ///     fn agree(&mut self, answer: &Extension) -> Result<(), ProtocolError> {
    ///         self.is_upper = answer.params.iter().any(|(name, _)| name == "upper");
    ///         Ok(())
    ///     }
    ///
    ///     fn encode(&mut self, frame: &mut Frame) -> Result<(), ProtocolError> {
    ///         if self.is_upper {
    ///             frame.payload_mut().make_ascii_uppercase();
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn decode(&mut self, frame: &mut Frame) -> Result<(), ProtocolError> {
    ///         frame.payload_mut().make_ascii_lowercase();
    ///         Ok(())
    ///     }
    /// }
    /// ```
    fn answer(&mut self, offer: &Extension) -> Option<Extension> {
        Some(Extension { name: offer.name.clone(), params: Vec::new() })
    }

    /// Passes the answer of the server to a client. By default every answer is accepted.
    ///
    /// # Errors
    ///
    /// The reason why the answer is not acceptable. It fails the connection.
    ///
    /// See the example of [`answer`](Self::answer).
    fn agree(&mut self, answer: &Extension) -> Result<(), ProtocolError> {
        let _ = answer;
        Ok(())
    }

    /// Changes a data frame before it is sent.
    ///
    /// # Errors
    ///
    /// The reason why the frame cannot be sent. It is returned to the program, and the connection stays open.
    ///
    /// See the [example](Self#examples) of this trait.
    fn encode(&mut self, frame: &mut Frame) -> Result<(), ProtocolError>;

    /// Changes a data frame that was received, before anything else is done with it.
    ///
    /// The result is validated, and the limits of the configuration apply to it, as if it had been received like that. The
    /// extension itself is responsible for the memory that it uses.
    ///
    /// # Errors
    ///
    /// The rule that the frame breaks, for example [`ProtocolError::ReservedBits`]. It fails the connection.
    ///
    /// See the [example](Self#examples) of this trait.
    fn decode(&mut self, frame: &mut Frame) -> Result<(), ProtocolError>;
}
