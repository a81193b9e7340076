//! Which of the browser's two interfaces is used.

use super::js::global;

/// The interface of the browser that a connection goes through.
///
/// # Examples
///
/// ```no_run
/// use sockeye::browser::{Builder, Interface};
///
/// // Without this line, the same choice is made.
/// let best = if Interface::Stream.is_supported() { Interface::Stream } else { Interface::Standard };
/// let builder = Builder::new().interface(best);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interface {
    /// `WebSocketStream`, which holds the peer back as long as the program does not receive. Chromium has it from 124 on.
    ///
    /// In Chromium 156 the whole page crashes if the connection is lost while a message waits for the network to take it.
    /// Who sends more than the network takes, or has reason to fear that, is better served by the other one.
    Stream,
    /// `WebSocket`, which every browser has. What the program does not receive waits in memory, up to the limits of the
    /// [`Builder`](super::Builder).
    Standard,
}

impl Interface {
    /// Returns whether the interface is there, in this window, worker, or whatever else runs the program.
    pub fn is_supported(self) -> bool {
        global(self.name()).is_function()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stream => "WebSocketStream",
            Self::Standard => "WebSocket",
        }
    }

    /// The one that holds the peer back, where it is there.
    pub(super) fn best() -> Self {
        if Self::Stream.is_supported() { Self::Stream } else { Self::Standard }
    }
}
