//! When a client connects again after its connection was lost, and when it gives up.

use std::time::{Duration, Instant};

use super::backoff::{Backoff, part_of};
use crate::close::{CloseCode, Closed};
use crate::protocol::handshake::Response;

/// The longest wait that a server can demand with `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// When a client connects again after its connection was lost or an attempt has failed.
///
/// Each wait is random between zero and a limit. The limit begins with [`first_wait`](Self::first_wait) and doubles with each attempt, up
/// to [`longest_wait`](Self::longest_wait). It begins again after a connection that was open for at least
/// [`stable_after`](Self::stable_after). The clients of a server that was down therefore do not return at the same time.
///
/// | end of a connection, or of an attempt | effect |
/// |---|---|
/// | the program has closed the connection | the client stops |
/// | the server closes with 1000 or 1008 | the client stops |
/// | the server rejects the handshake with 4xx, except for 408, 425 and 429 | the client stops |
/// | a URL, an option or a request that cannot be used; a proxy that answers with 4xx or refuses the credentials | the client stops |
/// | the server closes with 1001 | the next attempt is soon: within `first_wait`, once until a connection is stable |
/// | the server closes with 1012 or 1013 | the client waits for a random time between a sixth of `longest_wait` and all of it: 5 to 30 seconds, as the registry of close codes recommends |
/// | the server rejects the handshake with `Retry-After` in seconds | the client waits for this time, at most one hour, and for a random time as above |
/// | everything else: the connection is lost or refused, the name cannot be resolved, TLS fails, other codes and statuses | the client connects again |
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use sockeye::Reconnect;
///
/// // A client that gives up after ten attempts in a row.
/// let reconnect = Reconnect { max_attempts: Some(10), ..Reconnect::default() };
/// assert_eq!(reconnect.first_wait, Duration::from_millis(500));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconnect {
    /// The longest wait before the first attempt. Default: 500 ms.
    pub first_wait: Duration,
    /// The longest wait before any attempt. Default: 30 s.
    pub longest_wait: Duration,
    /// How long a connection must be open before the waits begin again with `first_wait`. Default: 10 s.
    pub stable_after: Duration,
    /// The most attempts in a row, after the first one or after a connection that was stable. Default: no limit.
    pub max_attempts: Option<u32>,
}

impl Reconnect {
    /// Returns settings with which a client never connects again.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Reconnect;
    ///
    /// assert_eq!(Reconnect::never().max_attempts, Some(0));
    /// ```
    pub fn never() -> Self {
        Self { max_attempts: Some(0), ..Self::default() }
    }
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
            stable_after: Duration::from_secs(10),
            max_attempts: None,
        }
    }
}

/// A lost connection or a failed attempt of a client that can connect again.
///
/// The program can change what happens next: [`retry_in`](Self::retry_in) and [`stop`](Self::stop).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use sockeye::Lost;
///
/// /// Connects again when the token of the user has expired, because the next request contains a new one.
/// fn on_lost(lost: &mut Lost) {
///     if lost.status() == Some(401) && lost.attempts() < 3 {
///         lost.retry_in(Duration::from_secs(1));
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Lost {
    closed: Option<Closed>,
    status: Option<u16>,
    attempts: u32,
    unsent: usize,
    wait: Option<Duration>,
}

impl Lost {
    /// Returns how the connection has ended, or `None` if it was not open.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// Returns the HTTP status if the server has rejected the opening handshake.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Returns the number of attempts since the last stable connection, without the one that may follow.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the number of bytes that were accepted and that the operating system has not received: they are lost. What it
    /// has received can be lost as well, so a program that must know asks its peer.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn unsent(&self) -> usize {
        self.unsent
    }

    /// Returns the wait before the next attempt, or `None` if the client stops.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// Makes the client connect again after a time, also if it would stop or wait longer.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn retry_in(&mut self, wait: Duration) {
        self.wait = Some(wait);
    }

    /// Makes the client stop.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn stop(&mut self) {
        self.wait = None;
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It was open, and has ended.
    Closed(Closed),
    /// The server has rejected the opening handshake.
    Rejected { status: u16, retry_after: Option<Duration> },
    /// The attempt has failed for a reason that can pass.
    Failed,
    /// Another attempt would fail in the same way.
    Permanent,
}

