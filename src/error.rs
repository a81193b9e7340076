//! The error type of the event loop and of the functions that are shared with it.
//!
//! The protocol core has its own error, [`ProtocolError`](crate::protocol::ProtocolError), which converts into this one.

mod redaction;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::str::Utf8Error;

#[cfg(feature = "ssl")]
use openssl::error::ErrorStack;
#[cfg(feature = "ssl")]
use openssl::ssl::{Error as SslError, HandshakeError};
#[cfg(all(feature = "ssl", feature = "reactor"))]
use openssl::x509::X509VerifyResult;

pub(crate) use self::redaction::redacted;
#[cfg(feature = "ssl")]
use crate::tcp_stream::TcpStream;

/// Why a build without TLS cannot use a `wss://` URL.
#[cfg(any(
    feature = "reactor",
    feature = "blocking",
    feature = "futures",
    all(feature = "browser", any(target_family = "wasm", sockeye_docs))
))]
pub(crate) const TLS_DISABLED: &str = "this build of sockeye has neither of the features `rustls` and `ssl`";

/// A result with [`Error`] as its error.
///
/// # Examples
///
/// ```
/// use sockeye::{Handler, Message, Result};
///
/// struct Adder(i64);
///
/// impl Handler for Adder {
///     fn on_message(&mut self, msg: Message) -> Result<()> {
///         // Errors of other types become a cause when they are boxed.
///         self.0 += msg.as_text()?.parse::<i64>().map_err(Box::new)?;
///         Ok(())
///     }
/// }
/// ```
pub type Result<T> = std::result::Result<T, Error>;

/// The kind of an [`Error`].
///
/// When a method of a handler returns an error, the kind decides what happens to the connection. The variants are those of
/// `ws`, so a `match` without a wildcard arm compiles.
///
/// # Examples
///
/// ```
/// use sockeye::{Error, ErrorKind, QueueError};
///
/// /// Returns whether a message can be sent again later.
/// fn is_temporary(err: &Error) -> bool {
///     matches!(err.kind, ErrorKind::Queue(QueueError::Full) | ErrorKind::Capacity)
/// }
///
/// assert!(is_temporary(&QueueError::Full.into()));
/// assert!(!is_temporary(&QueueError::Disconnected.into()));
/// ```
#[derive(Debug)]
pub enum ErrorKind {
    /// The application failed. An open connection is closed with 1011.
    Internal,
    /// A limit was exceeded. An open connection is closed with 1009.
    Capacity,
    /// The peer or the caller violated the protocol. An open connection is closed with 1002.
    Protocol,
    /// Text was not UTF-8. An open connection is closed with 1007.
    Encoding(Utf8Error),
    /// A socket or the operating system reported an error. The connection is dropped.
    Io(io::Error),
    /// The HTTP of the peer could not be parsed. The connection is dropped.
    Http(httparse::Error),
    /// A command could not be queued for the event loop. The connection stays open.
    Queue(QueueError),
    /// TLS failed. The connection is dropped.
    #[cfg(feature = "ssl")]
    Ssl(SslError),
    /// The TLS handshake failed, so no connection was established.
    #[cfg(feature = "ssl")]
    SslHandshake(HandshakeError<TcpStream>),
    /// Any other error of the application. The connection stays open.
    Custom(Box<dyn StdError + Send + Sync>),
}

/// The reason why a [`Sender`](crate::Sender) could not queue a command.
///
/// See the example of [`ErrorKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueError {
    /// The queue for other threads contains as many commands as [`Settings`](crate::Settings) allow. A later attempt can
    /// succeed.
    Full,
    /// The command can no longer take effect: the event loop has ended or is shutting down, or a timeout was requested for
    /// a connection that is closed.
    Disconnected,
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the queue of the event loop is full",
            Self::Disconnected => "the event loop has ended, or the connection is closed",
        })
    }
}

impl StdError for QueueError {}

