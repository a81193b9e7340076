//! The error of the sockets without handlers, its conversions, and its texts.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;

use url::ParseError;

use crate::connecting::proxy::ProxyError;
use crate::error::{Error as ReactorError, ErrorKind, TLS_DISABLED, redacted};
use crate::message::Message;
use crate::protocol::handshake::Rejected;
use crate::protocol::{Frame, ProtocolError};

/// The result of an operation on a socket without handlers.
///
/// # Examples
///
/// ```
/// use sockeye::socket::{Error, Result, TimeoutKind};
///
/// /// Treats silence as the end.
/// fn or_end<T>(received: Result<Option<T>>) -> Result<Option<T>> {
///     match received {
///         Err(Error::Timeout(TimeoutKind::Idle)) => Ok(None),
///         received => received,
///     }
/// }
///
/// assert_eq!(or_end(Ok(Some(1)))?, Some(1));
/// # sockeye::socket::Result::Ok(())
/// ```
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation on a socket without handlers failed.
///
/// A connection that ends with a closing handshake is not an error. `blocking`, `futures` and `browser` return this type
/// from all their methods. It converts into [`sockeye::Error`](crate::Error) and into [`io::Error`], so that `?` works in
/// functions that return one of these.
///
/// # Examples
///
/// ```
/// use sockeye::socket::{Error, TimeoutKind};
///
/// /// Returns whether it makes sense to connect again.
/// fn is_temporary(error: &Error) -> bool {
///     match error {
///         Error::Connect { .. } | Error::ConnectionLost(_) => true,
///         Error::Timeout(kind) => *kind != TimeoutKind::Read,
///         Error::Rejected(rejected) => rejected.response().status() == 503,
///         _ => false,
///     }
/// }
///
/// assert!(is_temporary(&Error::Timeout(TimeoutKind::Idle)));
/// assert!(!is_temporary(&Error::Closed));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke a rule or exceeded a limit, or the program tried to send something that is not allowed.
    ///
    /// If the peer is at fault, it receives a Close frame with the [code](ProtocolError::close_code) of the rule
    /// (RFC 6455 §7.1.7), and the connection is closed. If the program is at fault, the connection stays open.
    Protocol(ProtocolError),
    /// A message or frame cannot be sent, because a Close frame was sent or received, or the connection has ended.
    Closed,
    /// The connection ended without a closing handshake (RFC 6455 §7.1.5).
    ///
    /// The error is that of the stream. If the peer just ended TCP, its kind is
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof).
    ConnectionLost(io::Error),
    /// Something took too long.
    Timeout(TimeoutKind),
    /// The message was not accepted, because more than `max_buffered` bytes are waiting to be sent, or because the queue of a client that
    /// connects again is full.
    ///
    /// The message can be sent again after a `flush`, or when the client is connected.
    Full(Message),
    /// The frame was not accepted, because more than `max_buffered` bytes are waiting to be sent.
    FullFrame(Box<Frame>),
    /// More was received than may wait for the program, so the connection was closed.
    ///
    /// Only the browser's socket returns this error: `max_received` and `max_received_messages` are its limits.
    Overflow,
    /// The opening handshake was answered with another status than 101.
    ///
    /// [`Rejected::response`] contains the status, the headers and the body. [`Rejected::redirect`] returns the target of
    /// a redirect.
    Rejected(Rejected),
    /// A client cannot connect to a URL of this form.
    Url(InvalidUrl),
    /// No address of the host accepts a connection, or the host is unknown.
    Connect {
        /// The host and port, which can be those of a proxy, the path of the Unix domain socket, or the URL without its credentials.
        target: String,
        /// The error of the last attempt.
        source: io::Error,
    },
    /// The proxy did not connect to the server.
    Proxy(ProxyError),
    /// The TLS handshake failed, or a certificate or key cannot be used.
    Tls(Box<dyn StdError + Send + Sync>),
    /// A `wss://` URL needs TLS, and this build has none. It contains the host of the URL.
    TlsDisabled(String),
    /// An operation of the system failed. The connection is still there.
    ///
    /// A stream in nonblocking mode returns the kind [`WouldBlock`](io::ErrorKind::WouldBlock). Nothing is lost then. The socket
    /// of `browser` returns the kind [`Unsupported`](io::ErrorKind::Unsupported) for what a browser cannot do.
    Io(io::Error),
    /// Another function of this crate failed, for instance [`Message::as_text`].
    Other(Box<ReactorError>),
}

