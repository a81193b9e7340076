//! The error of the front ends for a rejected upgrade.

use std::error::Error as StdError;
use std::fmt;

use super::Response;
use crate::error::{Error, ErrorKind};

/// The response to an upgrade had a status other than 101. For a server, its own program has created that response.
///
/// Front ends that open a connection with one call return it as the cause of an [`Error`], of the kind
/// [`ErrorKind::Custom`]; [`of`](Self::of) finds it there.
///
/// # Examples
///
/// ```
/// use sockeye::Response;
/// use sockeye::protocol::handshake::Rejected;
///
/// let mut moved = Response::new(307, "", Vec::new());
/// moved.set_header("Location", "wss://example.com/elsewhere")?;
/// let error = sockeye::Error::from(Rejected::new(moved));
/// let rejected = Rejected::of(&error).expect("it is one");
/// assert_eq!(rejected.response().status(), 307);
/// assert_eq!(rejected.redirect(), Some("wss://example.com/elsewhere"));
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug, Clone)]
pub struct Rejected(Box<Response>);

impl Rejected {
    /// Creates the error for a response.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn new(response: Response) -> Self {
        Self(Box::new(response))
    }

    /// Returns the rejection that an error of a front end contains, if any.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn of(error: &Error) -> Option<&Self> {
        match &error.kind {
            ErrorKind::Custom(cause) => cause.downcast_ref(),
            _ => None,
        }
    }

    /// Returns the response: its status, its headers, and the part of its body that was read.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn response(&self) -> &Response {
        &self.0
    }

    /// Returns the `Location` of a redirect (RFC 9110 §15.4).
    ///
    /// See the [example](Self#examples) of this type.
    pub fn redirect(&self) -> Option<&str> {
        match self.0.status() {
            301 | 302 | 303 | 307 | 308 => std::str::from_utf8(self.0.header("Location")?).ok(),
            _ => None,
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the opening handshake was answered with status {}", self.0.status())
    }
}

impl StdError for Rejected {}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        Self::new(ErrorKind::Custom(Box::new(rejected)), "")
    }
}