impl End {
    pub(crate) fn rejected(response: &Response) -> Self {
        // §10.2.3 of RFC 9110 also allows a date, which needs a clock that is right.
        let retry_after = response.header("Retry-After").and_then(|value| std::str::from_utf8(value).ok());
        let seconds = retry_after.and_then(|value| value.trim().parse().ok());
        Self::Rejected { status: response.status(), retry_after: seconds.map(Duration::from_secs) }
    }

    /// Whether another attempt makes sense.
    fn is_temporary(&self) -> bool {
        match self {
            Self::Closed(closed) => !matches!(closed.code, CloseCode::Normal | CloseCode::Policy),
            Self::Rejected { status, .. } => !is_permanent_status(*status),
            Self::Failed => true,
            Self::Permanent => false,
        }
    }
}

/// Whether another request would receive the same status. Request Timeout, Too Early and Too Many Requests pass.
pub(super) fn is_permanent_status(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 408 | 425 | 429)
}

/// The state of a client that connects again. The caller provides the time and the random numbers.
#[derive(Debug)]
pub(crate) struct Reconnector {
    settings: Reconnect,
    backoff: Backoff,
    /// Attempts since the last stable connection.
    attempts: u32,
    /// When the connection was opened, if it is open.
    opened_at: Option<Instant>,
    /// The client has connected soon after 1001, and was not stable since.
    was_soon: bool,
}

impl Reconnector {
    pub(crate) fn new(settings: Reconnect) -> Self {
        let backoff = Backoff::new(settings.first_wait, settings.longest_wait);
        Self { settings, backoff, attempts: 0, opened_at: None, was_soon: false }
    }

    pub(crate) fn on_open(&mut self, now: Instant) {
        self.opened_at = Some(now);
    }

    /// There is no connection any more. `unsent` is the number of bytes that were not sent, and `random` is in `0.0..1.0`.
    ///
    /// The program can change the result before [`begin_attempt`](Self::begin_attempt).
    pub(crate) fn on_lost(&mut self, end: End, unsent: usize, now: Instant, random: f64) -> Lost {
        let lifetime = self.opened_at.take().map(|opened| now.saturating_duration_since(opened));
        if lifetime.is_some_and(|lifetime| lifetime >= self.settings.stable_after) {
            self.backoff.reset();
            self.attempts = 0;
            self.was_soon = false;
        }
        let wait = self.may_retry(&end).then(|| self.next_wait(&end, random));
        let (closed, status) = match end {
            End::Closed(closed) => (Some(closed), None),
            End::Rejected { status, .. } => (None, Some(status)),
            End::Failed | End::Permanent => (None, None),
        };
        Lost { closed, status, attempts: self.attempts, unsent, wait }
    }

    /// Returns the wait before the next attempt, or `None` if the client stops.
    pub(crate) fn begin_attempt(&mut self, lost: &Lost) -> Option<Duration> {
        self.attempts = self.attempts.saturating_add(u32::from(lost.wait.is_some()));
        lost.wait
    }

    fn may_retry(&self, end: &End) -> bool {
        let is_left = self.settings.max_attempts.is_none_or(|most| self.attempts < most);
        is_left && end.is_temporary()
    }

    fn next_wait(&mut self, end: &End, random: f64) -> Duration {
        match end {
            End::Closed(Closed { code: CloseCode::Away, .. }) if !self.was_soon => {
                self.was_soon = true;
                part_of(self.settings.first_wait.min(self.settings.longest_wait), random)
            }
            End::Closed(Closed { code: CloseCode::Restart | CloseCode::Again, .. }) => {
                let least = self.settings.longest_wait / 6;
                least + part_of(self.settings.longest_wait - least, random)
            }
            End::Rejected { retry_after: Some(after), .. } => {
                (*after).min(MAX_RETRY_AFTER).saturating_add(self.backoff.next_wait(random))
            }
            _ => self.backoff.next_wait(random),
        }
    }
}

#[cfg(test)]
mod tests;