/// Which [timeout](Error::Timeout) has expired.
///
/// See the example of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeoutKind {
    /// The builder's `connect_timeout`. There is no connection.
    Connect,
    /// [`Config::handshake_timeout`](crate::protocol::Config::handshake_timeout). There is no connection.
    Handshake,
    /// [`Config::idle_timeout`](crate::protocol::Config::idle_timeout). The connection is closed.
    Idle,
    /// The read timeout of a blocking socket. The connection stays open, and nothing is lost.
    Read,
    /// [`Config::write_timeout`](crate::protocol::Config::write_timeout), or the write timeout of the stream of a blocking
    /// socket. Nothing can be sent any more.
    Write,
}

/// A URL that a client cannot connect to, and the reason.
///
/// # Examples
///
/// ```
/// use sockeye::socket::{Error, InvalidUrl};
///
/// fn report(error: &Error) {
///     if let Error::Url(invalid) = error {
///         eprintln!("check the setting `server`: {}", invalid.url());
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidUrl {
    url: String,
    reason: Cow<'static, str>,
    cause: Option<ParseError>,
}

impl Error {
    /// Returns the response of a rejected opening handshake.
    ///
    /// See the example of `Rejected` in [`handshake`](crate::protocol::handshake).
    pub fn rejected(&self) -> Option<&Rejected> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            _ => None,
        }
    }

    /// The error for a connection whose peer ended TCP too early.
    fn cut_off(reason: ProtocolError) -> Self {
        Self::ConnectionLost(io::Error::new(io::ErrorKind::UnexpectedEof, reason))
    }
}

impl InvalidUrl {
    /// The URL is not a URL at all.
    #[cfg(any(feature = "blocking", feature = "futures"))]
    pub(crate) fn syntax(url: &str, cause: ParseError) -> Self {
        Self { url: redacted(url), reason: cause.to_string().into(), cause: Some(cause) }
    }

    /// The URL has a form that does not suit a WebSocket. The reason can contain the URL again.
    pub(crate) fn unsuitable(url: &str, reason: impl Into<Cow<'static, str>>) -> Self {
        let reason = reason.into();
        let reason = if reason.contains('@') { redacted(&reason).into() } else { reason };
        Self { url: redacted(url), reason, cause: None }
    }

    /// Returns the URL, with `***` in place of the user and the password.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(err) => err.fmt(f),
            Self::Closed => f.write_str("the connection is closed, so nothing more can be sent"),
            Self::ConnectionLost(err) => write!(f, "the connection was lost: {err}"),
            Self::Timeout(kind) => kind.fmt(f),
            Self::Full(message) => {
                write!(
                    f,
                    "too many bytes wait to be sent: a message of {} bytes was not accepted",
                    message.len()
                )
            }
            Self::FullFrame(frame) => write!(
                f,
                "too many bytes wait to be sent: a frame with {} bytes was not accepted",
                frame.payload().len()
            ),
            Self::Overflow => f.write_str("more was received than may wait for the program"),
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Url(err) => err.fmt(f),
            Self::Connect { target, source } => write!(f, "cannot connect to {target}: {source}"),
            Self::Proxy(err) => err.fmt(f),
            Self::Tls(err) => write!(f, "TLS failed: {err}"),
            Self::TlsDisabled(host) => {
                write!(f, "cannot connect to {host} with TLS: {TLS_DISABLED}")
            }
            Self::Io(err) => err.fmt(f),
            Self::Other(err) => err.fmt(f),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Protocol(err) => Some(err),
            Self::ConnectionLost(err) | Self::Io(err) | Self::Connect { source: err, .. } => Some(err),
            Self::Rejected(err) => Some(err),
            Self::Url(err) => Some(err),
            Self::Proxy(err) => Some(err),
            Self::Tls(err) => Some(err.as_ref()),
            Self::Other(err) => Some(err.as_ref()),
            Self::Closed
            | Self::Timeout(_)
            | Self::Full(_)
            | Self::FullFrame(_)
            | Self::Overflow
            | Self::TlsDisabled(_) => None,
        }
    }
}

