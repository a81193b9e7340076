//! Event-driven WebSockets.
mod close;
mod error;
mod message;
pub mod protocol;
pub use close::CloseCode;
pub use error::{Error, ErrorKind, QueueError, Result};
pub use message::Message;
pub use protocol::handshake::{Origins, Request, Response};
pub use protocol::{Frame, OpCode};
