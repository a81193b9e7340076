//! The two interfaces of the browser.

use super::js::global;

/// The interface of the browser that a connection uses.
///
/// # Examples
///
/// ```no_run
/// use sockeye::browser::{Builder, Interface};
///
/// // A program that receives much, and sends single short messages.
/// let mut builder = Builder::new();
/// if Interface::Stream.is_supported() {
///     builder = builder.interface(Interface::Stream);
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interface {
    /// `WebSocketStream`, which slows down the peer while the program does not receive. Chromium has it since version 124.
    ///
    /// **The page can crash.** In Chromium 156, the process of the page ends ("Aw, Snap!") if the connection is lost, without a
    /// Close of the peer, while a message waits to be sent. This happens in workers as well. Other versions were not tested.
    /// A message waits once the buffers of the browser and of the network are full, which a page cannot see, so no order of
    /// calls is safe. Use this interface only if the program sends little, and must slow down the peer.
    Stream,
    /// `WebSocket`, which every browser has. The default. Messages that the program does not receive wait in memory, up to the limits of
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
}