impl fmt::Display for TimeoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting took too long",
            Self::Handshake => "the opening handshake took too long",
            Self::Idle => "the peer was silent for too long",
            Self::Read => "nothing was received within the read timeout",
            Self::Write => "the stream accepted nothing within its write timeout",
        })
    }
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to the URL {:?}: {}", self.url, self.reason)
    }
}

impl StdError for InvalidUrl {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

impl From<ProtocolError> for Error {
    fn from(err: ProtocolError) -> Self {
        match err {
            ProtocolError::NotOpen => Self::Closed,
            ProtocolError::HandshakeTimeout | ProtocolError::ResponseTimeout => {
                Self::Timeout(TimeoutKind::Handshake)
            }
            ProtocolError::IdleTimeout => Self::Timeout(TimeoutKind::Idle),
            ProtocolError::WriteTimeout => Self::Timeout(TimeoutKind::Write),
            ProtocolError::ConnectionLost | ProtocolError::HandshakeCut => Self::cut_off(err),
            err => Self::Protocol(err),
        }
    }
}

impl From<io::Error> for Error {
    fn from(err: io::Error) -> Self {
        Self::Io(err)
    }
}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl From<InvalidUrl> for Error {
    fn from(err: InvalidUrl) -> Self {
        Self::Url(err)
    }
}

impl From<ProxyError> for Error {
    fn from(err: ProxyError) -> Self {
        Self::Proxy(err)
    }
}

impl From<ReactorError> for Error {
    /// Finds the variant of the error or of its cause. Everything else becomes [`Error::Other`].
    fn from(err: ReactorError) -> Self {
        let ReactorError { kind, details } = err;
        match kind {
            ErrorKind::Io(err) => Self::Io(err),
            kind if is_openssl(&kind) || is_rustls(&kind) => {
                Self::Tls(Box::new(ReactorError::new(kind, details)))
            }
            ErrorKind::Custom(cause) => from_cause(cause).unwrap_or_else(|cause| {
                Self::Other(Box::new(ReactorError::new(ErrorKind::Custom(cause), details)))
            }),
            kind => Self::Other(Box::new(ReactorError::new(kind, details))),
        }
    }
}

/// The cause of an error of kind `Custom`.
type Cause = Box<dyn StdError + Send + Sync>;

/// Finds the error in a cause that was made from it.
fn from_cause(cause: Cause) -> std::result::Result<Error, Cause> {
    let cause = match cause.downcast::<Error>() {
        Ok(err) => return Ok(*err),
        Err(cause) => cause,
    };
    let cause = match cause.downcast::<ProxyError>() {
        Ok(err) => return Ok(Error::Proxy(*err)),
        Err(cause) => cause,
    };
    Ok(Error::Rejected(*cause.downcast::<Rejected>()?))
}

#[cfg(feature = "ssl")]
fn is_openssl(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Ssl(_) | ErrorKind::SslHandshake(_))
}

#[cfg(not(feature = "ssl"))]
fn is_openssl(_: &ErrorKind) -> bool {
    false
}

#[cfg(feature = "rustls")]
fn is_rustls(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Custom(cause) if cause.is::<rustls::Error>())
}

#[cfg(not(feature = "rustls"))]
fn is_rustls(_: &ErrorKind) -> bool {
    false
}

impl From<Error> for ReactorError {
    /// Keeps an error that has a kind of its own in [`ErrorKind`]. Any other one becomes the cause of
    /// [`ErrorKind::Custom`].
    fn from(err: Error) -> Self {
        match err {
            Error::Protocol(err) => err.into(),
            Error::ConnectionLost(err) => match err.get_ref().and_then(|err| err.downcast_ref()) {
                Some(reason) => ProtocolError::into(*reason),
                None => err.into(),
            },
            Error::Overflow => Self::new(ErrorKind::Capacity, err.to_string()),
            Error::Rejected(rejected) => rejected.into(),
            Error::Proxy(err) => err.into(),
            Error::Connect { target, source } => {
                Self::new(ErrorKind::Io(source), format!("cannot connect to {target}"))
            }
            Error::Tls(cause) => match cause.downcast::<Self>() {
                Ok(err) => *err,
                Err(cause) => Self::new(ErrorKind::Custom(cause), ""),
            },
            Error::Io(err) => err.into(),
            Error::Other(err) => *err,
            err => Self::new(ErrorKind::Custom(Box::new(err)), ""),
        }
    }
}

