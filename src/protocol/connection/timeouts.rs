//! Everything that depends on time: the handshake, close and idle timeouts, and Pings at intervals.

use std::time::Instant;

use super::{Core, Phase};
use crate::protocol::framing::frame::Frame;
use crate::protocol::{Config, ProtocolError};

/// The points in time from which deadlines are computed.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// When input was last received.
    pub(super) heard: Instant,
    /// While the connection is open, when the last Ping was sent. In every other phase, when that phase must end.
    pub(super) mark: Option<Instant>,
}

impl Deadlines {
    /// The deadlines of a connection that begins with the opening handshake.
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        Self { heard: now, mark: now.checked_add(config.handshake_timeout) }
    }

    /// A phase begins that must end within the close timeout.
    pub(super) fn begin_closing(&mut self, config: &Config, now: Instant) {
        self.mark = now.checked_add(config.close_timeout);
    }

    fn idle(&self, config: &Config) -> Option<Instant> {
        self.heard.checked_add(config.idle_timeout?)
    }

    /// A Ping is due once both the last sign of the peer and our last Ping are `ping_interval` ago.
    fn ping(&self, config: &Config) -> Option<Instant> {
        // A connection cannot send Pings without a pause, so an interval of zero means none.
        let interval = config.ping_interval.filter(|interval| !interval.is_zero())?;
        let last = self.mark.map_or(self.heard, |pinged| pinged.max(self.heard));
        last.checked_add(interval)
    }
}

impl Core {
    /// Returns when [`tick`](Self::tick) must be called, or `None` if nothing depends on time.
    #[inline]
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open => earliest(self.deadlines.idle(&self.config), self.deadlines.ping(&self.config)),
            Phase::Closed => None,
            _ => self.deadlines.mark,
        }
    }

    /// Does what is due, except that a Ping is returned.
    pub(super) fn next_due(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Frame>, ProtocolError> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Ok(None);
        }
        match self.phase {
            Phase::Open if self.deadlines.idle(&self.config).is_some_and(|deadline| deadline <= now) => {
                self.phase = Phase::Closed;
                Err(ProtocolError::IdleTimeout)
            }
            Phase::Open => {
                self.deadlines.mark = Some(now);
                Ok(Some(Frame::ping(Vec::new())))
            }
            Phase::Opening(_) | Phase::Answering { .. } => {
                self.fail(ProtocolError::HandshakeTimeout, now, out);
                Err(ProtocolError::HandshakeTimeout)
            }
            // The peer has not replied to our Close.
            Phase::CloseSent => {
                self.phase = Phase::Closed;
                Err(ProtocolError::ConnectionLost)
            }
            Phase::CloseReceived | Phase::Failed | Phase::Draining(_) | Phase::Closed => {
                self.phase = Phase::Closed;
                Ok(None)
            }
        }
    }
}

pub(super) fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
