//! What the sockets without handlers share: their error type, and privately their session, options and buffers.
//!
//! Programs find [`Error`] and [`Result`] under the same names in `blocking`, `futures` and `browser`.

#[cfg(any(feature = "blocking", feature = "futures"))]
mod answer;
pub(crate) mod byte_reader;
mod error;
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) mod opening_heads;
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) mod options;
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) mod outbox;
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) mod output_queue;
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) mod read_buffer;
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) mod reconnection;
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) mod session;

#[cfg(any(feature = "blocking", feature = "futures"))]
pub use self::answer::Answer;
pub use self::error::{Error, InvalidUrl, Result, TimeoutKind};
#[cfg(any(feature = "blocking", feature = "futures"))]
pub use self::reconnection::ReconnectEvent;
#[cfg(any(feature = "blocking", feature = "futures"))]
pub use self::session::ReplyMode;
