//! The timeout that a stream has in one direction.

use std::io;
use std::time::{Duration, Instant};

/// The shortest timeout that all systems support.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// A read that fails with `WouldBlock` before this time has not waited for its timeout: the stream is in nonblocking mode.
/// Another read would fail at once as well, so the program must decide when to try again.
pub(super) const SHORTEST_WAIT: Duration = Duration::from_micros(500);

/// The timeout of one direction of a stream: the one that the program had set on it, and the current one.
#[derive(Debug)]
pub(super) struct StreamTimeout {
    original: Option<Duration>,
    current: Option<Duration>,
}

impl StreamTimeout {
    pub(super) fn new(original: Option<Duration>) -> Self {
        Self { original, current: original }
    }

    /// Returns what the program had set before it passed the stream to the socket.
    pub(super) fn original(&self) -> Option<Duration> {
        self.original
    }

    /// Changes the current timeout, and returns whether the stream must be changed as well.
    pub(super) fn update(&mut self, timeout: Option<Duration>) -> bool {
        std::mem::replace(&mut self.current, timeout) != timeout
    }
}

/// The time until a deadline, as a timeout that a stream accepts.
pub(super) fn time_left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(TICK)
}

/// Whether a read or a write has timed out. Systems disagree about the kind of this error.
pub(super) fn is_timeout(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