/// An error of the event loop, with a kind and a description.
///
/// The details are for logs and for people. They name what failed: the address, the host, or the missing feature. They are
/// never sent to the peer, which receives a fixed short text that belongs to the close code or HTTP status.
///
/// `Display` writes the details, followed by the error in the kind if there is one:
/// `cannot listen on 127.0.0.1:80: Permission denied (os error 13)`. Without details it writes the kind. `{:?}` writes the
/// same sentence, because `main` prints errors that way; `{:#?}` writes the fields. [`source`](StdError::source) returns the
/// error in the kind.
///
/// # Examples
///
/// ```
/// use sockeye::{Error, ErrorKind};
///
/// let err = Error::new(ErrorKind::Internal, "the database is not reachable");
/// assert_eq!(err.to_string(), "the database is not reachable");
///
/// let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
/// let err = Error { kind: ErrorKind::Io(missing), details: "cannot open chat.log".into() };
/// assert_eq!(err.to_string(), "cannot open chat.log: entity not found");
/// ```
pub struct Error {
    /// The kind of the error, with the underlying error where there is one.
    pub kind: ErrorKind,
    /// A description for people. It can be empty.
    pub details: Cow<'static, str>,
}

impl Error {
    /// Creates an error of a kind with a description.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn new<I: Into<Cow<'static, str>>>(kind: ErrorKind, details: I) -> Self {
        Self { kind, details: details.into() }
    }

    /// Creates an error of the kind `Io`. The details describe what failed, without the reason: `cannot listen on 127.0.0.1:80`.
    #[cfg(feature = "reactor")]
    pub(crate) fn io<I: Into<Cow<'static, str>>>(details: I, err: io::Error) -> Self {
        Self::new(ErrorKind::Io(err), details)
    }

    /// Whether any peer can cause this error, so that this program need not be at fault.
    #[cfg(feature = "reactor")]
    pub(crate) fn is_peer_behavior(&self) -> bool {
        match &self.kind {
            ErrorKind::Protocol | ErrorKind::Encoding(_) | ErrorKind::Capacity => true,
            ErrorKind::Io(err) => matches!(
                err.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::NotConnected
                    | io::ErrorKind::UnexpectedEof
            ),
            _ => false,
        }
    }

    /// Creates a second error with the same kind and details, because `io::Error` and OpenSSL's errors are not `Clone`.
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

    /// Converts the error into a boxed error.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Error, ErrorKind};
    ///
    /// let err = Error::new(ErrorKind::Internal, "the database is not reachable").into_box();
    /// assert_eq!(err.to_string(), "the database is not reachable");
    /// ```
    pub fn into_box(self) -> Box<dyn StdError> {
        Box::new(self)
    }
}

impl ErrorKind {
    /// The underlying error, if there is one.
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

    /// Creates an error with the same meaning. The type of the cause can differ, because these causes cannot be cloned.
    #[cfg(all(feature = "ssl", feature = "reactor"))]
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
        // The copy does not contain the result of the verification.
        let details = match verified {
            X509VerifyResult::OK => details,
            refusal => Cow::Owned(refusal.to_string()),
        };
        Error::new(kind, details)
    }

    /// Creates an error with the same meaning. The type of the cause can differ, because these causes cannot be cloned.
    #[cfg(all(feature = "reactor", not(feature = "ssl")))]
    fn duplicate_cause(&self, details: Cow<'static, str>) -> Error {
        Error::new(Self::Custom(self.to_string().into()), details)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internal => f.write_str("internal application error"),
            Self::Capacity => f.write_str("a limit was exceeded"),
            Self::Protocol => f.write_str("the WebSocket protocol was violated"),
            Self::Http(err) => write!(f, "cannot parse HTTP: {err}"),
            kind => kind.cause().map_or(Ok(()), |err| write!(f, "{err}")),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            f.debug_struct("Error").field("kind", &self.kind).field("details", &self.details).finish()
        } else {
            fmt::Display::fmt(self, f)
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.details, self.kind.cause()) {
            ("", _) => write!(f, "{}", self.kind),
            (details, None) => f.write_str(details),
            (details, Some(_)) => write!(f, "{details}: {}", self.kind),
        }
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
