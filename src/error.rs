//! What can go wrong, as callers and handlers see it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::str::Utf8Error;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Says which kind of trouble an [`Error`] is, and with that what becomes of the connection if a handler returns it.
#[derive(Debug)]
pub enum ErrorKind {
    /// The application failed; an open connection is closed with 1011.
    Internal,
    /// A limit was reached; an open connection is closed with 1009.
    Capacity,
    /// The protocol was broken; an open connection is closed with 1002.
    Protocol,
    /// Text was not UTF-8; an open connection is closed with 1007.
    Encoding(Utf8Error),
    /// A socket, or the system, failed; the connection is dropped.
    Io(io::Error),
    /// The peer's HTTP could not be parsed; the connection is dropped.
    Http(httparse::Error),
    /// A command could not be handed to the event loop; the connection goes on.
    Queue(QueueError),
    /// Any other error of an application; the connection goes on.
    Custom(Box<dyn StdError + Send + Sync>),
}

/// Says why a command did not reach the event loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueError {
    /// As many commands as [`Settings`](crate::Settings) allow are waiting already; later it may fit.
    Full,
    /// The event loop has ended, or is shutting down; it will take nothing any more.
    Disconnected,
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the queue of the event loop is full",
            Self::Disconnected => "the event loop has ended",
        })
    }
}

impl StdError for QueueError {}

/// An error: its kind, and what there is to say about it.
///
/// The details are meant for a log. A peer never sees them; it gets the fixed short text that belongs to the close code
/// or HTTP status.
pub struct Error {
    /// Which kind of trouble this is.
    pub kind: ErrorKind,
    /// What happened, for people; may be empty.
    pub details: Cow<'static, str>,
}

impl Error {
    /// Makes an error of a kind, with details.
    pub fn new<I: Into<Cow<'static, str>>>(kind: ErrorKind, details: I) -> Self {
        Self { kind, details: details.into() }
    }

    /// Makes an error that says the same, for a second who is to hear of it.
    #[cfg(feature = "reactor")]
    pub(crate) fn duplicate(&self) -> Self {
        let kind = match &self.kind {
            ErrorKind::Internal => ErrorKind::Internal,
            ErrorKind::Capacity => ErrorKind::Capacity,
            ErrorKind::Protocol => ErrorKind::Protocol,
            ErrorKind::Encoding(err) => ErrorKind::Encoding(*err),
            ErrorKind::Io(err) => ErrorKind::Io(match err.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(err.kind(), err.to_string()),
            }),
            ErrorKind::Http(err) => ErrorKind::Http(*err),
            ErrorKind::Queue(err) => ErrorKind::Queue(*err),
            ErrorKind::Custom(err) => ErrorKind::Custom(err.to_string().into()),
        };
        Self { kind, details: self.details.clone() }
    }

    /// Turns the error into the box that `?` in a `main` function wants.
    pub fn into_box(self) -> Box<dyn StdError> {
        Box::new(self)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internal => f.write_str("internal application error"),
            Self::Capacity => f.write_str("a limit was reached"),
            Self::Protocol => f.write_str("the WebSocket protocol was broken"),
            Self::Encoding(err) => err.fmt(f),
            Self::Io(err) => err.fmt(f),
            Self::Http(err) => write!(f, "HTTP could not be parsed: {err}"),
            Self::Queue(err) => err.fmt(f),
            Self::Custom(err) => err.fmt(f),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.details.is_empty() {
            write!(f, "WS Error <{:?}>", self.kind)
        } else {
            write!(f, "WS Error <{:?}>: {}", self.kind, self.details)
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.details.is_empty() { self.kind.fmt(f) } else { write!(f, "{}: {}", self.kind, self.details) }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.kind {
            ErrorKind::Internal | ErrorKind::Capacity | ErrorKind::Protocol => None,
            ErrorKind::Encoding(err) => Some(err),
            ErrorKind::Io(err) => Some(err),
            ErrorKind::Http(err) => Some(err),
            ErrorKind::Queue(err) => Some(err),
            ErrorKind::Custom(err) => Some(err.as_ref()),
        }
    }
}

impl From<io::Error> for Error {
    fn from(err: io::Error) -> Self {
        Self::new(ErrorKind::Io(err), "")
    }
}

impl From<httparse::Error> for Error {
    fn from(err: httparse::Error) -> Self {
        Self::new(ErrorKind::Http(err), "")
    }
}

impl From<QueueError> for Error {
    fn from(err: QueueError) -> Self {
        Self::new(ErrorKind::Queue(err), "")
    }
}

impl From<Utf8Error> for Error {
    fn from(err: Utf8Error) -> Self {
        Self::new(ErrorKind::Encoding(err), "")
    }
}

impl<E: StdError + Send + Sync + 'static> From<Box<E>> for Error {
    fn from(err: Box<E>) -> Self {
        Self::new(ErrorKind::Custom(err), "")
    }
}
