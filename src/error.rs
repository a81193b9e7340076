//! What can go wrong, as callers and handlers see it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::str::Utf8Error;

#[cfg(feature = "ssl")]
use openssl::error::ErrorStack;
#[cfg(feature = "ssl")]
use openssl::ssl::{Error as SslError, HandshakeError};
#[cfg(feature = "ssl")]
use openssl::x509::X509VerifyResult;

#[cfg(feature = "ssl")]
use crate::tcp_stream::TcpStream;

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
    /// TLS failed; the connection is dropped.
    #[cfg(feature = "ssl")]
    Ssl(SslError),
    /// The handshake of TLS failed; there is no connection.
    #[cfg(feature = "ssl")]
    SslHandshake(HandshakeError<TcpStream>),
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
            kind => return kind.duplicate_cause(self.details.clone()),
        };
        Self { kind, details: self.details.clone() }
    }

    /// Turns the error into the box that `?` in a `main` function wants.
    pub fn into_box(self) -> Box<dyn StdError> {
        Box::new(self)
    }
}

impl ErrorKind {
    /// The error beneath, if there is one.
    fn cause(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Encoding(err) => Some(err),
            Self::Io(err) => Some(err),
            Self::Http(err) => Some(err),
            Self::Queue(err) => Some(err),
            Self::Custom(err) => Some(err.as_ref()),
            kind => kind.tls_cause(),
        }
    }

    #[cfg(feature = "ssl")]
    fn tls_cause(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Ssl(err) => Some(err),
            Self::SslHandshake(err) => Some(err),
            _ => None,
        }
    }

    #[cfg(not(feature = "ssl"))]
    fn tls_cause(&self) -> Option<&(dyn StdError + 'static)> {
        None
    }

    /// Says the same in a new error, as far as that can be done for one that cannot be copied.
    #[cfg(feature = "ssl")]
    fn duplicate_cause(&self, details: Cow<'static, str>) -> Error {
        let (err, verified) = match self {
            Self::Ssl(err) => (err, X509VerifyResult::OK),
            Self::SslHandshake(HandshakeError::Failure(midway) | HandshakeError::WouldBlock(midway)) => {
                (midway.error(), midway.ssl().verify_result())
            }
            _ => return Error::new(Self::Custom(self.to_string().into()), details),
        };
        let kind = match (err.ssl_error(), err.io_error()) {
            (Some(stack), _) => Self::Ssl(stack.clone().into()),
            (None, Some(err)) => Self::Io(io::Error::new(err.kind(), err.to_string())),
            (None, None) => Self::Io(io::ErrorKind::UnexpectedEof.into()),
        };
        // What the copy of a failed handshake no longer knows.
        let details = match verified {
            X509VerifyResult::OK => details,
            refusal => Cow::Owned(refusal.to_string()),
        };
        Error::new(kind, details)
    }

    /// Says the same in a new error, as far as that can be done for one that cannot be copied.
    #[cfg(all(feature = "reactor", not(feature = "ssl")))]
    fn duplicate_cause(&self, details: Cow<'static, str>) -> Error {
        Error::new(Self::Custom(self.to_string().into()), details)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internal => f.write_str("internal application error"),
            Self::Capacity => f.write_str("a limit was reached"),
            Self::Protocol => f.write_str("the WebSocket protocol was broken"),
            Self::Http(err) => write!(f, "HTTP could not be parsed: {err}"),
            kind => kind.cause().map_or(Ok(()), |err| write!(f, "{err}")),
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
        self.kind.cause()
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

#[cfg(feature = "ssl")]
impl From<SslError> for Error {
    fn from(err: SslError) -> Self {
        Self::new(ErrorKind::Ssl(err), "")
    }
}

#[cfg(feature = "ssl")]
impl From<ErrorStack> for Error {
    fn from(err: ErrorStack) -> Self {
        Self::new(ErrorKind::Ssl(err.into()), "")
    }
}

#[cfg(feature = "ssl")]
impl From<HandshakeError<TcpStream>> for Error {
    fn from(err: HandshakeError<TcpStream>) -> Self {
        Self::new(ErrorKind::SslHandshake(err), "")
    }
}

impl<E: StdError + Send + Sync + 'static> From<Box<E>> for Error {
    fn from(err: Box<E>) -> Self {
        Self::new(ErrorKind::Custom(err), "")
    }
}
