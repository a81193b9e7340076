//! Exit codes: how the program ended, for scripts.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::process;

use sockeye::protocol::ProtocolError;
use sockeye::{Error, ErrorKind, ProxyError};

use crate::console;

/// The list for `--help`. `docs/tool.md` repeats it.
pub(crate) const TABLE: &str = "\
Exit codes:
  0    the connection was closed properly, or the reader of the output has ended
  1    a file, the input or the system failed
  2    the command line is wrong
  3    the server, or the proxy, cannot be reached
  4    TLS failed, such as an unknown certificate
  5    the server rejected the opening handshake
  6    the peer closed the connection with a code other than 1000, 1001 and none
  7    the peer violated the protocol, or a message exceeded the limit
  8    a timeout
  9    the connection was lost
  130  interrupted (Ctrl-C, SIGTERM)";

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Success,
    Failed,
    Usage,
    Unreachable,
    Tls,
    Rejected,
    Closed,
    Violation,
    Timeout,
    Lost,
    Interrupted,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Tls => 4,
            Self::Rejected => 5,
            Self::Closed => 6,
            Self::Violation => 7,
            Self::Timeout => 8,
            Self::Lost => 9,
            // What shells report for a program that SIGINT has ended.
            Self::Interrupted => 130,
        }
    }

    /// Returns the exit code for an error of the event loop. `is_open` is whether the connection had been established.
    pub(crate) fn of(err: &Error, is_open: bool) -> Self {
        match &err.kind {
            ErrorKind::Io(cause) => Self::of_io(&err.details, cause, is_open),
            ErrorKind::Protocol => Self::of_protocol(&err.details),
            ErrorKind::Capacity | ErrorKind::Encoding(_) | ErrorKind::Http(_) => Self::Violation,
            ErrorKind::Custom(cause) if cause.is::<ProxyError>() => Self::Unreachable,
            ErrorKind::Custom(cause) if is_tls(cause.as_ref()) => Self::Tls,
            kind if is_openssl(kind) => Self::Tls,
            _ => Self::Failed,
        }
    }

    fn of_io(details: &str, cause: &io::Error, is_open: bool) -> Self {
        match cause.kind() {
            io::ErrorKind::TimedOut => Self::Timeout,
            _ if details.contains("TLS") || cause.get_ref().is_some_and(is_tls) => Self::Tls,
            _ if is_open => Self::Lost,
            _ => Self::Unreachable,
        }
    }

    /// An error of the protocol arrives as its text. Timeouts are no fault of the protocol.
    fn of_protocol(details: &str) -> Self {
        const TIMEOUTS: [ProtocolError; 3] =
            [ProtocolError::HandshakeTimeout, ProtocolError::IdleTimeout, ProtocolError::WriteTimeout];
        const LOSSES: [ProtocolError; 2] = [ProtocolError::HandshakeCut, ProtocolError::ConnectionLost];
        let is_one_of = |errors: &[ProtocolError]| errors.iter().any(|error| error.to_string() == details);
        if is_one_of(&TIMEOUTS) {
            Self::Timeout
        } else if is_one_of(&LOSSES) {
            Self::Lost
        } else {
            Self::Violation
        }
    }
}

fn is_tls(cause: &(dyn StdError + Send + Sync + 'static)) -> bool {
    cause.is::<sockeye::rustls::Error>()
}

#[cfg(feature = "ssl")]
fn is_openssl(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Ssl(_) | ErrorKind::SslHandshake(_))
}

#[cfg(not(feature = "ssl"))]
fn is_openssl(_kind: &ErrorKind) -> bool {
    false
}

/// Why the program cannot do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) text: String,
}

impl Failure {
    /// A file, the input or the system failed.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Error> for Failure {
    fn from(err: Error) -> Self {
        Self { exit: Exit::of(&err, false), text: err.to_string() }
    }
}

/// Ends the program. The terminal is restored first, because a thread can be in the middle of editing a line.
pub(crate) fn leave(exit: Exit) -> ! {
    console::restore();
    process::exit(exit.code().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit_of(kind: ErrorKind, details: &'static str) -> (Exit, Exit) {
        let err = Error::new(kind, details);
        (Exit::of(&err, false), Exit::of(&err, true))
    }

    fn io_kind(kind: io::ErrorKind) -> ErrorKind {
        ErrorKind::Io(kind.into())
    }

    #[test]
    fn errors_of_sockets_depend_on_when_they_happen() {
        let refused = exit_of(io_kind(io::ErrorKind::ConnectionRefused), "cannot connect to ws://host");
        assert_eq!(refused, (Exit::Unreachable, Exit::Lost));
        let timeout = exit_of(io_kind(io::ErrorKind::TimedOut), "cannot connect to ws://host");
        assert_eq!(timeout, (Exit::Timeout, Exit::Timeout));
        let cut = exit_of(
            io_kind(io::ErrorKind::UnexpectedEof),
            "the peer has disconnected during the TLS handshake",
        );
        assert_eq!(cut.0, Exit::Tls);
    }

    #[test]
    fn errors_of_the_protocol_are_divided_into_timeouts_losses_and_violations() {
        let of = |error: ProtocolError| Exit::of(&error.into(), true);
        assert_eq!(of(ProtocolError::HandshakeTimeout), Exit::Timeout);
        assert_eq!(of(ProtocolError::HandshakeCut), Exit::Lost);
        assert_eq!(of(ProtocolError::MaskedFrame), Exit::Violation);
        assert_eq!(of(ProtocolError::MessageTooLong), Exit::Violation);
        assert_eq!(of(ProtocolError::InvalidUtf8), Exit::Violation);
    }

    #[test]
    fn errors_of_rustls_are_those_of_tls() {
        let inner = sockeye::rustls::Error::General("no".into());
        assert_eq!(exit_of(ErrorKind::Custom(inner.into()), "TLS has failed").0, Exit::Tls);
        assert_eq!(exit_of(ErrorKind::Custom("other".into()), "").0, Exit::Failed);
    }

    #[test]
    fn the_table_lists_each_code_once() {
        let all = [
            Exit::Success,
            Exit::Failed,
            Exit::Usage,
            Exit::Unreachable,
            Exit::Tls,
            Exit::Rejected,
            Exit::Closed,
            Exit::Violation,
            Exit::Timeout,
            Exit::Lost,
            Exit::Interrupted,
        ];
        let codes: Vec<String> = all.iter().map(|exit| exit.code().to_string()).collect();
        let rows = TABLE.lines().skip(1).filter_map(|row| row.split_whitespace().next());
        assert_eq!(rows.collect::<Vec<_>>(), codes);
    }
}
