//! The two interfaces of the browser.

use super::js::global;

/// The interface of the browser that a connection uses.
///
/// # Examples
///
/// ```no_run
/// use sockeye::browser::{Builder, Interface};
///
/// // This is also the default.
/// let best = if Interface::Stream.is_supported() { Interface::Stream } else { Interface::Standard };
/// let builder = Builder::new().interface(best);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interface {
    /// `WebSocketStream`, which slows down the peer while the program does not receive. Chromium has it since version 124.
    ///
    /// In Chromium 156 the whole page crashes if the connection is lost while a message is being sent. Programs that send more
    /// than the network can carry should use [`Standard`](Self::Standard).
    Stream,
    /// `WebSocket`, which every browser has. Messages that the program does not receive wait in memory, up to the limits of
    /// the [`Builder`](super::Builder).
    Standard,
}

impl Interface {
    /// Returns whether the interface exists in this window, worker, or other environment.
    pub fn is_supported(self) -> bool {
        global(self.name()).is_function()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stream => "WebSocketStream",
            Self::Standard => "WebSocket",
        }
    }

    /// The interface that slows down the peer, if it exists.
    pub(super) fn best() -> Self {
        if Self::Stream.is_supported() { Self::Stream } else { Self::Standard }
    }
}
