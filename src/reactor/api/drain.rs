//! `Drain`: how a loop ends without disconnecting all clients at once.

use std::borrow::Cow;
use std::time::Duration;

use crate::close::CloseCode;
use crate::error::Result;
use crate::protocol::check_close;

/// How [`Sender::drain`](crate::Sender::drain) ends a loop: when connections are closed, and with which code.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use sockeye::{CloseCode, Drain};
///
/// // A server that is restarted, and is given 30 seconds for that by its service manager.
/// let drain = Drain::new()
///     .code(CloseCode::Restart)
///     .reason("the server is being updated")
///     .over(Duration::from_secs(10))
///     .deadline(Duration::from_secs(25));
/// # drop(drain);
/// ```
#[derive(Debug, Clone)]
pub struct Drain {
    pub(crate) code: CloseCode,
    pub(crate) reason: Cow<'static, str>,
    pub(crate) over: Duration,
    pub(crate) deadline: Duration,
}

impl Drain {
    /// Creates a drain that closes connections with 1001 over 5 seconds, and has a deadline of 30 seconds.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn new() -> Self {
        Self {
            code: CloseCode::Away,
            reason: "shutting down".into(),
            over: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
        }
    }

    /// Sets the code with which connections are closed. Default: [`CloseCode::Away`] (1001).
    ///
    /// [`CloseCode::Restart`] (1012) informs clients that they can connect again after a moment. `Sender::drain` returns an error for
    /// a code that must not be sent (§7.4).
    ///
    /// See the [example](Self#examples) of this type.
    #[must_use]
    pub fn code(mut self, code: CloseCode) -> Self {
        self.code = code;
        self
    }

    /// Sets the reason with which connections are closed, of up to 123 bytes. Default: `shutting down`.
    ///
    /// `Sender::drain` returns an error for a longer reason (§5.5).
    ///
    /// See the [example](Self#examples) of this type.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Sets the time over which the closes are spread. Default: 5 seconds.
    ///
    /// The time between two closes is this time divided by the number of connections, so that clients do not connect to other
    /// servers all at once. Zero closes all connections together. If the deadline is earlier, the closes are spread over the time
    /// until then.
    ///
    /// See the [example](Self#examples) of this type.
    #[must_use]
    pub fn over(mut self, over: Duration) -> Self {
        self.over = over;
        self
    }

    /// Sets the time from the beginning of the drain after which the connections that are left are dropped. Default: 30 seconds.
    ///
    /// A connection is left if its peer does not read its output, or does not answer the Close frame. The deadline should exceed
    /// [`over`](Self::over) by [`Settings::close_timeout`](crate::Settings::close_timeout), and by the time in which slow clients can
    /// read what is queued for them.
    ///
    /// See the [example](Self#examples) of this type.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Returns an error if the code or the reason must not be sent.
    pub(crate) fn check(&self) -> Result<()> {
        Ok(check_close(self.code, &self.reason)?)
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}