impl From<Error> for io::Error {
    /// Keeps an error of the stream or of the system as it is. Any other one is the inner error.
    fn from(err: Error) -> Self {
        let kind = match err {
            Error::Io(err) | Error::ConnectionLost(err) => return err,
            Error::Protocol(_) => io::ErrorKind::InvalidData,
            Error::Closed => io::ErrorKind::BrokenPipe,
            Error::Timeout(_) => io::ErrorKind::TimedOut,
            Error::Connect { ref source, .. } => source.kind(),
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn causes(err: &Error) -> usize {
        let mut cause = err.source();
        let mut count = 0;
        while let Some(err) = cause {
            (cause, count) = (err.source(), count + 1);
        }
        count
    }

    #[test]
    fn a_lost_connection_keeps_its_cause() {
        let err = Error::from(ProtocolError::ConnectionLost);
        assert!(matches!(&err, Error::ConnectionLost(err) if err.kind() == io::ErrorKind::UnexpectedEof));
        assert!(causes(&err) > 0);
        let err = ReactorError::from(err);
        assert!(matches!(err.kind, ErrorKind::Protocol), "{err}");
        let reset = io::Error::from_raw_os_error(104);
        let err = ReactorError::from(Error::ConnectionLost(reset));
        assert!(matches!(err.kind, ErrorKind::Io(err) if err.raw_os_error() == Some(104)));
    }

    #[test]
    fn a_reactor_error_keeps_a_socket_error_as_its_cause() {
        let err = ReactorError::from(Error::Timeout(TimeoutKind::Idle));
        assert_eq!(err.to_string(), "the peer was silent for too long");
        let back = Error::from(err);
        assert!(matches!(back, Error::Timeout(TimeoutKind::Idle)), "{back:?}");
        let back = Error::from(ReactorError::from(Error::Full("salmon".into())));
        assert!(matches!(&back, Error::Full(message) if *message == "salmon".into()), "{back:?}");
    }

    #[test]
    fn error_texts_contain_the_target_and_no_password() {
        let source = io::Error::from(io::ErrorKind::ConnectionRefused);
        let err = Error::Connect { target: "127.0.0.1:80".to_owned(), source };
        assert!(err.to_string().starts_with("cannot connect to 127.0.0.1:80: "), "{err}");
        assert!(ReactorError::from(err).details.contains("127.0.0.1:80"));
        let err = InvalidUrl::unsuitable("ftp://user:secret@host/", "the scheme is not ws or wss");
        assert_eq!(
            err.to_string(),
            "cannot connect to the URL \"ftp://***@host/\": the scheme is not ws or wss"
        );
        let err = InvalidUrl::unsuitable("ws://u:secret@h/#", "the URL 'ws://u:secret@h/#' has a fragment");
        assert_eq!(err.to_string(), "cannot connect to the URL \"ws://***@h/#\": ***@h/#' has a fragment");
        let err = Error::TlsDisabled("example.com".to_owned());
        assert_eq!(
            err.to_string(),
            "cannot connect to example.com with TLS: this build of sockeye has neither of the features `rustls` and `ssl`"
        );
    }

    #[test]
    fn an_io_error_has_the_corresponding_kind() {
        assert_eq!(io::Error::from(Error::Timeout(TimeoutKind::Read)).kind(), io::ErrorKind::TimedOut);
        assert_eq!(io::Error::from(Error::Closed).kind(), io::ErrorKind::BrokenPipe);
        let reset = Error::ConnectionLost(io::ErrorKind::ConnectionReset.into());
        assert_eq!(io::Error::from(reset).kind(), io::ErrorKind::ConnectionReset);
    }
}
